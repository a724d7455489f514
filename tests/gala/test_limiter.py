"""The limiter in front of Django's pages, under a real server."""

import asyncio
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from engagement.models import Segment
from engagement.passes import issue_guest_pass
from gala import entrypoints
from gala.processes import spawn, stop_all
from tests.cast import armed_segment, make_show, put_on_air
from tests.client import TestPhone
from tests.servers import _wait_until_healthy, free_socket

MEDIUM, LARGE = 900_000, 16_000_000  # bytes: what the limiter keeps for a slow reader, and what it does not
STREAM, WHOLE = f"/stream?bytes={LARGE}", f"/whole?bytes={MEDIUM}"

pytestmark = pytest.mark.django_db(transaction=True)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


@contextmanager
def running(log: Path, places: int) -> Iterator[tuple[str, int]]:
    """A gateway with the slow pages: its host:port and its process id."""
    listener = free_socket()
    command = [
        part.replace("gala.asgi", "tests.gala.slow_pages")
        for part in entrypoints.gateway(fd=listener.fileno(), graceful_seconds=2)
    ]
    # Pings count as frames, and this phone pings as fast as it is answered.
    environment = {**os.environ, "HTTP_AT_ONCE": str(places), "FRAMES_PER_SECOND": "1000"}
    process = spawn(command, env=environment, log=log, pass_fds=[listener.fileno()])
    address = "{}:{}".format(*listener.getsockname())
    listener.close()
    try:
        _wait_until_healthy(address, process, log)
        yield address, process.pid
    finally:
        stop_all([process], 5)
    text = log.read_text(errors="replace")
    assert "Traceback" not in text and "ERROR" not in text, text[-5000:]


@pytest.fixture(scope="module")
def one_place(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[str]:
    """A gateway that answers one request at a time, for all tests that want such a one: its host:port."""
    with running(tmp_path_factory.mktemp("one place") / "log", 1) as (address, _):
        yield address


@pytest.fixture(scope="module")
def two_places(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("two places") / "log", 2) as (address, _):
        yield address


async def ask(
    address: str, path: str, *headers: str, body: str = "", limit: int = 1 << 16
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Sends a request and reads nothing; little is read ahead."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=limit)
    lines = [
        f"{'POST' if body else 'GET'} {path} HTTP/1.1",
        f"Host: {address}",
        "Connection: close",
        *headers,
    ]
    writer.write("\r\n".join([*lines, "", body]).encode())
    await writer.drain()
    return reader, writer


async def read_whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
    head, _, body = (await asyncio.wait_for(reader.read(), 30)).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    status, *rows = head.decode().split("\r\n")
    return Answer(int(status.split()[1]), dict(row.lower().split(": ", 1) for row in rows), body)


async def get(address: str, path: str, *headers: str) -> Answer:
    return await read_whole(*await ask(address, path, *headers))


def threads_of(pid: int) -> int:
    found = re.search(r"Threads:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


@pytest.fixture
def on_air(transactional_db: None) -> Segment:
    return put_on_air(armed_segment(make_show()))


async def test_four_hundred_slow_requests_leave_sockets_alone_and_threads_few(
    on_air: Segment, tmp_path: Path
) -> None:
    with running(tmp_path / "log", 8) as (address, pid):
        async with TestPhone(address, on_air.show.slug) as phone:
            await phone.hello(issue_guest_pass(on_air.show.slug))
            before, threads, pings = threads_of(pid), [], []
            flood = asyncio.gather(*(get(address, "/slow") for _ in range(400)))
            while not flood.done():
                begun = time.monotonic()
                await asyncio.wait_for(await phone.socket.ping(), 10)
                pings.append(time.monotonic() - begun)
                threads.append(threads_of(pid))
                await asyncio.sleep(0.02)
            answers = await flood
    assert max(pings) < 1.0
    assert max(threads) - before <= 8 + 8  # the places, and asyncio's own
    served, refused = ([row for row in answers if row.status == status] for status in (200, 503))
    assert len(served) + len(refused) == 400 and len(served) >= 8 * 5
    assert {row.headers["retry-after"] for row in refused} == {"1", "2", "3"}
    assert {row.headers["cache-control"] for row in refused} == {"no-store"}


async def test_who_is_refused_is_told_in_text_or_json_and_health_is_always_answered(one_place: str) -> None:
    inside = [asyncio.create_task(get(one_place, "/slow?s=0.65")) for _ in range(5)]
    await asyncio.sleep(0.2)
    page, api, script = await asyncio.gather(
        get(one_place, "/draws/"),
        get(one_place, "/api/draws/1/record"),
        get(one_place, "/x", "Accept: application/json"),
    )
    assert (await get(one_place, "/healthz")).body == b'{"ok": true}'
    assert {row.status for row in await asyncio.gather(*inside)} == {200}
    assert page.status == api.status == script.status == 503
    assert page.headers["content-type"].startswith("text/plain") and b"try again" in page.body
    assert json.loads(api.body) == json.loads(script.body)
    assert set(json.loads(api.body)) == {"code", "message"} and json.loads(api.body)["code"] == "busy"


async def test_whoever_waits_longer_than_the_patience_is_refused(one_place: str) -> None:
    begun = time.monotonic()
    answers = await asyncio.gather(*(get(one_place, "/slow?s=6") for _ in range(2)))
    assert sorted(row.status for row in answers) == [200, 503]
    assert 4.5 < time.monotonic() - begun < 12


async def test_slow_readers_of_streams_hold_no_place_and_are_few(two_places: str) -> None:
    readers = [await ask(two_places, STREAM, limit=1024) for _ in range(2)]
    await asyncio.sleep(0.3)
    assert (await get(two_places, "/slow")).status == 200
    refused = await get(two_places, STREAM)
    assert refused.status == 503 and "retry-after" in refused.headers
    wholes = [await read_whole(*reader) for reader in readers]
    assert [whole.body.count(b".") for whole in wholes] == [LARGE] * 2
    assert (await get(two_places, STREAM)).status == 200


async def test_slow_readers_of_answers_that_are_ready_hold_nothing(two_places: str) -> None:
    readers = [await ask(two_places, WHOLE, limit=1024) for _ in range(8)]
    await asyncio.sleep(0.3)
    assert len((await get(two_places, WHOLE)).body) == MEDIUM
    wholes = [await read_whole(*reader) for reader in readers]
    assert {len(whole.body) for whole in wholes} == {MEDIUM}


async def test_slow_senders_hold_no_place_and_readers_who_leave_give_theirs_back(one_place: str) -> None:
    senders = [await ask(one_place, "/slow", "Content-Length: 100", body="half") for _ in range(8)]
    assert (await get(one_place, "/slow")).status == 200
    for _ in range(3):
        _, writer = await ask(one_place, STREAM, limit=1024)
        await asyncio.sleep(0.3)
        writer.transport.abort()
        await asyncio.sleep(0.3)
    assert (await get(one_place, STREAM)).status == 200
    for _, writer in senders:
        writer.close()
        await writer.wait_closed()
    await asyncio.sleep(0.3)
