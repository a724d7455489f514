"""Logins of the crew: failures and who is held off, the second factor, sessions, and the account on paper."""

import hashlib
import json
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData

from engagement import tally
from engagement.clock import now_ms
from engagement.models import LedgerEntry
from engagement.roles import AUDITOR, DIRECTOR, OPERATOR
from prizes.accounts import PARTY, ensure_account, invitation
from prizes.crew import throttle
from prizes.crew.browsers import cookie_of
from prizes.crew.glass import NAME
from prizes.logins import LOGGED_IN_AT
from prizes.models import BreakGlass, CrewSession, FailedLogin
from tests.cast import armed_segment, make_show
from tests.pages import page_of
from tests.prizes.crew import (
    ELSEWHERE,
    PASSWORD,
    STUDIO,
    CountingHasher,
    code_of,
    hire,
    set_up_app,
    try_login,
)

pytestmark = pytest.mark.django_db
LATER_MS = throttle.COOL_OFF_MS + 1


def lands_at(page: Any) -> str:
    return str(page.redirect_chain[-1][0]) if page.redirect_chain else ""


def age(client: Client) -> None:
    """So that the login is not recent any more."""
    session = client.session
    session[LOGGED_IN_AT] = now_ms() - 16 * 60_000
    session.save()


# --- failed logins ---


def hammer(name: str, where: str, times: int = throttle.TRIES) -> Any:
    for _ in range(times):
        page = try_login(name, "a guess of somebody", where)[1]
    return page


def test_whoever_hammers_a_name_from_elsewhere_is_held_off_there_and_the_studio_logs_in() -> None:
    hire("dora", DIRECTOR)
    assert "correct" in hammer("dora", ELSEWHERE).text
    assert "try again in 15 minutes" in try_login("dora", PASSWORD, ELSEWHERE)[1].text
    assert lands_at(try_login("dora", PASSWORD, STUDIO)[1]) == "/console/"


def test_other_accounts_of_a_hammered_address_go_on() -> None:
    hire("dora", DIRECTOR), hire("olga", OPERATOR)
    hammer("dora", STUDIO)
    hammer("nobody at all", STUDIO)
    assert "try again" in try_login("dora", PASSWORD, STUDIO)[1].text
    assert lands_at(try_login("olga", PASSWORD, STUDIO)[1]) == "/console/"


def test_all_of_an_ipv6_network_are_one_neighbour() -> None:
    hire("dora", DIRECTOR)
    for number in range(throttle.TRIES):
        hammer("dora", f"2001:db8:0:7::{number:x}", 1)
    assert "try again" in try_login("dora", PASSWORD, "2001:db8:0:7::ffff")[1].text
    assert lands_at(try_login("dora", PASSWORD, "2001:db8:0:8::1")[1]) == "/console/"


def test_the_cool_off_ends_by_itself_and_tries_in_it_do_not_prolong_it() -> None:
    hire("dora", DIRECTOR)
    hammer("dora", STUDIO)
    before = FailedLogin.objects.get().last_ms
    hammer("dora", STUDIO, 3)
    assert FailedLogin.objects.get().last_ms == before
    FailedLogin.objects.update(last_ms=now_ms() - LATER_MS)
    assert "correct" in hammer("dora", STUDIO, 1).text
    assert FailedLogin.objects.get().in_a_row == 1
    assert lands_at(try_login("dora")[1]) == "/console/"
    assert (FailedLogin.objects.get().in_a_row, FailedLogin.objects.get().failures) == (0, throttle.TRIES + 1)


def test_nobody_is_locked_out_or_let_in_because_redis_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise ConnectionError("Redis is away")

    monkeypatch.setattr(tally, "connect", away)
    hire("dora", DIRECTOR)
    hammer("dora", ELSEWHERE)
    assert "try again" in try_login("dora", PASSWORD, ELSEWHERE)[1].text
    client, page = try_login("dora")
    assert lands_at(page) == "/console/"
    secret, _ = set_up_app(client)
    client, page = try_login("dora")
    assert lands_at(client.post("/login/second/", {"code": code_of(secret)}, follow=True)) == "/console/"


