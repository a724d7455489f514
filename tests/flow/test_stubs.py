"""A gateway is killed as the window ends, in real processes: its phones get their stubs from another one."""

import contextlib
import json
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest
from redis import Redis

from engagement.clock import now_ms
from gala.embedded import socket_path
from tests.flow.night import Night, interrupt
from tests.flow.test_gala_night import wait_until

pytestmark = pytest.mark.flow

PHONES = 120


def gateways(data: Path) -> dict[str, dict[str, Any]]:
    """The heartbeats of a night, by name."""
    with Redis(unix_socket_path=str(socket_path(data))) as redis:
        [key] = redis.keys("*:gateways")
        found: Any = redis.hgetall(key)
    return {name.decode(): json.loads(beat) for name, beat in found.items()}


def entries(night: Night, action: str) -> list[dict[str, Any]]:
    query = "SELECT group_concat(position || ' ' || details, char(10)) FROM engagement_ledgerentry WHERE action = "
    if not night.database.startswith("sqlite"):
        query = query.replace("group_concat", "string_agg").replace("char(10)", "chr(10)")
    rows = (night.ask(f"{query}'{action}'") or "").splitlines()
    parts = [row.partition(" ") for row in rows]
    return [{"position": int(position), **json.loads(details)} for position, _, details in parts]


def kill_the_busiest(data: Path, least: int) -> str:
    """As a machine that loses its power, with so many connections or more."""
    name, beat = max(gateways(data).items(), key=lambda row: int(row[1]["connections"]))
    assert beat["connections"] >= least
    os.kill(int(name.split("-")[-2]), signal.SIGKILL)
    return name


def test_phones_of_a_gateway_that_was_killed_get_their_stubs_from_another_one(
    night: Night, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    with night.show("--phones", str(PHONES), "--workers", "2", "--seconds", "8", "--json", str(out)) as show:
        wait_until(lambda: entries_or_none(night, "open"), night)
        [opened] = entries(night, "open")
        wait_until(lambda: now_ms() > opened["closes_at"] - 500, night)
        killed = kill_the_busiest(night.data, PHONES // 4)
        summary = night.wait_for(out, show, 90)
        keys = entries(night, "gateway key")
        [seal] = entries(night, "seal")
        counts, uncounted = entries(night, "counts"), entries(night, "uncounted")
        interrupt(show)
        assert night.ends_within(15), night.output()
    assert summary["viewers_that_differ"] == summary["stubs_that_differ"] == []
    assert summary["stubs"] == {"kept": PHONES, "certified": PHONES, "missing": 0, "wrong": {}}
    assert summary["phones_that_shook"] == PHONES and summary["verified"] is True
    check_counts(counts[-1], summary, killed)
    assert counts[-1]["position"] < seal["position"] and uncounted == []
    by_name = {key["gateway"]: key for key in keys}
    assert killed in by_name and len(by_name) == len(keys) >= 2
    assert len({key["key"] for key in keys}) == len(keys)
    assert all(key["position"] < seal["position"] for key in keys)


def check_counts(counts: dict[str, Any], summary: dict[str, Any], killed: str) -> None:
    """What was counted at the fence: with the gateway that was killed, and never below the roll."""
    assert counts["fence"] and counts["complete"] and killed in counts["silent"]
    by_name = {row["gateway"]: row for row in counts["gateways"]}
    assert killed in by_name and by_name[killed]["viewers"] > PHONES // 4 and len(by_name) >= 2
    assert summary["entries"] <= counts["viewers"] < 2 * PHONES
    assert summary["shakes_frozen"] <= counts["shakes"] < 2 * summary["shakes_frozen"]
    assert counts["passes"]["guest"] == counts["issued"]["guest"] == PHONES


def entries_or_none(night: Night, action: str) -> list[dict[str, Any]]:
    """Before there is a database there is no entry."""
    with contextlib.suppress(sqlite3.Error, psycopg.Error):
        return entries(night, action)
    return []
