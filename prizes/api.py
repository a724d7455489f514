"""HTTP API of the draw side: what is published of a draw."""

from typing import Any

from django.http import FileResponse, HttpRequest
from ninja import Router, Schema

from prizes.files import record_path, roll_path
from prizes.models import Draw

router = Router(tags=["draws"])


class Refusal(Schema):
    code: str
    message: str


@router.get("/draws/{int:draw_id}/record", response={404: Refusal}, summary="The record of a published draw")
def get_record(request: HttpRequest, draw_id: int) -> Any:
    if not _published(draw_id):
        return _missing(draw_id)
    return FileResponse(record_path(draw_id).open("rb"), content_type="application/json")


@router.get("/draws/{int:draw_id}/roll", response={404: Refusal}, summary="The roll that was drawn from")
def get_roll(request: HttpRequest, draw_id: int) -> Any:
    if not _published(draw_id):
        return _missing(draw_id)
    return FileResponse(
        roll_path(draw_id).open("rb"), content_type="application/octet-stream", filename="roll.bin"
    )


def _published(draw_id: int) -> bool:
    return Draw.objects.filter(pk=draw_id, step=Draw.Step.PUBLISHED).exists()


def _missing(draw_id: int) -> tuple[int, dict[str, str]]:
    return 404, {"code": "not_published", "message": f"draw {draw_id} is not published"}
