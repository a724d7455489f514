"""Acks of phones that shake, with and without 64 logins at once, in alternating order. `make bench-logins`; `--help`.

The gateway has one core, which the hashes want, too. Each turn begins with acks alone or with the logins; the logins
come from 64 addresses, as of a hall that guesses passwords, and each that was answered is sent again at once.
"""

import argparse
import asyncio
import itertools
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from engagement.descriptors import TooFewDescriptors, require_descriptors
from engagement.mock.figures import percentile
from tests.bench.contenders import CONTENDERS
from tests.bench.gateway import SPARE_DESCRIPTORS, pin
from tests.bench.load import Crowd
from tests.bench.measures import check_connected
from tests.bench.open_loop import OpenLoop
from tests.bench.soak import a_number, check_end
from tests.bench.table import OURS
from tests.migrated import make_once

START_S = 60
SETTLE_S = 2.0  # of each half, which do not count: what the other half has left is worked off
BODY = b"username=guess-%d&password=a+guess+of+somebody&csrfmiddlewaretoken=%s"
TOKEN = b"a" * 32
HEAD = (
    b"POST /login/ HTTP/1.1\r\nHost: localhost\r\nX-Real-IP: 198.51.100.%d\r\nCookie: csrftoken=%s\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
)


class Half(NamedTuple):
    """The acks of some seconds, in milliseconds."""

    logins: int
    acks: int
    p50: int
    p99: int
    worst: int


# --- the logins ---


@contextmanager
def guessing(address: tuple[str, int], at_once: int) -> Iterator[Counter[str]]:
    """So many logins at once, from a process of their own; what they were answered is known at the end."""
    answers: Counter[str] = Counter()
    if not at_once:
        yield answers
        return
    apart = multiprocessing.get_context("spawn")
    begun, stop, told = apart.Event(), apart.Event(), apart.SimpleQueue()
    process = apart.Process(target=guess_all, args=(address, at_once, begun, stop, told))
    process.start()
    begun.wait(START_S)  # what it imports is no part of what is measured
    try:
        yield answers
    finally:
        stop.set()
        answers.update(told.get())
        process.join()


def guess_all(address: tuple[str, int], at_once: int, begun: Any, stop: Any, told: Any) -> None:
    """The process."""
    answers: Counter[str] = Counter()

    async def guess_together() -> None:
        await asyncio.gather(*(_guess(address, number, answers, stop) for number in range(at_once)))

    begun.set()
    asyncio.run(guess_together())
    told.put(dict(answers))


async def _guess(address: tuple[str, int], number: int, answers: Counter[str], stop: Any) -> None:
    """A client that does what it is told: after 503 it comes back when the answer says so."""
    for guess in itertools.count(number * 1_000_000):  # another account each time: none is held off
        if stop.is_set():
            return
        body = BODY % (guess, TOKEN)
        request = HEAD % (number, TOKEN, len(body)) + body
        reader, writer = await asyncio.open_connection(*address)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        status = answer.split(b" ", 2)[1].decode()
        answers[status] += 1
        if status == "503":
            await asyncio.sleep(int(answer.lower().split(b"retry-after: ")[1].split()[0]))


# --- the turns ---

EXPECTED = ("200", "503")  # a login that is wrong gets its page again, or is told to come back


def measure(
    load: OpenLoop, address: tuple[str, int], seconds: float, logins: int
) -> tuple[Half, Counter[str]]:
    """The acks of some seconds, with so many logins at once."""
    with guessing(address, logins) as answers:
        load.run(SETTLE_S)
        load.ack_ms.clear()
        load.run(seconds)
    acks = load.acks_from(0)
    p50, p99 = percentile(acks, 0.5) or 0, percentile(acks, 0.99) or 0
    return Half(logins, acks.total(), p50, p99, max(acks, default=0)), answers


def compare(running: Any, options: argparse.Namespace) -> tuple[list[Half], Counter[str], list[str]]:
    """All halves, what the logins were answered, and what is wrong."""
    halves, answers = list[Half](), Counter[str]()
    with Crowd(running, options.phones, first=1) as crowd:
        crowd.connect()
        wrong = check_connected(crowd)
        load = OpenLoop(crowd, obeys=True)
        with guessing(running.addresses[0], 1):  # the first page of a gateway imports what all others need
            load.run(options.warm_up)
        for turn in range(options.turns):
            for logins in (0, options.logins) if turn % 2 else (options.logins, 0):
                half, came = measure(load, running.addresses[0], options.seconds, logins)
                print(f"turn {turn + 1}: {half._asdict()} {dict(came)}", flush=True)
                halves.append(half)
                answers += came
        wrong += check_end(load)
    wrong += [
        f"{number} logins were answered {status}"
        for status, number in answers.items()
        if status not in EXPECTED
    ]
    return halves, answers, wrong


def summarise(halves: list[Half]) -> dict[str, float]:
    """The medians of the turns, which a neighbour on this machine moves least."""

    def middle(values: list[int]) -> float:
        return sorted(values)[len(values) // 2]

    alone, beside = ([half for half in halves if bool(half.logins) is with_] for with_ in (False, True))
    return {
        "p99_alone_ms": middle([half.p99 for half in alone]),
        "p99_with_logins_ms": middle([half.p99 for half in beside]),
        "p50_alone_ms": middle([half.p50 for half in alone]),
        "p50_with_logins_ms": middle([half.p50 for half in beside]),
    }


# --- the command ---


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.logins", description=__doc__)
    parser.add_argument("--phones", type=a_number(int, 1), default=5_000, help="default: %(default)s")
    parser.add_argument("--logins", type=a_number(int, 1, 200), default=64, help="default: %(default)s")
    parser.add_argument("--turns", type=a_number(int, 1), default=4, help="default: %(default)s")
    parser.add_argument(
        "--seconds", type=a_number(float, 0.1), default=10.0, help="of each half (default: %(default)s)"
    )
    parser.add_argument("--warm-up", type=a_number(float, 0), default=10.0, help="default: %(default)s s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    return parser


def main(arguments: list[str] | None = None) -> int:
    options = make_parser().parse_args(arguments)
    contender: Any = next(one for one in CONTENDERS if one.key == OURS)
    try:
        require_descriptors(options.phones, SPARE_DESCRIPTORS)
    except TooFewDescriptors as error:
        print(error, file=sys.stderr)
        return 2
    if missing := contender.missing():
        print(missing, file=sys.stderr)
        return 2
    core = pin()
    with tempfile.TemporaryDirectory(prefix="bench-logins-") as folder:
        data = make_once(Path(folder) / "data")
        database = f"sqlite:///{data / 'gala.sqlite3'}"  # with its tables, whatever the environment names
        own = {"TRUST_REAL_IP_HEADER": "true", "DATABASE_URL": database}
        with contender.start(data, core=core, **own) as running:
            begun = time.monotonic()
            halves, answers, wrong = compare(running, options)
    figures = {**summarise(halves), "answers": dict(answers), "seconds": round(time.monotonic() - begun, 1)}
    print(json.dumps(figures))
    if options.json:
        rows = [half._asdict() for half in halves]
        options.json.write_text(json.dumps({**figures, "halves": rows, "wrong": wrong}, indent=1) + "\n")
    for what in wrong:
        print(f"BROKEN: {what}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