def test_every_wrong_login_takes_one_hash_whether_there_is_such_an_account_or_not(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["tests.prizes.crew.CountingHasher"]
    hire("dora", DIRECTOR)
    gone = hire("gone", OPERATOR)
    gone.is_active = False
    gone.save()
    ensure_account("invited", OPERATOR)
    for name in ("dora", "gone", "invited", "nobody"):
        before = CountingHasher.hashes
        assert "correct" in hammer(name, ELSEWHERE, 1).text
        assert CountingHasher.hashes - before == 1, name
    hammer("dora", STUDIO)
    before = CountingHasher.hashes
    assert "try again" in hammer("dora", STUDIO, 20).text
    assert CountingHasher.hashes == before  # whoever is held off costs nothing


def test_a_failure_is_one_line_of_the_log_without_what_was_typed(caplog: pytest.LogCaptureFixture) -> None:
    hire("dora", DIRECTOR)
    with caplog.at_level(logging.WARNING, "prizes"):
        try_login("dora", "hunter2hunter2", ELSEWHERE)
        try_login("my real password", "oops", ELSEWHERE)
    said = [row.getMessage() for row in caplog.records]
    assert said[0] == f"login failed (password): dora from {ELSEWHERE}, 1 in a row"
    assert re.fullmatch(
        rf"login failed \(password\): no such account #[0-9a-f]{{8}} from {ELSEWHERE}, 1 in a row", said[1]
    )
    assert len(said) == 2 and "hunter2" not in caplog.text and "my real" not in caplog.text
    assert not FailedLogin.objects.filter(account__contains="real").exists()


def test_the_crew_sees_what_has_failed_and_parties_do_not() -> None:
    make_show()
    hire("dora", DIRECTOR), hire("olga", OPERATOR), hire("ada", AUDITOR), hire("nora", PARTY)
    hammer("dora", ELSEWHERE)
    for name in ("dora", "olga", "ada"):
        client, _ = try_login(name)
        page = page_of(client.get("/crew/"))
        assert (
            f'<td class="name">dora</td><td class="mono">{ELSEWHERE}</td> <td class="number">5</td>' in page
        )
        assert "held off" in page and ("Who is logged in" in page) is (name == "dora")
    assert try_login("nora")[0].get("/crew/").status_code == 403
    assert LedgerEntry.objects.filter(action__contains="login").count() == 0


def test_rows_of_failures_are_bounded_in_number_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "MOST_ROWS", 10)
    FailedLogin.objects.create(account="old", neighbour="x", first_ms=1, last_ms=1)
    now = now_ms() - 100_000
    for number in range(30):
        FailedLogin.objects.create(account=f"a{number}", neighbour="x", first_ms=1, last_ms=now + number)
    throttle.note_failure("new", STUDIO, throttle.PASSWORD)
    kept = list(FailedLogin.objects.order_by("last_ms").values_list("account", flat=True))
    assert kept[:-1] == [f"a{number}" for number in range(21, 30)] and kept[-1].startswith("no such account")


# --- the second factor ---


def test_an_app_is_set_up_and_from_then_on_the_login_takes_two_steps() -> None:
    hire("dora", DIRECTOR)
    client, _ = try_login("dora")
    secret, codes = set_up_app(client)
    assert len(set(codes)) == 10
    other, page = try_login("dora", next="/draws/")
    assert lands_at(page) == "/login/second/" and "<strong>dora</strong>" in page.text
    assert other.get("/console/").status_code == 302  # not logged in yet
    assert "not right" in other.post("/login/second/", {"code": "000000"}).text
    assert lands_at(other.post("/login/second/", {"code": code_of(secret)}, follow=True)) == "/draws/"
    assert other.get("/console/").status_code == 200
    assert other.get("/login/second/")["Location"] == "/login/"


def test_a_code_is_good_once_on_every_gateway() -> None:
    user = hire("dora", DIRECTOR)
    secret, codes = set_up_app(try_login("dora")[0])
    for code, good in (
        (code_of(secret), True),
        (code_of(secret), False),
        (codes[3], True),
        (codes[3], False),
    ):
        FailedLogin.objects.all().delete()
        client, _ = try_login("dora")
        page = client.post("/login/second/", {"code": code}, follow=True)
        assert (lands_at(page) == "/console/") is good, code
    assert "last" in Authenticator.objects.get(user=user, type="totp").data


