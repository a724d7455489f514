"""The client library of phones and screens, by the tests beside this file and against a real gateway, in Node.js."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cast import (
    armed_segment,
    gateways_were_here,
    make_show,
    put_on_air,
    take_many_guests,
    totals_in_tally,
)
from tests.node import install, needed
from tests.servers import free_socket, running_gateway

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LIBRARY = ROOT / "engagement/static/engagement/shake-client.js"
TYPES = LIBRARY.with_suffix(".d.ts")
WITH_A_SERVER = HERE / "phone.test.js"
PHONES = 25


@pytest.fixture(scope="module")
def node() -> str:
    return needed("node", "nodejs")


@pytest.fixture(scope="module")
def packages() -> None:
    """Those of package-lock.json: a server of sockets, and the compiler that checks types."""
    install()


def run_tests(node: str, *files: Path) -> None:
    command = [node, "--test", *sorted(str(path) for path in files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
    assert re.search(r"(?:#|ℹ) pass [1-9]\d", done.stdout)


def test_the_library_passes_its_own_tests(node: str) -> None:
    run_tests(node, *(path for path in HERE.glob("*.test.js") if path != WITH_A_SERVER))


def test_a_phone_of_the_library_passes_its_tests_against_a_server_that_fails_in_every_way(
    node: str, packages: None
) -> None:
    run_tests(node, WITH_A_SERVER)


def test_its_types_are_what_the_compiler_makes_of_it_and_it_has_no_mistake_of_type(
    node: str, packages: None, tmp_path: Path
) -> None:
    compiler = HERE / "node_modules/typescript/bin/tsc"
    command = [node, str(compiler), "-p", str(HERE), "--outDir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout
    made = (tmp_path / TYPES.name).read_text(encoding="utf-8")
    assert made == TYPES.read_text(encoding="utf-8"), "write them anew: make types"


def test_the_lock_names_no_registry() -> None:
    assert "://" not in (HERE / "package-lock.json").read_text(encoding="utf-8")


PRELUDE = """
const button = new EventTarget();
const said = [];
const fetchPass = () => fetch("http://127.0.0.1:9/").then((answer) => answer.text());
const [showStatus, explain] = [(status) => said.push(status), (reason) => said.push(reason)];
const draw = (moment, state, own, counted) => said.push(`${moment} ${own} ${counted}`);
setTimeout(() => (console.log([...new Set(said)].sort().join()), process.exit(0)), 400);
"""


def test_the_example_of_the_documentation_runs_without_a_server_too(node: str, tmp_path: Path) -> None:
    tour = (ROOT / "docs/connect-a-phone.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```js\n(.*?)```", tour, re.DOTALL)
    script = tmp_path / "example.mjs"
    script.write_text(PRELUDE + example.replace("./shake-client.js", LIBRARY.as_uri()), encoding="utf-8")
    done = subprocess.run([node, str(script)], capture_output=True, text=True, timeout=30)
    assert done.stdout == "connecting,idle 0 0,insecure,offline\n", done.stderr


@pytest.fixture
def node_with_sockets(node: str, request: pytest.FixtureRequest) -> list[str]:
    """Node.js has WebSockets from 22 on, and behind an option from 20.10 on; older ones take them from a package."""
    options = subprocess.run([node, "--help"], capture_output=True, text=True, check=True).stdout
    if "--experimental-websocket" in options:
        return [node, "--experimental-websocket"]
    request.getfixturevalue("packages")
    return [node]


@pytest.fixture
def crowd() -> Iterator[list["subprocess.Popen[str]"]]:
    """Those that a test has started; none of them outlives it."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.django_db(transaction=True)
def test_what_phones_were_told_is_counted_is_in_the_tally_also_after_a_gateway_was_killed(
    node_with_sockets: list[str], crowd: list["subprocess.Popen[str]"], tmp_path: Path
) -> None:
    gateways_were_here()
    show = take_many_guests(make_show(grace_ms=5_000))
    segment = put_on_air(armed_segment(show), opened_ms_ago=0, left_ms=14_000)
    with free_socket() as listener:
        with running_gateway(tmp_path / "old", listener=listener) as (address, old):
            command = [
                *node_with_sockets,
                str(HERE / "crowd.js"),
                f"http://{address}",
                show.slug,
                str(PHONES),
            ]
            phones = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            crowd.append(phones)
            assert phones.stdout is not None and phones.stdout.readline() == "shaking\n"
            old.kill()
            old.wait()
        with running_gateway(tmp_path / "new", listener=listener):
            told = json.loads(phones.communicate(timeout=60)[0])
    assert all(one["own"] == one["acknowledged"] > 10 for one in told), told
    assert len(told) == PHONES
    assert totals_in_tally(segment) == {one["viewer"]: one["acknowledged"] for one in told}
