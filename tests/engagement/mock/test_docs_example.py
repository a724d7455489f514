"""The documentation for app developers, against the code and a real gateway."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from engagement.mock.phone import DO_NOT_RECONNECT
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


@pytest.mark.parametrize("code", sorted(DO_NOT_RECONNECT))
async def test_the_complete_example_stays_away_where_the_protocol_says_so(
    code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four of one viewer would push each other out in turns else."""
    example: dict[str, Any] = {"__name__": "example"}
    code_of_it = re.findall(r"```python\n(.*?)```", TOUR, re.DOTALL)[0]
    exec(code_of_it.rpartition("asyncio.run(")[0], example)
    came: list[str] = []

    async def refuse(socket: ServerConnection) -> None:
        came.append(str(await socket.recv()))
        await socket.close(code)

    async with serve(refuse, "127.0.0.1", 0, subprotocols=[Subprotocol("shake.v1")]) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        example["get_pass"] = lambda *_: {"url": url, "pass": "p", "feeds": ["app"]}
        async with asyncio.timeout(10):
            await example["take_part"]("", "gala")
    assert len(came) == 1 and capsys.readouterr().out == f"closed with {code}: stays away\n"


def test_the_json_examples_of_the_tour_are_json() -> None:
    examples = re.findall(r"```json\n(.*?)```", TOUR, re.DOTALL)
    assert len(examples) == 2
    assert all(json.loads(example) for example in examples)
