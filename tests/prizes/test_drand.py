"""drand: only a signature that verifies is taken, from whatever source, and only of the round that the seal names."""

import hashlib
import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st
from py_arkworks_bls12381 import G1Point

from engagement.actions import ActionRefused
from engagement.models import LedgerEntry, Segment, Show
from prizes import drand, tasks
from prizes.core.digests import QUICKNET_CHAIN, drand_time
from prizes.drand import BadSignature, check_signature, fetch_round, read_pasted
from prizes.models import Draw
from prizes.steps.beacon import enter_beacon, set_beacon, take_drand_beacon
from prizes.steps.freeze import freeze_shard
from prizes.waits import countdown
from tests.cast import add_prize, arm, armed_segment, make_segment, make_show
from tests.clock import Clock
from tests.prizes.draws import ROUND, SIGNATURE, T_FREEZE, load_vectors
from tests.prizes.pipeline import ended
from tests.relays import Relay, answers, dead_address, drips, gives, relay

VECTORS = load_vectors("drand_quicknet_rounds")
ROUNDS, INVALID = VECTORS["rounds"], VECTORS["invalid"]
RFC_9380 = load_vectors("rfc9380")["hash_to_g1"]
DUE = drand_time(ROUND) * 1000
FLIPPED = SIGNATURE[:-1] + "8"


def row(round_number: int = ROUND, signature: str = SIGNATURE) -> str:
    return json.dumps({"round": round_number, "signature": signature})


# --- what is taken ---


@pytest.mark.parametrize("published", ROUNDS, ids=lambda row: row["round"])
def test_rounds_that_drand_has_published_verify(published: dict[str, Any]) -> None:
    signature = check_signature(published["round"], published["signature"])
    assert hashlib.sha256(signature).hexdigest() == published["randomness"]


@pytest.mark.parametrize("forged", INVALID, ids=lambda row: row["why"])
def test_a_signature_of_another_round_or_with_a_flipped_bit_is_refused(forged: dict[str, Any]) -> None:
    with pytest.raises(BadSignature, match=f"not quicknet's for round {forged['round']}"):
        check_signature(forged["round"], forged["signature"])


@pytest.mark.parametrize("bit", range(8 * 48))
def test_a_signature_with_any_bit_flipped_is_refused(bit: int) -> None:
    with pytest.raises(BadSignature, match="not quicknet's for round"):
        check_signature(ROUND, f"{int(SIGNATURE, 16) ^ 1 << bit:096x}")


@pytest.mark.parametrize(
    "point",
    [
        "c0" + "00" * 47,  # infinity, which is no signature
        "c0" + "00" * 46 + "01",  # infinity with something beside it
        "80" + "00" * 47,  # (0, 2), which has the order 3
        "ff" * 48,
    ],
)
def test_points_that_nobody_signs_with_are_refused(point: str) -> None:
    with pytest.raises(BadSignature, match="not quicknet's for round"):
        check_signature(ROUND, point)


@pytest.mark.parametrize("number", [-1, 0, ROUND + 1, 1 << 64])
def test_a_signature_is_taken_for_no_other_round(number: int) -> None:
    with pytest.raises(BadSignature, match=f"not quicknet's for round {number}"):
        check_signature(number, SIGNATURE)


@given(st.binary(min_size=48, max_size=48))
def test_no_bytes_are_taken_for_a_signature_or_end_in_another_error(noise: bytes) -> None:
    with pytest.raises(BadSignature):
        check_signature(ROUND, noise.hex())


@pytest.mark.parametrize("vector", RFC_9380["vectors"], ids=lambda vector: vector["message"])
def test_the_library_hashes_to_the_points_of_rfc_9380(vector: dict[str, str]) -> None:
    point = G1Point.hash_to_curve(vector["message"].encode(), RFC_9380["dst"].encode())
    assert point.to_xy_bytes_be().hex() == vector["x"] + vector["y"]


def test_the_public_key_is_that_of_the_chain_in_the_rules() -> None:
    assert VECTORS["chain"]["public_key"] == drand.QUICKNET_PUBLIC_KEY
    assert drand.chain_hash() == QUICKNET_CHAIN == bytes.fromhex(VECTORS["chain"]["hash"])


