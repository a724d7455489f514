"""Costs are bounded: what lies in the past makes no task, page or command do more.

Every task, page and command is run in a database with one small night, and again once 2,000 old shows, 200 finished
draws and 100,000 entries of the ledger have come to it: it has to ask the database as often as before. What there is
to run is read from Celery, from the addresses of the site and from the commands: a new one takes part by itself, or
fails here until somebody says how it is called.
"""

import errno
import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from asgiref.sync import async_to_sync
from django.apps import apps
from django.conf import settings
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command, get_commands
from django.db import connection, transaction
from django.test import Client, TestCase
from django.test.utils import CaptureQueriesContext, override_settings
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django import DjangoDbBlocker

from engagement import counts
from engagement.broadcast import CHECKED
from engagement.clock import from_ms
from engagement.core.digests import commit
from engagement.core.phases import Phase
from engagement.healing import CHECKED_AT_ONCE, RESTORED_AT_ONCE, heal_states
from engagement.keys import own
from engagement.ledger.append import append_entry, entry_digest
from engagement.ledger.checkpoints import origin_of
from engagement.ledger.core.checkpoints import Checkpoint, format_checkpoint, sign_note
from engagement.ledger.core.cosignatures import WitnessKey, format_witness_key
from engagement.ledger.core.merkle import GrowingTree
from engagement.ledger.tree import leaf_of, pack_nodes
from engagement.marks import forget_marks
from engagement.models import LedgerCheckpoint, LedgerEntry, Restore, Segment, Show
from engagement.tally import connect
from gala import demo
from gala.celery import app
from gala.rehearsal import phase_times
from prizes import files, stampers, witnesses
from prizes.api import draws as draw_api
from prizes.exclusions import exclude_viewer
from prizes.models import (
    Approval,
    Cosignature,
    CrewSession,
    DiceEntry,
    Draw,
    Exclusion,
    Party,
    PrizeList,
    Quorum,
    Stamp,
    Stamper,
    Win,
    Witness,
)
from prizes.parties import commit_party, draw_id_of
from prizes.steps.claims import ask_disqualification, claim_prize, decline_prize
from tests.cast import DIRECTOR, OPERATOR, arm, make_segment, make_show, put_on_air
from tests.prizes.pipeline import sealed
from tests.prizes.tsa import Maker, authority, key_of, make_certificate, pem
from tests.prizes.winners import drawn_draw, make_people, published_draw, winners_of

pytestmark = pytest.mark.django_db

SHOWS, DRAWS, ENTRIES, SIGNED = 2_000, 200, 100_000, 450
MOST_BYTES = 250_000  # of a page
DAYS = 500_000  # nothing becomes due while this runs, however slow the machine is
SECRET = bytes([0x5A]) * 32
GATEWAY = "gate-1"
WITNESS = WitnessKey("w.example/1", bytes(range(32)))
STAMPING = Maker("root", key_of("p256"))
ROOT = make_certificate(STAMPING, STAMPING, authority())


# --- the night, and the past --------------------------------------------------------------------------------


class Night(NamedTuple):
    """`show` has a bit of everything, and later the long past; the ledger of `small` stays short."""

    show: Show
    small: Show
    published: Draw
    small_published: Draw
    small_drawn: Draw
    waiting: Draw
    draft: Segment
    browser: Client


