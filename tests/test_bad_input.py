"""Every form, address, API body and command with what nobody expects: each a named refusal, and nothing in the log but
a line, which never repeats what came.
"""

import logging
import re
from collections.abc import Iterator
from io import StringIO
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client

from prizes.models import Party
from tests.bad_input import BODIES, MARK, TEXTS
from tests.test_bounded import PARTS, Night, fill, find_pages, make_night
from tests.test_roles import CHOICES, JSON, MODEL, asks

pytestmark = pytest.mark.django_db

# What the buttons and forms of an address read.
FIELDS = {
    "arm": ("account",), "open": ("lead",), "close": ("reason",), "void": ("reason",), "spoil": ("reason",),
    "repeat": ("reason",), "dice": ("digits",), "beacon": ("signature",), "name": ("named",), "publish": (), "draw": (),
    "ask": ("win", "reason"), "approve": ("disqualification",), "refuse": ("disqualification",), "settle": ("draw",),
    "agree": (),
}  # fmt: skip
OF_FORMS = {
    "/login/": ("username", "password", "next"),
    "/login/second/": ("code", "credential"),
    "/invitations/<uidb64>/<token>/": ("new_password1", "new_password2"),
    "/account/app/": ("code",),
    "/account/passkey/": ("credential", "name"),
    "/account/password/": ("old_password", "new_password1", "new_password2"),
    "/account/confirm/": ("password", "code", "credential", "next"),
    "/parties/<int:party_id>/lists/<int:list_id>/commit/": ("commitment",),
    "/parties/<int:party_id>/draws/<int:draw_id>/reveal/": ("secret",),
    "/parties/<int:party_id>/segments/<int:segment_id>/canaries/commit/": ("commitment", "count"),
    "/parties/<int:party_id>/segments/<int:segment_id>/canaries/open/": ("opening",),
    "/console/<slug:slug>/cue/": ("kind", "prize"),
    "/console/<slug:slug>/pictures/keep/": ("of", "prize", "alt", "alt_zh", "remove"),
    "/stub/": ("stub",),
}
ASKED = ("from", "to", "page", "after", "size", "position", "draw", "lang", "feed", "q", "o", "e", "next")
API = ("claims", "claims/decline", "claims/look")
BAD = "BAD"  # stands for each of the texts
COMMANDS = (
    ("segment", "arm", BAD), ("segment", "status", "1", "--show", BAD), ("segment", "open", "6", "--lead", BAD),
    ("segment", "void", "6", "--reason", BAD, "--as", BAD), ("segment", "draw", "1", "--dice", BAD),
    ("segment", "beacon", "1", "--signature", BAD), ("segment", BAD, "1"),
    ("show_key", BAD), ("show_key", "gala", "--reason", BAD), ("destroy_show_key", "gala", "--yes", "--reason", BAD),
    ("rotate_storage_keys", BAD), ("verify_ledger", BAD), ("audit_draw", BAD), ("evidence", BAD),
    ("create_account", BAD, "--role", "operator"), ("create_account", "nina", "--role", BAD),
    ("commit", BAD, "notary", "--commitment", "ab" * 32), ("commit", "6", BAD, "--commitment", "ab" * 32),
    ("commit", "6", "notary", "--commitment", BAD), ("reveal", "1", "notary", "--secret-file", BAD),
    ("canaries", "commit", "1", BAD, "--commitment", BAD, "--count", BAD),
)  # fmt: skip


@pytest.fixture
def night() -> Night:
    made = make_night()
    Party.objects.filter(show=made.show).update(user=User.objects.get(username="chief"))
    return made