@pytest.mark.parametrize(
    "typed",
    [SIGNATURE, f"  {SIGNATURE.upper()}\n", row(), json.dumps({"signature": SIGNATURE})],
    ids=["hex", "capitals", "json", "json without round"],
)
def test_what_is_pasted_is_hex_or_the_json_of_a_relay(typed: str) -> None:
    assert read_pasted(ROUND, typed).hex() == SIGNATURE


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "zz" * 48,
        "00" * 48,
        "c0" + "00" * 47,  # the point at infinity
        SIGNATURE[:-2],
        SIGNATURE + "00",
        "９" * 96,
        "{",
        "{}",
        '{"signature": 7}',
        '{"signature": null, "round": 1000}',
        row(round_number=999),
        row(signature=FLIPPED),
        '{"round": [1000], "signature": "x"}',
        '{"a":' * 5000,
    ],
)
def test_anything_else_that_is_pasted_is_refused_with_a_reason(typed: str) -> None:
    with pytest.raises(BadSignature, match=r"expected|is not quicknet's"):
        read_pasted(ROUND, typed)


# --- a file of rounds ---


@pytest.fixture
def rounds_file(tmp_path: Path, settings: Any) -> Path:
    settings.DRAND_ROUNDS_FILE = str(tmp_path / "rounds.json")
    return tmp_path / "rounds.json"


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(VECTORS),
        "\n".join(json.dumps(published) for published in ROUNDS),
        json.dumps(ROUNDS),
        row(),
        f"{row()}\n\n" + row(1001)[:20],
        f"{row(signature=FLIPPED)}\n{row()}",
    ],
    ids=[
        "document",
        "lines",
        "list",
        "one line",
        "half a line at the end",
        "a wrong one before the right one",
    ],
)
def test_a_file_is_a_document_or_lines(rounds_file: Path, text: str) -> None:
    rounds_file.write_text(text)
    assert fetch_round(ROUND).signature == bytes.fromhex(SIGNATURE)


@pytest.mark.parametrize("text", ["", "{}", "7", "[7]", '{"rounds": 7}', row(999), "\n\n"])
def test_a_file_without_the_round_is_no_trouble(rounds_file: Path, text: str) -> None:
    rounds_file.write_text(text)
    assert fetch_round(ROUND) == (None, [])


def test_a_wrong_signature_in_the_file_is_told(rounds_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    rounds_file.write_text(row(signature=FLIPPED))
    signature, (trouble,) = fetch_round(ROUND)
    assert signature is None
    assert trouble.startswith("rounds.json: the signature")
    assert trouble in caplog.text


def test_a_file_that_is_missing_or_no_text_is_told(rounds_file: Path) -> None:
    assert "No such file" in fetch_round(ROUND).troubles[0]
    rounds_file.write_bytes(b"\xff\xfe\xff")
    assert "decode" in fetch_round(ROUND).troubles[0]


# --- relays ---


def ask(settings: Any, *relays: Relay | str) -> drand.Fetched:
    settings.DRAND_RELAYS = [getattr(one, "address", one) for one in relays]
    return fetch_round(ROUND)


def test_relays_are_asked_in_order_until_one_is_right_and_none_for_longer_than_its_time(
    settings: Any,
) -> None:
    dead = dead_address()
    with (
        relay(drips) as slow,
        relay(gives(ROUND, FLIPPED)) as liar,
        relay(gives(ROUND, SIGNATURE)) as good,
        relay(gives(ROUND, SIGNATURE)) as spare,
    ):
        started = time.monotonic()
        signature, troubles = ask(settings, dead, slow, liar, good, spare)
        took = time.monotonic() - started
    assert signature == bytes.fromhex(SIGNATURE)
    assert drand.RELAY_S <= took < drand.RELAY_S + 1.5
    assert ["refused" in troubles[0], "no answer within 2 s" in troubles[1], "quicknet" in troubles[2]] == [
        True
    ] * 3
    assert [trouble.split(": ")[0] for trouble in troubles] == [
        address.removeprefix("http://") for address in (dead, slow.address, liar.address)
    ]
    assert (good.asked, spare.asked) == ([f"/{QUICKNET_CHAIN.hex()}/public/{ROUND}"], [])


def test_a_relay_below_a_path_is_asked_there(settings: Any) -> None:
    with relay(gives(ROUND, SIGNATURE)) as good:
        assert ask(settings, f"{good.address}/drand/").signature
    assert good.asked == [f"/drand/{QUICKNET_CHAIN.hex()}/public/{ROUND}"]


@pytest.mark.parametrize("status", [404, 425])
def test_a_relay_that_has_not_got_the_round_yet_is_no_trouble(settings: Any, status: int) -> None:
    with relay(answers(status, b"too early")) as early:
        assert ask(settings, early) == (None, [])


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (answers(500), "answers 500"),
        (answers(200), "expected a signature"),
        (answers(200, b"<html>"), "expected a signature"),
        (answers(200, b"\xff" * 96), "expected a signature"),
        (answers(200, b"0" * 20_000), "more than 16384 bytes"),
        (gives(999, SIGNATURE), "expected round 1000, got round 999"),
        (lambda handler: handler.wfile.write(b"nonsense\r\n\r\n"), "no HTTP"),
    ],
    ids=["500", "nothing", "html", "bytes", "endless", "another round", "no http"],
)
def test_a_relay_that_answers_nonsense_is_told(settings: Any, answer: Any, said: str) -> None:
    with relay(answer) as strange:
        signature, (trouble,) = ask(settings, strange)
    assert signature is None
    assert said in trouble