def make_night() -> Night:
    show, small = make_show(slug="gala", draws_per_minute=60), make_show(slug="small", draws_per_minute=60)
    for other in (show, small):
        stamper_of(other).save()
    chief = User.objects.create_superuser("chief")
    notary = Party.objects.create(show=show, name="notary", title="A notary", user=chief)
    for other in (show, small):
        exclude_viewer(Exclusion(show=other, pseudonym="ab" * 14), actor=DIRECTOR)
    waiting = make_segment(show)
    commit_all(waiting, notary)
    waiting_draw = put_on_air(
        arm(waiting), opened_ms_ago=35_000, left_ms=-15_000, phase=Phase.CLOSING
    ).draws.get()
    put_on_air(armed_segment_of(show, notary), opened_ms_ago=60_000, left_ms=-30_000)  # the conductor ends it
    Party.objects.filter(pk=notary.pk).update(show=small)  # the others have no notary
    published = published_draw(show, make_people(show, 6), reserves=2, claim_s=DAYS)
    claim_prize(published.pk, winners_of(published)[0])
    decline_prize(published.pk, winners_of(published)[1])
    ask_disqualification(published.wins.earliest("rank").pk, "under age", actor=OPERATOR)
    Party.objects.filter(pk=notary.pk).update(show=show)
    small_published = published_draw(small, make_people(small, 6), reserves=2, claim_s=DAYS)
    claim_prize(small_published.pk, winners_of(small_published)[0])
    small_drawn = drawn_draw(small, make_people(small, 40))
    DiceEntry.objects.create(draw=waiting_draw, operator="olga", digits=("123456" * 9)[:50])
    draft = make_segment(show)
    commit_all(draft, notary)
    append_entry(show, "gateway key", details={"gateway": GATEWAY, "key": SECRET.hex(), "from": 0})
    kind = ContentType.objects.get_for_model(Show)
    for other in (show, small):
        witness_of(other).save()
        Quorum.objects.create(show=other)
        Cosignature.objects.create(show=other, size=1, witness=WITNESS.name, line="— w AAAA\n", at_ms=1)
    Stamp.objects.create(draw=published, stamper="tsa.example", certificate="", token="", at_ms=1)
    sealed(small, beacon="dice")  # its time stamper is asked
    LogEntry.objects.create(user=chief, content_type=kind, object_id=str(show.pk), action_flag=ADDITION)
    browser = Client()
    browser.force_login(chief)
    return Night(show, small, published, small_published, small_drawn, waiting_draw, draft, browser)


def commit_all(segment: Segment, party: Party) -> None:
    for prize_list in segment.prize_lists.select_related("segment__show"):
        commitment = commit(draw_id_of(prize_list), party.name, SECRET).hex()
        commit_party(prize_list, party, commitment, actor=party.name)


def armed_segment_of(show: Show, party: Party) -> Segment:
    segment = make_segment(show)
    commit_all(segment, party)
    return arm(segment)


def add_past(night: Night) -> None:
    """Old shows with a published segment and a draft each; in half of the draws the night's own show."""
    user = User.objects.get(username="chief")
    made = [Show(slug=f"old-{number}", title=f"Old {number}") for number in range(SHOWS)]
    shows = Show.objects.bulk_create(made)
    Party.objects.bulk_create(Party(show=show, name="notary", title="A notary", user=user) for show in shows)
    Witness.objects.bulk_create(witness_of(show) for show in shows)
    Stamper.objects.bulk_create(stamper_of(show) for show in shows)
    prizes = night.published.segment.announced_prizes
    over = {
        "phase": Phase.PUBLISHED,
        "opens_at": from_ms(0),
        "closes_at": from_ms(20_000),
        "announced_prizes": prizes,
    }
    homes = [night.show if number % 2 else shows[number] for number in range(DRAWS)]
    aired = [Segment(show=show, position=1, title="Opening", **over) for show in shows[DRAWS:]]
    drawn = [
        Segment(show=show, position=100 + number, title="Coats", **over) for number, show in enumerate(homes)
    ]
    drafts = [Segment(show=show, position=2, title="Boots") for show in shows]
    Segment.objects.bulk_create([*aired, *drafts])
    PrizeList.objects.bulk_create(PrizeList(segment=segment) for segment in drafts)
    add_draws(night, Segment.objects.bulk_create(drawn))
    add_entries(night.show)


def witness_of(show: Show) -> Witness:
    """Where nobody answers."""
    key = format_witness_key(WITNESS)
    return Witness(show=show, name=WITNESS.name, key=key, url="http://127.0.0.1:1", known=1)


