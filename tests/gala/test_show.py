"""Where `make show` says that it is, and what it says at the end of a segment."""

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest
from django.core.management import call_command

from gala.management.commands.show import verdict_line
from gala.processes import spawn
from gala.supervisor import Supervisor
from prizes.models import Beacon, Draw


@pytest.mark.parametrize(
    ("host", "local", "shown"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("::1", "[::1]", "[::1]"),
        ("0.0.0.0", "127.0.0.1", socket.gethostname()),
        ("::", "[::1]", socket.gethostname()),
    ],
)
def test_an_address_stands_in_brackets_where_it_has_to_and_people_type_a_name(
    tmp_path: Path, host: str, local: str, shown: str
) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.listen(host, 0)
    assert supervisor.listener is not None
    port = supervisor.listener.getsockname()[1]
    assert (supervisor.local_address, supervisor.shown_address) == (f"{local}:{port}", f"{shown}:{port}")
    for reached in {local, "127.0.0.1" if host == "::" else local}:
        socket.create_connection((reached.strip("[]"), port), timeout=2).close()
    supervisor.stop()


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


def test_with_mfa_the_processes_that_are_started_ask_for_a_second_factor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CREW_SECOND_FACTOR", "false")
    monkeypatch.setattr(os, "umask", lambda mask: mask)
    with pytest.raises(SystemExit):
        call_command("show", "--mfa", "--phones", "0")
    assert os.environ["CREW_SECOND_FACTOR"] == "true"


def test_ctrl_c_ends_children_that_do_not_heed_it_within_five_seconds(tmp_path: Path) -> None:
    """The worst that a night can be; how fast healthy ones end is the machine's (tests/flow/test_gala_night.py)."""
    supervisor, log = Supervisor(tmp_path), tmp_path / "log"
    deaf = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.02; done"]
    supervisor.children = {name: spawn(deaf, env=os.environ, log=log) for name in ("worker", "gateway")}
    deadline = time.monotonic() + 20
    while log.read_text().count("ready") < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    began = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - began < 5
    assert {child.poll() for child in supervisor.children.values()} == {-signal.SIGKILL}