def test_a_relay_sends_nobody_elsewhere(settings: Any) -> None:
    with (
        relay(gives(ROUND, SIGNATURE)) as elsewhere,
        relay(answers(302, Location=elsewhere.address)) as sender,
    ):
        signature, (trouble,) = ask(settings, sender)
    assert (signature, elsewhere.asked) == (None, [])
    assert "answers 302" in trouble


def test_proxies_of_the_environment_are_not_used(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, dead_address())
    with relay(gives(ROUND, SIGNATURE)) as good:
        assert ask(settings, good).signature


def test_the_file_comes_before_the_relays(settings: Any, rounds_file: Path) -> None:
    rounds_file.write_text(row())
    with relay(gives(ROUND, SIGNATURE)) as good:
        assert ask(settings, good).signature
    assert good.asked == []


# --- the beacon of a draw ---


pytest_draw = pytest.mark.django_db(transaction=True)


@pytest.fixture
def show() -> Show:
    return make_show(slug="gala", title="Gala", draws_per_minute=60)


@pytest.fixture
def waiting(show: Show, clock: Clock) -> Draw:
    """A draw that was sealed at a moment that makes it wait for round 1000."""
    clock.set(T_FREEZE * 1000 + 500)
    segment = ended(armed_segment(show, beacon="drand"))
    tasks.advance_seal(segment.pk, lambda number: freeze_shard(segment.pk, number))
    return Draw.objects.select_related("segment__freeze").exclude(seal="").get()


def beacon_entries(show: Show) -> list[tuple[str, str]]:
    entries = LedgerEntry.objects.filter(show=show, action__startswith="beacon")
    return [(entry.action, entry.actor) for entry in entries.order_by("position")]


@pytest_draw
def test_a_round_is_neither_asked_for_nor_taken_before_it_is_due(
    waiting: Draw, clock: Clock, settings: Any
) -> None:
    clock.set(DUE - 1)
    with relay(gives(ROUND, SIGNATURE)) as good:
        settings.DRAND_RELAYS = [good.address]
        assert take_drand_beacon(waiting.pk, clock.now_ms()) is False
    assert good.asked == []
    with pytest.raises(ActionRefused, match="No draw of this segment waits"):
        enter_beacon(waiting.segment_id, SIGNATURE, actor="olga")
    with pytest.raises(ActionRefused, match="not due before 15:59:24 UTC"):
        set_beacon(waiting, bytes(32), {}, actor="olga", now=clock.now_ms())
    waiting.refresh_from_db()
    assert waiting.beacon_value == ""


@pytest_draw
def test_a_late_round_is_waited_for_in_sight_and_taken_when_it_comes(
    waiting: Draw, clock: Clock, rounds_file: Path, show: Show
) -> None:
    clock.set(DUE - 33_001)
    assert countdown(waiting, clock.now_ms()) == "drand round 1000 is due in 34 s"
    rounds_file.write_text(f"{row(999)}\n{row(1001)}\n")
    clock.set(DUE + 12_000)
    assert take_drand_beacon(waiting.pk, clock.now_ms()) is False
    assert countdown(waiting, clock.now_ms()) == (
        "drand round 1000 is 12 s late; waiting, no other round is ever taken"
    )
    rounds_file.write_text(f"{row(999)}\n{row(1001)}\n{row()}\n")
    assert take_drand_beacon(waiting.pk, clock.now_ms()) is True
    waiting.refresh_from_db()
    assert waiting.beacon_value == ROUNDS[2]["randomness"]
    assert waiting.beacon_proof == {"signature": SIGNATURE}
    assert take_drand_beacon(waiting.pk, clock.now_ms()) is True
    assert beacon_entries(show) == [("beacon", "system")]


