"""The reference client, without any socket: it is pure, so its server can be a few lines of the real rules."""

import itertools
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.core.messages import Hello, Resync, Shakes, Sync, decode
from engagement.core.shakes import clamp
from engagement.core.windows import feed_window
from engagement.mock.hand import HumanHand
from engagement.mock.phone import NEVER, Phone

OPENS, CLOSES, GRACE = 100_000, 110_000, 3_000
AHEAD = 86_400_000  # the phone's clock is a day behind the server's


def segment(
    id_: int = 7, phase: str = "open", opens: int | None = OPENS, closes: int | None = CLOSES
) -> dict[str, Any]:
    return {
        "id": id_,
        "title": "Opening",
        "phase": phase,
        "opens_at": opens,
        "closes_at": closes,
        "prizes": [],
    }


def result(draw: int) -> dict[str, Any]:
    return {
        "draw": draw,
        "segment": 7,
        "winners": [],
        "seal": "",
        "record_url": "",
    }


def state(
    seq: int = 1, *, epoch: int = 1, on_air: dict[str, Any] | None = None, draws: tuple[int, ...] = ()
) -> dict[str, Any]:
    results = [result(draw) for draw in reversed(draws)]
    return {"type": "state", "epoch": epoch, "seq": seq, "segment": on_air, "results": results}


def welcome(
    now: int, document: dict[str, Any], *, total: int = 0, seq: int | None = None, **pace: int
) -> dict[str, Any]:
    pace = {"report_every_ms": 1_000, "jitter_ms": 500, "spread_ms": 5_000} | pace
    seq = document["seq"] if seq is None else seq
    return {
        "type": "welcome", "now": now, "viewer": "ab" * 14, "salt": "cd" * 32, "show": {}, "epoch": document["epoch"],
        "seq": seq, "state": document, "total": total, "max_hz": 8, **pace,
    }  # fmt: skip


def welcomed(now: float = OPENS, **fields: Any) -> tuple[Phone, Random]:
    """A phone whose clock is right, in a segment that is open."""
    phone, rng = Phone("tv"), Random(1)
    phone.hello("pass", now)
    phone.receive(welcome(int(now), state(on_air=segment()), **fields), now, rng)
    return phone, rng


def frames(phone: Phone, now: float, rng: Random) -> list[Any]:
    """Everything the phone wants to send now, as the gateway would decode it."""
    found = []
    while (frame := phone.next_frame(now, rng)) is not None:
        found.append(decode(frame))
    return found


def reports(phone: Phone, now: float, rng: Random) -> list[Shakes]:
    return [frame for frame in frames(phone, now, rng) if isinstance(frame, Shakes)]


class Theatre:
    """One phone and the server's rules for its feed, in steps of 10 ms; `loses` says which frames get lost."""

    def __init__(self, *, hz: float = 4, loses: Any = lambda rng: False, seed: int = 1) -> None:
        self.phone, self.hand, self.rng, self.loses = (
            Phone("app"),
            HumanHand(hz, Random(seed)),
            Random(seed),
            loses,
        )
        self.window = feed_window(
            opens_at=OPENS, closes_at=CLOSES, delay_ms=0, last_delay_ms=0, grace_ms=GRACE
        )
        self.tally = 0
        self.reported_at: list[int] = []
        self.phone.hello("pass", OPENS - 500 - AHEAD)
        self.phone.receive(welcome(OPENS - 500, state(on_air=segment())), OPENS - 500 - AHEAD, self.rng)

    def play(self, until: int = CLOSES + GRACE + 5_000) -> None:
        for now in range(OPENS - 500, until, 10):
            own = now - AHEAD
            self.phone.shake(own, self.hand.shake(10, self.rng))
            if now >= self.phone.wake_at + AHEAD:
                for frame in frames(self.phone, own, self.rng):
                    if not self.loses(self.rng):
                        self._answer(frame, now, own)

    def _answer(self, frame: Any, now: int, own: float) -> None:
        if isinstance(frame, Sync):
            self.phone.receive({"type": "synced", "t0": frame.t0, "t1": now, "t2": now}, own, self.rng)
        elif not self.window.accepts(now):
            self.phone.receive({"type": "error", "code": "not_open", "message": ""}, own, self.rng)
        else:
            self.reported_at.append(now)
            elapsed = self.window.elapsed_ms(now)
            self.tally = max(self.tally, clamp(frame.total, burst=10, max_hz=8, elapsed_ms=elapsed))
            if not self.loses(self.rng):
                self.phone.receive({"type": "ack", "segment": 7, "total": self.tally}, own + 5, self.rng)


