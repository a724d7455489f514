"""The audit after the draw: honest claims pass, invented ones are named; and the sample that an auditor opens."""

import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from django.core.management import CommandError, call_command
from django.db import connection

from engagement.actions import ActionRefused, record_change
from engagement.clock import from_ms, now_ms
from engagement.ledger.append import SYSTEM
from engagement.ledger.audit import Check
from engagement.models import LedgerEntry, Segment, Show
from prizes import audit
from prizes.audit import ACTIONS, audit_draw, check_disqualifications, read_aftermath, sample_draw
from prizes.core.digests import audit_key
from prizes.core.roll import iterate_entries, iterate_totals
from prizes.exclusions import exclude_viewer, include_viewer
from prizes.files import fetch, record_name, roll_name, totals_name
from prizes.models import Disposition, Disqualification, Draw, Exclusion, Win
from prizes.publication import dispositions_of
from prizes.steps import arm
from prizes.steps.claims import (
    ask_disqualification,
    claim_prize,
    decide_disqualification,
    decline_prize,
)
from prizes.steps.dispositions import LEDGER_ACTIONS
from prizes.steps.publish import publish_segment
from tests.cast import DIRECTOR, INTRUDER, OPERATOR, armed_segment, in_ms
from tests.guards import tamper, without_guards
from tests.prizes import nights
from tests.prizes.pipeline import VIEWERS, ended, run_all
from tests.prizes.winners import (
    CLAIM_S,
    Person,
    published_draw,
    reserves_of,
    settle_due,
    winners_of,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def draw(show: Show, people: dict[str, Person]) -> Draw:
    """Told a moment ago; nobody has claimed yet."""
    return nights.published(show, people, prizes=2, reserves=2)


@pytest.fixture
def night(show: Show, people: dict[str, Person]) -> Draw:
    """A draw in which everything has happened that may happen."""
    return nights.once("audit", lambda: play_night(show, people))


def play_night(
    show: Show, people: dict[str, Person], before_publication: Callable[[Draw], object] = lambda draw: None
) -> Draw:
    draw = published_draw(show, people, prizes=3, reserves=3, before_publication=before_publication)
    claimed, declined, late = winners_of(draw)
    passed_over, second, third = reserves_of(draw)
    published_draw(show, {passed_over: people[passed_over]}, prizes=1, reserves=0)
    told_at = in_ms(draw.published_at)
    claim_prize(draw.pk, claimed)
    decline_prize(draw.pk, declined, now=told_at + 5_000)
    disqualify(draw, claimed)
    claim_prize(draw.pk, third)
    settle_due(told_at + CLAIM_S * 1000 + 1)
    assert dict(draw.wins.values_list("pseudonym", "status")) == {
        claimed: "disqualified",
        declined: "forfeited",
        late: "forfeited",
        second: "won",
        third: "claimed",
    }
    return draw


def disqualify(draw: Draw, pseudonym: str, reason: str = "under age") -> Disqualification:
    asked = ask_disqualification(draw.wins.get(pseudonym=pseudonym).pk, reason, actor=OPERATOR)
    return decide_disqualification(asked.pk, True, actor=DIRECTOR)


def failed(draw: Draw) -> set[str]:
    return {check.name for check in audit_draw(draw) if not check.ok}


def detail_of(checks: list[Check], name: str) -> str:
    return next(check.detail for check in checks if check.name == name)


def run(*words: str) -> tuple[str, int]:
    """What `manage.py audit_draw` says, and its exit status."""
    out, status = io.StringIO(), 0
    try:
        call_command("audit_draw", *words, stdout=out)
    except SystemExit as stop:
        status = int(str(stop.code))
    return out.getvalue(), status


# --- honest draws ---


def test_a_draw_after_everything_that_may_happen_passes(night: Draw) -> None:
    assert set(night.dispositions.values_list("status", flat=True)) == set(LEDGER_ACTIONS)
    checks = audit_draw(night)
    assert [check for check in checks if not check.ok] == []
    assert detail_of(checks, "dispositions").startswith("8 so far")  # by the second implementation
    assert detail_of(checks, "dispositions in the ledger") == "8 told"
    assert detail_of(checks, "disqualifications") == "1, each by two people"


def test_a_draw_that_nobody_was_told_of_passes(show: Show, people: dict[str, Person]) -> None:
    assert failed(nights.drawn(show, people)) == set()


def test_a_refused_disqualification_changes_nothing(draw: Draw) -> None:
    asked = ask_disqualification(draw.wins.earliest("rank").pk, "under age", actor=OPERATOR)
    decide_disqualification(asked.pk, False, actor=DIRECTOR)
    ask_disqualification(draw.wins.earliest("rank").pk, "second account", actor=OPERATOR)
    assert failed(draw) == set()


def test_a_claim_in_the_middle_of_an_audit_is_in_it_or_is_not(
    draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    winner = winners_of(draw)[0]

    def claim() -> None:
        claim_prize(draw.pk, winner)
        connection.close()

    with ThreadPoolExecutor(1) as pool:

        def read_then_claim(row: Draw) -> list[dict[str, Any]]:
            rows = dispositions_of(row)
            claims.append(pool.submit(claim))
            return rows

        claims: list[Any] = []
        monkeypatch.setattr(audit, "dispositions_of", read_then_claim)
        assert failed(draw) == set()
        claims[0].result()
    monkeypatch.undo()
    assert (failed(draw), draw.dispositions.count()) == (set(), 1)


def test_the_audit_knows_the_actions_of_claims() -> None:
    assert {status: action for action, status in ACTIONS.items()} == LEDGER_ACTIONS


# --- forged ones ---


def give(draw: Draw, pseudonym: str, lost: Win) -> None:
    """A win out of nothing, in the place of one that was lost."""
    rank = json.loads(fetch(record_name(draw.key)).read_bytes())["reserves"][0]["rank"]
    row = {"draw": draw, "show": draw.show, "prize": lost.prize, "piece": lost.piece}
    Win.objects.create(
        **row, rank=rank, pseudonym=pseudonym, name="Out Of Nothing", claim_by=from_ms(now_ms() + 60_000)
    )


def write_line(
    draw: Draw, pseudonym: str, piece: str, status: str, reason: str, **fields: Any
) -> Disposition:
    last = LedgerEntry.objects.filter(show=draw.show).latest("position").position
    row = {"at_ms": now_ms(), "ledger": last + 1 + draw.dispositions.count()} | fields
    return Disposition.objects.create(
        draw=draw, pseudonym=pseudonym, piece=piece, status=status, reason=reason, **row
    )


def forge(draw: Draw) -> Win:
    """An intruder in the database throws the first winner out, for the first reserve."""
    lost, friend = draw.wins.earliest("rank"), reserves_of(draw)[0]
    write_line(draw, lost.pseudonym, lost.piece_id, "disqualified", "under age")
    write_line(draw, friend, lost.piece_id, "won", "moved up")
    with without_guards():
        Win.objects.filter(pk=lost.pk).update(status="disqualified")
    give(draw, friend, lost)
    return lost


def test_an_invented_disqualification_is_named_though_it_replays(draw: Draw) -> None:
    lost = forge(draw)
    checks = audit_draw(draw)
    assert failed(draw) == {"dispositions in the ledger", "disqualifications"}
    assert "the ledger nothing" in detail_of(checks, "dispositions in the ledger")
    assert lost.pseudonym in detail_of(checks, "disqualifications")
    said, status = run(str(draw.pk))
    assert (status, "FAIL dispositions in the ledger: " in said) == (1, True)


@pytest.mark.parametrize("actor", [INTRUDER, f"{OPERATOR} and {DIRECTOR}"])
def test_an_invented_disqualification_is_named_even_with_entries_in_the_ledger(
    draw: Draw, actor: str
) -> None:
    lost, now = forge(draw), now_ms()
    told = {"disqualified": ("disqualify", actor), "won": ("move up", SYSTEM)}
    for row in draw.dispositions.order_by("ledger"):
        action, by = told[row.status]
        details = {"draw": draw.draw_id, "pseudonym": row.pseudonym, "prize": row.piece}
        entry = record_change(reread(draw), action, actor=by, now=now, reason=row.reason, details=details)
        tamper(
            "UPDATE prizes_disposition SET ledger = %s, at_ms = %s WHERE id = %s", entry.position, now, row.pk
        )
    assert failed(draw) == {"disqualifications"}
    asked = {"reason": "under age", "asked_at": from_ms(now), "approved": True}
    Disqualification.objects.create(win=lost, asked_by=OPERATOR, decided_by=DIRECTOR, **asked)
    assert failed(draw) == {"disqualifications"}  # nobody has asked in the ledger


def reread(draw: Draw) -> Segment:
    return Segment.objects.select_related("show").get(pk=draw.segment_id)


@pytest.mark.parametrize("actor", ["decided_by", "asked_by"])
def test_a_disqualification_by_one_person_or_by_others_is_named(night: Draw, actor: str) -> None:
    after = read_aftermath(night)
    assert check_disqualifications(after).ok
    (asked,) = after.disqualifications
    setattr(asked, actor, OPERATOR if actor == "decided_by" else DIRECTOR)  # the database would refuse it
    assert asked.asked_by == asked.decided_by
    assert not check_disqualifications(after).ok
    setattr(asked, actor, INTRUDER)
    assert not check_disqualifications(after).ok


def test_another_reason_than_was_approved_is_named(night: Draw) -> None:
    with without_guards():
        Disqualification.objects.filter(approved=True).update(reason="second account")
    assert failed(night) == {"disqualifications"}


def test_an_approval_without_a_disposition_is_named(draw: Draw) -> None:
    asked = ask_disqualification(draw.wins.earliest("rank").pk, "under age", actor=OPERATOR)
    with without_guards():
        Disqualification.objects.filter(pk=asked.pk).update(approved=True, decided_by=DIRECTOR)
    assert failed(draw) == {"disqualifications"}


@pytest.mark.parametrize(
    ("column", "value"),
    [("at_ms", 1), ("reason", "deadline passed"), ("pseudonym", "ab" * 14), ("piece", "9-9")],
)
def test_a_line_that_was_changed_is_named(draw: Draw, column: str, value: Any) -> None:
    decline_prize(draw.pk, winners_of(draw)[0])
    with without_guards():
        draw.dispositions.filter(status="forfeited").update(**{column: value})
    assert "dispositions in the ledger" in failed(draw)


def test_a_line_that_was_removed_is_named(night: Draw) -> None:
    with without_guards():
        night.dispositions.filter(status="skipped").delete()
    assert failed(night) == {"dispositions", "dispositions in the ledger", "holders"}


@pytest.mark.parametrize(
    "fields",
    [{"status": "claimed"}, {"rank": 7}, {"piece": 9}, {"pseudonym": "ab" * 14}, {"status": "forfeited"}],
)
def test_a_win_that_was_changed_is_named(draw: Draw, fields: dict[str, Any]) -> None:
    with without_guards():
        Win.objects.filter(pk=draw.wins.earliest("rank").pk).update(**fields)
    assert "holders" in failed(draw)


def test_a_win_out_of_nothing_is_named(draw: Draw) -> None:
    friend, lost = reserves_of(draw)[0], draw.wins.earliest("rank")
    decline_prize(draw.pk, lost.pseudonym)
    with without_guards():
        Win.objects.filter(pseudonym=friend).update(status="forfeited")
    give(draw, "ab" * 14, lost)
    assert "holders" in failed(draw)


def test_an_unlawful_line_is_named_by_the_second_implementation(draw: Draw) -> None:
    lost = draw.wins.earliest("rank")
    write_line(draw, lost.pseudonym, lost.piece_id, "disqualified", "a whim")
    names = {"dispositions", "dispositions in the ledger", "holders", "disqualifications", "published record"}
    assert failed(draw) == names


def test_a_record_that_is_none_any_more_is_named(night: Draw) -> None:
    fetch(record_name(night.key)).write_bytes(b"{}")
    assert {"record", "record file", "holders", "winners in the database"} <= failed(night)


def test_an_entry_of_a_claim_that_is_no_json_any_more_is_named(draw: Draw) -> None:
    claim_prize(draw.pk, winners_of(draw)[0])
    tamper("UPDATE engagement_ledgerentry SET details = '[' WHERE action = 'claim'")
    assert failed(draw) == {"dispositions in the ledger", "ledger chain"}


def test_a_draw_with_invented_lines_is_not_published(show: Show, people: dict[str, Person]) -> None:
    draw = nights.drawn(show, people)
    lost = draw.wins.earliest("rank")
    write_line(draw, lost.pseudonym, lost.piece_id, "forfeited", "declined")
    with pytest.raises(ActionRefused, match="is not what was drawn: holders; dispositions in the ledger"):
        publish_segment(draw.segment_id, actor=OPERATOR)


# --- exclusions ---

STAFF, FRIEND = "01" * 14, "02" * 14


def smuggle(show: Show, pseudonym: str) -> None:
    """Into the table of exclusions, past the administration."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO prizes_exclusion (show_id, pseudonym, note) VALUES (%s, %s, '')",
            [show.pk, pseudonym],
        )


def exclude(show: Show, pseudonym: str) -> Exclusion:
    row = Exclusion(show=show, pseudonym=pseudonym)
    exclude_viewer(row, actor=DIRECTOR)
    return row


def drawn_draw(show: Show) -> Draw:
    viewers = {bytes.fromhex(viewer): 10 for viewer in (STAFF, FRIEND, "03" * 14, "04" * 14)}
    return run_all(ended(armed_segment(show), viewers))


def test_an_exclusion_without_a_line_keeps_a_segment_from_being_armed(show: Show) -> None:
    exclude(show, STAFF)
    smuggle(show, FRIEND)
    with pytest.raises(
        ActionRefused, match=f"not those of the ledger \\({FRIEND} is excluded without a line"
    ):
        armed_segment(show)
    Exclusion.objects.all().delete()  # and so does one that was taken out
    with pytest.raises(ActionRefused, match=f"{STAFF} is not excluded any more, without a line"):
        armed_segment(show)
    include_viewer(exclude(show, STAFF), actor=DIRECTOR)
    assert armed_segment(show).draws.get().excluded == []


def test_an_exclusion_that_was_told_passes(show: Show) -> None:
    exclude(show, STAFF)
    honest = drawn_draw(show)
    assert (honest.excluded, failed(honest)) == ([STAFF], set())
    exclude(show, FRIEND)  # afterwards: it is not in the list of the first draw, and need not be
    assert failed(honest) == set()


def test_an_exclusion_that_was_smuggled_in_or_out_is_named(
    show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    for viewer in (STAFF, FRIEND):
        exclude(show, viewer)
    Exclusion.objects.filter(pseudonym=FRIEND).delete()
    smuggle(show, "03" * 14)
    monkeypatch.setattr(arm, "check_exclusions", lambda segment: None)  # an organiser's own program
    forged = drawn_draw(show)
    name = "exclusions in the ledger"
    assert failed(forged) == {name}
    said = detail_of(audit_draw(forged), name)
    assert f"{'03' * 14} is excluded without a line" in said
    assert f"{FRIEND} is not excluded any more, without a line" in said
    assert run(str(forged.pk))[1] == 1


def test_a_line_that_came_after_the_arming_excludes_nobody_in_it(
    show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arm, "check_exclusions", lambda segment: None)
    smuggle(show, STAFF)
    draw = drawn_draw(show)
    Exclusion.objects.all().delete()
    exclude(show, STAFF)
    assert failed(draw) == {"exclusions in the ledger"}


def test_a_line_that_was_changed_to_somebody_else_is_named(show: Show) -> None:
    exclude(show, STAFF)
    draw = drawn_draw(show)
    tamper(
        "UPDATE engagement_ledgerentry SET people = %s WHERE action = 'exclude'",
        f'{{"pseudonym":"{FRIEND}"}}',
    )
    assert "exclusions in the ledger" in failed(draw)


# --- the sample ---


def scores_of(draw: Draw) -> list[tuple[bytes, str, int, int]]:
    """Every entry of the roll as docs/draw.md, section 6, has it, best first."""
    key = audit_key(bytes.fromhex(json.loads(fetch(record_name(draw.key)).read_bytes())["key"]))
    encrypt = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    entries = iterate_entries(fetch(roll_name(draw.key)).read_bytes()[64:])
    return sorted(
        (encrypt.update(viewer + b"\xff\xff"), viewer.hex(), index, tickets)
        for index, (viewer, tickets) in enumerate(entries)
    )


def test_the_sample_is_that_of_the_specification_with_the_shakes_of_each(show: Show) -> None:
    draw = nights.ranked(show)
    said, status = run(str(draw.pk), "--sample", "5", "--json")
    sample = json.loads(said)["sample"]
    assert (status, len(sample)) == (0, 5)
    assert [(row["pseudonym"], row["index"], row["tickets"]) for row in sample] == [
        row[1:] for row in scores_of(draw)[:5]
    ]
    assert [row["total"] for row in sample] == [VIEWERS[bytes.fromhex(row["pseudonym"])] for row in sample]


def test_a_sample_larger_than_the_roll_is_the_whole_roll(show: Show) -> None:
    draw = nights.ranked(show)
    totals = dict(iterate_totals(fetch(totals_name(draw.segment.key)).read_bytes()))
    found = sample_draw(draw, 10_000)
    assert [row.pseudonym for row in found] == [row[1] for row in scores_of(draw)]
    assert all(row.total == totals[bytes.fromhex(row.pseudonym)] for row in found)


def test_the_sample_for_people_stands_between_checks_and_verdict(night: Draw) -> None:
    said, status = run(str(night.pk), "--sample", "2")
    heading, first, second, verdict = said.splitlines()[-4:]
    assert (status, heading) == (0, "sample of 2 of 8 entries: pseudonym, index in the roll, tickets, shakes")
    assert [line.split() for line in (first, second)] == [
        [viewer, str(index), str(tickets), "10"] for _, viewer, index, tickets in scores_of(night)[:2]
    ]
    assert verdict == f"{night.draw_id}: OK"
    assert "sample" not in json.loads(run(str(night.pk), "--json")[0])


def test_there_is_no_sample_of_a_draw_that_does_not_hold(draw: Draw) -> None:
    forge(draw)
    said, status = run(str(draw.pk), "--sample", "2")
    assert (status, "no sample" in said) == (1, True)
    said, status = run(str(draw.pk), "--sample", "2", "--json")
    assert (status, json.loads(said)["sample"]) == (1, None)


def test_there_is_no_sample_before_the_draw(show: Show) -> None:
    draw = nights.sealed(show).draws.get()
    with pytest.raises(CommandError, match="is sealed: there is a sample once it is drawn"):
        run(str(draw.pk), "--sample", "3")


@pytest.mark.parametrize("size", ["0", "-1", "10001", "many", "1.5"])
def test_a_sample_of_another_size_is_refused(size: str) -> None:
    with pytest.raises(CommandError, match=f"expected 1 to 10000 entries, got '{size}'"):
        run("1", f"--sample={size}")


def test_an_entry_without_its_total_is_told(draw: Draw, tmp_path: Path) -> None:
    path = fetch(totals_name(draw.segment.key))
    path.write_bytes(path.read_bytes()[:-18])
    with pytest.raises(ValueError, match="has no row in the totals"):
        sample_draw(draw, 100)