class Heard:
    """The log of one test."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog
        caplog.set_level(logging.INFO)

    def check(self, what: str) -> None:
        """At most a line for what was asked, no stack, and nothing of what came but the address."""
        text = "".join(row.getMessage() for row in self._caplog.records if row.name != "django.request")
        assert "Traceback" not in self._caplog.text and MARK not in text, f"{what}: {text[:2000]}"
        loud = [row for row in self._caplog.records if row.levelno >= logging.ERROR]
        assert not loud, f"{what}: {loud}"
        assert len(self._caplog.records) <= 2, f"{what}: {text[:2000]}"
        self._caplog.clear()


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> Heard:
    return Heard(caplog)


def send(client: Client, method: str, address: str, heard: Heard, what: str, **options: Any) -> Any:
    """One request of which nothing stays; an answer of the site, and never its failure."""
    with transaction.atomic():
        answer = client.generic(method, address, **options)
        transaction.set_rollback(True)
    assert answer.status_code < 500, f"{what}: {answer.status_code}"
    heard.check(what)
    return answer


def forms() -> Iterator[tuple[str, str, str]]:
    """(address, action, field)"""
    for ask in asks():
        if ask.method != "POST" or MODEL.fullmatch(ask.pattern):
            continue
        names = FIELDS[ask.action] if ask.pattern in CHOICES else OF_FORMS.get(ask.pattern, ())
        yield from ((ask.pattern, ask.action, name) for name in names)


def test_every_form_says_what_is_wrong(night: Night, heard: Heard) -> None:
    tried = 0
    for pattern, action, field in forms():
        address = fill(pattern, night)
        address = address.replace("/arm/", f"/{action}/") if action else address
        for name, text in TEXTS.items():
            what = f"POST {pattern} {action} {field}: {name}"
            body = urlencode({field: text})
            kind = "application/x-www-form-urlencoded"
            answer = send(
                night.browser, "POST", address, heard, what, data=body, content_type=kind, headers=JSON
            )
            if answer.status_code >= 400 and answer["Content-Type"].startswith("application/json"):
                assert answer.json()["message"], what
            tried += 1
    assert tried > 800


def test_every_part_of_an_address_and_every_question_is_refused_by_name_or_passed_over(
    night: Night, heard: Heard
) -> None:
    tried = 0
    for pattern in dict.fromkeys(find_pages()):
        if pattern.startswith("/admin/"):
            continue
        for part in [name for name in PARTS if f":{name}>" in pattern or f"<{name}>" in pattern]:
            for name, text in TEXTS.items():
                spoiled = fill(re.sub(rf"<(\w+:)?{part}>", "BAD", pattern), night)
                address = spoiled.replace("BAD", quote(text[:3000], safe="") or "%20")
                send(night.browser, "GET", address, heard, f"GET {pattern} {part}: {name}")
                tried += 1
        address = fill(pattern, night).partition("?")[0]
        for name, text in TEXTS.items():
            query = urlencode(dict.fromkeys(ASKED, text[:200]))
            send(night.browser, "GET", f"{address}?{query}", heard, f"GET {pattern}?: {name}")
            tried += 1
    assert tried > 1500


def test_every_body_of_the_api_is_refused_by_name(night: Night, heard: Heard) -> None:
    for door in API:
        address = f"/api/draws/{night.published.pk}/{door}"
        for name, body in BODIES.items():
            what = f"POST {address}: {name}"
            answer = send(
                night.browser, "POST", address, heard, what, data=body, content_type="application/json"
            )
            assert answer.status_code in (400, 401, 403, 404, 409, 410, 413, 422), what
            assert answer.json()["code"] and answer.json()["message"], what
            assert MARK not in answer.text, what


def test_every_field_of_the_administration_says_what_is_wrong(night: Night, heard: Heard) -> None:
    tried = 0
    for model, site in admin.site._registry.items():
        request = night.browser.get("/admin/").wsgi_request
        if not site.has_add_permission(request):
            continue
        fields = list(site.get_form(request)().fields)
        address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/add/"
        for name, text in TEXTS.items():
            # All fields at once: each is cleaned and told by itself, and the page is the dear part.
            body = urlencode(dict.fromkeys(fields, text[:20_000]))
            what = f"POST {address}: {name}"
            kind = "application/x-www-form-urlencoded"
            send(night.browser, "POST", address, heard, what, data=body, content_type=kind)
            tried += len(fields)
    assert tried > 500


def test_every_command_refuses_in_words(night: Night, heard: Heard) -> None:
    for command, *arguments in COMMANDS:
        for name, text in TEXTS.items():
            if "\0" in text:
                continue  # no argument can have one
            words = [text[:5_000] if word == BAD else word for word in arguments]
            out = StringIO()
            try:
                with transaction.atomic():
                    call_command(command, *words, stdout=out, stderr=out)
                    transaction.set_rollback(True)
            except (CommandError, SystemExit) as error:
                assert str(error), f"{command} {arguments}: {name}"
            heard.check(f"{command} {arguments}: {name}")