# --- hello and the clock ---


def test_hello_carries_the_pass_and_the_feed() -> None:
    assert decode(Phone("tv").hello("p", 0)) == Hello(pass_="p", feed="tv")
    assert decode(Phone().hello("p", 0)) == Hello(pass_="p")


def test_a_phone_whose_clock_is_a_day_wrong_shakes_at_the_right_time() -> None:
    theatre = Theatre()
    opens, closes = theatre.phone.window()
    assert (opens + AHEAD, closes + AHEAD) == (OPENS, CLOSES)


def test_the_exchange_with_the_shortest_round_trip_sets_the_clock() -> None:
    phone, rng = Phone(), Random(1)
    phone.hello("p", 1_000)
    phone.receive(
        welcome(50_900, state(on_air=segment())), 2_000, rng
    )  # a second under way, nobody knows where
    assert phone.clock.offset == 49_400
    phone.receive({"type": "synced", "t0": 3_000, "t1": 53_010, "t2": 53_010}, 3_020, rng)
    assert phone.clock.offset == 50_000
    phone.receive({"type": "synced", "t0": 4_000, "t1": 54_900, "t2": 54_900}, 5_000, rng)
    assert phone.clock.offset == 50_000


def test_it_asks_for_the_time_once_after_each_welcome() -> None:
    phone, rng = welcomed(OPENS - 5_000)
    asked = [frame for now in range(OPENS - 5_000, OPENS - 1_000, 50) for frame in frames(phone, now, rng)]
    assert [type(frame) for frame in asked] == [Sync]


# --- counting and reporting ---


@pytest.mark.parametrize(
    ("now", "counts"), [(OPENS - 1, False), (OPENS, True), (CLOSES - 1, True), (CLOSES, False)]
)
def test_only_shakes_inside_the_window_count(now: int, counts: bool) -> None:
    phone, _ = welcomed()
    assert phone.shake(now) is counts
    assert phone.counts[7].total == int(counts)


@pytest.mark.parametrize("phase", ["sealed", "drawn", "published", "void"])
def test_nothing_counts_in_a_segment_that_is_over(phase: str) -> None:
    phone, rng = welcomed()
    phone.receive(state(2, on_air=segment(phase=phase)), OPENS, rng)
    assert not phone.shake(OPENS + 1)


def test_a_phone_that_does_not_shake_reports_nothing() -> None:
    theatre = Theatre(hz=0)
    theatre.play()
    assert theatre.reported_at == []


def test_what_was_shaken_is_reported_acknowledged_and_then_left_alone() -> None:
    theatre = Theatre()
    theatre.play()
    count = theatre.phone.counts[7]
    assert 0 < count.total == count.acknowledged == theatre.tally
    assert theatre.phone.settled
    assert theatre.phone.wake_at == NEVER


def test_it_reports_at_most_once_per_interval_with_jitter() -> None:
    theatre = Theatre()
    theatre.play()
    gaps = [
        after - before for before, after in zip(theatre.reported_at, theatre.reported_at[1:], strict=False)
    ]
    assert min(gaps) >= 1_000
    assert len(set(gaps)) > 3
    assert sum(gap > 1_600 for gap in gaps) <= 3  # pauses of the hand


def test_a_slower_pace_is_honoured() -> None:
    theatre = Theatre()
    theatre.phone.receive(
        {"type": "pace", "report_every_ms": 4_000, "jitter_ms": 2_000, "spread_ms": 9_000}, 0, Random(1)
    )
    theatre.play(CLOSES)
    assert len(theatre.reported_at) <= 3


def test_a_new_pace_holds_for_the_wait_that_has_begun() -> None:
    phone, rng = welcomed()
    phone.shake(OPENS, 3)
    first = next(now for now in range(OPENS, CLOSES, 10) if reports(phone, now, rng))
    phone.shake(first, 3)
    pace = {"type": "pace", "report_every_ms": 4_000, "jitter_ms": 100, "spread_ms": 9_000}
    phone.receive({"type": "ack", "segment": 7, "total": 3}, first + 200, rng)
    phone.receive(pace, first + 200, rng)
    second = next(now for now in range(first + 200, CLOSES + 2_000, 10) if reports(phone, now, rng))
    assert first + 4_000 <= second <= first + 4_110