@pytest_draw
def test_the_draw_says_which_relays_are_down_and_that_pasting_works(
    waiting: Draw, clock: Clock, settings: Any
) -> None:
    clock.set(DUE)
    dead = dead_address()
    settings.DRAND_RELAYS = [dead]
    assert take_drand_beacon(waiting.pk, clock.now_ms()) is False
    waiting.refresh_from_db()
    assert waiting.trouble.startswith(f"drand round 1000: {dead.removeprefix('http://')}: ")
    assert waiting.trouble.endswith("It can be pasted: Enter beacon.")
    settings.DRAND_RELAYS = []
    assert take_drand_beacon(waiting.pk, clock.now_ms()) is False
    waiting.refresh_from_db()
    assert "no source is set (DRAND_RELAYS, DRAND_ROUNDS_FILE)" in waiting.trouble
    enter_beacon(waiting.segment_id, row(), actor="olga")
    waiting.refresh_from_db()
    assert (waiting.trouble, len(waiting.beacon_value)) == ("", 64)


@pytest_draw
def test_a_wrong_signature_that_is_pasted_is_in_the_ledger_and_changes_nothing(
    waiting: Draw, clock: Clock, show: Show
) -> None:
    clock.set(DUE)
    with pytest.raises(ActionRefused, match="not quicknet's for round 1000"):
        enter_beacon(waiting.segment_id, FLIPPED, actor="mallory")
    waiting.refresh_from_db()
    assert waiting.beacon_value == ""
    assert beacon_entries(show) == [("beacon refused", "mallory")]
    enter_beacon(waiting.segment_id, SIGNATURE, actor="olga")
    assert beacon_entries(show)[1:] == [("beacon", "olga")]
    with pytest.raises(ActionRefused, match="No draw of this segment waits"):
        enter_beacon(waiting.segment_id, SIGNATURE, actor="olga")


@pytest_draw
def test_no_beacon_comes_before_the_seal(show: Show, clock: Clock) -> None:
    clock.set(T_FREEZE * 1000)
    draw = armed_segment(show, beacon="drand").draws.get()
    set_beacon(draw, bytes(32), {}, actor="olga", now=DUE)
    assert draw.beacon_value == ""
    assert take_drand_beacon(draw.pk, DUE) is False
    assert beacon_entries(show) == []


@pytest_draw
def test_the_command_takes_what_is_pasted_or_asks_the_sources_again(
    waiting: Draw, clock: Clock, rounds_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.set(DUE + 2_000)
    rounds_file.write_text("")
    with pytest.raises(CommandError, match="round 1000 is 2 s late"):
        call_command("segment", "beacon", waiting.segment_id)
    with pytest.raises(CommandError, match="not quicknet's"):
        call_command("segment", "beacon", waiting.segment_id, "--signature", FLIPPED)
    monkeypatch.setattr("sys.stdin", io.StringIO(row()))
    out = io.StringIO()
    call_command("segment", "beacon", waiting.segment_id, "--signature", "-", "--as", "olga", stdout=out)
    waiting.refresh_from_db()
    assert waiting.beacon_proof == {"signature": SIGNATURE}
    assert "is sealed" in out.getvalue()


@pytest_draw
def test_two_lists_of_one_segment_take_their_own_rounds(show: Show, clock: Clock) -> None:
    clock.set(T_FREEZE * 1000)
    draft = make_segment(show, beacon="drand")
    second = draft.prize_lists.create(number=2, beacon="drand", seal_margin_s=15, reserves=0)
    add_prize(second)
    segment = ended(arm(draft))
    tasks.advance_seal(segment.pk, lambda number: freeze_shard(segment.pk, number))
    clock.set(DUE)
    (taken,) = enter_beacon(segment.pk, SIGNATURE, actor="olga")
    assert taken.prize_list.number == 1
    assert Segment.objects.get(pk=segment.pk).draws.filter(beacon_value="").count() == 1
