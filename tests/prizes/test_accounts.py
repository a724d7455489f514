"""Accounts from `create_account`, invitations, and the login page of the console and of parties."""

import json
import logging
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.test import Client

from engagement.roles import AUDITOR, DIRECTOR, OPERATOR
from gala.demo import create_accounts
from gala.logs import LineFormatter
from prizes.accounts import PARTY
from prizes.views.accounts import Invitation
from tests.cast import make_show

pytestmark = pytest.mark.django_db

CHOSEN = "a coat of silver thread"


def create(name: str, role: str, *options: str) -> dict[str, Any]:
    out = StringIO()
    call_command("create_account", name, "--role", role, "--json", *options, stdout=out)
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def log_in(name: str, password: str, **fields: str) -> tuple[Client, Any]:
    client = Client()
    return client, client.post("/login/", {"username": name, "password": password, **fields}, follow=True)


def groups_of(name: str) -> list[str]:
    return list(User.objects.get(username=name).groups.values_list("name", flat=True))


def choose(link: str, password: str) -> Any:
    """Opens an invitation in a browser of its own, and sends the form if there is one."""
    client = Client()
    page = client.get(link.removeprefix("http://127.0.0.1:8000"), follow=True)
    if "<form" not in page.text:
        return page
    fields = {"new_password1": password, "new_password2": password}
    return client.post(page.redirect_chain[-1][0], fields, follow=True)


def invited(name: str, role: str) -> str:
    """A new account whose invitation was used; the password that was chosen."""
    choose(create(name, role)["invitation"], CHOSEN)
    return CHOSEN


# --- the login page ---


@pytest.mark.parametrize("role", [OPERATOR, DIRECTOR, AUDITOR])
def test_whoever_is_in_a_group_of_the_crew_logs_in_at_the_console_and_out_without_being_staff(
    role: str,
) -> None:
    make_show(title="Night of Coats")
    User.objects.create_user("olga", password=CHOSEN).groups.add(Group.objects.get(name=role))
    client, page = log_in("olga", CHOSEN)
    assert page.redirect_chain == [("/console/", 302)]
    assert "Night of Coats" in page.text and "/admin/" not in page.text
    assert client.get("/")["Location"] == "/console/"
    assert client.get("/admin/").status_code == 302
    assert client.post("/logout/")["Location"] == "/login/"
    assert client.get("/console/")["Location"] == "/login/?next=/console/"


def test_the_login_goes_on_to_the_page_that_was_asked_for_and_to_no_other_site() -> None:
    password = invited("olga", OPERATOR)
    assert log_in("olga", password, next="/draws/")[1].redirect_chain == [("/draws/", 302)]
    assert log_in("olga", password, next="//evil.example/")[1].redirect_chain == [("/console/", 302)]
    assert "correct" in log_in("olga", "wrong")[1].text


# --- create_account ---


def test_an_account_is_made_once_with_an_invitation_and_no_command_knows_its_password() -> None:
    first, second = create("olga", OPERATOR), create("olga", OPERATOR)
    assert (first["is_new"], second["is_new"], second["invitation"]) == (True, False, None)
    assert "password" not in first | second
    assert not User.objects.get(username="olga").has_usable_password()
    assert groups_of("olga") == [OPERATOR]


def test_the_same_command_with_another_role_moves_the_account() -> None:
    client, _ = log_in("olga", invited("olga", OPERATOR))
    assert client.get("/admin/engagement/show/add/").status_code == 200
    create("olga", AUDITOR)
    assert groups_of("olga") == [AUDITOR]
    assert client.get("/admin/engagement/show/add/").status_code == 403


def test_the_account_of_a_party_has_no_right_in_the_console() -> None:
    client, page = log_in("nora", invited("nora", PARTY))
    assert page.redirect_chain == [("/parties/", 302)]
    assert client.get("/console/").status_code == 403
    assert client.get("/admin/").status_code == 302


@pytest.mark.parametrize(
    ("name", "role", "message"),
    [
        ("olga", "producer", "invalid choice: 'producer'"),
        ("olga berg", OPERATOR, "the name 'olga berg': Enter a valid username"),
        ("o" * 151, OPERATOR, "at most 150 characters"),
        ("gone", OPERATOR, "the account gone was deactivated"),
    ],
)
def test_what_cannot_be_an_account_is_refused_in_words(name: str, role: str, message: str) -> None:
    User.objects.create_user("gone", is_active=False)
    with pytest.raises(CommandError, match=message):
        create(name, role)
    assert not User.objects.filter(username__startswith="o").exists()
    assert groups_of("gone") == []


