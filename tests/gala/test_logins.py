"""What costs a password hash: one at a time, apart from the pages, and phones do not feel it."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher, check_password, make_password

from engagement.models import Segment
from engagement.passes import issue_guest_pass
from gala import hashing
from gala.entrypoints import ROOT
from gala.hash_process import NICE
from gala.hashing import QuietHasher
from gala.logins import OF_ONE, QUEUE, LoginDoor, costs_a_hash
from tests.cast import armed_segment, make_show, put_on_air
from tests.client import TestPhone
from tests.gala.test_limiter import Answer, ask, get, read_whole
from tests.servers import running_gateway

TOKEN = "a" * 32


async def log_in(address: str, client: str, path: str = "/login/", name: str = "director") -> Answer:
    body = f"username={name}&password=a+guess&csrfmiddlewaretoken={TOKEN}"
    headers = [
        f"X-Real-IP: {client}",
        f"Cookie: csrftoken={TOKEN}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
    ]
    return await read_whole(*await ask(address, path, *headers, body=body))


@pytest.fixture
def on_air(transactional_db: None) -> Segment:
    return put_on_air(armed_segment(make_show()))


async def test_sixty_four_logins_at_once_are_hashed_one_by_one_and_leave_pages_and_phones_alone(
    on_air: Segment, migrated: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(migrated, tmp_path / "data")
    own: dict[str, Any] = {"GALA_DATA": str(data), "DATABASE_URL": f"sqlite:///{data}/gala.sqlite3"}
    own |= {"TRUST_REAL_IP_HEADER": "true", "HTTP_AT_ONCE": "1", "FRAMES_PER_SECOND": "1000"}
    with running_gateway(tmp_path / "log", **own) as (address, _):
        async with TestPhone(address, on_air.show.slug) as phone:
            await phone.hello(issue_guest_pass(on_air.show.slug))
            flood = asyncio.gather(*(log_in(address, f"198.51.100.{number}") for number in range(64)))
            await asyncio.sleep(0.2)
            begun = time.monotonic()
            assert (await get(address, "/draws/")).status == 200  # the one place of the pages is free
            page_s, pings = time.monotonic() - begun, []
            while not flood.done():
                begun = time.monotonic()
                await asyncio.wait_for(await phone.socket.ping(), 10)
                pings.append(time.monotonic() - begun)
                await asyncio.sleep(0.05)
    answers = flood.result()
    refused = [answer for answer in answers if answer.status == 503]
    assert all(1 <= int(answer.headers["retry-after"]) <= 3 for answer in refused)
    # Of those in the queue as many are hashed as this machine can in the time that people wait.
    assert 64 - 1 - 2 * QUEUE <= len(refused) < 64
    assert {answer.status for answer in answers} == {200, 503}
    assert page_s < 2 and sorted(pings)[len(pings) // 2] < 0.1


class Pages:
    """An application whose pages take until they are told to end."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self.end = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        self.inside += 1
        self.most = max(self.most, self.inside)
        await self.end.wait()
        self.inside -= 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def knock(door: LoginDoor, client: str) -> int:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/login/", "headers": [], "client": (client, 1)}
    await door(scope, receive, send)
    return int(sent[0]["status"])


async def test_nobody_fills_the_queue_alone() -> None:
    pages = Pages()
    door = LoginDoor(pages)
    flood = [asyncio.create_task(knock(door, f"2001:db8:0:1::{number}")) for number in range(50)]
    await asyncio.sleep(0)
    others = [asyncio.create_task(knock(door, f"203.0.113.{number}")) for number in range(8)]
    await asyncio.sleep(0.01)
    pages.end.set()
    assert sorted(await asyncio.gather(*flood)) == [200] * OF_ONE + [503] * (50 - OF_ONE)
    assert await asyncio.gather(*others) == [200] * 8
    assert pages.most == 1
    assert await knock(door, "2001:db8:0:1::1") == 200  # nothing is left of it


@pytest.mark.parametrize(
    ("method", "path", "costs"),
    [
        ("POST", "/login/", True),
        ("GET", "/login/", False),
        ("POST", "/login/second/", False),
        ("POST", "/invitations/MQ/set-password/", True),
        ("POST", "/account/password/", True),
        ("POST", "/console/night/segments/1/arm/", False),
    ],
)
def test_the_door_stands_where_passwords_are(method: str, path: str, costs: bool) -> None:
    assert costs_a_hash({"method": method, "path": path}) is costs


def test_hashes_are_made_by_a_process_that_steps_back_and_another_one_takes_its_place(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["gala.hashing.QuietHasher"]
    kept = make_password("a coat of silver thread, 银")
    assert kept.startswith("pbkdf2_sha256$") and check_password("a coat of silver thread, 银", kept)
    assert not check_password("another", kept)
    process = hashing.worker_of(os.getpid())._process
    assert process is not None and process.pid != os.getpid()
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == os.getpriority(os.PRIO_PROCESS, 0) + NICE
    process.kill()
    process.wait()
    assert check_password("a coat of silver thread, 银", kept)


def test_the_process_ends_with_the_one_that_asks_it() -> None:
    ask = "import os; from gala.hashing import QuietHasher, worker_of; QuietHasher().encode('a', 'b', 1); "
    ask += "print(worker_of(os.getpid())._process.pid, flush=True); os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{done.stdout.strip()}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_django_has_hashed_stays_good() -> None:
    old = PBKDF2PasswordHasher().encode("a coat of silver thread", "salt", 1000)
    assert QuietHasher().verify("a coat of silver thread", old)
    assert QuietHasher().encode("a coat of silver thread", "salt", 1000) == old
