"""The documentation for app developers, against the code and a real gateway."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from engagement import tally
from engagement.core.errors import WireError
from engagement.core.phases import Phase
from engagement.core.show_state import demo_state, state_fields
from tests.cast import armed_segment, make_show, put_on_air

ROOT = Path(__file__).parents[3]
TOUR = (ROOT / "docs" / "connect-a-phone.md").read_text()
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()


@pytest.mark.django_db(transaction=True)
def test_the_complete_example_counts_reports_and_is_acknowledged(gateway: str, tmp_path: Path) -> None:
    segment = put_on_air(armed_segment(make_show(grace_ms=4_000)), opened_ms_ago=0, left_ms=4_000)
    example = tmp_path / "example.py"
    example.write_text(re.findall(r"```python\n(.*?)```", TOUR, re.DOTALL)[0])
    command = [sys.executable, "-W", "error", str(example), f"http://{gateway}", segment.show.slug]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    told = re.fullmatch(r"(\d+) of \1 shakes acknowledged\n", done.stdout)
    assert told, done.stdout
    redis = tally.connect()
    held = [
        total
        for shard in range(segment.shards)
        for _, total in redis.zrange(f"tally:{segment.key}:{shard}", 0, -1, withscores=True)
    ]
    assert held == [float(told[1])]
    assert held[0] > 0


def test_the_protocol_lists_every_error_with_its_close_code() -> None:
    rows = set(re.findall(r"^\| (–|\d{4}) \| `(\w+)` \|", PROTOCOL, re.MULTILINE))
    assert rows == {(str(error.close or "–"), error.code) for error in WireError}


def test_the_protocol_lists_every_message_and_phase() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "engagement" / "gateway").glob("*.py"))
    sources += (ROOT / "engagement" / "core" / "messages.py").read_text()
    sources += (ROOT / "engagement" / "core" / "show_state.py").read_text()
    sent = (
        set(re.findall(r'\bencode\(\s*"(\w+)"', sources)) | set(re.findall(r'tag="(\w+)"', sources)) | {"ack"}
    )
    listed = set(re.findall(r"^\| `(\w+)` \|", PROTOCOL, re.MULTILINE))
    assert listed == sent
    assert all(f"`{phase}`" in PROTOCOL for phase in Phase)


def test_the_protocol_lists_every_field_of_a_state() -> None:
    fields = state_fields(demo_state(), "tv")
    segment = re.search(r"\*\*`segment`\*\* in a state is `\{([^}]*)\}`", PROTOCOL)
    assert segment
    listed = {name.strip(" ?") for name in segment[1].split(",")}
    assert listed == {*fields["segment"], "seal", "seals"}
    assert all(f"`{name}`" in PROTOCOL for name in fields)


def test_the_json_examples_of_the_tour_are_json() -> None:
    examples = re.findall(r"```json\n(.*?)```", TOUR, re.DOTALL)
    assert len(examples) == 2
    assert all(json.loads(example) for example in examples)
