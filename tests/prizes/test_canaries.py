"""Canaries of a notary: committed to before the freeze, opened after the publication, and compared with the roll."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db.models import QuerySet
from django.test import Client

from engagement.actions import ActionRefused, Conflict
from engagement.core.phases import Phase
from engagement.ledger.core.canaries import Canary, canaries_commitment
from engagement.models import LedgerEntry, Segment, Show
from prizes import tasks
from prizes.audit import audit_draw
from prizes.canaries import commit_canaries, open_canaries
from prizes.exclusions import exclude_viewer
from prizes.models import Draw, Exclusion, Party
from prizes.on_air import MOST_COMMITMENTS, check_canaries, check_counts, uncounted_of
from prizes.steps import draw as drawing
from prizes.steps.freeze import freeze_shard
from prizes.steps.publish import publish_segment
from tests.cast import DIRECTOR, armed_segment, break_of, make_show
from tests.guards import without_guards
from tests.prizes.pipeline import VIEWERS, ended, run_all, stuff_tally

pytestmark = pytest.mark.django_db(transaction=True)

SALT = bytes(range(32))
ONE, TWO = (viewer.hex() for viewer in sorted(VIEWERS)[:2])
TOLD = [Canary(ONE, VIEWERS[bytes.fromhex(ONE)]), Canary(TWO, VIEWERS[bytes.fromhex(TWO)])]


@pytest.fixture
def show() -> Show:
    return make_show(slug="gala")


def digest(*viewers: str, name: str = "notary") -> str:
    return canaries_commitment("gala", name, SALT, viewers or (ONE, TWO)).hex()


def commit(segment: Segment, name: str = "notary", count: int = 2) -> LedgerEntry:
    return commit_canaries(segment.pk, name, digest(name=name), count, actor="nora")


def publish(segment: Segment, totals: dict[bytes, int] | None = None) -> Draw:
    """From the end of the window to the publication."""
    segment = ended(segment, totals)
    tasks.advance_seal(segment.pk, lambda number: freeze_shard(segment.pk, number))
    drawing.run_draw(segment.draws.get().pk)
    publish_segment(segment.pk, actor=DIRECTOR)
    return segment.draws.select_related("segment__freeze", "show").get()


def reveal(segment: Segment, canaries: list[Canary] | None = None, name: str = "notary") -> LedgerEntry:
    return open_canaries(segment.pk, name, SALT.hex(), TOLD if canaries is None else canaries, actor="nora")


def detail(draw: Draw, name: str = "canaries") -> tuple[bool, str]:
    [check] = [check for check in audit_draw(draw) if check.name == name]
    return check.ok, check.detail


def test_canaries_that_are_in_the_roll_hold(show: Show) -> None:
    segment = armed_segment(show)
    entry = commit(segment)
    assert json.loads(entry.details) == {
        "segment": segment.pk,
        "play": segment.key,
        "name": "notary",
        "count": 2,
        "commitment": digest(),
    }
    draw = publish(segment)
    assert detail(draw) == (True, "opened: none; not opened yet: 1")
    opened = reveal(segment)
    assert json.loads(opened.details)["canaries"] == [row._asdict() for row in sorted(TOLD)]
    assert detail(draw) == (True, "opened: notary; not opened yet: 0")
    assert detail(draw, "counts")[0] and uncounted_of(draw) is None and break_of(show) is None
    assert all(check.ok for check in audit_draw(draw))


def test_a_canary_whose_entry_was_dropped_is_named(show: Show) -> None:
    segment = armed_segment(show)
    commit(segment)
    dropped = {viewer: total for viewer, total in VIEWERS.items() if viewer.hex() != TWO}
    draw = publish(segment, dropped)
    reveal(segment)
    ok, said = detail(draw)
    assert (
        not ok and f"by the word of notary, {TWO} was told {TOLD[1].total} shakes" in said and ONE not in said
    )
    assert "the roll has 0" in said


def test_a_canary_with_fewer_tickets_than_its_phone_was_told_is_named(show: Show) -> None:
    segment = armed_segment(show)
    commit(segment)
    draw = publish(segment)
    reveal(segment, [TOLD[0], Canary(TWO, 160)])
    assert "was told 160 shakes, which are 10 tickets" in detail(draw)[1]


def test_a_canary_that_was_told_nothing_or_is_excluded_need_not_be_in_the_roll(show: Show) -> None:
    exclude_viewer(Exclusion(show=show, pseudonym=TWO), actor=DIRECTOR)
    segment = armed_segment(show)
    stranger = "fe" * 14
    commit_canaries(segment.pk, "notary", digest(stranger, TWO), 2, actor="nora")
    draw = publish(segment)
    reveal(segment, [Canary(stranger, 0), TOLD[1]])
    assert detail(draw) == (True, "opened: notary; not opened yet: 0")


@pytest.mark.parametrize("phase", [Phase.DRAFT, Phase.SEALED, Phase.PUBLISHED, Phase.VOID])
def test_a_commitment_is_taken_from_the_arming_until_the_freeze(show: Show, phase: Phase) -> None:
    segment = armed_segment(show)
    Segment.objects.filter(pk=segment.pk).update(phase=phase, opens_at="2026-01-01T00:00Z")
    with pytest.raises(Conflict, match="from its arming until its freeze"):
        commit(segment)


def test_after_the_freeze_nobody_commits_although_the_segment_is_not_sealed(show: Show) -> None:
    segment = ended(armed_segment(show))
    commit(segment, "before")
    draw = segment.draws.get()
    tasks.advance_seal(segment.pk, lambda number: freeze_shard(segment.pk, number))
    Segment.objects.filter(pk=segment.pk).update(phase=Phase.CLOSING)
    assert Segment.objects.get(pk=draw.segment_id).freeze.frozen_at_ms is not None
    with pytest.raises(Conflict, match="until its freeze"):
        commit(segment, "after")


def test_a_name_commits_once_and_names_are_few(show: Show) -> None:
    segment = armed_segment(show)
    commit(segment)
    with pytest.raises(Conflict, match="has committed to canaries"):
        commit(segment, " notary ")
    for number in range(MOST_COMMITMENTS - 1):
        commit(segment, f"notary {number}")
    with pytest.raises(ActionRefused, match="has 20 commitments already"):
        commit(segment, "one more")
    assert commit(armed_segment(show)).position  # another segment


@pytest.mark.parametrize(
    ("name", "count", "why"),
    [
        ("", 2, "a name"),
        ("n" * 61, 2, "a name"),
        ("no\ntary", 2, "a name"),
        ("a", 0, "1 to 100"),
        ("a", 101, "1 to"),
    ],
)
def test_what_is_no_commitment_is_refused(show: Show, name: str, count: int, why: str) -> None:
    segment = armed_segment(show)
    with pytest.raises(ActionRefused, match=why):
        commit_canaries(segment.pk, name, digest(), count, actor="nora")
    with pytest.raises(ActionRefused, match="64 hex digits"):
        commit_canaries(segment.pk, "notary", "ab", 2, actor="nora")
    assert not LedgerEntry.objects.filter(action="canaries").exists()


def test_an_opening_that_does_not_fit_or_comes_early_or_twice_is_refused(show: Show) -> None:
    segment = armed_segment(show)
    commit(segment)
    with pytest.raises(ActionRefused, match="opened after the publication"):
        reveal(segment)
    publish(segment)
    with pytest.raises(ActionRefused, match="do not fit the commitment"):
        reveal(segment, [TOLD[0], Canary("fe" * 14, 3)])
    with pytest.raises(ActionRefused, match="committed to no canaries"):
        reveal(segment, name="charity")
    with pytest.raises(ActionRefused, match="64 hex digits"):
        open_canaries(segment.pk, "notary", "ab", TOLD, actor="nora")
    reveal(segment)
    with pytest.raises(Conflict, match="has opened the canaries of"):
        reveal(segment)
    assert LedgerEntry.objects.filter(action="canaries opened").count() == 1


def test_what_the_ledger_cannot_have_told_is_a_failed_check(
    show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prizes import on_air

    segment = armed_segment(show)
    commit(segment)
    draw = publish(segment)
    for opened in ({"canaries": [], "salt": "00" * 32}, {"canaries": 7, "salt": ""}):
        rows = [on_air.Commitment({"name": "notary", "count": 2, "commitment": digest()}, opened)]
        monkeypatch.setattr(on_air, "commitments_for", lambda *_, rows=rows: rows)
        assert detail(draw)[0] is False


# --- counts ---


def test_a_draw_without_counts_is_none_of_ours_and_one_that_was_not_read_is_not_compared(
    show: Show, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from prizes import on_air

    draw = publish(armed_segment(show))
    monkeypatch.setattr(on_air, "ceiling_of", lambda *_: None)
    assert detail(draw, "counts") == (True, "NOT COMPARED: not everything could be read when it was counted")
    monkeypatch.setattr(on_air, "last_counts", lambda *_: None)
    assert detail(draw, "counts") == (False, "the ledger does not say what was counted")
    monkeypatch.setattr(on_air, "version_of", lambda *_: "shake-draw/v1")
    assert detail(draw, "counts") == (True, "of the first version: nothing was counted")
    monkeypatch.undo()
    (tmp_path / "roll").write_bytes(bytes(64))
    (tmp_path / "totals").write_bytes(bytes(17))
    assert check_counts(draw, tmp_path / "roll", tmp_path / "totals", None).ok is False
    assert check_canaries(draw, tmp_path / "roll").ok


@pytest.fixture
def stuffed(show: Show) -> Draw:
    """Drawn from ten viewers more than any gateway has counted."""
    segment = ended(armed_segment(show), {bytes([7]) * 14: 40})
    stuff_tally(segment, {bytes([number]) * 14: 150 for number in range(10, 20)})
    return run_all(segment)


def test_everybody_sees_that_more_was_frozen_than_was_counted(stuffed: Draw, client: Client) -> None:
    page = client.get(f"/draws/{stuffed.pk}/").content.decode()
    assert "11 viewers (11 of the app) and 1,540 shakes against 1 (1) and 40" in page
    assert "冻结的数据多于" in client.get(f"/draws/{stuffed.pk}/?lang=zh").content.decode()


@pytest.mark.parametrize("details", ["{", "[]", '{"viewers":1,"shakes":2,"counted":7}'])
def test_what_somebody_has_written_into_the_ledger_by_hand_breaks_no_page(
    stuffed: Draw, client: Client, details: str
) -> None:
    with without_guards():
        QuerySet.update(LedgerEntry.objects.filter(action="uncounted"), details=details)
    assert uncounted_of(stuffed) is None
    assert "counted on air" not in client.get(f"/draws/{stuffed.pk}/").content.decode()


def test_before_the_freeze_nothing_is_told(show: Show) -> None:
    assert uncounted_of(armed_segment(show).draws.get()) is None


# --- on the party page ---


def browser(name: str) -> Client:
    client = Client()
    client.force_login(User.objects.get_or_create(username=name)[0])
    return client


@pytest.fixture
def notary(show: Show) -> Party:
    """Invited after the arming: a party need not have a secret in the draw."""
    user = User.objects.create_user("nora", password="long enough for tests")
    return Party(show=show, name="notary", title="A notary", user=user)


def test_a_notary_commits_and_opens_on_the_page(show: Show, notary: Party) -> None:
    segment = armed_segment(show)
    notary.save()
    nora, start = browser("nora"), f"/parties/{notary.pk}/segments/{segment.pk}/canaries/"
    page = nora.get("/parties/").text
    assert f'action="{start}commit/"' in page and f'data-play="{segment.key}"' in page
    for count in ("", "x", "²", "101"):
        answer = nora.post(f"{start}commit/", {"commitment": digest(), "count": count}, follow=True)
        assert "expected 1 to 100 canaries" in answer.text
    answer = nora.post(f"{start}commit/", {"commitment": digest(), "count": "2"}, follow=True)
    assert "Committed to 2 canaries of 1. Segment 1" in answer.text and digest() in answer.text
    assert f'action="{start}' not in answer.text
    draw = publish(segment)
    assert f'action="{start}open/"' in nora.get("/parties/").text
    for opening in ("", "[]", "{", '{"salt":"ab"}', '{"salt":7,"canaries":[7]}', "[" * 5_000):
        assert (
            "expected the salt and the canaries"
            in nora.post(f"{start}open/", {"opening": opening}, follow=True).text
        )
    whole = {"salt": SALT.hex(), "canaries": [row._asdict() for row in TOLD]}
    answer = nora.post(f"{start}open/", {"opening": json.dumps(whole)}, follow=True)
    assert "are public now" in answer.text and "Opened in entry" in " ".join(answer.text.split())
    assert f'action="{start}' not in answer.text and detail(draw)[0]


@pytest.mark.parametrize("details", ["{", "[]", "{}", '{"play":1,"name":[]}'])
def test_an_entry_of_canaries_that_was_written_by_hand_breaks_no_party_page(
    show: Show, notary: Party, details: str
) -> None:
    segment = armed_segment(show)
    notary.save()
    commit(segment)
    with without_guards():
        QuerySet.update(LedgerEntry.objects.filter(action="canaries"), details=details)
    assert "Canaries of Segment" in browser("nora").get("/parties/").text


def test_a_party_has_canaries_of_its_own_show_only_and_acts_for_itself(show: Show, notary: Party) -> None:
    segment, elsewhere = armed_segment(show), armed_segment(make_show(slug="other"))
    notary.save()
    charity = Party.objects.create(show=show, name="charity", title="A charity")
    nora, fields = browser("nora"), {"commitment": digest(), "count": "2"}
    for action in ("commit", "open"):
        path = f"segments/{segment.pk}/canaries/{action}/"
        assert nora.post(f"/parties/{charity.pk}/{path}", fields).status_code == 403
        assert nora.get(f"/parties/{notary.pk}/{path}").status_code == 405
        assert Client().post(f"/parties/{notary.pk}/{path}", fields).status_code == 302
        foreign = f"/parties/{notary.pk}/segments/{elsewhere.pk}/canaries/{action}/"
        assert nora.post(foreign, fields).status_code == 404
    assert not LedgerEntry.objects.filter(action="canaries").exists()


# --- on a terminal ---


def canaries(*arguments: Any) -> dict[str, Any]:
    out = io.StringIO()
    call_command("canaries", *map(str, arguments), "--json", stdout=out)
    said: dict[str, Any] = json.loads(out.getvalue())
    return said


def test_a_notary_commits_and_opens_on_a_terminal(show: Show, tmp_path: Path) -> None:
    segment = armed_segment(show)
    viewers, kept, stub = tmp_path / "viewers.txt", tmp_path / "kept.json", tmp_path / "stub.json"
    viewers.write_text(f"{ONE.upper()}\n\n{TWO}\n")
    said = canaries("commit", segment.pk, "notary", "--pseudonyms", viewers, "--file", kept)
    assert (said["count"], said["name"]) == (2, "notary") and kept.stat().st_mode & 0o777 == 0o600
    with pytest.raises(CommandError, match="cannot write"):
        canaries("commit", segment.pk, "charity", "--pseudonyms", viewers, "--file", kept)
    with pytest.raises(CommandError, match="has committed"):
        canaries("commit", segment.pk, "notary", "--pseudonyms", viewers, "--file", tmp_path / "new")
    assert not (tmp_path / "new").exists()
    draw = publish(segment)
    told = {"segment": segment.key, "pseudonym": ONE, "total": TOLD[0].total}
    stub.write_text(json.dumps({"stub": told, "gateway_key": {}}))
    low = tmp_path / "low.json"
    low.write_text(json.dumps({**told, "total": 0}))
    opened = canaries("open", segment.pk, "notary", "--file", kept, "--stub", stub, "--stub", low)
    assert opened["canaries"] == [TOLD[0]._asdict(), {"pseudonym": TWO, "total": 0}]
    assert detail(draw)[0]


def test_the_program_in_the_docs_makes_a_commitment_that_opens(
    show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A notary computes it on a computer of his own, and the organiser's does not see the phones."""
    page = (Path(__file__).parents[2] / "docs/audit-a-draw.md").read_text()
    [program] = [code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "canaries" in code]
    monkeypatch.chdir(tmp_path)
    Path("phones.txt").write_text(f"{ONE.upper()}\n{TWO}\n")
    exec(program.replace('"gala"', f'"{show.slug}"'), {})
    count, commitment = capsys.readouterr().out.split()
    segment = armed_segment(show)
    canaries("commit", segment.pk, "notary", "--count", count, "--commitment", commitment)
    draw = publish(segment)
    canaries("open", segment.pk, "notary", "--file", "canaries.json")
    assert detail(draw) == (True, "opened: notary; not opened yet: 0")


