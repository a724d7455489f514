"""A relay in front of a gateway that notes every message, whatever client it is."""

import asyncio
import contextlib
from types import TracebackType

END_OF_HEAD = b"\r\n\r\n"
TEXT, MASKED = 0x81, 0x80
READ_BYTES = 65_536


class Ear:
    """One direction of a WebSocket: the text frames that came so far (RFC 6455, 5.2)."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._rest = b""
        self._in_head = True

    def take(self, data: bytes) -> None:
        self._rest += data
        if self._in_head and END_OF_HEAD in self._rest:
            _, _, self._rest = self._rest.partition(END_OF_HEAD)
            self._in_head = False
        while not self._in_head and self._take_frame():
            pass

    def _take_frame(self) -> bool:
        """Whether there was a whole frame; its bytes are gone then."""
        data = self._rest
        if len(data) < 2:
            return False
        size, start = data[1] & 0x7F, 2
        if size > 125:
            start += 2 if size == 126 else 8
            size = int.from_bytes(data[2:start], "big")
        masked = bool(data[1] & MASKED)
        body = start + 4 * masked
        if len(data) < body + size:
            return False
        payload = data[body : body + size]
        if masked:
            payload = bytes(byte ^ data[start + place % 4] for place, byte in enumerate(payload))
        if data[0] == TEXT:
            self.texts.append(payload.decode())
        self._rest = data[body + size :]
        return True


class Line:
    """One socket of a phone or a screen."""

    def __init__(self) -> None:
        self.said, self.heard = Ear(), Ear()


class Wiretap:
    """`async with Wiretap(gateway) as tap:` and phones go to `tap.address`; HTTP goes through it unheard."""

    def __init__(self, gateway: str) -> None:
        host, _, port = gateway.rpartition(":")
        self._gateway = host, int(port)
        self._by_port: dict[int, Line] = {}
        self._relays: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> "Wiretap":
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.address = "{}:{}".format(*self._server.sockets[0].getsockname())
        return self

    async def __aexit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in self._relays.values():
            writer.close()
        if self._relays:
            await asyncio.wait(self._relays)

    @property
    def lines(self) -> list[Line]:
        """All sockets so far, in the order in which they came."""
        return list(self._by_port.values())

    def line_from(self, port: int) -> Line:
        """That of the client with this port."""
        return self._by_port[port]

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay = asyncio.current_task()
        assert relay is not None
        self._relays[relay] = writer
        there, back = await asyncio.open_connection(*self._gateway)
        try:
            head = await reader.readuntil(END_OF_HEAD)
            line = Line()
            if b"upgrade: websocket" in head.lower():
                self._by_port[writer.get_extra_info("peername")[1]] = line
            line.said.take(head)
            back.write(head)
            await asyncio.gather(_pump(reader, back, line.said), _pump(there, writer, line.heard))
        except (OSError, asyncio.IncompleteReadError):
            pass  # a phone that broke off
        finally:
            del self._relays[relay]
            for end in (writer, back):
                end.close()
                with contextlib.suppress(OSError):
                    await end.wait_closed()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ear: Ear) -> None:
    while data := await reader.read(READ_BYTES):
        ear.take(data)
        writer.write(data)
        await writer.drain()
    writer.write_eof()
