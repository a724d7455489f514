"""Parties beside the house: they commit before arming, and reveal between the end of the windows and the deadline."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.test import Client

from engagement.actions import ActionRefused
from engagement.clock import now_ms
from engagement.core.digests import commit
from engagement.core.phases import Phase
from engagement.models import LedgerEntry, Segment, Show
from engagement.roles import OPERATOR
from engagement.vault import open_secret
from prizes import parties, tasks
from prizes.models import Commitment, Draw, Party, Prize, PrizeList, Reveal
from prizes.parties import commit_party, commitments_of, missing_parties, reveal_deadline, reveal_secret
from prizes.steps.arm import arm_segment
from prizes.steps.freeze import freeze_shard
from tests.cast import arm, break_of, make_segment, make_show, put_on_air
from tests.clock import Clock
from tests.prizes.pipeline import ended

pytestmark = pytest.mark.django_db(transaction=True)

NOON = 1_800_000_000_000
SECRETS = {"notary": bytes([0x5A]) * 32, "charity": bytes([0xC3]) * 32}


@pytest.fixture
def show(clock: Clock) -> Show:
    clock.set(NOON)
    return make_show(slug="gala", title="Gala")


@pytest.fixture
def notary(show: Show) -> Party:
    user = User.objects.create_user("nora", password="long enough for tests")
    return Party.objects.create(show=show, name="notary", title="A notary", user=user)


def promise(segment: Segment, *people: Party) -> None:
    for prize_list in segment.prize_lists.select_related("segment__show"):
        for party in people:
            digest = commit(parties.draw_id_of(prize_list), party.name, SECRETS[party.name]).hex()
            commit_party(prize_list, party, digest, actor=party.name)


def armed(show: Show, *people: Party, **fields: Any) -> Draw:
    segment = make_segment(show, **fields)
    promise(segment, *people)
    return arm(segment).draws.get()


def closed(show: Show, *people: Party, **fields: Any) -> Draw:
    """A draw whose windows have ended, not frozen yet."""
    ended(armed(show, *people, **fields).segment)
    return Draw.objects.get()


def go_on(draw: Draw) -> Draw:
    """What the conductor does in this second."""
    tasks.advance_seal(draw.segment_id, lambda number: freeze_shard(draw.segment_id, number))
    return Draw.objects.select_related("segment__freeze").get(pk=draw.pk)


def told(show: Show, prefix: str) -> list[LedgerEntry]:
    return list(LedgerEntry.objects.filter(show=show, action__startswith=prefix).order_by("position"))


# --- arming ---


def test_arming_is_refused_and_names_who_has_not_committed(show: Show, notary: Party) -> None:
    charity = Party.objects.create(show=show, name="charity", title="A charity")
    segment = make_segment(show)
    with pytest.raises(ActionRefused, match=r"no commitment to gala/seg-1/draw-1 from charity, notary\."):
        arm_segment(segment.pk, actor="olga")
    promise(segment, notary)
    with pytest.raises(ActionRefused, match=r"from charity\."):
        arm_segment(segment.pk, actor="olga")
    charity.delete()
    assert arm_segment(segment.pk, actor="olga").phase == Phase.ARMED


def test_the_rules_hold_the_house_and_the_parties_in_the_order_of_their_names(
    show: Show, notary: Party
) -> None:
    charity = Party.objects.create(show=show, name="charity", title="A charity")
    draw = armed(show, notary, charity)
    promised = commitments_of(draw)
    assert list(promised) == ["house", "charity", "notary"]
    assert promised["notary"] == commit("gala/seg-1/draw-1", "notary", SECRETS["notary"]).hex()
    assert promised["house"] == commit(draw.draw_id, "house", open_secret(draw.house_secret)).hex()


def test_times_of_the_prize_list_are_in_the_rules(show: Show) -> None:
    segment = make_segment(show)
    segment.prize_lists.update(seal_margin_s=90, reveal_deadline_s=20, claim_s=777)
    rules = json.loads(arm(segment).draws.get().rules)
    assert (rules["seal_margin_s"], rules["reveal_deadline_s"], rules["claim_s"]) == (90, 20, 777)


def test_a_prize_above_the_cap_of_the_show_is_named_when_arming_is_refused(show: Show) -> None:
    segment = make_segment(show)
    Prize.objects.filter(position=2).update(value_minor=5_000_001)
    with pytest.raises(ActionRefused, match=r"Coat worn by Star 2 is worth 5000001 CNY .* more than 5000000"):
        arm_segment(segment.pk, actor="olga")
    Prize.objects.filter(position=2).update(value_minor=5_000_000)
    assert arm_segment(segment.pk, actor="olga").phase == Phase.ARMED


def test_a_draft_that_was_renumbered_needs_new_commitments(show: Show, notary: Party) -> None:
    segment = make_segment(show)
    promise(segment, notary)
    PrizeList.objects.update(number=3)
    with pytest.raises(ActionRefused, match="no commitment to gala/seg-1/draw-3 from notary"):
        arm_segment(segment.pk, actor="olga")
    promise(segment, notary)
    assert arm_segment(segment.pk, actor="olga").phase == Phase.ARMED


def test_parties_that_come_and_go_later_do_not_touch_an_armed_draw(show: Show, notary: Party) -> None:
    draw = armed(show, notary)
    Party.objects.create(show=show, name="charity", title="A charity")
    notary.delete()
    assert missing_parties(draw) == ["house", "notary"]
    ended(draw.segment)
    assert reveal_secret(draw.pk, "notary", SECRETS["notary"], actor="cli:nora").party == "notary"
    assert go_on(draw).segment.phase == Phase.SEALED


# --- commitments ---


def test_a_commitment_is_told_once_and_may_be_replaced_until_arming(show: Show, notary: Party) -> None:
    prize_list = make_segment(show).prize_lists.get()
    for digits in ("ab" * 32, "AB" * 32, "cd" * 32):
        commit_party(prize_list, notary, digits, actor="nora")
    assert [json.loads(entry.details)["commitment"] for entry in told(show, "commit")] == [
        "ab" * 32,
        "cd" * 32,
    ]
    assert Commitment.objects.get().commitment == "cd" * 32
    arm(prize_list.segment)
    with pytest.raises(ActionRefused, match="is armed: its parties were fixed when it was armed"):
        commit_party(prize_list, notary, "ef" * 32, actor="nora")


def test_a_commitment_that_comes_after_everything_is_told_the_phase_and_not_the_last_claim(
    show: Show, notary: Party
) -> None:
    late, called_off = make_segment(show), make_segment(show, phase=Phase.VOID)
    promise(late, notary)
    put_on_air(arm(late), opened_ms_ago=90_000, left_ms=-10_000, phase=Phase.PUBLISHED)
    for segment, why in (
        (late, "published: its parties were fixed when it was armed"),
        (called_off, "void: nothing"),
    ):
        with pytest.raises(ActionRefused) as refusal:
            commit_party(segment.prize_lists.get(), notary, "ef" * 32, actor="nora")
        assert f"is {why}" in str(refusal.value) and " by " not in str(refusal.value)


@pytest.mark.parametrize("typed", ["", "ab", "zz" * 32, "ab" * 33, "９" * 64])
def test_a_commitment_that_is_none_is_refused(show: Show, notary: Party, typed: str) -> None:
    with pytest.raises(ActionRefused, match="expected 64 hex digits"):
        commit_party(make_segment(show).prize_lists.get(), notary, typed, actor="nora")


def test_a_party_commits_in_its_own_show_only(show: Show, notary: Party) -> None:
    elsewhere = make_segment(make_show(slug="other")).prize_lists.get()
    with pytest.raises(ActionRefused, match="no party of"):
        commit_party(elsewhere, notary, "ab" * 32, actor="nora")


# --- reveals ---


def test_a_secret_is_taken_after_the_windows_and_told_in_the_ledger(show: Show, notary: Party) -> None:
    draw = closed(show, notary)
    row = reveal_secret(draw.pk, "notary", SECRETS["notary"], actor="nora")
    (entry,) = told(show, "reveal")
    assert json.loads(entry.details)["secret"] == SECRETS["notary"].hex()
    assert (entry.position, entry.at_ms, entry.actor) == (row.ledger, row.at_ms, "nora")
    assert open_secret(row.secret) == SECRETS["notary"] != row.secret.encode()
    assert break_of(show) is None


def test_too_early_is_refused_and_the_secret_is_kept_nowhere(show: Show, notary: Party) -> None:
    draw = armed(show, notary)
    for phase in (Phase.ARMED, Phase.OPEN):
        Segment.objects.filter(pk=draw.segment_id).update(phase=phase, opens_at="2026-01-01T00:00Z")
        with pytest.raises(ActionRefused, match=f"too early: 1. Segment 1 is {phase}"):
            reveal_secret(draw.pk, "notary", SECRETS["notary"], actor="nora")
    assert not Reveal.objects.exists()
    assert told(show, "reveal") == []


def test_the_same_secret_again_is_the_same_reveal_even_after_the_seal(show: Show, notary: Party) -> None:
    draw = closed(show, notary)
    first = reveal_secret(draw.pk, "notary", SECRETS["notary"], actor="nora")
    assert go_on(draw).segment.phase == Phase.SEALED
    assert reveal_secret(draw.pk, "notary", SECRETS["notary"], actor="nora").pk == first.pk
    assert [entry.action for entry in told(show, "reveal")] == [
        "reveal",
        "reveal",
    ]  # the notary's, the house's


@pytest.mark.parametrize("secret", [bytes(32), b"", SECRETS["notary"][:31], SECRETS["notary"] + b"\0"])
def test_a_wrong_secret_is_refused_in_the_ledger_which_does_not_show_it(
    show: Show, notary: Party, secret: bytes
) -> None:
    draw = closed(show, notary)
    with pytest.raises(ActionRefused, match=r"^wrong: "):
        reveal_secret(draw.pk, "notary", secret, actor="nora")
    (entry,) = told(show, "reveal refused")
    assert (entry.actor, entry.reason[:6], json.loads(entry.details)["party"]) == ("nora", "wrong:", "notary")
    assert "secret" not in json.loads(entry.details)
    assert reveal_secret(draw.pk, "notary", SECRETS["notary"], actor="nora")


def test_guesses_do_not_fill_the_ledger(show: Show, notary: Party) -> None:
    draw = closed(show, notary)
    for number in range(parties.MAX_REFUSALS + 3):
        with pytest.raises(ActionRefused):
            reveal_secret(draw.pk, "notary", bytes([number]) * 32, actor="nora")
    assert len(told(show, "reveal refused")) == parties.MAX_REFUSALS


def test_the_deadline_counts_from_the_freeze_and_its_last_millisecond_is_in_time(
    show: Show, notary: Party, clock: Clock
) -> None:
    draw = go_on(closed(show, notary, beacon="dice"))
    deadline = reveal_deadline(draw)
    assert deadline == (NOON // 1000 + 60 - 15) * 1000
    assert draw.segment.phase == Phase.CLOSING
    assert "waiting for the secrets of notary until" in draw.trouble
    clock.set(deadline)
    assert reveal_secret(draw.pk, "notary", SECRETS["notary"], actor="nora").at_ms == deadline
    assert go_on(draw).segment.phase == Phase.SEALED


def test_who_is_late_is_refused_in_the_ledger_and_leaves_an_empty_field(
    show: Show, notary: Party, clock: Clock
) -> None:
    draw = go_on(closed(show, notary))
    deadline = reveal_deadline(draw)
    assert deadline is not None
    clock.set(deadline + 1)
    with pytest.raises(
        ActionRefused, match="too late: secrets of gala/seg-1/draw-1 were taken until 08:00:45 UTC"
    ):
        reveal_secret(draw.pk, "notary", SECRETS["notary"], actor="nora")
    draw = go_on(draw)
    assert (draw.segment.phase, missing_parties(draw)) == (Phase.SEALED, ["notary"])
    with pytest.raises(ActionRefused, match="is sealed"):
        reveal_secret(draw.pk, "notary", SECRETS["notary"], actor="nora")
    assert [entry.reason[:9] for entry in told(show, "reveal refused")] == ["too late:"] * 2


def test_strangers_and_void_segments_are_refused(show: Show, notary: Party) -> None:
    draw = closed(show, notary)
    with pytest.raises(ActionRefused, match="no party 'mallory', only house, notary"):
        reveal_secret(draw.pk, "mallory", bytes(32), actor="mallory")
    with pytest.raises(ActionRefused, match="there is no draw 987654"):
        reveal_secret(987654, "notary", bytes(32), actor="nora")
    Segment.objects.filter(pk=draw.segment_id).update(phase=Phase.VOID)
    with pytest.raises(ActionRefused, match="is void"):
        reveal_secret(draw.pk, "notary", SECRETS["notary"], actor="nora")


# --- the page ---


def browser(name: str) -> Client:
    client = Client()
    client.force_login(User.objects.get(username=name))
    return client


def said(answer: Any) -> str:
    return " ".join(str(message) for message in answer.context["messages"])


def test_a_party_logs_in_without_any_right_in_the_console(show: Show, notary: Party, client: Client) -> None:
    answer = client.get("/parties/", follow=True)
    assert answer.redirect_chain == [("/login/?next=/parties/", 302)]
    fields = {"username": "nora", "password": "long enough for tests", "next": "/parties/"}
    page = client.post("/login/", fields, follow=True).text
    assert "A notary: Gala" in page
    for path in ("/console/", "/console/gala/", "/console/gala/ledger/"):
        assert client.get(path).status_code == 403
    assert client.get("/admin/").status_code == 302
    client.post("/logout/")
    assert client.get("/parties/").status_code == 302


def test_the_page_is_for_parties_only_and_shows_none_but_their_own(show: Show, notary: Party) -> None:
    User.objects.create_user("olga", is_staff=True).groups.add(Group.objects.get(name=OPERATOR))
    make_segment(show, title="Opening")
    make_segment(make_show(slug="other", title="Other night"), title="Elsewhere")
    page = browser("nora").get("/parties/").text
    assert "Opening" in page
    assert "Elsewhere" not in page
    assert browser("olga").get("/parties/").status_code == 403
    assert browser("olga").get("/parties/live").json()["ok"] is False
    assert Client().get("/parties/live").status_code == 403


def test_a_party_acts_for_itself_only(show: Show, notary: Party) -> None:
    charity = Party.objects.create(show=show, name="charity", title="A charity")
    segment = make_segment(show)
    prize_list, other = segment.prize_lists.get(), make_segment(make_show(slug="other")).prize_lists.get()
    nora, fields = browser("nora"), {"commitment": "ab" * 32}
    assert nora.post(f"/parties/{charity.pk}/lists/{prize_list.pk}/commit/", fields).status_code == 403
    assert nora.post(f"/parties/{notary.pk}/lists/{other.pk}/commit/", fields).status_code == 404
    assert nora.get(f"/parties/{notary.pk}/lists/{prize_list.pk}/commit/").status_code == 405
    assert Client().post(f"/parties/{notary.pk}/lists/{prize_list.pk}/commit/", fields).status_code == 302
    assert not Commitment.objects.exists()


def test_who_was_logged_out_meanwhile_gets_back_to_the_page_and_acts_for_nobody(
    show: Show, notary: Party
) -> None:
    """Also where a party has no account yet: nobody who is not logged in stands for it."""
    draw = armed(show, notary)
    without_account = Party.objects.create(show=show, name="charity", title="A charity")
    stranger = Client()
    for party in (notary, without_account):
        for action in (f"lists/{draw.prize_list_id}/commit", f"draws/{draw.pk}/reveal"):
            answer = stranger.post(f"/parties/{party.pk}/{action}/", {"secret": "ab" * 32}, follow=True)
            assert answer.redirect_chain == [("/parties/", 302), ("/login/?next=/parties/", 302)]
    assert Commitment.objects.filter(party=without_account).count() == Reveal.objects.count() == 0


def test_commit_and_reveal_on_the_page(show: Show, notary: Party) -> None:
    nora, segment = browser("nora"), make_segment(show)
    address = f"/parties/{notary.pk}/lists/{segment.prize_lists.get().pk}/commit/"
    digest = commit("gala/seg-1/draw-1", "notary", SECRETS["notary"]).hex()
    assert "Not committed yet." in nora.get("/parties/").text
    assert "expected 64 hex digits" in said(nora.post(address, {"commitment": "x"}, follow=True))
    answer = nora.post(address, {"commitment": digest}, follow=True)
    assert "Committed for gala/seg-1/draw-1" in said(answer)
    assert digest in answer.text
    draw = arm(segment).draws.get()
    assert "Keep your secret to yourself" in nora.get("/parties/").text
    ended(segment)
    address = f"/parties/{notary.pk}/draws/{draw.pk}/reveal/"
    assert "does not fit" in said(nora.post(address, {"secret": "ab" * 32}, follow=True))
    answer = nora.post(address, {"secret": SECRETS["notary"].hex()}, follow=True)
    assert "Revealed: your secret" in said(answer)
    assert SECRETS["notary"].hex() in answer.text


def test_the_page_knows_when_to_reveal(show: Show, notary: Party, clock: Clock) -> None:
    draw, nora = armed(show, notary), browser("nora")

    def live() -> tuple[bool, int | None, str]:
        (row,) = nora.get("/parties/live").json()["draws"]
        return row["may_reveal"], row["reveal_by"], row["text"]

    assert live()[:2] == (False, None)
    ended(draw.segment)
    assert live()[:2] == (True, None)
    deadline = reveal_deadline(go_on(draw))
    assert deadline is not None
    assert live() == (True, deadline, "Reveal your secret now. Until 08:00:45 UTC.")
    clock.set(deadline + 1)
    assert live()[2].startswith("Not revealed in time")


def test_a_slip_of_the_hand_on_the_page_is_not_in_the_ledger(show: Show, notary: Party) -> None:
    draw = closed(show, notary)
    address = f"/parties/{notary.pk}/draws/{draw.pk}/reveal/"
    assert "expected 64 hex digits" in said(browser("nora").post(address, {"secret": "qwerty"}, follow=True))
    assert told(show, "reveal refused") == []


# --- the commands ---


def run(*arguments: Any) -> str:
    out = io.StringIO()
    call_command(*map(str, arguments), stdout=out)
    return out.getvalue()


def test_a_new_secret_is_kept_in_a_file_and_revealed_from_it(
    show: Show, notary: Party, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment, path = make_segment(show), tmp_path / "secret.json"
    answer = json.loads(run("commit", segment.pk, "notary", "--new-secret", path, "--json"))
    kept = json.loads(path.read_text())
    assert path.stat().st_mode & 0o777 == 0o600
    assert kept == {**answer, "secret": kept["secret"]}
    assert kept["commitment"] == commit(kept["draw_id"], "notary", bytes.fromhex(kept["secret"])).hex()
    draw = arm(segment).draws.get()
    ended(segment)
    assert "notary has revealed" in run("reveal", draw.pk, "notary", "--secret-file", path)
    monkeypatch.setattr("sys.stdin", io.StringIO(kept["secret"] + "\n"))
    again = json.loads(run("reveal", draw.draw_id, "notary", "--json"))
    assert (again["party"], again["ledger"]) == ("notary", Reveal.objects.get().ledger)
    assert told(show, "reveal")[0].actor.startswith("cli:")


def test_the_commands_say_what_is_wrong(show: Show, notary: Party, tmp_path: Path) -> None:
    segment = make_segment(show)
    PrizeList.objects.create(segment=segment, number=2, beacon="local")
    wrong: list[tuple[tuple[Any, ...], str]] = [
        (("commit", segment.pk, "notary", "--commitment", "ab" * 32), "these prize lists: 1, 2; say which"),
        (("commit", 987654, "notary", "--commitment", "ab" * 32), "there is no segment 987654"),
        (
            ("commit", segment.pk, "notary", "--list", 3, "--commitment", "ab" * 32),
            "these prize lists: 1, 2; say",
        ),
        (("commit", segment.pk, "mallory", "--list", 1, "--commitment", "ab" * 32), "no party 'mallory'"),
        (("commit", segment.pk, "notary", "--list", 1, "--commitment", "ab"), "expected 64 hex digits"),
        (("commit", segment.pk, "notary", "--list", 1, "--new-secret", tmp_path), "File exists"),
        (("commit", segment.pk, "notary", "--list", 1), "one of the arguments"),
        (("reveal", 987654, "notary"), "there is no draw 987654"),
        (("reveal", "gala/seg-1/draw-1", "notary"), "there is no draw gala/seg-1/draw-1"),
    ]
    for arguments, text in wrong:
        with pytest.raises(CommandError, match=text):
            run(*arguments)
    assert not Commitment.objects.exists()


def test_a_secret_that_was_refused_leaves_no_file(show: Show, notary: Party, tmp_path: Path) -> None:
    segment = armed(show, notary).segment
    with pytest.raises(CommandError, match="its parties were fixed"):
        run("commit", segment.pk, "notary", "--new-secret", tmp_path / "secret.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "ab", "qwerty", "{", "[]", '{"secret": 7}', "{}"])
def test_a_file_that_holds_no_secret_is_refused(show: Show, notary: Party, tmp_path: Path, text: str) -> None:
    draw, path = closed(show, notary), tmp_path / "secret.json"
    with pytest.raises(CommandError, match="No such file"):
        run("reveal", draw.pk, "notary", "--secret-file", path)
    path.write_text(text)
    with pytest.raises(CommandError, match=r"expected 64 hex digits|expected a secret of 32 bytes"):
        run("reveal", draw.pk, "notary", "--secret-file", path)
    assert now_ms() == NOON
