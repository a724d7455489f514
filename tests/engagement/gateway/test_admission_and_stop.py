"""A gateway that is full, one that restarts, one that was held up, and one with phones that never read."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from redis import Redis
from websockets.exceptions import InvalidStatus

from engagement.actions import describe_show
from engagement.broadcast import send_state
from engagement.core.show_state import pack_state
from engagement.gateway.hub import EXPLAINED_PER_S, TOGETHER_S
from engagement.keys import own
from engagement.models import Segment, Show
from engagement.passes import issue_guest_pass
from gala.embedded import start_server
from gala.processes import spawn, stop_all
from tests.cast import armed_segment, make_result, make_show, put_on_air, take_many_guests, totals_in_tally
from tests.client import TestPhone
from tests.servers import free_socket, running_gateway

pytestmark = pytest.mark.django_db(transaction=True)


PHONES, DEAF = 300, 10
SERVERS = ["uvicorn", "plain uvicorn", "daphne"]


@pytest.mark.parametrize("server", SERVERS)
async def test_a_full_gateway_closes_4503_with_the_time_to_wait(
    on_air: Segment, tmp_path: Path, server: str
) -> None:
    slug = on_air.show.slug
    with running_gateway(tmp_path / "log", server=server, MAX_CONNECTIONS="2") as (address, _):
        async with TestPhone(address, slug) as one, TestPhone(address, slug) as two:
            await one.hello(issue_guest_pass(slug))
            await two.hello(issue_guest_pass(slug))
            async with TestPhone(address, slug) as three:
                code, reason = await three.closed()
            wait_ms = three.heard[-1]["retry_after_ms"]
        assert code == 4503 and wait_ms >= 1000
        assert reason == f"retry={wait_ms}" or server == "daphne"  # which has no reasons
        await asyncio.sleep(0.3)
        async with TestPhone(address, slug) as four:  # there is room again
            await four.hello(issue_guest_pass(slug))


async def test_a_restart_closes_1012_and_what_was_acknowledged_is_written(
    on_air: Segment, tmp_path: Path
) -> None:
    slug = on_air.show.slug
    with running_gateway(tmp_path / "log") as (address, process):
        async with TestPhone(address, slug) as phone:
            welcome = await phone.hello(issue_guest_pass(slug))
            await phone.shake(on_air.pk, 12)
            await phone.hear("ack")
            os.kill(process.pid, signal.SIGTERM)
            assert (await phone.closed())[0] == 1012
        await asyncio.to_thread(process.wait, 5)
    assert totals_in_tally(on_air) == {welcome["viewer"]: 12}
    assert "Traceback" not in (tmp_path / "log").read_text()


async def test_so_many_are_told_why_they_may_not_stay_and_the_rest_is_refused(
    on_air: Segment, tmp_path: Path
) -> None:
    slug = on_air.show.slug
    with running_gateway(tmp_path / "log", MAX_CONNECTIONS="1") as (address, _):
        async with TestPhone(address, slug) as one:
            await one.hello(issue_guest_pass(slug))
            told = await asyncio.gather(*(refusal(address, slug) for _ in range(2 * EXPLAINED_PER_S)))
            assert set(told) == {4503, 403} and told.count(4503) >= EXPLAINED_PER_S
            await one.hear("pulse")


async def refusal(address: str, slug: str) -> int:
    """The close code, or the status where not even the handshake was accepted."""
    try:
        async with TestPhone(address, slug) as phone:
            return (await phone.closed())[0]
    except InvalidStatus as error:
        return error.response.status_code


async def test_a_restart_while_redis_hangs_ends_within_five_seconds(tmp_path: Path) -> None:
    redis = start_server(tmp_path / "redis")
    try:
        with running_gateway(tmp_path / "log", REDIS_URL=redis.url) as (address, process):
            async with TestPhone(address, "any") as phone:
                assert (await phone.closed())[0] == 4503  # nobody has written any show there
            os.kill(redis.process.pid, signal.SIGSTOP)
            await asyncio.sleep(0.5)
            process.terminate()
            await asyncio.to_thread(process.wait, 5)
    finally:
        os.kill(redis.process.pid, signal.SIGCONT)
        redis.stop()


async def test_whose_total_is_just_being_looked_up_is_sent_away_by_a_restart_too(
    on_air: Segment, tmp_path: Path
) -> None:
    slug, redis = on_air.show.slug, start_server(tmp_path / "redis")
    try:
        with Redis.from_url(redis.url) as client:
            client.set(own(f"show:{slug}"), pack_state(await sync_to_async(describe_show)(on_air.show)))
        with running_gateway(tmp_path / "log", REDIS_URL=redis.url) as (address, process):
            async with TestPhone(address, slug) as phone:
                os.kill(redis.process.pid, signal.SIGSTOP)
                await phone.say({"type": "hello", "pass": issue_guest_pass(slug)})
                await asyncio.sleep(0.1)
                process.terminate()
                assert (await phone.closed())[0] == 1012
            await asyncio.to_thread(process.wait, 5)
    finally:
        os.kill(redis.process.pid, signal.SIGCONT)
        redis.stop()


async def test_a_crowd_comes_back_after_a_restart_and_goes_on_from_its_totals(tmp_path: Path) -> None:
    segment = await sync_to_async(
        lambda: put_on_air(armed_segment(take_many_guests(make_show())), left_ms=60_000)
    )()
    with free_socket() as listener, contextlib.ExitStack() as stack:
        with running_gateway(tmp_path / "old", listener=listener) as (address, old):
            crowd = stack.enter_context(running_crowd(address, segment, tmp_path / "out.json"))
            async with TestPhone(address, segment.show.slug) as screen:
                await screen.hello(role="screen")
                await screen.hear("pulse", phones=PHONES, patience_s=20)
            await asyncio.sleep(1)
            os.kill(old.pid, signal.SIGTERM)
            started = asyncio.get_running_loop().time()
            await asyncio.to_thread(old.wait, 6)
            assert asyncio.get_running_loop().time() - started < 5
        with running_gateway(tmp_path / "new", listener=listener):
            assert await asyncio.to_thread(crowd.wait, 40) == 0, (tmp_path / "out.log").read_text()
    summary = json.loads((tmp_path / "out.json").read_text())
    counts = summary["segments"][str(segment.pk)]
    failed = summary["errors"].get("connect_failed", 0)  # attempts while nobody answered
    assert summary["closes"] == {"1012": PHONES} and summary["reconnects"] == PHONES + failed
    assert counts["acknowledged"] == counts["counted"] == await sync_to_async(totals_in_tally)(segment)
    assert len(counts["counted"]) == PHONES and summary["problems"] == []


@contextlib.contextmanager
def running_crowd(address: str, segment: Segment, summary: Path) -> Iterator[subprocess.Popen[bytes]]:
    options = (
        f"--url ws://{address} --show {segment.show.slug} --phones {PHONES} --seconds 10 --json {summary}"
    )
    command = [sys.executable, "manage.py", "mock_phones", *options.split(), "--quiet"]
    process = spawn(command, env=os.environ, log=summary.with_suffix(".log"))
    try:
        yield process
    finally:
        stop_all([process], 5)


async def test_a_gateway_that_was_held_up_does_not_take_its_phones_for_too_fast(
    on_air: Segment, tmp_path: Path
) -> None:
    slug = on_air.show.slug
    with running_gateway(tmp_path / "log") as (address, process):
        async with TestPhone(address, slug) as phone:
            await phone.hello(issue_guest_pass(slug))
            await phone.hear("pulse")
            os.kill(process.pid, signal.SIGSTOP)
            for total in range(1, 19):  # more than ten at once, as many as are due in five seconds
                await phone.shake(on_air.pk, total)
            await asyncio.sleep(5)
            os.kill(process.pid, signal.SIGCONT)
            await phone.hear("ack", total=18)


@pytest.mark.parametrize("server", ["uvicorn", "plain uvicorn"])
async def test_phones_that_never_read_are_dropped_cost_little_and_delay_nobody(
    tmp_path: Path, server: str
) -> None:
    show = (
        await sync_to_async(
            lambda: put_on_air(armed_segment(take_many_guests(make_show())), left_ms=60_000)
        )()
    ).show
    slug = show.slug
    with running_gateway(tmp_path / "log", server=server) as (address, process):
        async with TestPhone(address, slug) as reader:
            await reader.hello(role="screen", feed="app")  # which gets every pulse
            deaf = [await asyncio.to_thread(connect_and_never_read, address, slug) for _ in range(DEAF)]
            await reader.hear("pulse", phones=DEAF)
            before = resident_kib(process.pid)
            newest = await sync_to_async(flood_with_states)(show)
            await reader.hear("state", seq=newest)
            assert resident_kib(process.pid) - before < 20_000  # twelve megabytes were sent to each of them
            await reader.hear("pulse", phones=0, patience_s=14)
            if server == "uvicorn":  # plain ASGI has no way to say it to a phone that does not read
                assert (4508).to_bytes(2, "big") in await asyncio.to_thread(read_to_the_end, deaf[0])
            for phone in deaf:
                phone.close()


def read_to_the_end(phone: socket.socket) -> bytes:
    """What has waited for a phone that never read; the last of it."""
    found = b""
    phone.settimeout(5)
    while data := phone.recv(1 << 20):
        found = (found + data)[-200:]
        if b'"too_slow"' in found:
            break
    return found


def connect_and_never_read(address: str, slug: str) -> socket.socket:
    """A phone with a tiny receive buffer that says hello and then nothing more."""
    host, port = address.split(":")
    phone = socket.socket()
    phone.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    phone.connect((host, int(port)))
    handshake = (
        f"GET /ws/shows/{slug}/ HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: shake.v1\r\n\r\n"
    )
    phone.sendall(handshake.encode())
    assert b"101" in phone.recv(64)
    hello = json.dumps({"type": "hello", "pass": issue_guest_pass(slug)}).encode()
    length = bytes([0x80 | 126]) + len(hello).to_bytes(2, "big")
    phone.sendall(b"\x81" + length + b"\0\0\0\0" + hello)  # masked with zeros
    return phone


def flood_with_states(show: Show) -> int:
    """States of 500 KB each, more than any buffer takes; slowly enough that none of them stands in for another."""
    import msgspec

    state = describe_show(Show.objects.get(pk=show.pk))
    filler = make_result(1, record_url="x" * 500_000)
    for number in range(1, 25):
        send_state(msgspec.structs.replace(state, seq=state.seq + number, results=[filler]), dict)
        time.sleep(1.1 * TOGETHER_S)
    return state.seq + 24


def resident_kib(pid: int) -> int:
    line = next(
        row for row in Path(f"/proc/{pid}/status").read_text().splitlines() if row.startswith("VmRSS")
    )
    return int(line.split()[1])
