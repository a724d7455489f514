"""Every pass expires once in the middle of a segment, in real processes: entries equal people, winners can claim."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from engagement.passes import LEEWAY_MS
from gala.rehearsal import differing_viewers
from tests.flow.night import Night, interrupt
from tests.flow.test_gala_night import frozen_totals
from tests.flow.test_stubs import gateways

pytestmark = [pytest.mark.flow, pytest.mark.nightly]

PHONES = 60
LIFETIME_S = 10  # and the leeway
EXPIRED_S = LIFETIME_S + LEEWAY_MS / 1000 + 1
LEAD_S = 50


def test_every_pass_expires_once_and_everybody_stays_who_they_are(night: Night, tmp_path: Path) -> None:
    night.environment["PASS_LIFETIME_S"] = str(LIFETIME_S)
    first, told = tmp_path / "out.json", tmp_path / "told.json"
    with night.show("--phones", "5", "--workers", "2", "--seconds", "3", "--json", str(first)) as show:
        segment = night.wait_for(first, show, 90)["segment"] + 1
        night.expect("segment", "arm", str(segment), "--as", "olga")
        phones = night.start(
            "mock_phones", "--url", f"ws://{night.address}", "--show", "countdown-gala", "--phones", str(PHONES),
            "--until-result", "--timeout", "200", "--claim", "--check-stubs", "--json", str(told), "--quiet",
        )  # fmt: skip
        wait_for_phones(night)
        expired_at = time.monotonic() + EXPIRED_S
        night.expect("segment", "open", str(segment), "--lead", str(LEAD_S), "--as", "olga")
        night.wait_for_phase(segment, "open", LEAD_S + 10)
        time.sleep(max(0.0, expired_at - time.monotonic()))
        night.wait_for_phase(segment, "open", 0)
        for name in gateways(night.data):
            os.kill(int(name.split("-")[-2]), signal.SIGKILL)
        wait_for_phones(night)
        night.expect("segment", "close", str(segment), "--as", "olga")
        night.wait_for_phase(segment, "drawn", 60)
        night.expect("segment", "publish", str(segment), "--as", "olga")
        assert phones.wait(60) == 0, night.output()
        check(night, segment, json.loads(told.read_text()))
        interrupt(show)
        assert night.ends_within(15), night.output()


def wait_for_phones(night: Night) -> None:
    """Until all of them are welcomed by gateways that are alive."""
    deadline = time.monotonic() + 40
    while sum(beat["shows"].get("countdown-gala", {"phones": 0})["phones"] for beat in alive(night)) < PHONES:
        assert time.monotonic() < deadline, night.output()
        time.sleep(0.2)


def alive(night: Night) -> list[dict[str, Any]]:
    recent = time.time() * 1000 - 2_000
    return [beat for beat in gateways(night.data).values() if beat["at"] > recent]


def check(night: Night, segment: int, summary: dict) -> None:
    assert summary["closes"] == {"1006": PHONES, "4401": PHONES}
    assert summary["renewals"] == PHONES and summary["phones_that_shook"] == PHONES
    frozen, acknowledged = frozen_totals(night, segment), summary["segments"][str(segment)]["acknowledged"]
    assert len(frozen) == PHONES
    assert differing_viewers(acknowledged, frozen) == []
    assert summary["stubs"]["missing"] == 0 and summary["stubs"]["wrong"] == {}
    won = set(summary["won"])
    assert won and set(summary["claims"]) == won and set(summary["claims"].values()) == {"claimed"}
    frozen_names = night.ask(f"SELECT entries FROM prizes_draw WHERE segment_id = {segment}")
    assert frozen_names == PHONES
