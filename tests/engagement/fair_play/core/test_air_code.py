"""The code on air: six digits, another one for each feed, minute and show, good for three minutes."""

from engagement.fair_play.core.air_code import DIGITS, PERIOD_MS, VALID_PERIODS, code_of, is_on_air

KEY, NOW = bytes(range(32)), 1_794_000_000_000


def test_it_is_another_one_for_each_feed_show_and_minute() -> None:
    codes = {
        code_of(key, feed, NOW + minute * PERIOD_MS)
        for key in (KEY, bytes(32))
        for feed in ("app", "tv")
        for minute in range(10)
    }
    assert len(codes) == 40
    assert all(len(code) == DIGITS and code.isdecimal() for code in codes)


def test_it_counts_until_three_minutes_after_it_was_shown_first() -> None:
    began = NOW // PERIOD_MS * PERIOD_MS
    code = code_of(KEY, "tv", began)
    times = [began - 1, began, began + VALID_PERIODS * PERIOD_MS - 1, began + VALID_PERIODS * PERIOD_MS]
    assert [is_on_air(KEY, ["app", "tv"], code, time) for time in times] == [False, True, True, False]
    assert not is_on_air(KEY, ["app"], code, began)
    assert not is_on_air(KEY, [], code, began)


def test_anything_else_is_not_on_air() -> None:
    right = code_of(KEY, "tv", NOW)
    for code in ("", "0", right[:-1], f"{right} ", "１２３４５６", "é" * 6):
        assert not is_on_air(KEY, ["tv"], code, NOW)
