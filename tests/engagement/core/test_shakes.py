"""The clamp, the windows and the frame limit."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.core.errors import PhoneFault, WireError
from engagement.core.shakes import FrameLimit, clamp
from engagement.core.windows import feed_window

TOTALS = st.integers(0, 2**32 - 1)
TIMES = st.integers(0, 3_600_000)


@given(TOTALS, TIMES)
def test_the_clamp_never_adds_and_never_exceeds_what_a_hand_can_do(total: int, elapsed: int) -> None:
    accepted = clamp(total, burst=10, max_hz=8, elapsed_ms=elapsed)
    assert 0 <= accepted <= total
    assert accepted <= 10 + 8 * elapsed / 1000


@given(TOTALS, TOTALS, TIMES, TIMES)
def test_the_clamp_is_monotone_in_total_and_time(one: int, two: int, early: int, late: int) -> None:
    (low, high), (early, late) = sorted((one, two)), sorted((early, late))
    assert clamp(low, burst=10, max_hz=8, elapsed_ms=early) <= clamp(
        high, burst=10, max_hz=8, elapsed_ms=late
    )


@given(st.lists(st.tuples(TOTALS, TIMES), min_size=1), st.randoms())
def test_the_maximum_of_clamped_reports_does_not_depend_on_their_order(reports: list, random) -> None:
    def tally(rows: list) -> int:
        return max(clamp(total, burst=10, max_hz=8, elapsed_ms=elapsed) for total, elapsed in rows)

    shuffled = [*reports, *reports]
    random.shuffle(shuffled)
    assert tally(shuffled) == tally(reports)


DELAYS = st.integers(0, 300_000)


@given(
    opens=st.integers(0, 10**12),
    length=st.integers(1, 10**6),
    delay=DELAYS,
    more=DELAYS,
    grace=st.integers(0, 60_000),
    moment=st.integers(-(10**6), 10**7),
)
def test_every_feed_has_a_window_of_the_same_length_and_one_end_of_grace(
    opens: int, length: int, delay: int, more: int, grace: int, moment: int
) -> None:
    last = delay + more
    window = feed_window(
        opens_at=opens, closes_at=opens + length, delay_ms=delay, last_delay_ms=last, grace_ms=grace
    )
    now = opens + moment
    assert window.closes_at - window.opens_at == length
    assert window.grace_ends_at == opens + length + last + grace
    assert 0 <= window.elapsed_ms(now) <= length
    assert window.accepts(now) == (opens + delay <= now < window.grace_ends_at)


MS = 10**6


def taken_at(moments: list[int]) -> list[int]:
    """Those moments, in milliseconds, at which a frame was within the limit."""
    limit, full_at, taken = FrameLimit(per_second=4), 0, []
    for moment in moments:
        try:
            full_at = limit.take(full_at, moment * MS)
        except PhoneFault as fault:
            assert fault.error is WireError.TOO_FAST and (fault.retry_after_ms or 0) >= 1_000
        else:
            taken.append(moment)
    return taken


def test_frames_within_four_a_second_are_always_welcome() -> None:
    moments = [number * 250 for number in range(1_000)]
    assert taken_at(moments) == moments


def test_a_burst_of_ten_is_welcome_again_after_the_bucket_has_filled() -> None:
    bursts = [start for start in (0, 2_500, 60_000) for _ in range(11)]
    assert taken_at(bursts) == [start for start in (0, 2_500, 60_000) for _ in range(10)]


def test_time_in_which_the_process_was_held_up_is_credited_once() -> None:
    limit, full_at, taken = FrameLimit(per_second=4), 0, 0
    with pytest.raises(PhoneFault):
        for _ in range(100):
            full_at = limit.take(full_at, 60_000 * MS, held_up=5_000 * MS)
            taken += 1
    assert taken == 10 + 20


@given(st.lists(st.integers(0, 2_000), max_size=200))
def test_no_ten_seconds_let_through_more_than_the_burst_and_forty(gaps: list[int]) -> None:
    taken = taken_at(list(accumulate(gaps)))
    for start in taken:
        assert sum(start <= moment < start + 10_000 for moment in taken) <= 10 + 40
