"""The clamp, the windows, the frame limit and the pace."""

from hypothesis import given
from hypothesis import strategies as st

from engagement.core.shakes import CALM_MS, PRESSED_MS, FrameLimit, choose_pace, clamp
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


def test_frames_within_four_a_second_are_always_welcome() -> None:
    limit = FrameLimit(now_ms=0)
    assert all(limit.take(now_ms=number * 250) == 0 for number in range(1000))


def test_a_burst_of_ten_is_welcome_again_after_the_bucket_has_filled() -> None:
    limit = FrameLimit(now_ms=0)
    for start in (0, 2_500, 60_000):
        assert [limit.take(now_ms=start) for _ in range(11)] == [0] * 10 + [250]


@given(st.lists(st.integers(0, 2_000), max_size=200))
def test_no_ten_seconds_let_through_more_than_the_burst_and_forty(gaps: list[int]) -> None:
    limit, now, taken = FrameLimit(now_ms=0), 0, []
    for gap in gaps:
        now += gap
        if limit.take(now_ms=now) == 0:
            taken.append(now)
    for start in taken:
        assert sum(start <= moment < start + 10_000 for moment in taken) <= 10 + 40


@given(st.integers(0, 10**7), st.integers(0, 10**6))
def test_the_pace_stays_within_one_and_ten_seconds(phones: int, flush_ms: int) -> None:
    pace = choose_pace(phones=phones, flush_ms=flush_ms, reports_per_second=20_000, connects_per_second=2_000)
    assert CALM_MS <= pace.report_every_ms <= PRESSED_MS
    assert 0 < pace.jitter_ms <= pace.report_every_ms
    assert pace.spread_ms >= 5_000


def test_a_tally_that_does_not_answer_slows_the_phones() -> None:
    slow = choose_pace(phones=10, flush_ms=3_500, reports_per_second=20_000, connects_per_second=2_000)
    assert slow.report_every_ms == 4_000