@pytest.mark.parametrize("total", [2**32, 10**30])
def test_a_total_that_no_phone_was_told_is_refused_before_it_stands_in_the_ledger(
    show: Show, tmp_path: Path, total: int
) -> None:
    """Else the audit of an honest draw fails for ever."""
    segment, kept, stub = armed_segment(show), tmp_path / "kept.json", tmp_path / "stub.json"
    viewers = tmp_path / "viewers.txt"
    viewers.write_text(f"{ONE}\n{TWO}\n")
    canaries("commit", segment.pk, "notary", "--pseudonyms", viewers, "--file", kept)
    draw = publish(segment)
    stub.write_text(json.dumps({"segment": segment.key, "pseudonym": ONE, "total": total}))
    with pytest.raises(CommandError, match="expected a list of canaries"):
        canaries("open", segment.pk, "notary", "--file", kept, "--stub", stub)
    assert detail(draw) == (True, "opened: none; not opened yet: 1")


def test_what_the_terminal_cannot_use_is_said(show: Show, tmp_path: Path) -> None:
    segment, there = armed_segment(show), tmp_path / "there.json"
    there.write_text(json.dumps({"segment": "another"}))
    not_json, broken = tmp_path / "no.json", tmp_path / "broken.json"
    not_json.write_text("[")
    broken.write_bytes(b"\xff")
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps({"salt": SALT.hex(), "pseudonyms": [ONE, TWO]}))
    tries: list[tuple[list[Any], str]] = [
        (["commit", 0, "n", "--commitment", digest()], "there is no segment 0"),
        (["commit", segment.pk, "n"], "expected --pseudonyms and --file"),
        (["commit", segment.pk, "n", "--commitment", digest()], "1 to 100 canaries, got 0"),
        (["commit", segment.pk, "n", "--pseudonyms", there, "--file", tmp_path / "x"], "hex digits"),
        (["commit", segment.pk, "n", "--pseudonyms", tmp_path / "none", "--file", tmp_path / "x"], "cannot read"),
        (["open", segment.pk, "n"], "expected --file"),
        (["open", segment.pk, "n", "--file", there], "the file of a commitment"),
        (["open", segment.pk, "n", "--file", not_json], "a JSON object"),
        (["open", segment.pk, "n", "--file", broken], "cannot read"),
        (["open", segment.pk, "n", "--file", kept, "--stub", there], "what a phone was told"),
        (["open", segment.pk, "n", "--file", kept], "after the publication"),
    ]  # fmt: skip
    for arguments, why in tries:
        with pytest.raises(CommandError, match=why):
            canaries(*arguments)
    out = io.StringIO()
    call_command("canaries", "commit", segment.pk, "n", "--commitment", digest(), "--count", 2, stdout=out)
    assert out.getvalue().startswith("Canaries of n committed to: entry ")
