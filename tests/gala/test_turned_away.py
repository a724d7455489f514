"""Whoever is turned away reads why, and what to do, in their language: no bare page of the framework."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from engagement.languages import TAGS
from tests.cast import make_show
from tests.pages import page_of
from tests.prizes.crew import PASSWORD, hire

pytestmark = pytest.mark.django_db(transaction=True)


def stranger() -> Client:
    """Somebody with an account and no role."""
    client = Client()
    client.force_login(User.objects.create_user("<nobody>", password=PASSWORD))
    return client


def look(client: Client, path: str, status: int, **headers: str) -> Any:
    answer = client.get(path, headers=headers)
    assert answer.status_code == status and answer["Cache-Control"] == "no-store"
    return answer


ADVICE = {
    "en": "The address has a typing error",
    "zh-hans": "地址可能有误",
    "zh-hant": "網址可能有誤",
    "zh-hk": "網址可能有誤",
}


@pytest.mark.parametrize("language", TAGS)
def test_an_address_without_a_page_is_told_in_the_language_of_the_browser(language: str) -> None:
    answer = look(Client(), "/play/nothing/", 404, accept_language=language)
    page = page_of(answer)
    assert f'<html lang="{TAGS[language]}" data-ground="paper">' in page and ADVICE[language] in page
    assert answer["Vary"] == "Accept-Language, Cookie" and "sessionid" not in answer.cookies


@pytest.mark.parametrize("path", ["/console/", "/console/gala/", "/console/gala/codes/", "/crew/"])
def test_an_account_without_the_right_is_told_who_it_is_and_where_to_go(path: str) -> None:
    make_show(slug="gala")
    page = page_of(look(stranger(), path, 403))
    assert "You are logged in as &lt;nobody&gt;." in page
    assert f'href="/login/?next={path.replace("/", "%2F")}"' in page and 'href="/account/"' in page


def test_an_account_that_is_to_be_a_party_is_told_what_is_missing() -> None:
    page = page_of(look(stranger(), "/parties/", 403))
    assert "This account stands for no party of any show yet. Ask a director" in page


def test_the_reason_that_the_administration_gives_is_read() -> None:
    account, director = hire("dirk", "director"), Client()
    director.force_login(account)
    page = page_of(look(director, f"/admin/auth/user/{account.pk}/password/", 403))
    assert "lets people choose their password" in page


def test_who_comes_to_a_button_by_a_link_is_told_that_nothing_was_done() -> None:
    answer = look(stranger(), "/account/sessions/1/end/", 405)
    assert answer["Allow"] == "POST" and "address of a button" in page_of(answer)


def test_programs_get_their_codes_as_before() -> None:
    client = stranger()
    asked = {
        "/console/": (403, "forbidden"),
        "/nothing/": (404, "no_such_address"),
        "/crew/sessions/1/end/": (405, "wrong_method"),
    }
    for path, (status, code) in asked.items():
        answer = look(client, path, status, accept="application/json")
        assert answer.json()["code"] == code


def test_the_page_of_a_form_that_is_too_old_looks_like_the_others_and_needs_no_style_sheet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Client(enforce_csrf_checks=True)
    answer = client.post("/logout/")
    assert (
        answer.status_code == 403 and "crew" in page_of(answer) and "Go back, and reload" in page_of(answer)
    )

    def missing(name: str) -> str:
        raise ValueError(f"Missing staticfiles manifest entry for {name!r}")

    monkeypatch.setattr("gala.refusals.static", missing)
    page = page_of(client.post("/logout/"))
    assert "stylesheet" not in page and "Go back, and reload" in page
