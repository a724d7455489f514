"""Documents and large files over HTTP: entity tags, conditional and range requests (RFC 9110), in bounded memory."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.http import parse_etags

CHUNK = 1 << 18  # what one download holds in memory
FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "public, no-cache"
NOBODY_ELSE = "private, no-cache"

# RFC 9110 14.1.2; more digits than any file has are no range.
_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.ASCII | re.IGNORECASE)


class OutOfRange(ValueError):
    """The range asked for has no byte of this file (RFC 9110 15.5.17)."""

    def __init__(self, asked: str, size: int) -> None:
        super().__init__(f"expected a range below {size} bytes, got {asked.strip()!r}")
        self.size = size


def tag_of(digest: str) -> str:
    """A strong entity tag."""
    return f'"{digest}"'


def answer_document(
    request: HttpRequest, content: bytes, *, cache: str, content_type: str = "application/json", tag: str = ""
) -> HttpResponse:
    """A small document, whole, or 304 for whoever has it already."""
    tag = tag or tag_of(hashlib.sha256(content).hexdigest())
    headers = {"ETag": tag, "Cache-Control": cache}
    if _is_known(request, tag):
        return HttpResponse(status=304, headers=headers)
    return HttpResponse(content, content_type=content_type, headers=headers)


async def answer_file(request: HttpRequest, path: Path, *, cache: str, tag: str) -> HttpResponseBase:
    """A file of any size, or one range of it; OutOfRange where there is none. FileNotFoundError without the file."""
    size = (await asyncio.to_thread(path.stat)).st_size
    headers = {"ETag": tag, "Cache-Control": cache, "Accept-Ranges": "bytes"}
    if _is_known(request, tag):
        return HttpResponse(status=304, headers=headers)
    start, stop, status = 0, size, 200
    asked = _asked_range(request, tag, size)
    if asked is not None:
        (start, stop), status = asked, 206
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    headers["Content-Length"] = str(stop - start)
    if request.method == "HEAD":
        return HttpResponse(content_type="application/octet-stream", headers=headers)
    return StreamingHttpResponse(
        _chunks(path, start, stop), status=status, content_type="application/octet-stream", headers=headers
    )


def _is_known(request: HttpRequest, tag: str) -> bool:
    """RFC 9110 13.1.2: If-None-Match compares weakly, and a star is any."""
    known = parse_etags(request.headers.get("If-None-Match", ""))
    return "*" in known or tag in [other.removeprefix("W/") for other in known]


def _asked_range(request: HttpRequest, tag: str, size: int) -> tuple[int, int] | None:
    """The range to send, or None for the whole file."""
    # RFC 9110 14.2: "A server MUST ignore a Range header field received with a request method" other than GET.
    # RFC 9110 13.1.5: If-Range compares strongly; a date never fits, because none is sent.
    if request.method != "GET" or request.headers.get("If-Range", tag) != tag:
        return None
    return parse_range(request.headers.get("Range", ""), size)


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """The first byte and the one after the last; None for what is not one range of bytes: it is ignored.

    Several ranges get the whole file, as RFC 9110 14.2 allows. OutOfRange for a range beyond the end.
    """
    found = _RANGE.fullmatch(header)
    if found is None or found[1] == found[2] == "":
        return None
    if found[1] == "":
        start, stop = max(0, size - int(found[2])), size
    else:
        start, stop = int(found[1]), min(size, int(found[2]) + 1) if found[2] else size
        if found[2] and int(found[2]) < int(found[1]):
            return None
    if start >= stop:
        raise OutOfRange(header, size)
    return start, stop


async def _chunks(path: Path, start: int, stop: int) -> AsyncIterator[bytes]:
    """Never more than a chunk: Django would collect a file response in memory."""
    with await asyncio.to_thread(path.open, "rb") as file:
        await asyncio.to_thread(file.seek, start)
        while start < stop and (chunk := await asyncio.to_thread(file.read, min(CHUNK, stop - start))):
            start += len(chunk)
            yield chunk
