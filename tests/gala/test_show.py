"""What `make show` says at the end of a segment."""

import json

import pytest

from gala.management.commands.show import verdict_line
from prizes.models import Beacon, Draw


@pytest.mark.parametrize(
    ("beacon", "verified", "line"),
    [
        (Beacon.LOCAL, True, "VERIFIED by the second implementation (rehearsal beacon)"),
        (Beacon.DRAND, True, "VERIFIED by the second implementation"),
        (Beacon.DICE, False, "NOT VERIFIED"),
    ],
)
def test_the_verdict_names_the_public_page_and_calls_only_a_local_beacon_a_rehearsal(
    beacon: Beacon, verified: bool, line: str
) -> None:
    draw = Draw(pk=7, rules=json.dumps({"beacon": {"kind": beacon}}))
    assert verdict_line(draw, verified, "127.0.0.1:8000") == f"Draw 7: {line}, http://127.0.0.1:8000/draws/7/"