def stamper_of(show: Show) -> Stamper:
    """Where nobody answers, which is known: whether that is found out at once or a second later, nothing is written."""
    refused = f"cannot be asked: {os.strerror(errno.ECONNREFUSED)}"
    url = "http://127.0.0.1:1"
    return Stamper(show=show, name="tsa.example", url=url, certificate=pem(ROOT), trouble=refused)


def add_draws(night: Night, segments: list[Segment]) -> None:
    """Copies of the draw of the night, each with two winners of its own and a record."""
    model = night.published
    lists = PrizeList.objects.bulk_create(PrizeList(segment=segment) for segment in segments)
    fields = {
        field.attname: getattr(model, field.attname)
        for field in Draw._meta.concrete_fields
        if field.name != "id"
    }
    copies = Draw.objects.bulk_create(
        Draw(**fields | {"show_id": row.show_id, "segment_id": row.pk, "prize_list_id": lists[number].pk,
                         "draw_id": f"old/{number}", "seal": hashlib.sha256(f"{number}".encode()).hexdigest()})
        for number, row in enumerate(segments)
    )  # fmt: skip
    record = files.fetch(files.record_name(model.key)).read_bytes()
    prize = model.wins.earliest("rank").prize_id
    wins = []
    for draw in copies:
        files.write(files.record_name(draw.key), record)
        for rank in range(2):
            viewer = hashlib.sha256(f"{draw.pk} {rank}".encode()).hexdigest()[:28]
            wins.append(Win(show_id=draw.show_id, draw=draw, prize_id=prize, piece=1, rank=rank + 1, pseudonym=viewer,
                            name=viewer, status=Win.Status.FORFEITED, claim_by=from_ms(0)))  # fmt: skip
    Win.objects.bulk_create(wins)


def add_entries(show: Show) -> None:
    """After those that there are: with their tree, and the newest of them chained and signed."""
    tree, rows, signed = GrowingTree(), [], []
    for digest in LedgerEntry.objects.filter(show=show).order_by("position").values_list("digest", flat=True):
        tree.append(leaf_of(digest))
    previous = digest
    for position in range(len(tree), ENTRIES):
        fields = {"actor": "winner", "action": "claim", "reason": "", "details": f'{{"number":{position}}}',
                  "salt": "5a" * 16, "people": ""}  # fmt: skip
        entry = {"position": position, "at_ms": 1_900_000_000_000 + position, **fields, "previous": previous}
        if position < ENTRIES - SIGNED:  # so far back nothing is looked at but the tree
            previous = hashlib.sha256(str(position).encode()).hexdigest()
        else:
            previous = entry_digest(LedgerEntry(show=show, **entry))
        nodes = pack_nodes(tree.append(leaf_of(previous)))
        rows.append((show.pk, *entry.values(), previous, nodes))
        if position >= ENTRIES - SIGNED:
            signed.append(sign(show, position + 1, tree.root(position + 1)))
    columns = (
        "show_id, position, at_ms, actor, action, reason, details, salt, people, previous, digest, nodes"
    )
    marks = ", ".join(["%s"] * 12)
    with connection.cursor() as cursor:
        for start in range(0, len(rows), 10_000):
            values = rows[start : start + 10_000]
            cursor.executemany(f"INSERT INTO engagement_ledgerentry ({columns}) VALUES ({marks})", values)
            # PostgreSQL would check all of them again at the end of each test, since the transaction goes on.
            connection.check_constraints()
    LedgerCheckpoint._base_manager.bulk_create(signed)


def sign(show: Show, size: int, root: bytes) -> LedgerCheckpoint:
    text = format_checkpoint(Checkpoint(origin_of(show), size, root))
    note = sign_note(text, origin_of(show), settings.LEDGER_KEYS[0])
    return LedgerCheckpoint(show=show, size=size, root=root.hex(), note=note, at_ms=1_900_000_000_000)


