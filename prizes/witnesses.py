"""Asks the witnesses of shows to cosign checkpoints (docs/ledger.md, "Witnesses"). With prizes/drand.py the only module
that opens connections to the outside.

Once a second the conductor looks which witness has not signed the newest checkpoint, and asks those, all at once, each
in a thread of its own and for 2 s at most. It waits for the quick ones only; the others' answers are taken in a later
second. One that is away, behind or lying costs the others nothing. No witness is trusted: every signature is verified.

What is asked and not answered yet is in memory. Where it is lost the same is asked again, and a witness of ours gives
the same line with the first time (prizes/witness.py).
"""

import http.client
import logging
import re
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

from django.db.models import Exists, OuterRef, Subquery

from engagement.clock import from_ms, now_ms
from engagement.ledger.core.cosignatures import (
    Cosigned,
    find_cosignature,
    format_request,
    parse_witness_key,
    text_of,
)
from engagement.ledger.tree import ask_tree
from engagement.models import LedgerCheckpoint, Show
from prizes.models import Cosignature, Draw, Witness
from prizes.witness_models import URL

log = logging.getLogger(__name__)

ANSWER_S = 2.0  # the longest that a witness is waited for, from the look-up of its name to the last byte
PATIENCE_S = 0.3  # so long the conductor waits for the quick ones
LONGEST_REST_S = 10.0  # after failures, before a witness is asked again
MAX_ANSWER = 16 * 1024  # bytes; a line has about 200
ASKED_AT_ONCE = 40  # witnesses
NEWEST_SHOWS, NEWEST_CHECKPOINTS = 20, 200  # in which somebody may not have signed yet
SEALS_AT_ONCE = 4
CLOCK_MS = 10_000  # further apart, a witness's clock is worth a word
SIZE_DIGITS = 10
LONGEST_TROUBLE = Witness._meta.get_field("trouble").max_length


# --- what is asked for --------------------------------------------------------------------------------------


class Step(NamedTuple):
    """One checkpoint to be cosigned: from and to how many entries, its text, when it was made (UTC ms), the request."""

    old: int
    size: int
    text: str
    at_ms: int
    body: str


class Reply(NamedTuple):
    """What a witness has answered to one step; status 0: nothing, and `body` says why."""

    status: int
    kind: str
    body: str


class NoProof(Exception):
    """The ledger cannot show that it continues what the witness has seen."""


def find_due(busy: set[int]) -> list[Witness]:
    """Witnesses that have not cosigned the newest checkpoint of their show, the newest shows first; bounded.

    Looked at are the newest shows, and those in which something has happened last: an old one may go on, too.
    """
    recent = LedgerCheckpoint.objects.order_by("-pk").values_list("show_id", flat=True)[:NEWEST_CHECKPOINTS]
    newest = Witness.objects.order_by("-show_id").values_list("show_id", flat=True).distinct()[:NEWEST_SHOWS]
    sizes = LedgerCheckpoint.objects.filter(show=OuterRef("show")).order_by("-size").values("size")
    signed = Cosignature.objects.filter(
        show=OuterRef("show"), witness=OuterRef("name"), size=OuterRef("newest")
    )
    there = Witness.objects.filter(show__in={*recent, *newest}).exclude(pk__in=busy)
    due = there.annotate(newest=Subquery(sizes[:1])).filter(~Exists(signed), newest__isnull=False)
    return list(due.select_related("show").order_by("-show_id", "name")[:ASKED_AT_ONCE])


def plan_steps(witness: Witness) -> list[Step]:
    """From what the witness has seen to the newest checkpoint, by way of the last ones with which a draw was sealed.

    So all witnesses sign the same checkpoint under a seal, however much happens in the same second. NoProof says why
    there is nothing to ask for.
    """
    show, known = witness.show, witness.known
    newest: int = witness.newest  # type: ignore[attr-defined]  # of find_due
    if known > newest:
        raise NoProof(
            f"has seen {known} entries, here are {newest}: entries were lost, or it was shown another ledger"
        )
    seals = Draw.objects.filter(show=show, sealed_ledger__gte=known - 1, sealed_ledger__lt=newest - 1)
    ends = seals.order_by("-sealed_ledger").values_list("sealed_ledger", flat=True)[:SEALS_AT_ONCE]
    wanted = {newest, *(position + 1 for position in ends if position is not None)}
    signed = Cosignature.objects.filter(show=show, witness=witness.name, size__in=wanted)
    missing = wanted - set(signed.values_list("size", flat=True))
    rows = LedgerCheckpoint.objects.filter(show=show, size__in=missing).order_by("size")
    steps, old = [], known
    for row in rows:
        body = format_request(old, _prove(show, old, row.size), row.note)
        steps.append(Step(old, row.size, text_of(row.note), row.at_ms, body))
        old = row.size
    return steps