def test_a_phone_leaves_out_one_turn_while_its_report_waits_for_an_ack() -> None:
    phone, rng = welcomed()
    sent = []
    for now in range(OPENS, CLOSES - 100, 10):
        phone.shake(now)
        if reports(phone, now, rng):
            sent.append(now)
    gaps = [later - earlier for earlier, later in itertools.pairwise(sent)]
    assert len(gaps) >= 2 and all(2_000 <= gap <= 3_020 for gap in gaps)  # nothing is ever answered


def test_the_final_report_comes_within_a_second_of_the_end_whatever_the_pace() -> None:
    phone, rng = welcomed(report_every_ms=10_000, jitter_ms=5_000)
    phone.shake(CLOSES - 1, 3)
    sent = [now for now in range(OPENS, CLOSES + 2_000, 10) if reports(phone, now, rng)]
    assert any(CLOSES <= now <= CLOSES + 1_010 for now in sent)


def test_an_unanswered_final_report_is_repeated() -> None:
    phone, rng = welcomed()
    phone.shake(CLOSES - 1, 3)
    sent = [now for now in range(CLOSES, CLOSES + 3_000, 10) if reports(phone, now, rng)]
    assert len(sent) == 3


def test_after_the_grace_it_gives_up() -> None:
    phone, rng = welcomed()
    phone.shake(CLOSES - 1, 3)
    assert reports(phone, CLOSES + 1_000, rng)
    phone.receive({"type": "error", "code": "not_open", "message": ""}, CLOSES + 4_000, rng)
    assert phone.settled
    assert not phone.counts[7].told
    assert not [now for now in range(CLOSES + 4_000, CLOSES + 20_000, 10) if reports(phone, now, rng)]


def test_a_refusal_inside_the_window_is_asked_about_and_tried_again() -> None:
    phone, rng = welcomed()
    phone.shake(OPENS, 1)
    first = next(now for now in range(OPENS, CLOSES, 10) if reports(phone, now, rng))
    phone.receive({"type": "error", "code": "not_open", "message": ""}, first, rng)
    heard = frames(phone, first, rng)
    assert [type(frame) for frame in heard] == [Sync]
    assert any(reports(phone, now, rng) for now in range(first, first + 2_000, 10))


def test_a_machine_is_told_twice_what_counts_and_then_stops() -> None:
    theatre = Theatre(hz=40)
    theatre.play()
    count = theatre.phone.counts[7]
    assert count.acknowledged == 90 < count.total
    assert count.told
    assert theatre.reported_at[-1] < CLOSES + GRACE


def test_the_late_answer_to_an_earlier_report_says_nothing_about_the_last_one() -> None:
    phone, rng = welcomed()
    phone.shake(CLOSES - 1, 5)
    assert reports(phone, CLOSES - 1, rng) or reports(phone, CLOSES + 1_000, rng)
    count = phone.counts[7]
    phone.stop(CLOSES + 1_000, rng)
    count.total = 9  # shaken before the end, told by the sensor later
    assert reports(phone, CLOSES + 3_000, rng)
    phone.receive({"type": "ack", "segment": 7, "total": 5}, CLOSES + 3_010, rng)
    assert (count.acknowledged, count.short_acks) == (5, 0)
    assert count.reported_at is not None
    phone.receive({"type": "ack", "segment": 7, "total": 9}, CLOSES + 3_020, rng)
    assert count.told


def test_a_segment_that_gives_way_to_the_next_is_still_reported_to_the_end() -> None:
    phone, rng = welcomed()
    phone.shake(CLOSES - 1, 5)
    phone.receive(state(2, on_air=segment(8, "armed", CLOSES + 500, CLOSES + 9_000)), CLOSES + 10, rng)
    phone.shake(CLOSES + 600, 2)
    sent = [report for now in range(CLOSES, CLOSES + 1_100, 10) for report in reports(phone, now, rng)]
    assert sent[0] == Shakes(segment=7, total=5)
    phone.receive({"type": "ack", "segment": 7, "total": 5}, CLOSES + 1_100, rng)
    later = [
        report for now in range(CLOSES + 1_100, CLOSES + 4_000, 10) for report in reports(phone, now, rng)
    ]
    assert {report.segment for report in later} == {8}


