"""Mock phones against any gateway, from any machine: no database and no Redis is needed."""

import asyncio
import contextlib
import json
import sys
from argparse import ArgumentTypeError
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.live import Live
from rich.table import Table

from engagement.descriptors import TooFewDescriptors, require_descriptors
from engagement.mock.crowd import Crowd, CrowdOptions
from engagement.mock.figures import percentile
from engagement.mock.passes import CrowdError

LIVE_S, LINE_S = 0.5, 2.0
SPARE_DESCRIPTORS = 64
USAGE, INTERRUPTED = 2, 130


class Command(BaseCommand):
    help = "Connects mock phones to a show; exit status 0 when all were welcomed and all they counted was acknowledged."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--url", required=True, help="ws://, wss://, http:// or https:// of a gateway")
        parser.add_argument("--show", required=True, help="the slug of the show, which must allow guests")
        parser.add_argument(
            "--ca", metavar="FILE", help="trust the certificates in this file, such as one that signed itself"
        )
        parser.add_argument("--phones", type=_positive, default=300)
        parser.add_argument("--hz", type=_rate, default=4.0, help="shakes per second of an average person")
        parser.add_argument(
            "--feed", help="the feed of all phones; without it they are spread over all feeds"
        )
        parser.add_argument(
            "--seconds", type=_rate, default=30.0, help="how long to shake once all are connected"
        )
        parser.add_argument(
            "--until-result", action="store_true", help="stay until all have seen the next result instead"
        )
        parser.add_argument(
            "--timeout", type=_rate, default=600.0, help="seconds to wait for the last acks or the result"
        )
        parser.add_argument(
            "--cheat-hz", type=_rate, help="some phones are machines that report so many per second"
        )
        parser.add_argument(
            "--cheaters", type=_share, default=0.02, metavar="FRACTION", help="how many, with --cheat-hz"
        )
        parser.add_argument(
            "--drop",
            type=_share,
            default=0.0,
            metavar="P",
            help="share of reports after which the socket breaks",
        )
        parser.add_argument("--claim", action="store_true", help="phones that win claim at once")
        parser.add_argument(
            "--check-stubs",
            action="store_true",
            help="look up the keys of the stubs in the ledger at the end",
        )
        parser.add_argument("--seed", type=int, help="the same people again")
        parser.add_argument("--json", metavar="FILE", help="writes a summary")
        parser.add_argument("--quiet", action="store_true", help="says nothing but errors")

    def handle(self, *args: Any, **options: Any) -> None:
        crowd_options = CrowdOptions(**{name: options[name] for name in CrowdOptions.__dataclass_fields__})
        try:
            require_descriptors(crowd_options.phones, SPARE_DESCRIPTORS)
            summary = _run(_play(crowd_options, quiet=options["quiet"]))
        except (CrowdError, TooFewDescriptors) as error:
            raise CommandError(str(error), returncode=USAGE) from None
        except KeyboardInterrupt:
            raise CommandError("stopped by hand", returncode=INTERRUPTED) from None
        if options["json"]:
            _write(Path(options["json"]), summary)
        if not options["quiet"]:
            self.stdout.write(_last_line(summary))
        if summary["problems"]:
            raise CommandError("; ".join(summary["problems"]), returncode=1)


async def _play(options: CrowdOptions, *, quiet: bool) -> dict[str, Any]:
    crowd = Crowd(options)
    showing = asyncio.create_task(_show_live(crowd) if sys.stdout.isatty() else _show_lines(crowd))
    if quiet:
        showing.cancel()
    try:
        return await crowd.run()
    finally:
        showing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await showing


def _run(play: Any) -> Any:
    """On uvloop where there is one: it halves what 5,000 sockets cost."""
    try:
        from uvloop import run
    except ImportError:
        return asyncio.run(play)
    return run(play)


# --- on the terminal ---


async def _show_live(crowd: Crowd) -> None:
    with Live(_table(crowd), console=Console(), auto_refresh=False) as live:
        while True:
            await asyncio.sleep(LIVE_S)
            live.update(_table(crowd), refresh=True)


async def _show_lines(crowd: Crowd) -> None:
    while True:
        await asyncio.sleep(LINE_S)
        print(
            ", ".join(f"{name} {value}" for name, value in _rows(crowd) if value not in ("", 0)), flush=True
        )


def _table(crowd: Crowd) -> Table:
    table = Table(title=f"Mock phones at {crowd.address.socket}: {crowd.step}", min_width=60)
    table.add_column("")
    table.add_column("", justify="right")
    for name, value in _rows(crowd):
        table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    return table


def _rows(crowd: Crowd) -> Iterator[tuple[str, Any]]:
    figures, phones = crowd.figures, [client.phone for client in crowd.clients]
    yield "connected", crowd.connected
    yield (
        "saying hello",
        sum(client.transport is not None and not client.phone.online for client in crowd.clients),
    )
    yield "have shaken", crowd.shaking
    yield "reports sent", figures.reports_sent
    yield "acks", figures.acks
    yield "clamped", figures.clamped
    yield "reconnects", figures.reconnects
    yield "shakes counted", sum(count.total for phone in phones for count in phone.counts.values())
    yield (
        "shakes acknowledged",
        sum(count.acknowledged for phone in phones for count in phone.counts.values()),
    )
    yield "ack p50 / p99 ms", _latency(crowd)
    yield "stubs", sum(len(phone.stubs) for phone in phones)
    yield "results seen", sum(figures.results_seen.values())
    yield "won", len(figures.won)
    yield "claims", _by_code(Counter(figures.claims.values()))
    yield "errors", _by_code({**figures.errors, **crowd.passes.refused})
    yield "closes", _by_code(figures.closes)


def _latency(crowd: Crowd) -> str:
    p50, p99 = (percentile(crowd.figures.ack_ms, share) for share in (0.5, 0.99))
    return "" if p50 is None else f"{p50} / {p99}"


def _by_code(counted: dict[Any, int]) -> str:
    return " ".join(f"{code}: {number}" for code, number in counted.items())


def _last_line(summary: dict[str, Any]) -> str:
    cut_off = f", {len(summary['cut_off'])} came back too late after --drop" if summary["cut_off"] else ""
    return (
        f"{summary['phones_connected']:,} of {summary['phones']:,} phones connected, "
        f"{summary['phones_that_shook']:,} shook, "
        f"{summary['shakes_acknowledged']:,} of {summary['shakes_counted']:,} shakes acknowledged"
        f" ({summary['clamped']:,} acks were clamped){cut_off}, {summary['stubs']['kept']:,} stubs"
        f" ({summary['stubs']['certified']:,} with a key from the ledger), {summary['seconds']} s"
    )


def _write(path: Path, summary: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"--json: cannot write {path}: {error.strerror}", returncode=USAGE) from error


# --- arguments ---


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ArgumentTypeError(f"expected at least 1, got {number}")
    return number


def _rate(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1e6:
        raise ArgumentTypeError(f"expected 0 to 1,000,000, got {number}")
    return number


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise ArgumentTypeError(f"expected 0 to 1, got {number}")
    return number