def _prove(show: Show, old: int, size: int) -> list[bytes]:
    if old in (0, size):
        return []
    try:
        return ask_tree(show, size, lambda tree: tree.consistency_proof(old, size))
    except KeyError:
        raise NoProof(
            f"cannot be shown that {size} entries continue {old}: the ledger has lost some"
        ) from None


# --- one witness --------------------------------------------------------------------------------------------


class Errand:
    """The way to one witness and back, in a thread that touches no database."""

    def __init__(self, witness: Witness, steps: Sequence[Step]) -> None:
        self.witness, self.steps = witness, list(steps)
        self.replies: list[Reply] = []
        self.deadline = time.monotonic() + ANSWER_S
        self.sock: socket.socket | None = None
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run, name=f"witness {witness}", daemon=True)
        self.thread.start()

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.done.is_set() or time.monotonic() >= self.deadline

    def take(self) -> list[tuple[Step, Reply]]:
        """What was answered in time; one that is late is cut off, and its thread ends by itself."""
        late = not self.done.is_set()
        replies = [
            *self.replies,
            *([Reply(0, "", f"gives no answer within {ANSWER_S:.0f} s")] if late else []),
        ]
        if late and self.sock is not None:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
        return list(zip(self.steps, replies, strict=False))

    def _run(self) -> None:
        try:
            for step in self.steps:
                self.replies.append(self._ask(step))
                if self.replies[-1].status != 200:
                    break
        except Exception as error:
            reason = getattr(error, "strerror", None) or error or type(error).__name__
            self.replies.append(Reply(0, "", f"cannot be asked: {reason}"))
        finally:
            self.done.set()

    def _ask(self, step: Step) -> Reply:
        connection = _connection(self.witness.url, self.deadline - time.monotonic())
        try:
            connection.connect()
            self.sock = connection.sock  # of http.client's own it is gone once it reads the answer
            path = urlsplit(self.witness.url).path.rstrip("/")
            connection.request("POST", f"{path}/add-checkpoint", step.body.encode(), {"Connection": "close"})
            with connection.getresponse() as answer:
                body = answer.read(MAX_ANSWER + 1)
        finally:
            connection.close()
        if len(body) > MAX_ANSWER:
            raise OSError(f"answers more than {MAX_ANSWER} bytes")
        return Reply(answer.status, answer.headers.get_content_type(), body.decode("utf-8", "replace"))


def _connection(url: str, left: float) -> http.client.HTTPConnection:
    """Of http.client, which follows no redirect and asks no proxy."""
    if not re.match(URL, url):  # it is checked when it is typed, too
        raise ValueError(f"{url!r} is no address")
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=max(0.01, left))


# --- what it says -------------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What came of an errand: the cosignatures, how far the witness is by its own word, what is wrong with it."""

    signed: list[tuple[Step, Cosigned]]
    known: int
    trouble: str
    elsewhere: bool = False  # it is further, or less far, than we knew: from there it goes on


def judge(witness: Witness, answers: Sequence[tuple[Step, Reply]]) -> Outcome:
    """Takes only what is verified."""
    signed: list[tuple[Step, Cosigned]] = []
    known, trouble = witness.known, ""
    for step, reply in answers:
        try:
            if reply.status != 200:
                return Outcome(signed, _read_size(step, reply), "", elsewhere=True)
            found = find_cosignature(reply.body, step.text, parse_witness_key(witness.key))
        except ValueError as error:
            return Outcome(signed, known, str(error))
        signed.append((step, found))
        known, trouble = step.size, _explain_clock(step, found)
    return Outcome(signed, known, trouble)


def _read_size(step: Step, reply: Reply) -> int:
    """How far a witness is that is elsewhere than we knew; ValueError for every other refusal."""
    if reply.status != 409:
        said = "".join(letter if letter.isprintable() else " " for letter in reply.body).strip()
        raise ValueError(f"refuses with {reply.status}: {said}" if reply.status else said)
    said = reply.body.removesuffix("\n")
    is_size = said.isascii() and said.isdigit() and len(said) <= SIZE_DIGITS
    if reply.kind != "text/x.tlog.size" or not is_size or int(said) == step.old:
        raise ValueError("answers 409 without saying how far it is")
    return int(said)