# --- what is run: the tasks ---------------------------------------------------------------------------------

Run = Callable[[Night], object]


def run_task(name: str) -> Run:
    return lambda night: app.tasks[name](*STEPS.get(name, lambda night: ())(night))


# What the steps are given; those that the conductor runs once a second are given nothing.
STEPS: dict[str, Callable[[Night], tuple[int, ...]]] = {
    "prizes.tasks.seal_task": lambda night: (night.small_drawn.segment_id,),
    "prizes.tasks.freeze_task": lambda night: (
        night.small_drawn.segment_id,
        0,
        0,
    ),
    "prizes.tasks.beacon_task": lambda night: (night.small_drawn.pk,),
    "prizes.tasks.rank_task": lambda night: (
        night.small_published.pk,
        0,
        0,
    ),
    "prizes.tasks.draw_task": lambda night: (night.small_drawn.pk,),
    "prizes.tasks.publish_task": lambda night: (night.small_drawn.segment_id,),
    "prizes.tasks.spoil_task": lambda night: (night.small_drawn.segment_id,),
    "prizes.tasks.settle_task": lambda night: (night.small_published.pk,),
}
OURS = ("engagement", "gala", "prizes")


def find_tasks() -> dict[str, Run]:
    app.loader.import_default_modules()
    names = sorted(name for name in app.tasks if name.partition(".")[0] in OURS)  # Celery keeps them in a set
    return {name: run_task(name) for name in names}


# --- the pages ----------------------------------------------------------------------------------------------

# Part of an address -> what stands there.
PARTS: dict[str, Callable[[Night], object]] = {
    "slug": lambda night: night.show.slug,
    "draw_id": lambda night: night.published.pk,
    "segment_id": lambda night: night.draft.pk,
    "party_id": lambda night: Party.objects.earliest("pk").pk,
    "list_id": lambda night: night.draft.prize_lists.get().pk,
    "approval_id": lambda night: Approval.objects.order_by("pk").values_list("pk", flat=True).first() or 1,
    "action": lambda night: "arm",
    "number": lambda night: CrewSession.objects.earliest("pk").pk,  # of the chief
    "size": lambda night: 3,
    "position": lambda night: night.show.ledger.filter(action="arm").earliest("position").position,
    "gateway": lambda night: GATEWAY,
    "seal": lambda night: night.published.seal,
    "pseudonym": lambda night: winners_of(night.published)[0],
    "id": lambda night: User.objects.get(username="chief").pk,
    "uidb64": lambda night: "MQ",
    "token": lambda night: "set-password",
    "app_label": lambda night: "prizes",
    "content_type_id": lambda night: ContentType.objects.get_for_model(Show).pk,
    "url": lambda night: "nowhere/",
}
# What some addresses need to say more than that they need it.
QUERIES = {
    "/admin/autocomplete/": "?app_label=prizes&model_name=prizelist&field_name=segment",
    "ledger/proof": "?from=3&to=9",
    "ledger/inclusion": "?position=3&size=9",
}
# Given out as a whole, to whoever checks them elsewhere: read in batches while they are sent (docs/ledger.md).
WHOLE = ("entries.jsonl", "checkpoints.jsonl")
PARTS_READ = 3  # of those, and then the client goes away
# A part of a ledger that does not begin with its first entry needs the tree and the digest before it.
MORE_QUERIES = {"/console/<slug:slug>/ledger/": 2}


def find_pages(patterns: list[Any] | None = None, before: str = "/") -> Iterator[str]:
    """Every address of the site, with <names> in it; those of a model's pages begin with the model."""
    for row in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(row, URLResolver):
            yield from find_pages(row.url_patterns, before + str(row.pattern))
        else:
            assert isinstance(row, URLPattern)
            yield before + re.sub(r"\(\?P<(\w+)>.*\)", r"<\1>", str(row.pattern).strip("^$")).replace(
                "\\.", "."
            )


