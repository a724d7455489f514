"""The replay of dispositions: one holder per piece, reserves in order, and nothing that does not follow."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from prizes.core.dispositions import Change, Standing, follow, next_change, replay
from prizes.core.record import STATUSES

LOST = Change("aa", "1-1", "forfeited", "deadline passed")
WINNERS = {"1-1": "aa", "1-2": "bb"}
RESERVES = ["cc", "dd"]


def test_without_changes_the_winners_of_the_draw_hold_their_pieces() -> None:
    assert replay(WINNERS, RESERVES, []) == Standing(WINNERS, reserves=("cc", "dd"))


def test_a_whole_story_is_replayed() -> None:
    story = [
        Change("bb", "1-2", "claimed"),
        LOST,
        Change("cc", "", "skipped", "won in another draw"),
        Change("dd", "1-1", "won", "moved up"),
        Change("bb", "1-2", "disqualified", "false identity"),
        Change("dd", "1-1", "claimed"),
    ]
    end = replay(WINNERS, RESERVES, story)
    assert end == Standing({"1-1": "dd"}, claimed=frozenset({"1-1"}), free=("1-2",))
    assert next_change(end, ()) is None  # a freed piece without reserves stays free


def test_pieces_are_taken_in_the_order_in_which_they_were_lost() -> None:
    both = replay(WINNERS, RESERVES, [Change("bb", "1-2", "forfeited", "declined"), LOST])
    assert next_change(both, ()) == Change("cc", "1-2", "won", "moved up")


@pytest.mark.parametrize(
    ("before", "change", "why"),
    [
        ([], Change("aa", "1-1", "claimed", "gladly"), "closed list"),
        ([], Change("aa", "1-1", "promoted"), "closed list"),
        ([], Change("aa", "1-1", "disqualified", "declined"), "closed list"),
        ([], Change("bb", "1-1", "claimed"), "the holder of 1-1"),
        ([], Change("aa", "9-9", "claimed"), "the holder of 9-9"),
        ([], Change("", "9-9", "disqualified", "under age"), "the holder of 9-9"),
        ([LOST], Change("aa", "1-1", "claimed"), "the holder of 1-1"),
        ([LOST], LOST, "the holder of 1-1"),
        ([Change("aa", "1-1", "claimed")], LOST, "claimed already"),
        ([Change("aa", "1-1", "claimed")], Change("aa", "1-1", "claimed"), "claimed already"),
        ([], Change("cc", "1-1", "won", "moved up"), "a free piece"),
        ([], Change("cc", "", "skipped", "won in another draw"), "a free piece"),
        ([LOST], Change("dd", "1-1", "won", "moved up"), "the next reserve"),
        ([LOST], Change("zz", "", "skipped", "won in another draw"), "the next reserve"),
        ([LOST], Change("cc", "1-2", "won", "moved up"), "a free piece of"),
        ([LOST], Change("cc", "1-1", "skipped", "won in another draw"), "no prize"),
    ],
)
def test_what_does_not_follow_is_refused(before: list[Change], change: Change, why: str) -> None:
    standing = replay(WINNERS, RESERVES, before)
    with pytest.raises(ValueError, match=why):
        follow(standing, change)


def test_nobody_moves_up_when_all_reserves_are_used() -> None:
    with pytest.raises(ValueError, match="the next reserve"):
        follow(replay(WINNERS, [], [LOST]), Change("cc", "1-1", "won", "moved up"))


changes = st.builds(
    Change,
    st.sampled_from(["aa", "bb", "cc", "dd", ""]),
    st.sampled_from(["1-1", "1-2", ""]),
    st.sampled_from([*STATUSES, "promoted"]),
    st.sampled_from(sorted({reason for reasons in STATUSES.values() for reason in reasons})),
)


@given(st.lists(changes, max_size=12))
def test_any_list_is_replayed_or_refused(story: list[Change]) -> None:
    try:
        end = replay(WINNERS, RESERVES, story)
    except ValueError:
        return
    check_sanity(end)


def check_sanity(standing: Standing) -> None:
    assert len(set(standing.holders.values())) == len(standing.holders)  # nobody holds two pieces
    assert not set(standing.holders) & set(standing.free)
    assert set(standing.holders) | set(standing.free) == set(WINNERS)  # no piece is lost, none is invented
    assert standing.claimed <= set(standing.holders)
    assert tuple(RESERVES)[len(RESERVES) - len(standing.reserves) :] == standing.reserves


class Night(RuleBasedStateMachine):
    """People claim, decline and are disqualified in any order, the clock runs out, and reserves move up."""

    @initialize(elsewhere=st.sets(st.sampled_from(RESERVES)))
    def draw(self, elsewhere: set[str]) -> None:
        self.elsewhere = elsewhere
        self.story: list[Change] = []
        self.standing = replay(WINNERS, RESERVES, [])

    def take(self, change: Change) -> None:
        self.standing = follow(self.standing, change)
        self.story.append(change)

    def open_pieces(self) -> Iterator[tuple[str, str]]:
        return (row for row in self.standing.holders.items() if row[0] not in self.standing.claimed)

    @precondition(lambda self: any(self.open_pieces()))
    @rule(data=st.data(), what=st.sampled_from(["claimed", "declined", "deadline passed"]))
    def holder_answers_or_is_late(self, data: st.DataObject, what: str) -> None:
        piece, holder = data.draw(st.sampled_from(sorted(self.open_pieces())))
        claimed = Change(holder, piece, "claimed")
        self.take(claimed if what == "claimed" else Change(holder, piece, "forfeited", what))

    @precondition(lambda self: self.standing.holders)
    @rule(data=st.data(), reason=st.sampled_from(STATUSES["disqualified"]))
    def holder_is_disqualified(self, data: st.DataObject, reason: str) -> None:
        piece, holder = data.draw(st.sampled_from(sorted(self.standing.holders.items())))
        self.take(Change(holder, piece, "disqualified", reason))

    @rule()
    def conductor_settles(self) -> None:
        while (change := next_change(self.standing, self.elsewhere)) is not None:
            self.take(change)
        assert not self.standing.free or not self.standing.reserves

    @invariant()
    def there_are_never_two_holders_and_the_story_replays(self) -> None:
        check_sanity(self.standing)
        assert replay(WINNERS, RESERVES, self.story) == self.standing
        consumed = [row.pseudonym for row in self.story if row.status in ("won", "skipped")]
        assert consumed == RESERVES[: len(consumed)]
        assert not {row.pseudonym for row in self.story if row.status == "won"} & self.elsewhere


TestNight = Night.TestCase
