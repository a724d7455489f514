"""Rounds, beacons and keys: the edges of time and every wrong length."""

import hashlib

import pytest

from prizes.core import digests
from tests.prizes.draws import make_beacon


@pytest.mark.parametrize("t_freeze", range(1692806300, 1692806310))
def test_the_round_is_the_first_at_or_after_the_margin(t_freeze):
    number = digests.drand_round(t_freeze, 60)
    assert digests.drand_time(number - 1) < t_freeze + 60 <= digests.drand_time(number)


def test_a_short_margin_and_a_freeze_before_the_chain_are_refused():
    with pytest.raises(ValueError, match="at least 15 s, got 14"):
        digests.drand_round(1692806304, 14)
    with pytest.raises(ValueError, match="genesis"):
        digests.drand_round(1692803367 - 61, 60)
    assert digests.drand_round(1692803367 - 60, 60) == 1


@pytest.mark.parametrize("kind", ["dice", "local"])
def test_beacons_without_rounds_have_round_zero_and_their_own_id(kind):
    assert digests.beacon_round(kind, 0, 60) == 0
    assert digests.beacon_id(kind) == make_beacon(kind)[2]


def test_only_the_local_beacon_is_a_rehearsal():
    strengths = {kind: digests.beacon_strength(kind) for kind in digests.BEACON_KINDS}
    assert strengths == {"drand": "public", "dice": "public", "local": "rehearsal"}


@pytest.mark.parametrize("function", [digests.beacon_id, digests.beacon_strength])
def test_an_unknown_beacon_is_refused(function):
    with pytest.raises(ValueError, match="got 'coin'"):
        function("coin")


def test_dice_are_fifty_digits_or_more():
    assert digests.dice_value("6" * 50) == hashlib.sha256(b"6" * 50).digest()
    with pytest.raises(ValueError, match="got 49"):
        digests.dice_value("6" * 49)


@pytest.mark.parametrize("digit", ["0", "7", " ", "\u0661", "\uff11"])
def test_dice_have_six_sides(digit):
    with pytest.raises(ValueError, match="1 to 6"):
        digests.dice_value("6" * 50 + digit)


def test_lengths_are_checked_before_anything_is_hashed():
    with pytest.raises(ValueError, match="48 bytes, got 96"):
        digests.drand_value(bytes(96))
    with pytest.raises(ValueError, match="beacon value of 32 bytes, got 31"):
        digests.draw_key(bytes(32), bytes(32), bytes(31))
    with pytest.raises(ValueError, match="or none, got 1"):
        digests.seal_digest("d", digests.Sealed(*[bytes(32)] * 5), 0, [b"x"])


def test_exclusions_commit_to_the_set():
    one, two = b"1" * 14, b"2" * 14
    committed = [digests.exclusion_commitment("d", some) for some in ([], [one], [one, two], [two, one, one])]
    assert len(set(committed)) == 3
    assert committed[2] == committed[3]