def fill(address: str, night: Night) -> str:
    found = re.match(r"/admin/(\w+)/(\w+)/", address)

    def part(match: re.Match[str]) -> str:
        name = match[1].rpartition(":")[2]
        if name == "object_id":
            if found is None:
                return str(night.show.pk)
            row = apps.get_model(found[1], found[2])._base_manager.order_by("pk").first()
            assert row is not None, f"the night needs a row for {address}"
            return str(row.pk)
        return str(PARTS[name](night))

    query = next((query for end, query in QUERIES.items() if address.endswith(end)), "")
    return re.sub(r"<([\w:]+)>", part, address) + query


def open_page(address: str) -> Run:
    def run(night: Night) -> int:
        answer = night.browser.get(fill(address, night))
        assert answer.status_code < 500, answer.status_code
        return read(answer) if answer.streaming else len(answer.content)

    return run


def read(answer: Any) -> int:
    """The size of the largest of the first parts of an answer that is sent while it is read."""

    async def collect() -> int:
        sizes = []
        async for part in answer.streaming_content:
            sizes.append(len(part))
            if len(sizes) == PARTS_READ:
                break
        return max(sizes, default=0)

    return async_to_sync(collect)()


# --- the commands -------------------------------------------------------------------------------------------


def call(name: str, *arguments: object) -> None:
    with suppress(SystemExit):  # what is found wrong with the night is no matter here
        call_command(name, *map(str, arguments))


def reveal_secret(night: Night) -> None:
    path = Path(settings.DATA_DIR) / "secret.txt"
    path.write_text(SECRET.hex())
    call("reveal", night.waiting.pk, "notary", "--secret-file", path)


def confirm(night: Night) -> None:
    lost = [{"show": night.show.slug, "of": "ledger entry", "told": 999_999, "held": 5}]
    Restore.objects.create(noticed_at_ms=1, lost=lost)
    call("confirm_restore")


def rehearse(night: Night) -> None:
    """What `show` asks the database for, beside the servers that it starts."""
    demo.current_night(go_on=False)
    demo.create_accounts()
    phase_times(night.small_published.segment)


def run_segment(night: Night) -> None:
    for action in ("status", "arm", "void"):
        call("segment", action, night.draft.pk, "--show", night.show.slug, "--reason", "rain")


def open_key(night: Night) -> None:
    night.show.segments.update(phase=Phase.VOID)  # nothing is under way
    call("show_key", night.show.slug, "--reason", "audit")


def destroy_key(night: Night) -> None:
    night.show.segments.update(phase=Phase.VOID)
    with suppress(CommandError):  # it is kept for half a year
        call("destroy_show_key", night.show.slug, "--reason", "over", "--yes")


def commit_canaries(night: Night) -> None:
    promise = ("--commitment", "ab" * 32, "--count", 1)
    call("canaries", "commit", night.waiting.segment_id, "notary", *promise)


COMMANDS: dict[str, Run] = {
    "audit_draw": lambda night: call("audit_draw", night.small_published.pk),
    "canaries": commit_canaries,
    "commit": lambda night: call("commit", night.draft.pk, "notary", "--commitment", "ab" * 32),
    "confirm_restore": confirm,
    "show_key": open_key,
    "destroy_show_key": destroy_key,
    "reset_second_factor": lambda night: call("reset_second_factor", "chief", "--as", "Ada"),
    "forget_viewer": lambda night: call("forget_viewer", "small", "--uid", 7, "--look"),
    "pictures": lambda night: call("pictures", "--prune"),
    "rotate_storage_keys": lambda night: call("rotate_storage_keys", "small"),
    "break_glass": lambda night: call("break_glass", "--yes"),
    "create_account": lambda night: call("create_account", "nina", "--role", "operator"),
    "evidence": lambda night: call(
        "evidence", "small", "-o", Path(settings.DATA_DIR) / "pack.zip", "--force"
    ),
    "mock_phones": lambda night: None,  # speaks to gateways only, from any machine
    "reveal": reveal_secret,
    "revoke_passes": lambda night: call("revoke_passes", "small", "--kind", "guest", "--reason", "a farm"),
    "segment": run_segment,
    "show": rehearse,
    "verify_ledger": lambda night: call("verify_ledger", "small"),
}