def test_the_demo_has_an_account_for_each_role_with_a_new_password_at_every_start() -> None:
    before, now = create_accounts(), create_accounts()
    assert list(now) == [OPERATOR, DIRECTOR, AUDITOR]
    assert log_in(OPERATOR, now[OPERATOR])[1].redirect_chain == [("/console/", 302)]
    assert "correct" in log_in(OPERATOR, before[OPERATOR])[1].text


# --- invitations ---


def test_an_invitation_lets_a_person_choose_a_password_once() -> None:
    answer = create("olga", OPERATOR)
    assert not User.objects.get(username="olga").has_usable_password()
    chosen = choose(answer["invitation"], CHOSEN)
    assert chosen.redirect_chain == [("/login/", 302)]
    assert "The password of olga is kept. Log in with it now." in chosen.text
    assert log_in("olga", CHOSEN)[1].redirect_chain == [("/console/", 302)]
    assert "was used already, or is too old" in choose(answer["invitation"], "another long one").text
    assert "correct" in log_in("olga", "another long one")[1].text


def test_an_invitation_gives_a_new_password_to_whoever_lost_it_and_leaves_the_old_one_until_then() -> None:
    password = invited("olga", OPERATOR)
    link = create("olga", OPERATOR, "--invite")["invitation"]
    assert User.objects.get(username="olga").check_password(password)
    choose(link, "another long one")
    assert User.objects.get(username="olga").check_password("another long one")


def test_an_invitation_that_is_too_old_forged_or_of_somebody_else_is_refused(settings: Any) -> None:
    link = create("olga", OPERATOR, "--invite")["invitation"]
    other = create("igor", OPERATOR, "--invite")["invitation"]
    mixed = "/".join([*link.split("/")[:-2], other.split("/")[-2], ""])
    assert "too old" in choose(mixed, CHOSEN).text
    assert "too old" in choose(link[:-2] + "x/", CHOSEN).text
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert "too old" in choose(link, CHOSEN).text
    assert not User.objects.get(username="olga").has_usable_password()


def test_a_password_that_is_easily_guessed_is_refused() -> None:
    page = choose(create("olga", OPERATOR, "--invite")["invitation"], "short")
    assert "at least 12 characters" in page.text
    assert not User.objects.get(username="olga").has_usable_password()


def test_people_read_a_sentence_with_what_to_hand_on() -> None:
    out = StringIO()
    for options in ([], [], ["--invite"]):
        call_command("create_account", "olga", "--role", OPERATOR, *options, stdout=out)
    first, second, third = out.getvalue().splitlines()
    assert first.startswith("olga is now operator. To choose a password, once, within 72 hours: http://")
    assert (
        second
        == "olga is there already, as operator, with the password as it was; --invite makes a link for a new one."
    )
    assert "once, within 72 hours: http://127.0.0.1:8000/invitations/" in third  # as docs/operate.md says


def test_no_line_of_the_log_has_a_link_that_somebody_else_could_use(monkeypatch: pytest.MonkeyPatch) -> None:
    link = create("olga", OPERATOR, "--invite")["invitation"]
    path, written = link.removeprefix("http://127.0.0.1:8000"), StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(LineFormatter(style="{", fmt=settings.LOG_LINE))

    def lose(*_: Any, **__: Any) -> Any:
        raise OperationalError(f"lost at {path}")

    monkeypatch.setattr(Invitation, "get_user", lose)
    logging.getLogger().addHandler(handler)
    try:
        answer = Client(raise_request_exception=False).get(path)
    finally:
        logging.getLogger().removeHandler(handler)
    assert answer.status_code == 503
    assert "GET /invitations/…: not done: lost at /invitations/…" in written.getvalue()
    assert path.split("/")[-2] not in written.getvalue()


def test_an_invitation_leads_to_the_address_of_the_site() -> None:
    link = create("olga", OPERATOR, "--invite", "--address", "https://gala.example/")["invitation"]
    assert link.startswith("https://gala.example/invitations/")
