"""A database is restored from a backup made before a segment was armed, in real processes; then it is played again."""

import asyncio
import json
import sqlite3
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gala.embedded import start_server
from tests.client import TestPhone
from tests.flow.installation import Installation
from tests.flow.night import ask, connect
from tests.flow.test_two_installations import SECRETS, get_pass

pytestmark = pytest.mark.flow

PHASE = "SELECT phase FROM engagement_segment"
TOLD = "The database is older than what was announced from it: gala was at ledger entry"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Installation]:
    server = start_server(tmp_path / "valkey")
    house = Installation(tmp_path / "house", server, 0, SECRETS[0])
    house.expect("migrate", "--verbosity", "0")
    yield house
    server.stop()


def copy(source: Path, target: Path) -> None:
    """As a backup is made, and as it is brought back: the file, and nothing of what was written since."""
    for name in ("-wal", "-shm"):
        target.with_name(target.name + name).unlink(missing_ok=True)
    target.unlink(missing_ok=True)
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)


def draws(house: Installation) -> list[tuple[int, str]]:
    with closing(connect(house.database)) as database:
        return list(database.execute("SELECT id, draw_id FROM prizes_draw"))


async def wait_for(house: Installation, query: str, wanted: Any) -> None:
    deadline = time.monotonic() + 40
    while (found := ask(house.database, query)) != wanted:
        assert time.monotonic() < deadline, (found, (house.data / "worker.log").read_text()[-3000:])
        await asyncio.sleep(0.2)


async def do(house: Installation, *arguments: str) -> Any:
    """A command that succeeds, while phones answer the server's pings."""
    return await asyncio.to_thread(house.expect, *arguments)


async def play(house: Installation, segment: str, totals: dict[TestPhone, int]) -> None:
    """One play from arming to the publication, with phones that are connected."""
    await do(house, "stage", "open_soon", segment)
    await wait_for(house, PHASE, "open")
    await asyncio.sleep(1)
    for phone, total in totals.items():
        await phone.shake(int(segment), total)
        await phone.hear("ack", total=total, patience_s=20)
    await do(house, "segment", "close", segment)
    await wait_for(house, PHASE, "drawn")
    await do(house, "segment", "publish", segment)


async def test_everybody_is_told_and_after_the_confirmation_phones_count_anew(
    house: Installation, tmp_path: Path
) -> None:
    segment = str(house.expect("stage", "build", "The gala")["segment"])
    database, backup = house.data / "gala.sqlite3", tmp_path / "backup.sqlite3"
    copy(database, backup)
    with house.gateway() as address:
        async with TestPhone(address, "gala") as stays, TestPhone(address, "gala") as leaves:
            with house.tasks():
                viewer = (await stays.hello(await asyncio.to_thread(get_pass, address)))["viewer"]
                gone = (await leaves.hello(await asyncio.to_thread(get_pass, address)))["viewer"]
                await play(house, segment, {stays: 12, leaves: 15})
            assert await do(house, "stage", "frozen", segment) == {viewer: 12, gone: 15}
            copy(backup, database)
            with house.tasks():
                await wait_for(house, "SELECT count(*) FROM engagement_restore", 1)
                await asyncio.to_thread(refuse_until_confirmed, house, segment, address)
                await play(
                    house, segment, {stays: 5}
                )  # still the same socket, and the gateway of the first play
            assert await do(house, "stage", "frozen", segment) == {viewer: 5}
    assert len({message["epoch"] for message in stays.heard if message["type"] in ("welcome", "state")}) == 2
    (number, name), *others = draws(house)
    assert number > 1000 and number % 1000 == 1 and not others, "of a thousand that no draw had before"
    assert "NOT OK" not in house.expect("audit_draw", str(number))
    assert len(list(house.data.glob("draws/draw-*/record.json"))) == 2, (
        "the first play is kept for the auditor"
    )
    assert name == "gala/seg-1/draw-1"


def refuse_until_confirmed(house: Installation, segment: str, address: str) -> None:
    code, _, complained = house.run("segment", "arm", segment)
    assert code == 1 and TOLD in complained and ask(house.database, PHASE) == "draft"
    with urllib.request.urlopen(f"http://{address}/readyz", timeout=5) as answer:
        assert TOLD in json.load(answer)["restored"]
    assert TOLD in (house.data / "conductor.log").read_text()
    assert house.expect("confirm_restore", "--as", "dirk", "--json") == {"shows": ["gala"]}