def find_commands() -> list[str]:
    return sorted(name for name, home in get_commands().items() if home in OURS)


# --- the measuring ------------------------------------------------------------------------------------------

CASES: dict[str, Run] = {
    **find_tasks(),
    **{address: open_page(address) for address in find_pages()},
    **{f"manage.py {name}": COMMANDS[name] for name in find_commands()},
}


class Cost(NamedTuple):
    queries: list[str]
    size: int


class Undone(Exception):
    """Rolls back."""


def measure(run: Run, night: Night) -> Cost:
    """What it asks the database for; nothing of what it does stays there."""
    forget_marks()
    draw_api._sealed.clear()
    counts._told.clear()
    witnesses.asking, stampers.asking = witnesses.Asking(), stampers.Asking()
    connect().delete(own(CHECKED))
    size: object = 0
    with suppress(Undone), transaction.atomic():
        with CaptureQueriesContext(connection) as queries, TestCase.captureOnCommitCallbacks(execute=True):
            size = run(night)
        raise Undone
    return Cost([row["sql"] for row in queries], size if isinstance(size, int) else 0)


class Measured(NamedTuple):
    night: Night
    before: dict[str, Cost]


def wait(limit: str, value: str) -> None:
    """How long PostgreSQL waits in this transaction; what is measured has the limits of every request again."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL {limit} TO {value}")


def count_rows() -> None:
    """PostgreSQL plans by what it counted; in production it counts by itself, but only what is committed."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


@pytest.fixture(scope="module")
def measured(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Measured]:
    """Every case in the night alone, and then the past comes to it; one transaction for all of the module."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    chosen = {"TALLY_SHARDS": 4, "STORAGES": {**settings.STORAGES, "staticfiles": plain}}
    with override_settings(**chosen), django_db_blocker.unblock(), suppress(Undone), transaction.atomic():
        wait("idle_in_transaction_session_timeout", "0")  # while 100,000 entries are hashed, nothing is asked
        night = make_night()
        ContentType.objects.get_for_models(*apps.get_models())
        before = {name: measure(run, night) for name, run in CASES.items()}
        wait("statement_timeout", "0")  # nobody writes so much at once but this
        add_past(night)
        connection.check_constraints()
        count_rows()
        wait("statement_timeout", "DEFAULT")
        for _ in range(CHECKED_AT_ONCE // RESTORED_AT_ONCE + 1):
            connect().delete(own(CHECKED))
            heal_states()
        yield Measured(night, before)
        raise Undone


@pytest.mark.parametrize("name", CASES)
def test_the_past_costs_nothing(measured: Measured, name: str) -> None:
    before, now = measured.before[name], measure(CASES[name], measured.night)
    allowed = len(before.queries) + (PARTS_READ if name.endswith(WHOLE) else MORE_QUERIES.get(name, 0))
    more = Counter(map(shape, now.queries)) - Counter(map(shape, before.queries))
    assert len(now.queries) <= allowed, f"more: {more}"
    assert now.size <= MOST_BYTES


def shape(sql: str) -> str:
    """A query without its values."""
    return re.sub(r"'[^']*'|\b\d+\b|\"s\d\w+\"", "?", sql)[:300]


def test_there_is_something_to_measure() -> None:
    kinds = ("engagement.tasks.conduct", "/console/", "/admin/engagement/show/", "manage.py segment")
    assert all(name in CASES for name in kinds) and len(CASES) > 100


def test_every_periodic_task_is_among_them() -> None:
    assert {row["task"] for row in settings.CELERY_BEAT_SCHEDULE.values()} <= set(CASES)
