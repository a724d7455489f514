"""The gateway with some pages more, for the tests of its limiter: `uvicorn tests.gala.slow_pages:application`."""

import time
from collections.abc import AsyncIterator

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from gala.asgi import application as application  # first: it sets Django up

from gala import urls  # isort: skip

SLOW_S = 0.5
PART = 100_000


def slow(request: HttpRequest) -> HttpResponse:
    time.sleep(float(request.GET.get("s", SLOW_S)))
    return HttpResponse("slow")


def whole(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"." * int(request.GET["bytes"]))


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(_parts(int(request.GET["bytes"])))


async def _parts(count: int) -> AsyncIterator[bytes]:
    for _ in range(count // PART):
        yield b"." * PART


urls.urlpatterns += [path("slow", slow), path("whole", whole), path("stream", stream)]
