"""A night with time stampers, from the arming to a record that is checked elsewhere with the published files alone."""

import base64
import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from engagement.clock import now_ms
from engagement.core.digests import canonical_json
from engagement.ledger.checkpoints import keys_of
from engagement.ledger.core.checkpoints import format_vkey
from engagement.models import LedgerEntry, Segment, Show
from prizes import publication, tasks
from prizes import verify_draw as verifier
from prizes.audit import audit_draw
from prizes.models import Draw, Stamp
from prizes.publication import record_of
from prizes.stampers import Asking
from prizes.steps import draw as drawing
from prizes.steps import freeze
from prizes.steps.beacon import enter_dice
from prizes.steps.publish import publish_segment
from tests.cast import OPERATOR, armed_segment
from tests.guards import tamper
from tests.prizes.draws import failed
from tests.prizes.draws import verify_draw as check
from tests.prizes.pipeline import ended
from tests.prizes.test_stampers import ask
from tests.prizes.test_stampers import asking as asking
from tests.prizes.test_stampers import honest as honest
from tests.prizes.test_stampers import other as other
from tests.prizes.test_stampers import show as show
from tests.prizes.test_witnessed_night import THROWS, lay_out, run
from tests.prizes.tsa import Authority, name_stamper, pem, running_tsa

pytestmark = pytest.mark.django_db(transaction=True)


def sealed(show: Show) -> Draw:
    segment = ended(armed_segment(show, beacon="dice"))
    tasks.advance_seal(segment.pk, lambda number: freeze.freeze_shard(segment.pk, number))
    return fresh(segment)


def fresh(segment: Segment) -> Draw:
    return Draw.objects.select_related("show", "segment__freeze").get(segment=segment)


def finish(draw: Draw) -> Draw:
    """From the seal to the publication; the accuracy of a stamp is a second, after which dice are thrown."""
    for operator in ("olga", "omar"):
        enter_dice(draw.segment_id, THROWS, actor=operator, now=now_ms() + 2000)
    drawing.run_draw(draw.pk)
    publish_segment(draw.segment_id, actor=OPERATOR)
    return fresh(draw.segment)


def pack64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def stamped(row: dict[str, Any], **given: Any) -> verifier.Check:
    """The check of the time stamps of a record, with its log as somebody has changed it."""
    [found] = [told for told in check(canonical_json(row), **given) if told.name == "time stamps"]
    return found


def test_two_time_stampers_one_stopped(
    tmp_path: Path, show: Show, asking: Asking, honest: Authority, other: Authority
) -> None:
    key = format_vkey(keys_of(show)[0])
    with running_tsa(honest) as first, running_tsa(other) as second:
        name_stamper(show, honest, first.url, "a.example")
        name_stamper(show, other, second.url, "b.example")
        second.process.kill()
        second.process.wait()
        draw = sealed(show)
        ask(asking)
    draw = finish(draw)
    assert {row.name for row in audit_draw(draw) if not row.ok} == set()
    folder = lay_out(tmp_path / "empty", draw)
    (folder / "a.pem").write_text(pem(honest.root))
    (folder / "b.pem").write_text(pem(other.root))
    words = ["verify_draw.py", "record.json", "roll.bin", "--key", key, "--json"]
    for more, how in (([], verifier.BY_RULES), (["--tsa", "a.pem"], "by the certificates that were given")):
        told = run(folder, *words, *more)
        found = json.loads(told.stdout)
        assert (told.returncode, found["ok"], told.stderr) == (0, True, "")
        assert found["rests_on"] == ["arithmetic", "signature", "log", "time stamps"]
        details = {row["name"]: row["detail"] for row in found["checks"]}
        assert re.fullmatch(
            f"1 of 2 named time stampers stamped the seal before the beacon, {how}: a.example at [-0-9]+ [:0-9]+ UTC",
            details["time stamps"],
        )
    plain = run(folder, *words[:-1])
    assert plain.stdout.rstrip().endswith(
        f"time stamps ({verifier.BY_RULES}; --tsa names those that you trust)"
    )
    # Somebody who trusts only the one who was away is told so, and is claimed nothing.
    found = json.loads(run(folder, *words, "--tsa", "b.pem").stdout)
    assert found["rests_on"] == ["arithmetic", "signature", "log"]
    [row] = [row for row in found["checks"] if row["name"] == "time stamps"]
    assert row["detail"] == "NOT STAMPED: there is no stamp of the 1 given time stampers"
    # OpenSSL says the same of what the record has.
    [stamp] = json.loads((folder / "record.json").read_bytes())["log"]["stamps"]
    page = (Path(verifier.__file__).parents[1] / "docs/draw.md").read_text()
    [command] = re.findall(r"```sh\n(python3 -c .*\n.* > token\.der)\n", page)
    subprocess.run(command, cwd=folder, shell=True, check=True)
    assert (folder / "token.der").read_bytes() == base64.b64decode(stamp["token"])
    verify_with_openssl(folder, draw.seal)


