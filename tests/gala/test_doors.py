"""Bodies that are too large, under a real server: refused by what they announce, and by what comes."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gala.doors import LARGEST_BODY, LARGEST_UPLOAD
from tests.servers import running_gateway

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_S = 10
CHUNK = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"  # 32 KiB
ENOUGH = 300 << 20  # bytes, which nobody reads


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[str]:
    with running_gateway(tmp_path_factory.mktemp("doors") / "log") as (address, _):
        yield address


async def post(
    address: str, path: str, *headers: str, body: bytes = b"", more: bytes = b""
) -> tuple[int, str, int]:
    """Status, what it says, and how often `more` could be sent before the server had had enough."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST {path} HTTP/1.1",
        f"Host: {address}",
        "Content-Type: application/x-www-form-urlencoded",
        *headers,
    )
    sent = 0
    try:
        async with asyncio.timeout(PATIENCE_S):
            writer.write("\r\n".join([*head, "", ""]).encode() + body)
            first = asyncio.create_task(reader.readline())  # as a client does that stops at an answer
            while more and not first.done() and sent * len(more) < ENOUGH:
                writer.write(more)
                sent += 1
                await writer.drain()
                await asyncio.wait({first}, timeout=0.1)  # a server that is slow answers before it hangs up
            said = (await first + await reader.read()).decode()
    finally:
        writer.close()
    return int(said.split()[1]), said.partition("\r\n\r\n")[2], sent


@pytest.mark.parametrize("length", [LARGEST_BODY + 1, ENOUGH, 10**17])
async def test_a_body_that_announces_too_much_is_refused_before_it_comes(gateway: str, length: int) -> None:
    status, said, _ = await post(gateway, "/stub/", f"Content-Length: {length}")
    assert (status, said) == (413, f"expected at most {LARGEST_BODY:,} bytes\n")


async def test_a_program_gets_it_as_json(gateway: str) -> None:
    status, said, _ = await post(gateway, "/api/claims", f"Content-Length: {ENOUGH}")
    assert status == 413 and json.loads(said)["code"] == "too_large"


async def test_a_body_in_chunks_is_refused_as_soon_as_too_much_has_come(gateway: str) -> None:
    before = free_bytes()
    status, _, sent = await post(gateway, "/stub/", "Transfer-Encoding: chunked", more=CHUNK)
    assert status == 413
    assert sent * len(CHUNK) < 64 << 20, "what the kernel has in its buffers, and no more"
    assert before - free_bytes() < 32 << 20


def free_bytes() -> int:
    """Where temporary files go."""
    found = os.statvfs(Path("/tmp"))
    return found.f_bavail * found.f_frsize


async def test_what_is_small_enough_comes_in(gateway: str) -> None:
    path, body = "/api/shows/gala/ledger", b"x" * LARGEST_BODY
    status, said, _ = await post(
        gateway, path, f"Content-Length: {len(body)}", "Connection: close", body=body
    )
    assert status == 405, said
    chunked = b"5\r\nstub=\r\n1\r\n1\r\n0\r\n\r\n"
    status, _, _ = await post(gateway, path, "Transfer-Encoding: chunked", "Connection: close", body=chunked)
    assert status == 405


async def test_pictures_may_be_larger_and_have_a_bound_too(gateway: str) -> None:
    status, _, _ = await post(gateway, "/admin/", f"Content-Length: {LARGEST_UPLOAD + 1}")
    assert status == 413
    body = b"x" * (LARGEST_BODY + 1)
    status, _, _ = await post(
        gateway, "/admin/", f"Content-Length: {len(body)}", "Connection: close", body=body
    )
    assert status in (302, 403), "it is nobody's business how large it was: log in first"
