"""HTTP API of the draw side: what is published of a draw."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from django.http import HttpRequest, HttpResponseBase, JsonResponse, StreamingHttpResponse
from ninja import Router

from prizes.files import record_path, roll_path
from prizes.models import Draw

router = Router(tags=["draws"])

CHUNK = 1 << 20


@router.get(
    "/draws/{int:draw_id}/record", summary="The record of a published draw", response={200: None, 404: None}
)
async def get_record(request: HttpRequest, draw_id: int) -> HttpResponseBase:
    return await _answer(draw_id, record_path(draw_id), "application/json")


@router.get(
    "/draws/{int:draw_id}/roll", summary="The roll that was drawn from", response={200: None, 404: None}
)
async def get_roll(request: HttpRequest, draw_id: int) -> HttpResponseBase:
    return await _answer(draw_id, roll_path(draw_id), "application/octet-stream")


async def _answer(draw_id: int, path: Path, content_type: str) -> HttpResponseBase:
    published = await Draw.objects.filter(pk=draw_id, step=Draw.Step.PUBLISHED).aexists()
    if not published or not path.is_file():
        message = f"draw {draw_id} is not published"
        return JsonResponse({"code": "not_published", "message": message}, status=404)
    headers = {"Content-Length": str(path.stat().st_size)}
    return StreamingHttpResponse(_chunks(path), content_type=content_type, headers=headers)


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    """A roll has half a gigabyte at a gala: Django would collect a file response in memory."""
    with await asyncio.to_thread(path.open, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk
