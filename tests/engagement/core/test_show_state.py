"""Which segment is shown, when it takes reports, and what a phone is told of it."""

from typing import Any

import msgspec
import pytest

from engagement.chinese import LONGEST_TWICE
from engagement.core.messages import (
    MAX_LISTED,
    MAX_RESULTS,
    MAX_WINNERS,
    Named,
    NamedWinner,
    Naming,
    Next,
    Picture,
    Winner,
    encode,
)
from engagement.core.phases import REPORTING, TRANSITIONS, IllegalTransition, Phase, check_transition
from engagement.core.show_state import (
    Facts,
    SegmentState,
    ShowState,
    bound_results,
    choose_current,
    cut_winners,
    demo_state,
    find_next,
    is_more_to_come,
    parse_state,
    small_step,
    state_message,
)
from engagement.pictures.models import ALT_LENGTH
from tests.cast import PRIZE, make_result, make_winner


def shown(state: ShowState, feed: str | None) -> dict[str, Any]:
    """What phones of a feed see."""
    found: dict[str, Any] = msgspec.json.decode(encode(state_message(state, feed)))
    return found


def segment(number: int, phase: Phase, opens_at: int | None = None, since: int = 0) -> SegmentState:
    closes_at = None if opens_at is None else opens_at + 10
    changes = {"id": number, "phase": phase, "opens_at": opens_at, "closes_at": closes_at, "phase_at": since}
    return msgspec.structs.replace(demo_state().segments[0], **changes)


@pytest.mark.parametrize(
    ("rundown", "current"),
    [
        ([], None),
        ([segment(1, Phase.DRAFT), segment(2, Phase.VOID)], None),
        ([segment(1, Phase.DRAFT), segment(2, Phase.ARMED), segment(3, Phase.ARMED)], 2),
        ([segment(1, Phase.PUBLISHED, 5), segment(2, Phase.ARMED)], 1),
        ([segment(1, Phase.PUBLISHED, 5), segment(2, Phase.DRAWN, 50), segment(3, Phase.ARMED)], 2),
        ([segment(1, Phase.CLOSING, 5), segment(2, Phase.ARMED, 90), segment(3, Phase.ARMED, 80)], 3),
        ([segment(1, Phase.CLOSING, 5), segment(2, Phase.OPEN, 50), segment(3, Phase.ARMED, 80)], 2),
        ([segment(1, Phase.VOID, 50, since=3), segment(2, Phase.PUBLISHED, 5, since=9)], 2),
        ([segment(1, Phase.VOID, 50, since=9), segment(2, Phase.PUBLISHED, 5, since=3)], 1),
        ([segment(1, Phase.VOID, None, since=9), segment(2, Phase.SPOILED, 5, since=3)], 2),
        # Armed before the last one ended: its winners stay. Armed since: the prizes of the next one are announced.
        ([segment(1, Phase.PUBLISHED, 5, since=9), segment(2, Phase.ARMED, since=8)], 1),
        ([segment(1, Phase.PUBLISHED, 5, since=9), segment(2, Phase.ARMED, since=10)], 2),
        (
            [
                segment(1, Phase.PUBLISHED, 5, since=9),
                *(segment(n, Phase.ARMED, since=14 - n) for n in (2, 3)),
            ],
            2,
        ),
        ([segment(1, Phase.DRAWN, 5, since=9), segment(2, Phase.ARMED, since=10)], 1),
    ],
)
def test_the_segment_shown_is_on_air_else_next_else_last(rundown: list, current: int | None) -> None:
    assert choose_current(rundown) == current


def test_what_the_crew_announces_comes_before_what_is_over_and_not_before_what_is_drawn() -> None:
    armed = segment(2, Phase.ARMED, since=8)
    assert choose_current([segment(1, Phase.PUBLISHED, 5, since=9), armed], "announce") == 2
    assert choose_current([segment(1, Phase.PUBLISHED, 5, since=9)], "announce") == 1
    assert choose_current([segment(1, Phase.SEALED, 5, since=9), armed], "announce") == 1


def test_the_next_segment_is_the_first_behind_the_current_one_that_is_to_come() -> None:
    rundown = [
        segment(1, Phase.DRAFT),
        segment(2, Phase.OPEN, 5),
        segment(3, Phase.VOID),
        segment(4, Phase.ARMED, 90),
    ]
    assert find_next(rundown, current=2) == Next(title="Opening", title_zh="开场", opens_at=90)
    assert find_next(rundown[:3], current=2) is None
    assert find_next(rundown, current=None) == Next(title="Opening", title_zh="开场", opens_at=None)


# --- a name or a cue alone ---


def named(*numbers: int) -> ShowState:
    """The demo's segment is drawn, and so many winners are named."""
    rows = [
        NamedWinner(
            number=number, at=60_000 + number, pseudonym=f"{number:028x}", name=f"N {number}", prize=PRIZE.id
        )
        for number in numbers
    ]
    naming = Naming(of=9, named=len(rows), winners=rows, prizes=[PRIZE]) if rows else None
    drawn = msgspec.structs.replace(demo_state().segments[0], phase=Phase.DRAWN, naming=naming)
    return msgspec.structs.replace(demo_state(), seq=3 + len(rows), segments=[drawn])


def test_one_more_name_is_told_alone_and_in_the_time_of_the_feed() -> None:
    step = small_step(named(1), named(1, 2), "tv")
    assert isinstance(step, Named)
    assert (step.seq, step.segment, step.of, step.winner.number, step.prize) == (5, 7, 9, 2, PRIZE)
    assert step.winner.at == 60_002 + 1_500
    assert len(encode(step)) < 1024
    assert shown(named(1, 2), "tv")["segment"]["naming"]["winners"][-1]["at"] == step.winner.at


@pytest.mark.parametrize(
    "state",
    [
        named(1, 2, 3),  # one was missed
        msgspec.structs.replace(named(1, 2), title="Another"),
        msgspec.structs.replace(named(1, 2), current=None),
        msgspec.structs.replace(named(), seq=5),
        msgspec.structs.replace(named(1, 2), epoch=9),
    ],
)
def test_whatever_else_is_new_is_told_with_the_whole_state(state: ShowState) -> None:
    assert small_step(named(1), state, "tv") is None


@pytest.mark.parametrize("phase", Phase)
def test_more_is_to_come_while_another_segment_is_not_over(phase: Phase) -> None:
    last, other = segment(1, Phase.PUBLISHED, 5), segment(2, phase, 9)
    assert is_more_to_come([last, other], current=1) == (phase in (Phase.DRAFT, Phase.ARMED, Phase.OPEN))
    assert not is_more_to_come([other], current=2)


@pytest.mark.parametrize("phase", Phase)
def test_only_segments_that_may_take_reports_have_a_window(phase: Phase) -> None:
    state = demo_state()
    found = state.window(segment(7, phase, 10_000), "tv")
    assert (found is not None) == (phase in REPORTING)


def test_a_segment_that_is_not_scheduled_has_no_window() -> None:
    assert demo_state().window(segment(7, Phase.ARMED), "tv") is None


def test_a_newer_number_or_another_epoch_replaces_a_state() -> None:
    state = demo_state()
    later = msgspec.structs.replace(state, seq=state.seq + 1)
    restarted = msgspec.structs.replace(state, epoch=99, seq=0)
    assert state.is_newer_than(None)
    assert later.is_newer_than(state)
    assert restarted.is_newer_than(later)
    assert not state.is_newer_than(state)
    assert not state.is_newer_than(later)


def test_phones_are_told_times_of_their_feed_and_a_screen_those_of_the_studio() -> None:
    state = demo_state()
    times = {feed: shown(state, feed)["segment"]["closes_at"] for feed in ("app", "tv", None)}
    assert times == {"app": 30_000, "tv": 31_500, None: 30_000}


def test_nothing_is_told_of_a_show_without_a_current_segment() -> None:
    state = msgspec.structs.replace(demo_state(), current=None, feeds={})
    assert shown(state, None)["segment"] is None
    assert state.default_feed is None
    assert state.last_delay_ms == 0


def test_a_seal_is_told_once_there_is_one_and_times_are_null_before_they_are_known() -> None:
    sealed = msgspec.structs.replace(segment(7, Phase.SEALED), seals=["ab" * 32])
    fields = shown(msgspec.structs.replace(demo_state(), segments=[sealed]), "tv")["segment"]
    assert fields["seal"] == "ab" * 32 and "seals" not in fields and "draws" not in fields
    assert fields["opens_at"] is None
    assert fields["closes_at"] is None


def test_all_seals_are_told_where_a_segment_has_several_draws() -> None:
    facts = Facts(draws=[2, 1])
    sealed = msgspec.structs.replace(segment(7, Phase.SEALED), seals=["ab" * 32, "cd" * 32], facts=facts)
    fields = shown(msgspec.structs.replace(demo_state(), segments=[sealed]), "tv")["segment"]
    assert fields["seal"] == "ab" * 32 and fields["seals"] == ["ab" * 32, "cd" * 32]
    assert fields["draws"] == [2, 1]


def test_the_signed_ledger_is_told_with_a_seal_until_the_draw_and_where_there_is_one() -> None:
    def told(phase: Phase, checkpoint: str) -> object:
        sealed = msgspec.structs.replace(segment(7, phase), seals=["ab" * 32], checkpoint=checkpoint)
        state = msgspec.structs.replace(demo_state(), segments=[sealed])
        return shown(state, "tv")["segment"].get("checkpoint")

    assert told(Phase.SEALED, "gala/gala\n7\n") == "gala/gala\n7\n"
    assert told(Phase.SEALED, "") is None
    assert told(Phase.DRAWN, "gala/gala\n7\n") is told(Phase.PUBLISHED, "gala/gala\n7\n") is None


def test_the_show_key_is_never_told() -> None:
    state = msgspec.structs.replace(demo_state(), k_show="the-locked-key")
    assert "the-locked-key" not in encode(state_message(state, "tv"))


def winners(count: int) -> list[Winner]:
    return [make_winner(f"{number:028x}") for number in range(count)]


def test_a_state_does_not_grow_with_draws_nor_with_winners() -> None:
    many = [make_result(7, *winners(1_000), draw=draw) for draw in range(30)]
    bounded = bound_results([cut_winners(result, MAX_WINNERS) for result in many])
    assert [result.draw for result in bounded] == list(range(29, 29 - MAX_RESULTS, -1))
    assert sum(len(result.winners) for result in bounded) == MAX_LISTED
    assert [result.winners_total for result in bounded] == [1_000] * MAX_RESULTS
    assert len(encode(state_message(msgspec.structs.replace(demo_state(), results=bounded), "tv"))) < 16_384


def test_the_largest_welcome_is_far_below_what_clients_take() -> None:
    """Clients close a socket at 1 MiB; here every text is as long as a row can have it, in Chinese."""
    longest = dict.fromkeys(
        ("celebrity", "celebrity_zh", "brand", "garment", "garment_zh", "size"), "银" * 120
    )
    longest |= dict.fromkeys(("celebrity_hant", "garment_hant"), "銀" * 80)
    longest |= dict.fromkeys(("celebrity_hk", "garment_hk"), "銀" * LONGEST_TWICE)
    prizes = [msgspec.structs.replace(PRIZE, id=number, **longest) for number in range(500)]
    held = [msgspec.structs.replace(winner, prize=number) for number, winner in enumerate(winners(20))]
    results = [make_result(7, *held, draw=draw, prizes=prizes) for draw in range(30)]
    segment = msgspec.structs.replace(demo_state().segments[0], prizes=prizes)
    bounded = bound_results([cut_winners(result, MAX_WINNERS) for result in results])
    state = msgspec.structs.replace(demo_state(), segments=[segment], results=bounded)
    assert len(encode(state_message(state, "tv")).encode()) < 400_000


def test_pictures_leave_the_largest_welcome_as_large_as_the_protocol_says() -> None:
    """Here every text is exactly as long as a row can have it, and each prize has a picture."""
    alt = {"alt": "银" * ALT_LENGTH, "alt_zh": "银" * ALT_LENGTH, "alt_hant": "銀" * ALT_LENGTH}
    sizes = [(1000 + width, 2000) for width in range(4)]
    picture = Picture(base=f"/pictures/{64 * 'a'}/", sizes=sizes, **alt, alt_hk="銀" * LONGEST_TWICE)
    longest = dict.fromkeys(("celebrity", "celebrity_zh", "brand", "garment", "garment_zh"), "银" * 80)
    longest |= dict.fromkeys(("celebrity_hant", "garment_hant"), "銀" * 80) | {"size": "银" * 20}
    longest |= dict.fromkeys(("celebrity_hk", "garment_hk"), "銀" * LONGEST_TWICE)
    prizes = [msgspec.structs.replace(PRIZE, id=number, **longest, picture=picture) for number in range(500)]
    held = [msgspec.structs.replace(winner, prize=number) for number, winner in enumerate(winners(20))]
    results = [make_result(7, *held, draw=draw, prizes=prizes) for draw in range(30)]
    segment = msgspec.structs.replace(demo_state().segments[0], prizes=prizes)
    bounded = bound_results([cut_winners(result, MAX_WINNERS) for result in results])
    state = msgspec.structs.replace(
        demo_state(), segments=[segment], results=bounded, picture=picture, standby_picture=picture
    )
    assert len(encode(state_message(state, "tv")).encode()) < 400_000


def test_who_holds_which_prize_is_no_news_for_the_hall() -> None:
    before, after = (
        msgspec.structs.replace(demo_state(), results=[make_result(7, make_winner("ab" * 14, status=status))])
        for status in ("won", "claimed")
    )
    assert before.digest == after.digest != demo_state().digest


def test_a_document_of_another_shape_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        parse_state(b'{"slug":"demo"}')


def test_every_phase_has_a_row_and_end_states_an_empty_one() -> None:
    assert set(TRANSITIONS) == set(Phase)
    assert {phase for phase, row in TRANSITIONS.items() if not row} == {
        Phase.PUBLISHED,
        Phase.VOID,
        Phase.SPOILED,
    }


@pytest.mark.parametrize("old", Phase)
@pytest.mark.parametrize("new", Phase)
def test_a_move_that_is_not_in_the_table_is_an_error(old: Phase, new: Phase) -> None:
    if new in TRANSITIONS[old]:
        check_transition(old, new)
    else:
        with pytest.raises(IllegalTransition, match=f"a {old} segment cannot become {new}"):
            check_transition(old, new)
