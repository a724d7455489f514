"""The documentation for app developers, against the code and a real gateway."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cast import armed_segment, make_show, put_on_air, totals_in_tally

ROOT = Path(__file__).parents[3]
TOUR = (ROOT / "docs" / "connect-a-phone.md").read_text()
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()


@pytest.mark.django_db(transaction=True)
def test_the_complete_example_counts_reports_and_is_acknowledged(gateway: str, tmp_path: Path) -> None:
    segment = put_on_air(armed_segment(make_show(grace_ms=4_000)), opened_ms_ago=0, left_ms=8_000)
    example = tmp_path / "example.py"
    example.write_text(re.findall(r"```python\n(.*?)```", TOUR, re.DOTALL)[0])
    command = [sys.executable, "-W", "error", str(example), f"http://{gateway}", segment.show.slug]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    told = re.fullmatch(r"(\d+) of \1 shakes acknowledged\n", done.stdout)
    assert told, done.stdout
    held = list(totals_in_tally(segment).values())
    assert held == [int(told[1])]
    assert held[0] > 0


def test_the_json_examples_of_the_tour_are_json() -> None:
    examples = re.findall(r"```json\n(.*?)```", TOUR, re.DOTALL)
    assert len(examples) == 2
    assert all(json.loads(example) for example in examples)
