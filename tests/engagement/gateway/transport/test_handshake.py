"""The quick handshake: what it takes itself, and what goes uvicorn's own way."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from engagement.broadcast import mark_complete
from tests.servers import running_gateway

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = {
    "Host": "gala",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "other, shake.v1",
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    log = tmp_path_factory.mktemp("fast") / "log"
    mark_complete()  # a show that is not there does not exist
    with running_gateway(log) as (address, _):
        yield address, log


async def ask(
    address: str, changes: Mapping[str, str | None] | None = None, *, path: str = "/ws/shows/none/"
) -> bytes:
    """What a handshake with these changes is answered with, up to the end or a second of silence."""
    headers = {name: value for name, value in {**HANDSHAKE, **(changes or {})}.items() if value is not None}
    request = f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    reader, writer = await asyncio.open_connection(*address.split(":"))
    writer.write(request.encode("latin-1") + b"\r\n")
    answer = b""
    try:
        while data := await asyncio.wait_for(reader.read(65_536), 1):
            answer += data
    except TimeoutError:
        pass
    writer.transport.abort()
    return answer


async def test_a_plain_handshake_is_answered_and_the_reason_comes_in_a_frame(
    gateway: tuple[str, Path],
) -> None:
    head, _, frames = (await ask(gateway[0])).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    assert head.endswith(b"\r\nSec-WebSocket-Protocol: shake.v1")
    assert b'"no_such_show"' in frames and (4404).to_bytes(2, "big") in frames


async def test_without_our_protocol_none_is_chosen(gateway: tuple[str, Path]) -> None:
    answer = await ask(gateway[0], {"Sec-WebSocket-Protocol": None})
    assert b" 101 " in answer and b"sec-websocket-protocol" not in answer.lower()


async def test_other_protocols_are_refused_with_the_list_of_ours(gateway: tuple[str, Path]) -> None:
    for offered in ("mqtt", "shake.v2, chat", "SHAKE.V1"):
        head, _, body = (await ask(gateway[0], {"Sec-WebSocket-Protocol": offered})).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ") and b"content-security-policy" in head
        told = json.loads(body)
        assert (told["code"], told["supported"]) == ("bad_subprotocol", ["shake.v1"])


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://[", "\xff"])
async def test_a_page_of_another_site_is_refused(gateway: tuple[str, Path], origin: str) -> None:
    assert (await ask(gateway[0], {"Origin": origin})).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize(
    "changes",
    [
        {"Sec-WebSocket-Version": "8"},
        {"Sec-WebSocket-Key": None},
        {"Sec-WebSocket-Key": "c2hvcnQ="},
        {"Sec-WebSocket-Key": "not base64 at all"},
    ],
)
async def test_a_handshake_that_is_none_is_refused_by_the_library(
    gateway: tuple[str, Path], changes: dict[str, str | None]
) -> None:
    assert (await ask(gateway[0], changes)).startswith(b"HTTP/1.1 400 ")


async def test_other_addresses_are_served_through_plain_asgi(gateway: tuple[str, Path]) -> None:
    answer = await ask(gateway[0], path="/somewhere/else/")
    assert b" 101 " in answer and b'"no_such_show"' in answer and b"\r\nserver:" not in answer.lower()


async def test_pages_are_still_pages_and_an_upgrade_after_one_works(gateway: tuple[str, Path]) -> None:
    page = b"GET /healthz HTTP/1.1\r\nHost: gala\r\n\r\n"
    reader, writer = await asyncio.open_connection(*gateway[0].split(":"))
    writer.write(page)
    assert await asyncio.wait_for(reader.readuntil(b'{"ok": true}'), 2)
    lines = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
    writer.write(b"GET /ws/shows/none/ HTTP/1.1\r\n" + lines.encode() + b"\r\n")
    assert (await asyncio.wait_for(reader.read(4096), 2)).startswith(b"HTTP/1.1 101 ")
    writer.transport.abort()


async def test_a_phone_that_breaks_off_in_the_handshake_leaves_nothing_in_the_log(
    gateway: tuple[str, Path],
) -> None:
    for number in range(50):
        _, writer = await asyncio.open_connection(*gateway[0].split(":"))
        lines = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
        writer.write(f"GET /ws/shows/gone-{number}/ HTTP/1.1\r\n{lines}\r\n".encode())
        await asyncio.sleep(0)
        writer.transport.abort()
    assert b" 101 " in await ask(gateway[0])
    text = gateway[1].read_text(errors="replace")
    assert "Traceback" not in text and "ERROR" not in text, text[-3000:]