def verify_with_openssl(folder: Path, seal: str) -> None:
    words = ["openssl", "ts", "-verify", "-digest", seal, "-token_in", "-in", "token.der", "-CAfile", "a.pem"]
    told = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert "Verification: OK" in told.stdout + told.stderr


def test_what_was_changed_about_stamps_is_refused_with_a_clear_word(
    show: Show, asking: Asking, honest: Authority, other: Authority, tmp_path: Path
) -> None:
    with running_tsa(honest) as first, running_tsa(other) as second:
        name_stamper(show, honest, first.url, "a.example")
        name_stamper(show, other, second.url, "b.example")
        draw = sealed(show)
        ask(asking)
    draw = finish(draw)
    keys = [format_vkey(keys_of(show)[0])]
    content = record_of(draw).content
    assert failed(check(content, keys=keys)) == set()
    record = json.loads(content)

    def changed(**fields: Any) -> verifier.Check:
        row = json.loads(content)
        row["log"]["stamps"][0].update(fields)
        return stamped(row, keys=keys)

    stranger = Authority(tmp_path / "c", kind="p384", root_name="stranger")
    assert "a time stamper that the rules name" in changed(name="c.example").detail
    assert "a time stamper that the rules name" in changed(certificate=pack64(stranger.anchor)).detail
    assert "a chain of certificates" in changed(token=pack64(stranger.token(draw.seal))).detail
    assert "time stamp of a.example: stamped digest" in changed(token=pack64(honest.token("ab" * 32))).detail
    assert "expected base64" in changed(token="?").detail
    late = json.loads(content)
    for row in late["log"]["statements"]:
        if row["entry"]["action"] == "beacon":
            row["entry"]["at"] -= 60_000
    told = stamped(late, keys=keys)
    assert not told.ok and "a time stamp of a.example before" in told.detail
    struck = json.loads(content)
    struck["log"]["stamps"].pop()
    assert "time stamps that the publication tells of" in stamped(struck, keys=keys).detail
    many = json.loads(content)
    many["log"]["stamps"] *= 2_000
    begun = time.monotonic()
    assert "each time stamper once" in stamped(many, keys=keys).detail
    assert time.monotonic() - begun < 2
    record["log"]["stamps"].reverse()
    assert "in the order of the rules" in stamped(record, keys=keys).detail
    record["log"]["stamps"] *= 2
    assert "each time stamper once" in stamped(record, keys=keys).detail
    assert (
        "certificates of time stampers that the rules name"
        in stamped(json.loads(content), keys=keys, tsas=[stranger.anchor]).detail
    )


@pytest.mark.parametrize("named", [False, True])
def test_without_a_stamp_it_is_labelled(show: Show, asking: Asking, honest: Authority, named: bool) -> None:
    with running_tsa(honest, "lies") as tsa:
        if named:
            name_stamper(show, honest, tsa.url)
        draw = sealed(show)
        ask(asking)
    checks = check(record_of(finish(draw)).content, keys=[format_vkey(keys_of(show)[0])])
    details = {row.name: row.detail for row in checks}
    assert failed(checks) == set()
    assert details["time stamps"] == f"NOT STAMPED: there is no stamp of the {int(named)} named time stampers"
    assert verifier.rests_on(checks) == ["arithmetic", "signature", "log"]


def test_a_stamp_that_came_late_is_in_no_record_and_the_ledger_tells_of_the_others(
    show: Show, asking: Asking, honest: Authority
) -> None:
    with running_tsa(honest) as tsa:
        name_stamper(show, honest, tsa.url)
        draw = sealed(show)
        ask(asking)
        stamp = Stamp.objects.get()
        draw = finish(draw)
    [publish] = LedgerEntry.objects.filter(show=show, action="publish")
    assert json.loads(publish.details)["stamps"] == {draw.draw_id: {"tsa.example": stamp.digest}}
    tamper("UPDATE prizes_stamp SET at_ms = at_ms + 60000")
    publication._record.cache_clear()
    assert record_of(draw).value["log"]["stamps"] == []
    [rows] = [row for row in audit_draw(draw) if row.name == "rows as written"]
    assert not rows.ok and "time that tsa.example stamped" in rows.detail
    tamper("DELETE FROM prizes_stamp")
    [rows] = [row for row in audit_draw(draw) if row.name == "rows as written"]
    assert not rows.ok and "time stamps: stored {}" in rows.detail
