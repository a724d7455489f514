"""A plain phone for protocol tests: says exactly what it is told to, and remembers everything it hears."""

import asyncio
import contextlib
import json
from types import TracebackType
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

PATIENCE_S = 5.0


class TestPhone:
    """`async with TestPhone(address, slug) as phone: await phone.hello(pass)`"""

    __test__ = False

    def __init__(self, address: str, slug: str, **options: Any) -> None:
        self.url = f"ws://{address}/ws/shows/{slug}/"
        self.options = {"subprotocols": ["shake.v1"], "compression": None, **options}
        self.heard: list[dict[str, Any]] = []

    async def __aenter__(self) -> "TestPhone":
        self.socket: ClientConnection = await connect(self.url, **self.options)
        return self

    async def __aexit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.socket.close()

    async def say(self, message: str | bytes | dict[str, Any]) -> None:
        await self.socket.send(json.dumps(message) if isinstance(message, dict) else message)

    async def hear(self, type_: str, *, patience_s: float = PATIENCE_S, **fields: Any) -> dict[str, Any]:
        """The next message of a type, with these fields; others are remembered and passed over."""
        async with asyncio.timeout(patience_s):
            while True:
                message = json.loads(await self.socket.recv())
                self.heard.append(message)
                if message["type"] == type_ and fields.items() <= message.items():
                    return message

    async def listen(self, seconds: float) -> list[dict[str, Any]]:
        """Everything that is heard in this time, and the pulses left out."""
        before = len(self.heard)
        with contextlib.suppress(TimeoutError):
            await self.hear("nothing of this name", patience_s=seconds)
        return [message for message in self.heard[before:] if message["type"] != "pulse"]

    async def hello(self, token: str | None = None, **fields: Any) -> dict[str, Any]:
        await self.say({"type": "hello", **({"pass": token} if token else {}), **fields})
        return await self.hear("welcome")

    async def shake(self, segment: int, total: int) -> None:
        await self.say({"type": "shakes", "segment": segment, "total": total})

    async def closed(self, patience_s: float = PATIENCE_S) -> tuple[int, str]:
        """Waits until the server closes: the code and the reason."""
        async with asyncio.timeout(patience_s):
            try:
                while True:
                    self.heard.append(json.loads(await self.socket.recv()))
            except ConnectionClosed:
                return self.socket.close_code or 0, self.socket.close_reason or ""
