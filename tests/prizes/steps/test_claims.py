"""After the draw: claims, deadlines, reserves that move up, disqualification by two people; and the races of them."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from engagement.actions import ActionRefused, Conflict
from engagement.clock import now_ms
from engagement.models import LedgerEntry, Show
from engagement.passes import issue_guest_pass, issue_pass
from prizes.attempts import settle_by_hand
from prizes.files import fetch, record_name
from prizes.models import Disposition, Disqualification, Draw, Win
from prizes.publication import record_of
from prizes.steps import claims
from prizes.steps import draw as drawing
from prizes.steps.claims import (
    ClaimRefused,
    ask_disqualification,
    claim_prize,
    decide_disqualification,
    decline_prize,
    find_due,
    standing_of,
)
from prizes.steps.publish import publish_segment
from prizes.tasks import settle_task
from tests.cast import DIRECTOR, OPERATOR, break_of, in_ms
from tests.clock import Clock
from tests.prizes import nights
from tests.prizes.winners import (
    CLAIM_S,
    Person,
    drawn_draw,
    person_of,
    published_draw,
    reserves_of,
    settle_due,
    told,
    winners_of,
)

pytestmark = pytest.mark.django_db(transaction=True)


def after_the_deadline(draw: Draw) -> int:
    return in_ms(draw.published_at) + CLAIM_S * 1000 + 1


def statuses(draw: Draw) -> dict[str, str]:
    return dict(draw.wins.values_list("pseudonym", "status"))


def story(draw: Draw) -> list[tuple[str, str, str]]:
    return list(draw.dispositions.order_by("ledger").values_list("pseudonym", "status", "reason"))


def actions_since(draw: Draw, action: str = "publish") -> list[str]:
    entries = LedgerEntry.objects.filter(show=draw.show)
    since = entries.filter(action=action).latest("position")
    return list(entries.filter(position__gt=since.position).values_list("action", flat=True))


# --- publication ---


def test_every_winner_has_as_long_to_claim_as_the_rules_say(show: Show, people: dict[str, Person]) -> None:
    draw = nights.drawn(show, people, claim_s=90)
    draw.prize_list.claim_s = 5  # edited behind our back: the rules are what was promised
    draw.prize_list.save()
    publish_segment(draw.segment_id, actor=OPERATOR, now=1_900_000_000_000)
    assert {in_ms(win.claim_by) for win in draw.wins.all()} == {1_900_000_090_000}
    draw.segment.refresh_from_db()
    (result,) = draw.segment.announced_results
    assert (result["claim_url"], result["claim_by"]) == (f"/draws/{draw.pk}/claim/", 1_900_000_090_000)
    assert [set(winner) for winner in result["winners"]] == [{"pseudonym", "prize", "name"}] * 2


# --- who is it? ---


def test_pass_and_salt_prove_the_pseudonym_even_when_the_pass_has_expired(
    show: Show, people: dict[str, Person]
) -> None:
    draw = nights.published(show, people)
    late = person_of(show, 3, lifetime_s=-3600)
    assert claims.identify(draw, late.token, late.salt) == late.pseudonym


def test_a_foreign_pass_or_salt_proves_nothing(show: Show, people: dict[str, Person]) -> None:
    draw = nights.published(show, people)
    me, other = person_of(show, 1), person_of(show, 2)
    refused = {
        "bad_pass": [("forged", me.salt), (issue_pass("elsewhere", 1), me.salt)],
        "wrong_salt": [(me.token, other.salt), (issue_guest_pass(show.slug), me.salt), (me.token, "00" * 32)],
    }
    for code, proofs in refused.items():
        for token, salt in proofs:
            with pytest.raises(ClaimRefused) as caught:
                claims.identify(draw, token, salt)
            assert caught.value.code == code


# --- claim and decline ---


def test_a_winner_claims_once_and_everybody_is_told(show: Show, people: dict[str, Person]) -> None:
    draw = nights.published(show, people)
    winner, other = winners_of(draw)
    assert claim_prize(draw.pk, winner)[1] is True
    assert claim_prize(draw.pk, winner)[1] is False  # again: nothing changes
    assert statuses(draw) == {winner: "claimed", other: "won"}
    assert story(draw) == [(winner, "claimed", "")]
    assert actions_since(draw) == ["claim"]
    assert [row.get("status") for row in told(draw)] == ["claimed", None]


def test_a_claim_counts_until_the_last_millisecond(show: Show, people: dict[str, Person]) -> None:
    draw = nights.published(show, people)
    first, second = winners_of(draw)
    too_late = after_the_deadline(draw)
    claim_prize(draw.pk, first, now=too_late - 1)
    with pytest.raises(ClaimRefused, match="over") as caught:
        claim_prize(draw.pk, second, now=too_late)
    assert caught.value.code == "too_late"
    assert story(draw) == [(first, "claimed", "")]  # refusing changes nothing: the conductor does


def test_who_declines_makes_room_at_once(show: Show, people: dict[str, Person]) -> None:
    draw = nights.published(show, people, reserves=2)
    first, second = winners_of(draw)
    reserve = reserves_of(draw)[0]
    now = now_ms() + 5_000
    decline_prize(draw.pk, first, now=now)
    assert story(draw) == [(first, "forfeited", "declined"), (reserve, "won", "moved up")]
    moved = Win.objects.get(draw=draw, pseudonym=reserve)
    lost = Win.objects.get(draw=draw, pseudonym=first)
    assert (moved.prize_id, moved.piece, moved.rank) == (lost.prize_id, lost.piece, 3)
    assert in_ms(moved.claim_by) == now + CLAIM_S * 1000
    assert actions_since(draw) == ["forfeit", "move up"]
    assert [(row["pseudonym"], row.get("moved_up"), row.get("claim_by")) for row in told(draw)] == [
        (second, None, None),
        (reserve, True, now + CLAIM_S * 1000),
    ]


@pytest.mark.parametrize("act", [claim_prize, decline_prize])
def test_what_is_lost_or_taken_can_be_neither_claimed_nor_declined(
    show: Show, people: dict[str, Person], act: Any
) -> None:
    draw = nights.published(show, people, prizes=4, reserves=0)
    claimed, declined, late, removed = winners_of(draw)
    claim_prize(draw.pk, claimed)
    decline_prize(draw.pk, declined)
    disqualify(draw, removed)
    settle_due(after_the_deadline(draw))
    codes = {declined: "declined", late: "too_late", removed: "disqualified", "ab" * 14: "not_a_winner"}
    if act is decline_prize:
        codes[claimed] = "claimed"
    before = story(draw)
    for pseudonym, code in codes.items():
        with pytest.raises(ClaimRefused) as caught:
            act(draw.pk, pseudonym)
        assert caught.value.code == code
    assert story(draw) == before


def test_nothing_is_claimed_before_it_is_published(show: Show, people: dict[str, Person]) -> None:
    draw = nights.drawn(show, people)
    for number in (draw.pk, draw.pk + 99):
        with pytest.raises(ClaimRefused) as caught:
            claim_prize(number, winners_of(draw)[0])
        assert caught.value.code == "not_published"
    assert settle_due(now_ms() + 10**9) == []  # nobody was told, so nobody is late


# --- the deadline ---


def test_at_the_deadline_the_reserves_move_up_in_order_until_none_is_left(
    show: Show, people: dict[str, Person]
) -> None:
    draw = nights.published(show, people, prizes=2, reserves=3)
    first, second = winners_of(draw)
    one, two, three = reserves_of(draw)
    late = after_the_deadline(draw)
    claim_prize(draw.pk, second)
    assert settle_due(late - 1) == []
    assert len(settle_due(late)) == 2
    assert len(settle_due(late + CLAIM_S * 1000 + 1)) == 2
    claim_prize(draw.pk, two, now=late + CLAIM_S * 1000 + 2)
    assert settle_due(late + 10 * CLAIM_S * 1000) == []
    assert statuses(draw) == {first: "forfeited", second: "claimed", one: "forfeited", two: "claimed"}
    assert standing_of(draw).reserves == (three,)
    assert break_of(show) is None


def test_a_freed_piece_without_reserves_stays_free(show: Show, people: dict[str, Person]) -> None:
    draw = nights.published(show, people, prizes=2, reserves=0)
    settle_due(after_the_deadline(draw))
    assert set(statuses(draw).values()) == {"forfeited"}
    assert told(draw) == []
    assert len(standing_of(draw).free) == 2


def test_it_is_cheap_when_nothing_is_due(
    show: Show, people: dict[str, Person], django_assert_num_queries
) -> None:
    draw = nights.published(show, people)
    for winner in winners_of(draw):
        decline_prize(draw.pk, winner)  # one piece stays free for ever, its reserves are used
    with django_assert_num_queries(2):
        assert find_due(now_ms()) == []


def test_a_record_that_was_changed_gives_no_prize_to_anybody(
    show: Show, people: dict[str, Person], clock: Clock
) -> None:
    spoiled = nights.published(show, people)
    path = fetch(record_name(spoiled.key))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(reserves_of(spoiled)[0].encode(), b"ab" * 14))
    claims._read_drawn.cache_clear()
    record_of.__globals__["_record"].cache_clear()
    clock.set(after_the_deadline(spoiled))
    for _ in range(4):
        settle_task(spoiled.pk)
    spoiled.refresh_from_db()
    assert find_due(now_ms()) == [] and not spoiled.dispositions.exists()
    assert "expected the record with SHA-256" in spoiled.trouble and spoiled.trouble.endswith(
        "page of claims."
    )
    path.write_bytes(whole)  # the operator brings it back
    assert len(settle_by_hand(spoiled.pk)) == 3
    spoiled.refresh_from_db()
    assert (spoiled.attempts, spoiled.trouble) == (0, "")


# --- other draws of the show ---


def test_a_reserve_who_has_won_elsewhere_is_passed_over(show: Show, people: dict[str, Person]) -> None:
    first = nights.published(show, people, prizes=1, reserves=2)
    skipped, taken = reserves_of(first)
    only = {skipped: people[skipped]}
    published_draw(show, only, prizes=1, reserves=0)
    settle_due(after_the_deadline(first))
    assert story(first)[1:] == [(skipped, "skipped", "won in another draw"), (taken, "won", "moved up")]
    row = Disposition.objects.get(draw=first, status="skipped")
    assert (row.piece, LedgerEntry.objects.get(show=show, position=row.ledger).action) == ("", "skip reserve")


def test_who_moved_up_wins_in_no_later_draw_even_if_the_prize_is_lost_again(
    show: Show, people: dict[str, Person]
) -> None:
    first = nights.published(show, people, prizes=1, reserves=1)
    (reserve,) = reserves_of(first)
    decline_prize(first.pk, winners_of(first)[0])
    decline_prize(first.pk, reserve)
    later = published_draw(show, {reserve: people[reserve]}, prizes=1, reserves=0)
    assert winners_of(later) == []
    assert record_of(later).value["prior_wins"] == sorted(
        [{"pseudonym": viewer, "draw_id": first.draw_id} for viewer in winners_of(first)],
        key=lambda row: row["pseudonym"],
    )


def test_reserves_wait_for_a_draw_that_is_told_first(show: Show, people: dict[str, Person]) -> None:
    first = nights.published(show, people, prizes=1, reserves=1)
    (reserve,) = reserves_of(first)
    second = drawn_draw(show, {reserve: people[reserve]}, prizes=1, reserves=0)
    late = after_the_deadline(first)
    settle_due(late)
    settle_due(late + 1_001)
    assert story(first) == [(winners_of(first)[0], "forfeited", "deadline passed")]
    assert claims.waits_for(first, standing_of(first)) == second
    publish_segment(second.segment_id, actor=OPERATOR)
    settle_due(late + 3_000)
    assert story(first)[1:] == [(reserve, "skipped", "won in another draw")]


# --- disqualification ---


def disqualify(draw: Draw, pseudonym: str, reason: str = "under age") -> Disqualification:
    asked = ask_disqualification(draw.wins.get(pseudonym=pseudonym).pk, reason, actor=OPERATOR)
    return decide_disqualification(asked.pk, True, actor=DIRECTOR)


def test_two_people_disqualify_and_the_reserve_moves_up(show: Show, people: dict[str, Person]) -> None:
    draw = nights.published(show, people)
    first, _ = winners_of(draw)
    claim_prize(draw.pk, first)
    disqualify(draw, first, "false identity")
    assert story(draw) == [
        (first, "claimed", ""),
        (first, "disqualified", "false identity"),
        (reserves_of(draw)[0], "won", "moved up"),
    ]
    assert actions_since(draw, "claim") == ["ask disqualification", "disqualify", "move up"]
    entry = LedgerEntry.objects.get(show=show, action="disqualify")
    assert (entry.actor, entry.reason) == (f"{OPERATOR} and {DIRECTOR}", "false identity")


def test_nobody_approves_what_they_asked_for(show: Show, people: dict[str, Person]) -> None:
    draw = nights.published(show, people)
    win = draw.wins.earliest("rank")
    asked = ask_disqualification(win.pk, "under age", actor=DIRECTOR)
    with pytest.raises(ActionRefused, match="has asked for it: a second person"):
        decide_disqualification(asked.pk, True, actor=DIRECTOR)
    with pytest.raises(IntegrityError), transaction.atomic():  # nor does the database take it
        Disqualification.objects.filter(pk=asked.pk).update(approved=True, decided_by=DIRECTOR)
    assert statuses(draw)[win.pseudonym] == "won"


def test_who_refuses_changes_nothing_and_it_may_be_asked_again(show: Show, people: dict[str, Person]) -> None:
    draw = nights.published(show, people)
    win = draw.wins.earliest("rank")
    asked = ask_disqualification(win.pk, "under age", actor=OPERATOR)
    with pytest.raises(Conflict, match=f"{OPERATOR} has asked"):
        ask_disqualification(win.pk, "second account", actor=DIRECTOR)
    decide_disqualification(asked.pk, False, actor=DIRECTOR)
    with pytest.raises(Conflict, match=f"{DIRECTOR} has decided"):
        decide_disqualification(asked.pk, True, actor="dora")
    ask_disqualification(win.pk, "second account", actor=OPERATOR)
    assert story(draw) == []
    assert actions_since(draw)[:2] == ["ask disqualification", "refuse disqualification"]


@pytest.mark.parametrize("reason", ["", "I do not like him", "declined", "under age "])
def test_a_disqualification_needs_a_reason_of_the_list(
    show: Show, people: dict[str, Person], reason: str
) -> None:
    draw = nights.published(show, people)
    with pytest.raises(ActionRefused, match="one of these reasons"):
        ask_disqualification(draw.wins.earliest("rank").pk, reason, actor=OPERATOR)


def test_a_win_that_is_lost_already_is_not_disqualified(show: Show, people: dict[str, Person]) -> None:
    draw = nights.published(show, people)
    win = draw.wins.earliest("rank")
    asked = ask_disqualification(win.pk, "under age", actor=OPERATOR)
    decline_prize(draw.pk, win.pseudonym)
    with pytest.raises(Conflict, match="forfeited already"):
        decide_disqualification(asked.pk, True, actor=DIRECTOR)
    decide_disqualification(asked.pk, False, actor=DIRECTOR)
    with pytest.raises(Conflict, match="forfeited already"):
        ask_disqualification(win.pk, "under age", actor=OPERATOR)
    for call in (lambda: ask_disqualification(999_999, "under age", actor=OPERATOR),
                 lambda: decide_disqualification(999_999, True, actor=DIRECTOR)):  # fmt: skip
        with pytest.raises(ActionRefused, match="999999"):
            call()


# --- races: each once ---


def at_once(*calls: Any) -> list[Any]:
    """Runs the calls in threads of their own, started together; a refusal is an answer, too."""
    together = Barrier(len(calls))

    def run(call: Any) -> Any:
        together.wait()
        try:
            return call()
        except ActionRefused as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def check_holders(draw: Draw) -> None:
    """What the rows say is what the replay of the record says: one holder per piece, no piece lost."""
    held = {win.piece_id: win.pseudonym for win in draw.wins.filter(status__in=Win.HELD)}
    assert standing_of(draw).holders == held
    assert draw.wins.filter(status__in=Win.HELD).count() == len(held)


def test_a_claim_at_the_very_deadline_is_taken_or_late_never_both(
    show: Show, people: dict[str, Person]
) -> None:
    draw = nights.published(show, people, prizes=1, reserves=1)
    (winner,), (reserve,) = winners_of(draw), reserves_of(draw)
    late = after_the_deadline(draw)
    claimed, settled = at_once(lambda: claim_prize(draw.pk, winner, now=late - 1), lambda: settle_due(late))
    check_holders(draw)
    if isinstance(claimed, ClaimRefused):
        assert claimed.code == "too_late"
        assert statuses(draw) == {winner: "forfeited", reserve: "won"}
        assert len(settled) == 2
    else:
        assert statuses(draw) == {winner: "claimed"}
        assert settled == []


def test_two_workers_settle_once(show: Show, people: dict[str, Person]) -> None:
    draw = nights.published(show, people, prizes=2, reserves=3)
    late = after_the_deadline(draw)
    rows = at_once(*[lambda: settle_due(late)] * 3)
    assert sorted(len(found) for found in rows) == [0, 0, 4]
    assert [row[1] for row in story(draw)] == ["forfeited", "forfeited", "won", "won"]
    check_holders(draw)


def test_a_winner_who_claims_on_two_phones_claims_once(show: Show, people: dict[str, Person]) -> None:
    draw = nights.published(show, people)
    winner = winners_of(draw)[0]
    answers = at_once(*[lambda: claim_prize(draw.pk, winner)] * 2)
    assert sorted(fresh for _, fresh in answers) == [False, True]
    assert story(draw) == [(winner, "claimed", "")]


def test_a_claim_and_a_disqualification_at_once_leave_one_holder(
    show: Show, people: dict[str, Person]
) -> None:
    draw = nights.published(show, people, prizes=1, reserves=1)
    (winner,) = winners_of(draw)
    asked = ask_disqualification(draw.wins.get().pk, "under age", actor=OPERATOR)
    at_once(
        lambda: claim_prize(draw.pk, winner),
        lambda: decide_disqualification(asked.pk, True, actor=DIRECTOR),
    )
    assert statuses(draw)[winner] == "disqualified"
    check_holders(draw)


def test_a_reserve_who_wins_in_a_later_draw_at_the_same_moment_gets_one_of_the_two(
    show: Show, people: dict[str, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline passes between the start of the later draw and its winners."""
    first = nights.published(show, people, prizes=1, reserves=2)
    reserve, following = reserves_of(first)
    late = after_the_deadline(first)
    finish = drawing.finish_draw

    def settle_then_finish(*args: Any) -> Draw:
        settle_due(late)
        return finish(*args)

    monkeypatch.setattr(drawing, "finish_draw", settle_then_finish)
    second = published_draw(show, {reserve: people[reserve]}, prizes=1, reserves=0)
    assert winners_of(second) == [reserve]
    assert [row[1] for row in story(first)] == ["forfeited"]  # the reserves have waited for the draw
    settle_due(late + 1_001)
    assert story(first)[1:] == [(reserve, "skipped", "won in another draw"), (following, "won", "moved up")]
    check_holders(first)
    check_holders(second)