def test_a_phone_that_is_put_down_reports_what_it_has_and_no_more() -> None:
    phone, rng = welcomed()
    phone.shake(OPENS + 10, 4)
    phone.stop(OPENS + 20, rng)
    assert not phone.shake(OPENS + 30)
    assert any(reports(phone, now, rng) for now in range(OPENS + 20, OPENS + 1_100, 10))
    assert not phone.settled
    phone.receive({"type": "ack", "segment": 7, "total": 4}, OPENS + 1_200, rng)
    assert phone.settled


@given(seed=st.integers(0, 10**6), loss=st.floats(0, 0.4), hz=st.floats(0, 60))
def test_the_tally_never_has_less_than_was_acknowledged_nor_more_than_was_counted(
    seed: int, loss: float, hz: float
) -> None:
    theatre = Theatre(hz=hz, loses=lambda rng: rng.random() < loss, seed=seed)
    theatre.play(until=CLOSES + GRACE + 40_000)  # until a report gets through, and be it only to be refused
    count = theatre.phone.counts[7]
    assert count.acknowledged <= theatre.tally <= count.total
    assert theatre.phone.settled


# --- offline and back ---


def test_it_counts_while_offline_and_reports_when_it_is_back() -> None:
    phone, rng = welcomed()
    phone.lost(1006, "", rng)
    assert phone.wake_at == NEVER
    assert phone.shake(OPENS + 100, 6)
    assert frames(phone, CLOSES + 100, rng) == []
    phone.hello("p", CLOSES + 1_000)
    phone.receive(welcome(CLOSES + 1_000, state(on_air=segment())), CLOSES + 1_000, rng)
    sent = [
        report for now in range(CLOSES + 1_000, CLOSES + 2_000, 10) for report in reports(phone, now, rng)
    ]
    assert sent == [Shakes(segment=7, total=6)]


@pytest.mark.parametrize(("own", "theirs", "expected"), [(0, 30, 30), (30, 20, 30), (5, 5, 5)])
def test_it_goes_on_from_the_larger_of_its_own_total_and_the_servers(
    own: int, theirs: int, expected: int
) -> None:
    phone, rng = welcomed()
    phone.shake(OPENS, own)
    phone.lost(1006, "", rng)
    phone.receive(welcome(OPENS + 10, state(on_air=segment()), total=theirs), OPENS + 10, rng)
    assert phone.counts[7].total == expected


def waits(code: int, reason: str = "", *, losses: int = 1, spread: int = 5_000) -> list[float]:
    """A few hundred draws of how long a phone waits after so many losses in a row."""
    found = []
    for seed in range(300):
        phone, rng = welcomed(spread_ms=spread)
        rng.seed(seed)
        found.append([phone.lost(code, reason, rng) for _ in range(losses)][-1].wait_ms)
    return found


def test_after_a_loss_it_waits_anywhere_in_the_spread() -> None:
    found = waits(1006, spread=8_000)
    assert min(found) < 800
    assert 7_200 < max(found) <= 8_000


@pytest.mark.parametrize(
    ("losses", "limit"), [(2, 1_000), (3, 2_000), (6, 16_000), (7, 20_000), (2_000, 20_000)]
)
def test_then_it_backs_off_with_full_jitter_up_to_twenty_seconds(losses: int, limit: int) -> None:
    found = waits(1006, losses=losses)
    assert min(found) < limit / 10
    assert limit * 0.9 < max(found) <= limit


def test_a_welcome_ends_the_backing_off() -> None:
    phone, rng = welcomed(spread_ms=100)
    for _ in range(5):
        phone.lost(1006, "", rng)
    phone.receive(welcome(OPENS, state(on_air=segment()), spread_ms=100), OPENS, rng)
    assert phone.lost(1006, "", rng).wait_ms <= 100


@pytest.mark.parametrize("code", [4429, 4503])
def test_it_waits_as_long_as_it_is_told_and_not_all_at_once(code: int) -> None:
    found = waits(code, "retry=2000")
    assert min(found) >= 2_000
    assert max(found) <= 4_000
    assert len(set(found)) > 100


