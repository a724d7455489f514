"""The door of whatever costs a password hash: one at a time, a short queue apart from that of the pages, else 503.

Without it 64 logins at once would hold every place of the limiter, and the control room would wait behind them. Nobody
fills the queue alone: of one neighbour in the address space a few wait, and everybody else finds room.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from engagement.core.neighbours import neighbour_of
from gala.limiter import Limiter, refuse

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[..., Awaitable[None]]

PLACES = 1
QUEUE = 16  # four seconds of hashes, which is as long as a person and the limiter wait
OF_ONE = 4  # of one neighbour, inside and in the queue
# Where passwords are checked or set.
HASHING = ("/login/", "/account/confirm/", "/account/password/")
INVITATIONS = "/invitations/"


def costs_a_hash(scope: Scope) -> bool:
    path = scope["path"]
    return bool(scope["method"] == "POST" and (path in HASHING or path.startswith(INVITATIONS)))


class LoginDoor:
    """ASGI: lets requests in one by one."""

    def __init__(self, app: App) -> None:
        self._limiter = Limiter(app, PLACES, QUEUE)
        self._here: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        neighbour = neighbour_of((scope.get("client") or ("",))[0])
        if self._here[neighbour] >= OF_ONE:
            return await refuse(scope, send)
        self._here[neighbour] += 1
        try:
            await self._limiter(scope, receive, send)
        finally:
            self._here[neighbour] -= 1
            if not self._here[neighbour]:
                del self._here[neighbour]
