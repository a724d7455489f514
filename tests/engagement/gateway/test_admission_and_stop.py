"""A gateway that is full, one that restarts, and one with a phone that never reads."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async

from engagement.actions import describe_show
from engagement.broadcast import send_state
from engagement.core.messages import encode
from engagement.models import Segment, Show
from engagement.passes import issue_guest_pass
from tests.cast import armed_segment, make_show, put_on_air, totals_in_tally
from tests.client import TestPhone
from tests.servers import running_gateway

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def on_air(transactional_db: None) -> Segment:
    return put_on_air(armed_segment(make_show()))


async def test_a_full_gateway_closes_4503_with_the_time_to_wait(on_air: Segment, tmp_path: Path) -> None:
    slug = on_air.show.slug
    with running_gateway(tmp_path / "log", MAX_CONNECTIONS="2") as (address, _):
        async with TestPhone(address, slug) as one, TestPhone(address, slug) as two:
            await one.hello(issue_guest_pass(slug))
            await two.hello(issue_guest_pass(slug))
            async with TestPhone(address, slug) as three:
                code, reason = await three.closed()
        assert code == 4503 and reason.startswith("retry=") and int(reason.removeprefix("retry=")) >= 1000
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


async def test_a_phone_that_never_reads_is_dropped_and_delays_nobody(on_air: Segment, tmp_path: Path) -> None:
    slug = on_air.show.slug
    with running_gateway(tmp_path / "log") as (address, process):
        async with TestPhone(address, slug) as reader:
            await reader.hello(issue_guest_pass(slug))
            deaf = await asyncio.to_thread(connect_and_never_read, address, slug)
            await reader.hear("pulse", phones=2)
            before = resident_kib(process.pid)
            newest = await sync_to_async(flood_with_states)(on_air.show)
            await reader.hear("state", seq=newest)
            pulse = await asyncio.wait_for(reader.hear("pulse", phones=1, patience_s=14), 15)
            assert pulse["phones"] == 1
            assert resident_kib(process.pid) - before < 40_000
            deaf.close()


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
    hello = encode("hello", **{"pass": issue_guest_pass(slug)}).encode()
    length = bytes([0x80 | 126]) + len(hello).to_bytes(2, "big")
    phone.sendall(b"\x81" + length + b"\0\0\0\0" + hello)  # masked with zeros
    return phone


def flood_with_states(show: Show) -> int:
    """States of 100 KB each, more than any buffer takes."""
    import msgspec

    state = describe_show(Show.objects.get(pk=show.pk))
    filler = {"draw": 1, "winners": [], "text": "x" * 100_000}
    for number in range(1, 121):
        send_state(msgspec.structs.replace(state, seq=state.seq + number, results=[filler]))
    return state.seq + 120


def resident_kib(pid: int) -> int:
    line = next(
        row for row in Path(f"/proc/{pid}/status").read_text().splitlines() if row.startswith("VmRSS")
    )
    return int(line.split()[1])