def test_a_restart_is_waited_for_up_to_five_seconds() -> None:
    assert 4_500 < max(waits(1012, spread=60_000)) <= 5_000


@pytest.mark.parametrize("code", [4400, 4404, 4413, 1009])
def test_it_stays_away_when_coming_back_cannot_help(code: int) -> None:
    phone, rng = welcomed()
    assert not phone.lost(code, "", rng).reconnect


def test_a_bad_pass_asks_for_a_new_one() -> None:
    phone, rng = welcomed()
    loss = phone.lost(4401, "", rng)
    assert loss.reconnect
    assert loss.new_pass
    assert not phone.lost(1006, "", rng).new_pass


def test_a_phone_that_is_another_viewer_now_begins_anew() -> None:
    phone, rng = welcomed()
    phone.shake(OPENS + 100, 5)
    phone.receive({"type": "ack", "segment": 7, "total": 5}, OPENS + 200, rng)
    phone.receive(welcome(OPENS + 300, state(on_air=segment())), OPENS + 300, rng)
    assert phone.counts[7].total == 5
    stranger = welcome(OPENS + 400, state(on_air=segment()), total=2) | {"viewer": "ef" * 14}
    phone.receive(stranger, OPENS + 400, rng)
    assert (phone.viewer, phone.counts[7].total, phone.counts[7].acknowledged) == ("ef" * 14, 2, 2)


# --- the order of things: epoch, seq, results ---


def test_an_older_state_is_a_repeat_and_dropped() -> None:
    phone, rng = welcomed()
    phone.receive(state(5, on_air=segment(8)), OPENS, rng)
    phone.receive(state(4, on_air=segment(9)), OPENS, rng)
    assert phone.segment == segment(8)


def test_a_new_epoch_starts_again_from_any_number() -> None:
    phone, rng = welcomed()
    phone.receive(state(5), OPENS, rng)
    phone.receive(state(1, epoch=2, on_air=segment(9)), OPENS, rng)
    assert (phone.epoch, phone.seq, phone.segment) == (2, 1, segment(9))


def test_a_new_epoch_begins_a_segment_of_the_same_number_anew() -> None:
    phone, rng = welcomed()
    phone.receive(state(5, on_air=segment(7)), OPENS, rng)
    assert phone.shake(OPENS, 9) and phone.counts[7].total == 9
    phone.receive(state(1, epoch=2, on_air=segment(7)), OPENS, rng)
    assert phone.counts[7].total == 0 and phone.shake(OPENS, 2) and phone.counts[7].total == 2


def asks_again(phone: Phone, rng: Random, now: float = OPENS) -> list[float]:
    """When the phone asks for the whole state in the next three seconds."""
    return [at - now for at in range(int(now), int(now) + 3_000, 10) if Resync() in frames(phone, at, rng)]


def pulse(seq: int, epoch: int = 1) -> dict[str, Any]:
    return {
        "type": "pulse",
        "epoch": epoch,
        "seq": seq,
        "segment": 7,
        "phones": 1,
        "shakes": 0,
        "per_second": 0,
        "leaders": [],
    }


@pytest.mark.parametrize("message", [pulse(2), pulse(1, epoch=2)])
def test_a_gap_is_asked_about_once_after_a_random_wait(message: dict[str, Any]) -> None:
    found = []
    for seed in range(40):
        phone, rng = welcomed()
        rng.seed(seed)
        phone.receive(message, OPENS, rng)
        phone.receive(message, OPENS, rng)
        asked = asks_again(phone, rng)
        assert len(asked) == 1
        found += asked
    assert max(found) <= 510
    assert len(set(found)) > 10


@pytest.mark.parametrize("message", [pulse(1), pulse(0)])
def test_what_is_in_order_or_a_repeat_is_no_gap(message: dict[str, Any]) -> None:
    phone, rng = welcomed()
    phone.receive(message, OPENS, rng)
    assert asks_again(phone, rng) == []


def test_a_state_that_arrives_by_itself_makes_the_question_unnecessary() -> None:
    phone, rng = welcomed()
    phone.receive(pulse(2), OPENS, rng)
    phone.receive(state(2, on_air=segment()), OPENS, rng)
    assert asks_again(phone, rng) == []


