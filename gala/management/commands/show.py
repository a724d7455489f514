"""`manage.py show`, behind `make show`: a whole gala on this machine, with a first segment that plays by itself."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.urls import reverse
from rich.console import Console
from rich.live import Live
from rich.table import Table

from engagement.actions import ActionRefused
from engagement.core.phases import Phase
from engagement.descriptors import TooFewDescriptors, require_descriptors
from engagement.marks import forget_marks
from engagement.models import Segment, Show
from engagement.restores import trouble_of
from gala import demo, rehearsal
from gala.catalogues import compile_all
from gala.disk import DiskFull, require_room, telling_of_a_full_disk
from gala.supervisor import CannotStart, ChildDied, Supervisor
from prizes.models import Beacon, Draw

CANNOT_START, FAILED = 2, 1
PHONES_END_S = 30
SPARE_DESCRIPTORS = 500
# What a data directory holds; --fresh deletes nothing where it finds anything else.
OURS = (
    "secret_key",
    "gala.sqlite3*",
    "valkey.*",
    "appendonlydir",
    "logs",
    "draws",
    "media",
    "pictures",
    "static",
    "phones.json",
)


class Command(BaseCommand):
    help = (
        "Runs a whole gala here: servers, a demo show, and one segment with mock phones from start to result."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--phones", type=int, default=300, help="mock phones in the first segment (default %(default)s)"
        )
        parser.add_argument(
            "--seconds", type=int, default=20, help="length of its window (default %(default)s)"
        )
        parser.add_argument(
            "--once", action="store_true", help="end after the segment; status 0 only if the draw verified"
        )
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (default %(default)s)")
        parser.add_argument("--workers", type=int, default=1, help="gateway processes (default %(default)s)")
        parser.add_argument(
            "--data", type=Path, default=settings.DATA_DIR, help="data directory (default %(default)s)"
        )
        parser.add_argument("--json", type=Path, metavar="FILE", help="write a summary of the segment")
        parser.add_argument(
            "--mfa", action="store_true", help="operator and director need a second factor, as on air"
        )
        night = parser.add_mutually_exclusive_group()
        night.add_argument(
            "--keep",
            action="store_true",
            help="go on with the last night (default: a new night, old ones kept)",
        )
        night.add_argument("--fresh", action="store_true", help="delete the data directory's content first")

    def handle(self, *args: Any, **options: Any) -> None:
        os.umask(0o077)  # the database and the logs are nobody else's business
        console = Console(highlight=False, soft_wrap=True)
        supervisor = Supervisor(settings.DATA_DIR)
        try:
            with (
                telling_of_a_full_disk(settings.DATA_DIR),
                ended_by_signals(),
                stopped_at_the_end(supervisor),
            ):
                status = run(supervisor, console, options)
        except (CannotStart, TooFewDescriptors, DiskFull) as reason:
            self.stderr.write(f"show: {reason}")
            sys.exit(CANNOT_START)
        except (ChildDied, rehearsal.RehearsalFailed, ActionRefused) as reason:
            self.stderr.write(f"show: {reason}")
            sys.exit(FAILED)
        except KeyboardInterrupt:
            console.print("Stopped.")
            sys.exit(FAILED if options["once"] else 0)
        sys.exit(status)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM ends the show as Ctrl-C does; so does SIGINT for a show in the background, where shells ignore it."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def stopped_at_the_end(supervisor: Supervisor) -> Iterator[None]:
    try:
        yield
    finally:
        # A second Ctrl-C must not leave half of the processes behind.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        supervisor.stop()


def run(supervisor: Supervisor, console: Console, options: dict[str, Any]) -> int:
    if options["mfa"]:
        os.environ["CREW_SECOND_FACTOR"] = "true"  # for the processes that are started
    check_options(options)
    require_descriptors(options["phones"], SPARE_DESCRIPTORS)
    supervisor.listen(options["host"], options["port"])
    console.print(f"Starting (data and logs in {settings.DATA_DIR}) …")
    supervisor.start_server(prepare=partial(prepare, settings.DATA_DIR, options))
    call_command("migrate", verbosity=0, interactive=False)
    if options["fresh"]:
        forget_marks()  # with REDIS_URL, the server still knows the night that was deleted
    compile_all()
    call_command("collectstatic", verbosity=0, interactive=False)
    show = demo.current_night(go_on=options["keep"])
    demo.add_pictures(show)
    passwords = demo.create_accounts()
    supervisor.start_gateway(options["workers"])
    supervisor.start_tasks()
    supervisor.wait_until_ready()
    print_addresses(console, supervisor.shown_address, show, passwords)
    status = play_segment(supervisor, console, show, options)
    if not options["once"]:
        console.print("\nThe show goes on: open the console and run the next segment. Ctrl-C ends it.")
        stay_up(supervisor)
    return status


def check_options(options: dict[str, Any]) -> None:
    for name, low, high in (
        ("phones", 1, 100_000),
        ("seconds", 1, 3600),
        ("workers", 1, 64),
        ("port", 1, 65535),
    ):
        if not low <= options[name] <= high:
            raise CannotStart(f"--{name}: expected {low} to {high}, got {options[name]}")
    target = options["json"]
    if target is not None and (target.is_dir() or not os.access(target.absolute().parent, os.W_OK)):
        raise CannotStart(f"--json: {target} cannot be written")


def prepare(data: Path, options: dict[str, Any]) -> None:
    """Of the data directory, once it is ours and before anybody writes there."""
    if options["fresh"]:
        empty(data)
    require_room(data, options["phones"])


def empty(data: Path) -> None:
    """Deletes what is in the data directory, unless there is something in it that is not ours."""
    paths = list(data.iterdir()) if data.is_dir() else []
    foreign = [path.name for path in paths if not any(fnmatch(path.name, ours) for ours in OURS)]
    if foreign:
        raise CannotStart(f"--fresh: {data} holds {foreign[0]!r}, which is not ours; nothing was deleted")
    for path in paths:
        if path.name in ("secret_key", "valkey.lock"):
            continue  # these settings have read the one, and we hold the other
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def print_addresses(console: Console, address: str, show: Show, passwords: dict[str, str]) -> None:
    table = Table(title=f"{show.title} is up", title_justify="left", show_header=False, box=None)
    for name, path in (
        ("Console", "/console/"),
        ("Stage", f"/stage/{show.slug}/"),
        ("Phone", f"/play/{show.slug}/"),
        ("Audit", "/draws/"),
    ):
        table.add_row(name, f"http://{address}{path}")
    for name, password in passwords.items():
        table.add_row(f"{name}'s password", password)
    console.print(table)


def play_segment(supervisor: Supervisor, console: Console, show: Show, options: dict[str, Any]) -> int:
    """Plays the next draft of the rundown with mock phones; the exit status of the show."""
    if hindrance := trouble_of(show):
        console.print(hindrance)
        return FAILED
    segment = show.segments.filter(phase=Phase.DRAFT, publish_at_once=True).first()
    if segment is None:
        console.print("No segment is left that plays by itself; start without --keep for a new night.")
        return FAILED if options["once"] else 0
    segment = rehearsal.prepare_segment(segment, phones=options["phones"], seconds=options["seconds"])
    told = supervisor.data / "phones.json"
    told.unlink(missing_ok=True)
    arguments = rehearsal.phone_arguments(supervisor.local_address, segment, options["phones"], told)
    phones = supervisor.start_command("phones", "mock_phones", *arguments)
    show_progress(supervisor, console, segment)
    try:
        phones.wait(PHONES_END_S)
    except subprocess.TimeoutExpired:
        raise rehearsal.RehearsalFailed("the mock phones did not end; see logs/phones.log") from None
    supervisor.check()
    summary = rehearsal.summarise(segment, told)
    print_summary(console, summary, supervisor.shown_address)
    if options["json"] is not None:
        options["json"].write_text(json.dumps(summary, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return 0 if summary["verified"] and not summary["viewers_that_differ"] else FAILED


def show_progress(supervisor: Supervisor, console: Console, segment: Segment) -> None:
    """A live table on a terminal; elsewhere a line when the phase changes and every five seconds."""
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4) as live:
            for figures in rehearsal.watch(segment, supervisor.check):
                live.update(progress_table(segment, figures))
        return
    last: tuple[str, int] | None = None
    for figures in rehearsal.watch(segment, supervisor.check):
        mark = (figures["phase"], int(time.monotonic()) // 5)
        if mark != last:
            console.print(", ".join(f"{name} {value}" for name, value in figures.items()))
        last = mark


def progress_table(segment: Segment, figures: dict[str, Any]) -> Table:
    table = Table(title=str(segment), title_justify="left")
    for name in figures:
        table.add_column(name, justify="right")
    table.add_row(*(str(value) for value in figures.values()))
    return table


def print_summary(console: Console, summary: dict[str, Any], address: str) -> None:
    equal = "equal, viewer by viewer" if not summary["viewers_that_differ"] else "NOT EQUAL"
    console.print(
        f"\n{summary['phones_that_shook']} of {summary['phones_connected']} phones shook. "
        f"Acknowledged {summary['shakes_acknowledged']}, frozen {summary['shakes_frozen']}: {equal}."
    )
    console.print(stubs_line(summary))
    console.print(f"{summary['entries']} entries, {summary['tickets']} tickets, seal {summary['seal']}")
    for winner in summary["winners"]:
        console.print(f"  {winner['prize']}: {winner['pseudonym']}")
    draw = Draw.objects.get(pk=summary["draw"])
    console.print(verdict_line(draw, summary["verified"], address))


def stubs_line(summary: dict[str, Any]) -> str:
    """What the phones hold in their hands."""
    stubs = summary["stubs"]
    signed = (
        "keys that are in the ledger" if stubs["certified"] == stubs["kept"] else "keys that NO LEDGER HAS"
    )
    right = not summary["stubs_that_differ"] and not stubs["wrong"]
    return (
        f"{stubs['kept']} stubs, signed with {signed}: {'equal, viewer by viewer' if right else 'NOT EQUAL'}."
    )


def verdict_line(draw: Draw, verified: bool, address: str) -> str:
    """What the second implementation says of a draw, and where anybody else can check it."""
    verdict = "VERIFIED by the second implementation" if verified else "NOT VERIFIED"
    beacon = " (rehearsal beacon)" if draw.beacon_kind == Beacon.LOCAL else ""
    return f"Draw {draw.pk}: {verdict}{beacon}, http://{address}{reverse('draw_page', args=[draw.pk])}"


def stay_up(supervisor: Supervisor) -> None:
    while True:
        time.sleep(1)
        supervisor.check()