def test_codes_are_guessed_as_seldom_as_passwords_and_the_right_password_does_not_begin_anew() -> None:
    hire("dora", DIRECTOR)
    secret, _ = set_up_app(try_login("dora")[0])
    for _ in range(throttle.TRIES):
        client, page = try_login("dora", PASSWORD, ELSEWHERE)
        assert lands_at(page) == "/login/second/"
        client.post("/login/second/", {"code": "000000"})
    assert "try again" in client.post("/login/second/", {"code": code_of(secret)}).text
    assert "try again" in try_login("dora", PASSWORD, ELSEWHERE)[1].text
    client, _ = try_login("dora", PASSWORD, STUDIO)
    assert lands_at(client.post("/login/second/", {"code": code_of(secret)}, follow=True)) == "/console/"


def test_half_a_login_ends_after_minutes_and_with_another_password() -> None:
    user = hire("dora", DIRECTOR)
    secret, _ = set_up_app(try_login("dora")[0])
    client, _ = try_login("dora")
    session = client.session
    session["half_login"] = {**session["half_login"], "at": now_ms() - 6 * 60_000}
    session.save()
    assert client.post("/login/second/", {"code": code_of(secret)})["Location"] == "/login/"
    client, _ = try_login("dora")
    user.set_password("another long password")
    user.save()
    assert client.post("/login/second/", {"code": code_of(secret)})["Location"] == "/login/"


def test_secrets_of_the_second_factor_are_encrypted_at_rest_and_not_in_the_administration() -> None:
    user = hire("dora", DIRECTOR)
    secret, codes = set_up_app(try_login("dora")[0])
    kept = repr(list(Authenticator.objects.filter(user=user).values_list("data", flat=True)))
    assert secret not in kept and not any(code in kept for code in codes)
    client = Client()
    client.force_login(User.objects.create_superuser("chief"))
    assert client.get("/admin/mfa/authenticator/").status_code == 404
    assert client.get("/admin/account/emailaddress/").status_code == 404


@pytest.mark.parametrize(
    "credential", ["", "{", "[" * 9_000, '{"id": 7}', '{"id": {}, "response": null}', "null"]
)
def test_what_is_no_passkey_is_refused(credential: str) -> None:
    hire("dora", DIRECTOR)
    client, _ = try_login("dora")
    answer = client.post("/account/passkey/", {"credential": credential, "name": "key"})
    assert answer.status_code == 200 and "cannot be taken" in answer.text
    set_up_app(client)
    client, _ = try_login("dora")
    answer = client.post("/login/second/", {"credential": credential})
    assert answer.status_code == 200 and "not right" in answer.text


def test_a_name_that_nobody_can_see_is_refused_before_the_passkey() -> None:
    hire("dora", DIRECTOR)
    client, _ = try_login("dora")
    answer = client.post("/account/passkey/", {"credential": "{}", "name": "key\u202egnp"})
    assert "name: expected characters that can be seen, got U+202E" in answer.text


def test_of_djangos_allauth_no_page_has_an_address() -> None:
    for path in (
        "/accounts/signup/",
        "/accounts/login/",
        "/signup/",
        "/mfa/",
        "/accounts/",
        "/account/email/",
    ):
        assert Client().get(path).status_code == 404, path


def test_who_has_lost_the_second_factor_gets_in_by_a_command_and_sets_up_another() -> None:
    hire("dora", DIRECTOR)
    client, _ = try_login("dora")
    set_up_app(client)
    out = StringIO()
    call_command("reset_second_factor", "dora", "--as", "Ada", stdout=out)
    assert out.getvalue() == "dora has no second factor now. Sessions ended: 1.\n"
    assert client.get("/console/").status_code == 302
    assert lands_at(try_login("dora")[1]) == "/console/"
    with pytest.raises(CommandError, match="there is no account 'nobody'"):
        call_command("reset_second_factor", "nobody", "--as", "Ada")


def test_storage_keys_are_changed_and_the_app_goes_on(settings: Any) -> None:
    hire("dora", DIRECTOR)
    secret, codes = set_up_app(try_login("dora")[0])
    settings.STORAGE_KEYS = ["another-key-of-thirty-two-letters-or-more", *settings.STORAGE_KEYS]
    call_command("rotate_storage_keys", stdout=StringIO())
    settings.STORAGE_KEYS = settings.STORAGE_KEYS[:1]
    for code in (code_of(secret), codes[0]):
        client, _ = try_login("dora")
        assert lands_at(client.post("/login/second/", {"code": code}, follow=True)) == "/console/"
    settings.STORAGE_KEYS = ["a-third-key-of-thirty-two-letters-or-more"]
    client, _ = try_login("dora")
    assert "not right" in client.post("/login/second/", {"code": code_of(secret, 1)}).text