def test_a_server_that_never_closes_the_gap_is_not_flooded() -> None:
    phone, rng = welcomed()
    asked = 0
    for now in range(OPENS, OPENS + 10_000, 100):
        phone.receive(pulse(2), now, rng)
        asked += frames(phone, now, rng).count(Resync())
    assert asked <= 10


def test_a_result_is_shown_once_however_many_states_tell_of_it() -> None:
    phone, rng = welcomed()
    assert [news["draw"] for news in phone.receive(state(2, draws=(3,)), OPENS, rng)] == [3]
    assert [news["draw"] for news in phone.receive(state(4, draws=(3, 4)), OPENS, rng)] == [4]


def test_a_win_is_shown_once_even_after_a_reconnect() -> None:
    phone, rng = welcomed()
    won = {"type": "won", "draw": 3, "prize": {}, "claim_url": "/c", "claim_by": 1, "status": "won"}
    assert phone.receive(won, OPENS, rng) == [won]
    phone.lost(1006, "", rng)
    phone.receive(welcome(OPENS, state(2)), OPENS, rng)
    assert list(phone.receive(dict(won), OPENS, rng)) == []


def test_a_win_changes_until_it_is_claimed_or_lost() -> None:
    phone, rng = welcomed()
    won = {"type": "won", "draw": 3, "prize": {}, "claim_url": "/c", "claim_by": 1, "status": "won"}
    phone.receive(won, OPENS, rng)
    phone.receive({**won, "status": "claimed"}, OPENS, rng)
    assert phone.wins[3]["status"] == "claimed" and phone.lost_wins == set()
    assert list(phone.receive({**won, "status": "lost"}, OPENS, rng)) == []
    assert phone.lost_wins == {3}


def test_what_claims_a_win_is_the_pass_and_the_salt() -> None:
    phone, _ = welcomed()
    phone.hello("the-pass", OPENS)
    assert phone.proof() == {"pass": "the-pass", "salt": phone.salt}


def test_unknown_messages_are_left_to_newer_phones() -> None:
    phone, rng = welcomed()
    assert phone.receive({"type": "fireworks"}, OPENS, rng) == ()


def story(draws: int) -> list[dict[str, Any]]:
    """All that a gateway sends while so many draws are published, in order."""
    told: list[dict[str, Any]] = []
    for draw in range(1, draws + 1):
        seq = draw + 1
        told += [
            state(seq, on_air=segment(), draws=tuple(range(1, draw + 1))),
            pulse(seq),
            {"type": "ack", "segment": 7, "total": draw * 3},
            {"type": "won", "draw": draw, "status": "won"},
        ]
    return told


@given(st.data())
def test_shuffled_repeated_and_lost_frames_never_show_a_result_twice_or_lower_a_total(
    data: st.DataObject,
) -> None:
    told = story(4)
    heard = data.draw(st.lists(st.sampled_from(told), max_size=40))
    phone, rng = welcomed()
    shown: list[tuple[str, int]] = []
    totals = [(0, 0)]
    for now, message in enumerate([*heard, told[-4]], OPENS):
        shown += [(news.get("type", "result"), news["draw"]) for news in phone.receive(message, now, rng)]
        totals.append((phone.counts[7].total, phone.counts[7].acknowledged))
        phone.shake(now)
        frames(phone, now, rng)  # each of them is one that the gateway understands
    assert len(shown) == len(set(shown))
    assert totals == sorted(totals)
    assert {draw for kind, draw in shown if kind == "result"} == {
        1,
        2,
        3,
        4,
    }  # the last state heals everything


# --- stubs ---


def stub(total: int, of: int = 7) -> dict[str, Any]:
    return {"type": "stub", "segment": of, "key": "ab" * 32, "stub": {"total": total, "gateway": "g"}}


def test_it_keeps_of_each_segment_the_stub_that_says_most_and_shows_nothing() -> None:
    phone, rng = welcomed()
    for message in (stub(5), stub(9), stub(7), stub(3, of=8)):
        assert phone.receive(message, CLOSES, rng) == ()
    assert {of: kept["stub"]["total"] for of, kept in phone.stubs.items()} == {7: 9, 8: 3}
    phone.receive(state(seq=1, epoch=2), CLOSES, rng)
    assert phone.stubs == {}, "of another life of the database, where segments have the same numbers"