def _explain_clock(step: Step, found: Cosigned) -> str:
    """What is wrong with the time that it has signed, by our clock."""
    at = found.time * 1000
    if step.at_ms - CLOCK_MS <= at <= now_ms() + CLOCK_MS:
        return ""
    side = "ahead of" if at > step.at_ms else "behind"
    return f"signs with {from_ms(at):%Y-%m-%d %H:%M:%S} UTC: its clock is {side} ours"


def keep(witness: Witness, outcome: Outcome) -> None:
    """Writes what was signed, once, and what has changed about the witness."""
    for step, found in outcome.signed:
        Cosignature.objects.get_or_create(
            show_id=witness.show_id,
            size=step.size,
            witness=witness.name,
            defaults={"line": found.line, "at_ms": found.time * 1000},
        )
    note(witness, outcome.known, outcome.trouble)


def note(witness: Witness, known: int, trouble: str) -> None:
    """How far a witness is, and what is wrong with it; in the log, too, when that is new."""
    new = {"known": known, "trouble": trouble[:LONGEST_TROUBLE]}
    if new["trouble"] and new["trouble"] != witness.trouble:
        log.warning("Witness %s of %s %s", witness, witness.show.slug, trouble)
    if any(getattr(witness, name) != value for name, value in new.items()):
        Witness.objects.filter(pk=witness.pk).update(**new)


# --- once a second ------------------------------------------------------------------------------------------


class Asking:
    """What is under way in this process: at most one thread for each witness."""

    def __init__(self) -> None:
        self.errands: dict[int, Errand] = {}  # by witness
        self.hanging: dict[
            int, Errand
        ] = {}  # nobody waits for them any more, but their threads have not ended
        self.failures: dict[int, int] = {}
        self.rests_until: dict[int, float] = {}

    def tick(self) -> None:
        """Takes answers, and asks whoever is due; the quick answers are taken at once. Who was elsewhere than we knew
        is asked again in the same tick.
        """
        until = time.monotonic() + PATIENCE_S
        self._collect()
        for _ in range(2):
            for errand in self._send():
                errand.done.wait(max(0.0, until - time.monotonic()))
            if not self._collect():
                return

    def _collect(self) -> bool:
        """Keeps what has come; whether somebody can be asked again at once."""
        self.hanging = {number: errand for number, errand in self.hanging.items() if not errand.done.is_set()}
        over = {number: errand for number, errand in self.errands.items() if errand.is_over}
        settled = [self._settle(number, errand) for number, errand in over.items()]
        return any(settled)

    def _settle(self, number: int, errand: Errand) -> bool:
        witness, failures = errand.witness, self.failures.get(number, 0)
        outcome = judge(witness, errand.take())
        del self.errands[number]
        if not errand.done.is_set():
            self.hanging[number] = errand
        again = outcome.elsewhere and not failures
        if outcome.elsewhere and failures:
            outcome = outcome._replace(trouble=f"has seen {outcome.known} entries, and said otherwise before")
        keep(witness, outcome)
        failed = bool(outcome.trouble) or outcome.elsewhere
        self._rest(number, failures + 1 if failed else 0, at_once=again)
        return again

    def _rest(self, number: int, failures: int, *, at_once: bool = False) -> None:
        self.failures[number] = failures
        rest = 0.0 if at_once or not failures else min(2.0 ** (failures - 1), LONGEST_REST_S)
        self.rests_until[number] = time.monotonic() + rest

    def _send(self) -> list[Errand]:
        now = time.monotonic()
        resting = {number for number, until in self.rests_until.items() if until > now}
        begun = []
        for witness in find_due({*self.errands, *self.hanging, *resting}):
            try:
                steps = plan_steps(witness)
            except NoProof as reason:
                note(witness, witness.known, str(reason))
                self._rest(witness.pk, self.failures.get(witness.pk, 0) + 1)
                continue
            errand = self.errands[witness.pk] = Errand(witness, steps)
            begun.append(errand)
        return begun


asking = Asking()


def ask_witnesses() -> None:
    """One look of the conductor at all witnesses."""
    asking.tick()