# --- who needs one ---


@pytest.mark.parametrize("role", [OPERATOR, DIRECTOR])
def test_who_runs_a_show_can_do_nothing_but_set_up_the_second_factor(role: str, settings: Any) -> None:
    settings.CREW_SECOND_FACTOR = True
    show = make_show()
    hire("olga", role)
    client, page = try_login("olga")
    assert lands_at(page) == "/account/" and "needs a second factor" in page.text
    for path in (
        "/console/",
        f"/console/{show.slug}/",
        "/admin/",
        "/draws/",
        "/crew/",
        f"/stage/{show.slug}/",
    ):
        assert client.get(path)["Location"] == "/account/", path
    answer = client.get(f"/console/{show.slug}/live", headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (403, "second_factor")
    assert client.get(f"/api/shows/{show.slug}/draws").json()["code"] == "second_factor"
    set_up_app(client)
    assert client.get("/console/").status_code == 200
    assert client.get(f"/console/{show.slug}/live").status_code == 200


def test_the_press_of_a_button_is_refused_without_the_second_factor(settings: Any) -> None:
    settings.CREW_SECOND_FACTOR = True
    segment = armed_segment(make_show())
    hire("dora", DIRECTOR)
    client, _ = try_login("dora")
    path = f"/console/{segment.show.slug}/segments/{segment.pk}/void/"
    assert client.post(path, {"reason": "rain"}).json()["code"] == "second_factor"
    segment.refresh_from_db()
    assert segment.phase == "armed"


def test_auditors_and_parties_may_have_one_and_need_none(settings: Any) -> None:
    settings.CREW_SECOND_FACTOR = True
    make_show()
    hire("ada", AUDITOR), hire("nora", PARTY)
    assert lands_at(try_login("ada")[1]) == "/console/"
    client, page = try_login("nora")
    assert lands_at(page) == "/parties/"
    set_up_app(client)
    assert lands_at(try_login("nora")[1]) == "/login/second/"


def test_the_last_factor_of_who_needs_one_is_not_removed(settings: Any) -> None:
    settings.CREW_SECOND_FACTOR = True
    user = hire("dora", DIRECTOR)
    client, _ = try_login("dora")
    set_up_app(client)
    number = Authenticator.objects.get(user=user, type="totp").pk
    page = client.post(f"/account/factors/{number}/remove/", follow=True)
    assert "set up another one first" in page.text
    settings.CREW_SECOND_FACTOR = False
    assert "is removed" in client.post(f"/account/factors/{number}/remove/", follow=True).text
    assert not Authenticator.objects.exists()  # the recovery codes went with it


# --- recent logins ---


def test_what_is_dangerous_asks_again_for_the_second_factor_or_the_password() -> None:
    hire("dora", DIRECTOR)
    client, _ = try_login("dora")
    age(client)
    assert client.get("/account/app/")["Location"] == "/account/confirm/?next=%2Faccount%2Fapp%2F"
    assert "not the password" in client.post("/account/confirm/", {"password": "a guess"}).text
    answer = client.post("/account/confirm/", {"password": PASSWORD, "next": "/account/app/"})
    assert answer["Location"] == "/account/app/"
    secret, _ = set_up_app(client)
    age(client)
    assert "/account/confirm/" in client.get("/account/codes/")["Location"]
    assert "not right" in client.post("/account/confirm/", {"password": PASSWORD}).text
    answer = client.post("/account/confirm/", {"code": code_of(secret), "next": "//evil.example/"})
    assert answer["Location"] == "/account/"
    assert client.get("/account/codes/").status_code == 200
    assert "These are new." in client.post("/account/codes/").text


def test_a_session_from_before_the_second_factor_cannot_add_one_of_its_own() -> None:
    hire("dora", DIRECTOR)
    owner, _ = try_login("dora")
    thief, _ = try_login("dora", PASSWORD, ELSEWHERE)
    set_up_app(owner)
    assert thief.get("/account/passkey/")["Location"].startswith("/login/")  # it has ended


# --- sessions ---


def test_what_a_browser_calls_itself_is_kept_without_what_nobody_sees() -> None:
    hire("dora", DIRECTOR)
    Client(HTTP_USER_AGENT="Studio\u202e\u3164 browser\x7f").post(
        "/login/", {"username": "dora", "password": PASSWORD}
    )
    assert CrewSession.objects.get().browser == "Studio browser"


def test_sessions_are_listed_and_ended_by_their_owner() -> None:
    hire("dora", DIRECTOR), hire("olga", OPERATOR)
    here, _ = try_login("dora")
    there, _ = try_login("dora", PASSWORD, ELSEWHERE)
    foreign, _ = try_login("olga")
    page = page_of(here.get("/account/"))
    assert page.count("Studio browser") == 2 and ELSEWHERE in page and "this one" in page
    row = CrewSession.objects.get(neighbour=ELSEWHERE)
    assert foreign.post(f"/account/sessions/{row.pk}/end/").status_code == 404
    ended = here.post(f"/account/sessions/{row.pk}/end/", follow=True)
    assert "The session has ended." in ended.text and ELSEWHERE not in ended.text
    assert there.get("/console/").status_code == 302 and here.get("/console/").status_code == 200


def test_a_director_ends_the_session_of_somebody_else_and_its_open_page_notices() -> None:
    show = make_show()
    hire("dora", DIRECTOR), hire("olga", OPERATOR)
    director, _ = try_login("dora")
    operator, _ = try_login("olga", PASSWORD, ELSEWHERE)
    row = CrewSession.objects.get(user__username="olga")
    assert operator.post(f"/crew/sessions/{row.pk}/end/").status_code == 403
    assert "olga" in director.get("/crew/").text
    assert "has ended" in director.post(f"/crew/sessions/{row.pk}/end/", follow=True).text
    answer = operator.get(f"/console/{show.slug}/live", headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (403, "logged_out")
    assert not Session.objects.filter(session_key=row.key).exists()


def test_another_password_ends_every_other_session() -> None:
    user = hire("dora", DIRECTOR)
    here, _ = try_login("dora")
    there, _ = try_login("dora", PASSWORD, ELSEWHERE)
    new = {"new_password1": "quite another long one", "new_password2": "quite another long one"}
    page = here.post("/account/password/", {"old_password": PASSWORD, **new}, follow=True)
    assert "every other session has ended" in page.text
    assert there.get("/console/").status_code == 302 and here.get("/console/").status_code == 200
    assert page_of(here.get("/account/")).count("Studio browser") == 1
    user.refresh_from_db()
    Client().post(Client().get(invitation(user))["Location"], new)
    stranger = Client()
    stranger.post(stranger.get(invitation(user))["Location"], new)
    assert here.get("/console/").status_code == 302 and not CrewSession.objects.exists()


def test_who_logs_out_is_not_listed() -> None:
    hire("dora", DIRECTOR)
    client, _ = try_login("dora")
    client.post("/logout/")
    assert not CrewSession.objects.exists()


def test_the_administration_has_no_door_of_its_own_and_nobody_types_passwords_of_others() -> None:
    assert (
        Client().get("/admin/login/?next=/admin/prizes/")["Location"] == "/login/?next=%2Fadmin%2Fprizes%2F"
    )
    assert Client().get("/admin/login/?next=//evil.example/")["Location"] == "/login/?next=%2Fadmin%2F"
    user = hire("dora", DIRECTOR)
    client = Client()
    client.force_login(User.objects.create_superuser("chief"))
    assert client.get("/admin/password_change/")["Location"] == "/account/password/"
    assert client.get("/admin/auth/user/add/").status_code == 403
    assert client.get(f"/admin/auth/user/{user.pk}/password/").status_code == 403
    page = client.get(f"/admin/auth/user/{user.pk}/change/")
    assert page.status_code == 200 and "pbkdf2" not in page.text and "md5" not in page.text


# --- break glass ---


def sheet() -> tuple[str, list[str], str]:
    out = StringIO()
    call_command("break_glass", stdout=out)
    text = out.getvalue()
    found = re.search(r"Password:\s+(\S+)", text)
    assert found is not None
    return found[1], re.findall(r"^ {5}(\d{8})$", text, re.MULTILINE), text


def break_in(password: str, code: str) -> tuple[Client, Any]:
    client, page = try_login(NAME, password)
    if lands_at(page) == "/login/second/":
        page = client.post("/login/second/", {"code": code}, follow=True)
    return client, page


def test_the_account_on_paper_opens_the_console_once_and_everybody_hears_of_it(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CREW_SECOND_FACTOR = True
    segment, over = armed_segment(make_show(slug="tonight")), make_show(slug="over")
    password, codes, text = sheet()
    assert NAME in text and len(codes) == 10 and max(map(len, text.splitlines())) <= 72
    client, page = break_in(password, codes[4])
    assert lands_at(page) == "/console/" and "The break-glass account was used at" in page.text
    assert any(row.levelname == "CRITICAL" and "break-glass" in row.message for row in caplog.records)
    entry = LedgerEntry.objects.get(action="break glass")
    assert (entry.show, entry.actor) == (segment.show, NAME) and over.ledger.filter(
        action="break glass"
    ).count() == 0
    hire("olga", AUDITOR)
    assert "was used at" in try_login("olga")[0].get("/console/tonight/").text
    assert client.get("/console/tonight/").status_code == 200  # this session goes on
    assert "correct" in break_in(password, codes[5])[1].text
    assert not User.objects.get(username=NAME).has_usable_password()


def test_another_sheet_makes_the_earlier_one_worthless() -> None:
    old, old_codes, _ = sheet()
    new, new_codes, _ = sheet()
    assert "correct" in break_in(old, old_codes[0])[1].text
    FailedLogin.objects.all().delete()
    assert "not right" in break_in(new, old_codes[0])[1].text
    make_show()
    assert lands_at(break_in(new, new_codes[0])[1]) == "/console/"
    assert LedgerEntry.objects.filter(action="break glass").count() == 1  # of the newest show
    assert BreakGlass.objects.get().used_from == STUDIO
    sheet()
    assert BreakGlass.objects.get().used_ms is None


def test_a_factor_that_no_storage_key_opens_is_said_by_the_command_and_the_log(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    hire("dora", DIRECTOR)
    secret, _ = set_up_app(try_login("dora")[0])
    settings.STORAGE_KEYS = ["e9b4c1d07a3f4586b2c8f90d17e35a64"]
    with pytest.raises(CommandError, match="STORAGE_KEYS does not hold the key"):
        call_command("rotate_storage_keys")
    client, _ = try_login("dora")
    assert "not right" in client.post("/login/second/", {"code": code_of(secret)}).text
    assert "cannot be read: STORAGE_KEYS" in caplog.text


# --- browsers that are known, and guesses from everywhere ---


def guess_codes(name: str, where: str, times: int = 1) -> Client:
    """Wrong codes, by somebody who has the password and a new browser for each."""
    for _ in range(times):
        client, page = try_login(name, PASSWORD, where)
        assert lands_at(page) == "/login/second/"
        client.post("/login/second/", {"code": "000000"})
    return client


def test_a_network_of_addresses_does_not_guess_a_code_and_known_browsers_go_on() -> None:
    hire("dora", DIRECTOR)
    studio, _ = try_login("dora")
    secret, _ = set_up_app(studio)
    studio.post("/logout/")
    for number in range(throttle.TRIES_ANYWHERE):
        guess_codes("dora", f"2001:db8:0:{number:x}::1")
    client, _ = try_login("dora", PASSWORD, "2001:db8:0:ffff::1")
    assert "try again" in client.post("/login/second/", {"code": code_of(secret)}).text
    studio.post("/login/", {"username": "dora", "password": PASSWORD})
    page = studio.post("/login/second/", {"code": code_of(secret)}, follow=True)
    assert lands_at(page) == "/console/"
    FailedLogin.objects.filter(neighbour=throttle.ANYWHERE).update(last_ms=now_ms() - LATER_MS)
    assert "not right" in client.post("/login/second/", {"code": "000000"}).text


@pytest.mark.django_db(transaction=True)
def test_of_many_codes_at_once_five_are_looked_at() -> None:
    hire("dora", DIRECTOR)
    set_up_app(try_login("dora")[0])
    halves = [try_login("dora", PASSWORD, ELSEWHERE)[0] for _ in range(16)]

    def guess(client: Client) -> bool:
        try:
            return "not right" in client.post("/login/second/", {"code": "000000"}).text
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(guess, halves)) == throttle.TRIES


def test_whoever_hammers_behind_the_studios_own_address_does_not_lock_its_browsers_out() -> None:
    hire("dora", DIRECTOR), hire("olga", OPERATOR)
    studio, _ = try_login("dora")
    studio.post("/logout/")
    hammer("dora", STUDIO), hammer("olga", STUDIO)
    assert "try again" in try_login("dora", PASSWORD, STUDIO)[1].text
    assert (
        lands_at(studio.post("/login/", {"username": "dora", "password": PASSWORD}, follow=True))
        == "/console/"
    )
    assert (
        "try again" in try_login("dora", PASSWORD, STUDIO)[1].text
    )  # the others behind it are held off as before
    studio.post("/logout/")
    page = studio.post("/login/", {"username": "olga", "password": PASSWORD}, follow=True)
    assert "try again" in page.text  # known for its own account alone


def test_a_known_browser_has_five_tries_as_well_and_nobody_makes_its_cookie() -> None:
    hire("dora", DIRECTOR)
    studio, _ = try_login("dora")
    studio.post("/logout/")
    for _ in range(throttle.TRIES):
        studio.post("/login/", {"username": "dora", "password": "a guess of somebody"})
    assert "try again" in studio.post("/login/", {"username": "dora", "password": PASSWORD}).text
    assert lands_at(try_login("dora")[1]) == "/console/"
    [row] = FailedLogin.objects.all()
    assert row.neighbour.startswith("browser ")
    hammer("dora", STUDIO)
    forger = Client(REMOTE_ADDR=STUDIO)
    forger.cookies[cookie_of("dora")] = studio.cookies[cookie_of("dora")].value[:-1] + "_"
    assert "try again" in forger.post("/login/", {"username": "dora", "password": PASSWORD}).text


def test_a_session_that_is_used_on_stays_in_the_list_and_ends_with_the_others() -> None:
    user = hire("dora", DIRECTOR)
    here, _ = try_login("dora")
    gone, _ = try_login("dora", PASSWORD, ELSEWHERE)
    long_ago = now_ms() - 20 * 86_400_000
    CrewSession.objects.update(begun_ms=long_ago)
    Session.objects.filter(pk=gone.session.session_key).delete()  # it has expired
    try_login("dora")
    assert CrewSession.objects.filter(begun_ms=long_ago).count() == 1
    call_command("reset_second_factor", user.username, "--as", "otto")
    assert here.get("/console/").status_code == 302


def test_a_passkey_that_signs_wrong_is_refused_and_counted() -> None:
    user = hire("dora", DIRECTOR)
    key = ec.generate_private_key(ec.SECP256R1())
    give_passkey(user, key)
    client, page = try_login("dora")
    assert lands_at(page) == "/login/second/"
    answer = client.post(
        "/login/second/", {"credential": signed(ec.generate_private_key(ec.SECP256R1()), client)}
    )
    assert answer.status_code == 200 and "not right" in answer.text
    assert FailedLogin.objects.get(neighbour=STUDIO).failures == 1
    page = client.post("/login/second/", {"credential": signed(key, client)}, follow=True)
    assert lands_at(page) == "/console/"


CREDENTIAL = b"a passkey of dora"


def authenticator_data(key: Any = None) -> AuthenticatorData:
    site = hashlib.sha256(b"testserver").digest()
    if key is None:
        return AuthenticatorData.create(site, AuthenticatorData.FLAG.UP, 1)
    made = AttestedCredentialData.create(bytes(16), CREDENTIAL, ES256.from_cryptography_key(key.public_key()))
    flags = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.AT
    return AuthenticatorData.create(site, flags, 0, made)


def give_passkey(user: User, key: Any) -> None:
    said = CollectedClientData.create("webauthn.create", b"c" * 32, "https://testserver")
    attestation = AttestationObject.create("none", authenticator_data(key), {})
    response = {"clientDataJSON": websafe_encode(said), "attestationObject": websafe_encode(attestation)}
    number = websafe_encode(CREDENTIAL)
    credential = {"id": number, "rawId": number, "type": "public-key", "response": response}
    data = {"name": "key", "credential": credential}
    Authenticator.objects.create(user=user, type="webauthn", data=data)


def signed(key: Any, client: Client) -> str:
    """What an authenticator answers to the challenge of the page that this browser has loaded last."""
    challenge = client.session["mfa.webauthn.state"]["challenge"]
    said = CollectedClientData.create("webauthn.get", challenge, "https://testserver")
    data = authenticator_data()
    signature = key.sign(data + said.hash, ec.ECDSA(hashes.SHA256()))
    parts = {"clientDataJSON": said, "authenticatorData": data, "signature": signature}
    number = websafe_encode(CREDENTIAL)
    response = {name: websafe_encode(part) for name, part in parts.items()}
    return json.dumps({"id": number, "rawId": number, "type": "public-key", "response": response})
