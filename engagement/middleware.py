"""What stands around every request, whether its view waits or not."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse


class Around:
    """A middleware for both kinds of views: `enter` holds while the answer is made, `finish` looks at it inside."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self._wait(request)
        with self.enter(request):
            return self.finish(request, self.get_response(request))

    async def _wait(self, request: HttpRequest) -> HttpResponse:
        with self.enter(request):
            waited: Awaitable[HttpResponse] = self.get_response(request)
            return self.finish(request, await waited)

    def enter(self, request: HttpRequest) -> AbstractContextManager[Any]:
        raise NotImplementedError

    def finish(self, request: HttpRequest, answer: HttpResponse) -> HttpResponse:
        raise NotImplementedError
