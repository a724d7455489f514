"""What the page of a draw says first: one sentence for each state, and never more than was checked."""

import base64
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.test import Client

from engagement.clock import from_ms, now_ms
from engagement.core.digests import canonical_json
from engagement.core.phases import Phase
from engagement.ledger import verify_ledger
from engagement.ledger.core.cosignatures import WitnessKey, cosigned_message, format_witness_key, text_of
from engagement.models import LedgerCheckpoint, Segment, Show
from prizes import files, publication, tasks, verify_draw
from prizes.models import Cosignature, Draw, Quorum, Stamper, Witness, known
from prizes.phrases import CHIPS, SENTENCES, TEXTS
from prizes.publication import PublishedRecord, record_of
from prizes.steps import draw as drawing
from prizes.steps import freeze
from prizes.steps.beacon import enter_dice
from prizes.steps.publish import publish_segment
from prizes.steps.void import void_segment
from prizes.verdict import (
    GROUNDS,
    STANDINGS,
    Case,
    describe_verdict,
    list_grounds,
    who_has_seen,
    who_has_stamped,
)
from tests.cast import AUDITOR, OPERATOR, armed_segment, make_show, put_on_air
from tests.guards import tamper
from tests.prizes.pipeline import ended
from tests.prizes.published import crew, make_draw
from tests.prizes.published import own_folder as own_folder
from tests.prizes.stamp_maker import stamp_draw
from tests.prizes.tsa import Authority, name_stamper, pem

pytestmark = pytest.mark.django_db
THROWS = ("123456" * 9)[:50]
NAMES = ("a.example/notary", "b.example/paper")
ORIGIN = "http://testserver/"


def seed_of(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b"!"))


def name_witnesses(show: Show, needed: int = 2) -> None:
    for name in NAMES:
        key = WitnessKey(name, seed_of(name).public_key().public_bytes_raw())
        Witness.objects.create(show=show, key=format_witness_key(key), url="http://127.0.0.1:1")
    Quorum.objects.create(show=show, needed=needed)


def cosign(draw: Draw, name: str, at_s: int) -> None:
    """As a real witness signs the checkpoint with which a draw was sealed."""
    size = known(draw.sealed_ledger) + 1
    text = text_of(LedgerCheckpoint.objects.get(show=draw.show, size=size).note)
    key = WitnessKey(name, seed_of(name).public_key().public_bytes_raw())
    raw = key.key_id + at_s.to_bytes(8, "big") + seed_of(name).sign(cosigned_message(text, at_s))
    line = f"— {name} {base64.b64encode(raw).decode()}\n"
    Cosignature.objects.create(show=draw.show, size=size, witness=name, line=line, at_ms=at_s * 1000)


def seal(segment: Segment) -> Draw:
    tasks.advance_seal(ended(segment).pk, lambda number: freeze.freeze_shard(segment.pk, number))
    return fresh(segment.draws.get())


def fresh(draw: Draw) -> Draw:
    return Draw.objects.select_related("show", "segment__freeze").get(pk=draw.pk)


def finish(draw: Draw) -> Draw:
    """From the seal to the publication."""
    if draw.beacon_kind == "dice":
        for operator in ("olga", "omar"):
            enter_dice(draw.segment_id, THROWS, actor=operator, now=now_ms() + 2000)
    drawing.run_draw(draw.pk)
    publish_segment(draw.segment_id, actor=OPERATOR)
    return fresh(draw)


def shown(draw: Draw, client: Client | None = None, language: str = "en") -> tuple[str, dict[str, str]]:
    """The state, and the grounds with theirs, as the page has them."""
    page = (client or Client()).get(f"/draws/{draw.pk}/?lang={language}").text
    (standing,) = re.findall(r'data-standing="(\w+)"', page)
    assert page.index("data-standing") < page.index("<h2")
    return standing, dict(re.findall(r'data-ground="(\w+)" data-state="(\w+)"', page))


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa"), kind="p256", accuracy="secs:0")


# --- states ---


def test_before_the_seal_nothing_is_claimed_but_the_promise() -> None:
    segment = armed_segment(make_show(), beacon="drand")
    draw = segment.draws.get()
    for phase in (Phase.ARMED, Phase.OPEN, Phase.CLOSING):
        if phase != Phase.ARMED:
            put_on_air(segment, phase=phase)
        standing, grounds = shown(draw)
        assert standing == phase
        assert grounds == {
            "arithmetic": "open",
            "signature": "open",
            "log": "holds",
            "witnesses": "lacks",
            "stamps": "lacks",
            "beacon": "holds",
        }


def test_a_sealed_draw_says_who_has_signed_so_far_and_until_when_it_is_public() -> None:
    show = make_show()
    name_witnesses(show)
    draw = seal(armed_segment(show, beacon="dice"))
    assert shown(draw)[1]["witnesses"] == "open"
    cosign(draw, NAMES[0], now_ms() // 1000)
    page = unescape(Client().get(f"/draws/{draw.pk}/").text)
    assert "Witnesses: 1 of 2" in page and "So far: 1." in page
    assert "By its own rules the result is public at " in page
    assert shown(draw)[0] == "sealed"


def test_a_published_draw_that_enough_have_seen_says_so(tsa: Authority) -> None:
    show = make_show()
    name_witnesses(show)
    name_stamper(show, tsa, "http://127.0.0.1:1")
    draw = seal(armed_segment(show, beacon="dice"))
    stamp_draw(draw, tsa)
    for name in NAMES:
        cosign(draw, name, now_ms() // 1000)
    draw = finish(draw)
    assert shown(draw) == (
        "published",
        dict.fromkeys(("arithmetic", "signature", "log", "witnesses", "stamps", "beacon"), "holds")
        | {"stub": "open"},
    )
    page = unescape(Client().get(f"/draws/{draw.pk}/").text)
    assert "agree on the winners, and 2 of 2 named witnesses signed the seal before" in page
    assert "By its own rules" not in page


@pytest.mark.parametrize("late", [False, True])
def test_too_few_or_too_late_is_not_witnessed(late: bool) -> None:
    show = make_show()
    name_witnesses(show)
    draw = seal(armed_segment(show, beacon="dice"))
    cosign(draw, NAMES[0], now_ms() // 1000)
    if late:
        cosign(draw, NAMES[1], now_ms() // 1000 + 60)
    draw = finish(draw)
    standing, grounds = shown(draw)
    assert (standing, grounds["witnesses"]) == ("unwitnessed", "lacks")
    page = unescape(Client().get(f"/draws/{draw.pk}/").text)
    assert "NOT WITNESSED: 1 of 2 promised signatures" in page


def test_a_draw_that_did_not_wait_as_it_had_promised_says_so() -> None:
    show = make_show()
    name_witnesses(show)
    draw = seal(armed_segment(show, beacon="dice"))
    cosign(draw, NAMES[0], now_ms() // 1000)
    draw = finish(draw)
    assert shown(draw)[0] == "unwitnessed"
    rules = {**draw.promised, "unwitnessed": "wait"}
    tamper("UPDATE prizes_draw SET rules = %s WHERE id = %s", canonical_json(rules).decode(), draw.pk)
    standing, grounds = shown(draw)
    assert (standing, grounds["witnesses"]) == ("unkept", "failed")
    assert "a promise is BROKEN" in Client().get(f"/draws/{draw.pk}/").text


def test_stamps_are_shown_by_name_and_in_time_and_their_command_holds(tsa: Authority, tmp_path: Path) -> None:
    show = make_show()
    name_stamper(show, tsa, "http://127.0.0.1:1")
    draw = seal(armed_segment(show, beacon="dice"))
    assert shown(draw)[1]["stamps"] == "open"
    stamp = stamp_draw(draw, tsa)
    page = unescape(Client().get(f"/draws/{draw.pk}/").text)
    assert shown(draw)[1]["stamps"] == "holds" and "Time stamps: 1 of 1" in page
    at = f"{from_ms(stamp.at_ms):%Y-%m-%d %H:%M:%S} UTC"
    assert f"{at}  tsa.example  {Stamper.objects.get().fingerprint}" in page
    draw = finish(draw)
    assert shown(draw) == ("unnamed", {**shown(draw)[1], "stamps": "holds", "witnesses": "lacks"})
    paper = certificate(draw)
    assert "<dt>Time stamps</dt>" in paper and "tsa.example" in paper and at in paper
    verdict = describe_verdict(draw, record_of(draw), ORIGIN)
    [command] = [ground.command for ground in verdict.grounds if ground.name == "stamps"]
    shutil.copy(verify_draw.__file__, tmp_path)
    (tmp_path / "record.json").write_bytes(record_of(draw).content)
    (tmp_path / "CERTIFICATE.pem").write_text(pem(tsa.root))
    assert "1 of 1 named time stampers stamped the seal" in run_lines(command, tmp_path)


def test_a_stamp_that_never_came_or_came_late_is_missing(tsa: Authority) -> None:
    for late_s in (None, 3600):
        show = make_show()
        name_stamper(show, tsa, "http://127.0.0.1:1")
        draw = seal(armed_segment(show, beacon="dice"))
        if late_s is not None:
            stamp_draw(draw, tsa, late_s=late_s)
        draw = finish(draw)
        assert shown(draw)[1]["stamps"] == "lacks"
        assert "none of them stamped the seal before" in Client().get(f"/draws/{draw.pk}/").text


def test_where_nobody_was_named_the_draw_is_not_witnessed() -> None:
    draw = finish(seal(armed_segment(make_show(), beacon="dice")))
    standing, grounds = shown(draw)
    assert (standing, grounds["witnesses"], grounds["log"]) == ("unnamed", "lacks", "holds")
    assert "NOT WITNESSED" in Client().get(f"/draws/{draw.pk}/").text


def test_a_rehearsal_is_one_whoever_has_signed() -> None:
    show = make_show()
    name_witnesses(show)
    draw = seal(armed_segment(show))
    for name in NAMES:
        cosign(draw, name, now_ms() // 1000 - 1)
    standing, grounds = shown(finish(draw))
    assert (standing, grounds["witnesses"], grounds["beacon"]) == ("rehearsal", "holds", "failed")
    assert STANDINGS["rehearsal"] == "bad"


def test_drawn_and_not_published_tells_nothing_of_a_signature() -> None:
    draw = make_draw("drawn").draw
    for client in (Client(), crew(AUDITOR)):
        standing, grounds = shown(draw, client)
        assert (standing, grounds["arithmetic"], grounds["signature"]) == ("drawn", "holds", "open")


def test_a_draw_that_is_stopped_is_not_called_confirmed() -> None:
    draw = make_draw("sealed").draw
    Draw.objects.filter(pk=draw.pk).update(disagreement="ranking: another one")
    assert shown(draw)[0] == "stopped" and shown(draw)[1]["arithmetic"] == "failed"


def test_a_void_segment_rests_on_the_ledger_alone() -> None:
    draw = armed_segment(make_show()).draws.get()
    void_segment(draw.segment_id, actor="dirk", reason="The lights went out.")
    assert shown(draw) == ("void", {"log": "holds"})


def test_a_spoiled_draw_says_what_stays_of_it() -> None:
    draw = make_draw("committed").draw
    put_on_air(draw.segment, phase=Phase.CLOSING)
    Segment.objects.filter(pk=draw.segment_id).update(phase=Phase.SPOILED)
    Draw.objects.filter(pk=draw.pk).update(step=Draw.Step.SPOILED)
    assert shown(draw) == ("spoiled", {"log": "holds"})
    assert "prizes/draw.js" in Client().get(f"/draws/{draw.pk}/").text  # its receipts are served
    assert Client().get(f"/draws/{draw.pk}/certificate/").status_code == 404


def test_a_draw_that_repeats_a_spoiled_one_says_so_at_once() -> None:
    draw = armed_segment(make_show()).draws.get()
    told = "These are the prizes of gala/seg-1/draw-1, which was spoiled."
    assert told not in Client().get(f"/draws/{draw.pk}/").text
    rules = {**draw.promised, "repeats": "gala/seg-1/draw-1"}
    tamper("UPDATE prizes_draw SET rules = %s WHERE id = %s", canonical_json(rules).decode(), draw.pk)
    page = Client().get(f"/draws/{draw.pk}/").text
    assert page.index(told) < page.index("<h2")


def test_a_record_that_was_lost_confirms_nothing() -> None:
    draw = finish(seal(armed_segment(make_show(), beacon="dice")))
    files.fetch(files.record_name(draw.key)).unlink()
    publication._record.cache_clear()
    standing, grounds = shown(draw)
    assert (standing, grounds["arithmetic"], grounds["signature"]) == ("lost", "failed", "open")


def test_a_ledger_that_was_cut_proves_nothing_and_the_page_is_there() -> None:
    show = make_show()
    name_witnesses(show)
    draw = seal(armed_segment(show, beacon="dice"))
    for name in NAMES:
        cosign(draw, name, now_ms() // 1000)
    draw = finish(draw)
    tamper("DELETE FROM engagement_ledgerentry WHERE action = 'beacon'")
    publication._record.cache_clear()
    standing, grounds = shown(draw)
    assert (standing, grounds["log"], grounds["witnesses"]) == ("unwitnessed", "failed", "lacks")


def test_a_draw_of_the_first_version_is_neither_signed_nor_proven_in_the_ledger() -> None:
    draw = make_draw().draw
    rules = {name: value for name, value in draw.promised.items() if name != "$format"}
    rules = {name: value for name, value in rules.items() if name not in ("witnesses", "quorum")}
    record = PublishedRecord({"$format": "shake-draw/v1"}, b"", "")
    case = Case(
        draw, rules, record, who_has_seen(draw, rules), who_has_stamped(draw, rules), "k+1+AA", ORIGIN
    )
    states = {ground.name: ground.state for ground in list_grounds(case, "unnamed")}
    assert states == {
        "arithmetic": "holds",
        "signature": "lacks",
        "log": "lacks",
        "witnesses": "lacks",
        "stamps": "lacks",
        "beacon": "holds",
        "stub": "open",
    }


def test_every_sentence_has_a_tone_and_every_ground_its_texts() -> None:
    assert set(STANDINGS) == set(SENTENCES) and set(GROUNDS) == set(CHIPS) == set(TEXTS)
    said = [str(text) for table in (SENTENCES, CHIPS, TEXTS) for text in table.values()]
    assert not any(re.search(r"\b(verified|checked|proven)\b", text) for text in said)


# --- how we know ---


def fetch(command: str, folder: Path) -> None:
    """`curl -o NAME ADDRESS` of a page, in the test's own site."""
    _, _, name, address = command.split()
    answer = Client().get(address.removeprefix("http://testserver"))
    assert answer.status_code == 200, address
    (folder / name).write_bytes(answer.content)


def run_lines(command: str, folder: Path) -> str:
    """What a reader types, line by line; what the last one says."""
    said = ""
    for line in command.replace("\\\n", "").splitlines():
        if line.startswith("curl -o"):
            fetch(line, folder)
            continue
        words = line.replace('"', "").split()
        assert words[0] == "python3"
        done = subprocess.run([sys.executable, "-I", *words[1:]], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
        said = done.stdout
    return said


def test_every_command_of_a_published_draw_holds_in_an_empty_directory(tmp_path: Path) -> None:
    show = make_show()
    name_witnesses(show)
    draw = seal(armed_segment(show, beacon="dice"))
    for name in NAMES:
        cosign(draw, name, now_ms() // 1000)
    draw = finish(draw)
    folder = tmp_path / "empty"
    folder.mkdir()
    shutil.copy(verify_draw.__file__, folder)
    (folder / "record.json").write_bytes(record_of(draw).content)
    shutil.copy(files.fetch(files.roll_name(draw.key)), folder / "roll.bin")
    verdict = describe_verdict(draw, record_of(draw), ORIGIN)
    commands = {ground.name: ground.command for ground in verdict.grounds}
    assert all(commands[name] for name in ("arithmetic", "signature", "log", "witnesses"))
    assert "ok   ranking" in run_lines(commands["arithmetic"], folder)
    assert "ok   signature" in run_lines(commands["signature"], folder)
    assert "ok   statements" in run_lines(commands["log"], folder)
    assert "2 of 2 named witnesses saw the seal" in run_lines(commands["witnesses"], folder)


def test_the_command_of_a_promise_holds_with_what_is_public(tmp_path: Path) -> None:
    draw = seal(armed_segment(make_show(), beacon="dice"))
    assert Path(verify_ledger.__file__).exists()
    for row in (draw, fresh(armed_segment(make_show()).draws.get())):
        verdict = describe_verdict(row, None, ORIGIN)
        (log,) = [ground for ground in verdict.grounds if ground.name == "log"]
        folder = tmp_path / str(row.pk)
        folder.mkdir()
        assert "ok   statements" in run_lines(log.command, folder)


def test_a_roll_for_auditors_is_in_no_command() -> None:
    draw = make_draw(show=make_show(roll_visibility="auditor")).draw
    verdict = describe_verdict(draw, record_of(draw), ORIGIN)
    assert verdict.grounds[0].command == "python3 verify_draw.py record.json"


# --- the certificate ---


def certificate(draw: Draw, language: str = "en") -> str:
    answer = Client().get(f"/draws/{draw.pk}/certificate/?lang={language}")
    assert answer.status_code == 200
    return unescape(answer.text)


def test_there_is_no_certificate_before_the_seal() -> None:
    draw = armed_segment(make_show()).draws.get()
    assert Client().get(f"/draws/{draw.pk}/certificate/").status_code == 404
    assert "certificate" not in Client().get(f"/draws/{draw.pk}/").text
    assert Client().get("/draws/987654/certificate/").status_code == 404
    assert Client().get("/draws/987654/code.svg").status_code == 404


def test_the_certificate_has_what_can_be_compared_later() -> None:
    show = make_show(title="Night of Coats", title_zh="大衣之夜")
    name_witnesses(show, needed=1)
    draw = seal(armed_segment(show, beacon="dice", title="Red carpet", title_zh="红毯时刻"))
    cosign(draw, NAMES[0], now_ms() // 1000)
    before = certificate(draw)
    assert draw.seal in before and "There is no published record yet." in before
    assert "Checkpoint at the publication" not in before
    draw = finish(draw)
    record, page = record_of(draw), certificate(draw)
    key = describe_verdict(draw, record, ORIGIN).grounds[1].lines[0]
    for text in (
        "Night of Coats",
        "1. Red carpet",
        draw.draw_id,
        draw.seal,
        record.digest,
        draw.record_digest,
        key,
        record.value["log"]["checkpoint"],
        LedgerCheckpoint.objects.get(show=show, size=known(draw.sealed_ledger) + 1).note,
        *NAMES,
        f"/draws/{draw.pk}/code.svg",
        f"http://testserver/draws/{draw.pk}/",
        "1 of 2 named witnesses signed the seal",
    ):
        assert text in page
    assert not any(row.pseudonym in page for row in draw.wins.all())
    assert "大衣之夜" in certificate(draw, "zh") and "抽奖证书" in certificate(draw, "zh")
    assert f'href="/draws/{draw.pk}/certificate/?lang=en"' in Client().get(f"/draws/{draw.pk}/").text


def test_the_certificate_of_a_rehearsal_says_so() -> None:
    assert "REHEARSAL" in certificate(make_draw(beacon="local").draw)
    page = certificate(make_draw().draw)
    assert "REHEARSAL" not in page and "Nobody outside was named" in page


def test_the_code_is_the_address_of_the_page() -> None:
    answer = Client().get(f"/draws/{make_draw('committed').draw.pk}/code.svg")
    assert answer.headers["Content-Type"] == "image/svg+xml" and "<svg" in answer.text
