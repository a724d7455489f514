"""Who may what: every address, with GET and with each of its buttons, by every role, printed as one table.

docs/roles.md is that table, and a change of it is seen in a diff: `UPDATE=1 make test ARGS=tests/test_roles.py` writes
it anew. What phones and screens may do at a socket is below it.
"""

import os
import re
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import NamedTuple

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.db import transaction
from django.test import Client

from engagement.roles import AUDITOR, DIRECTOR, OPERATOR
from prizes.approvals import press
from prizes.models import Approval, Party
from prizes.views.buttons import ACTIONS as BUTTONS
from prizes.views.claims import ACTIONS as OF_CLAIMS
from tests.test_bounded import Night, fill, find_pages, make_night

PAGE = settings.BASE_DIR / "docs" / "roles.md"
BEGIN, END = "<!-- table: {} -->", "<!-- end -->"

# What an address is asked with beside GET: its buttons, each as an address of its own.
CHOICES = {
    "/console/<slug:slug>/segments/<int:segment_id>/<slug:action>/": tuple(BUTTONS),
    "/console/<slug:slug>/claims/<slug:action>/": tuple(OF_CLAIMS),
    "/console/<slug:slug>/approvals/<int:approval_id>/<slug:action>/": ("agree", "refuse"),
}
GET, POST = "GET", "POST"
JSON = {"Accept": "application/json"}  # as the scripts of our pages ask
OTHER, FORGED = "other show", "cross-site"
# Django's own lists, which have the same rights as the pages of their rows.
BORING = re.compile(
    r"/admin/(jsi18n|r/|autocomplete|.*(<path:object_id>|history)/$)|/admin/<app_label>|/admin/<url>"
)
MODEL = re.compile(r"/admin/(?P<model>[a-z]+/[a-z]+)/(?:<path:object_id>/)?(?P<what>add|change|delete|)/?")


class Ask(NamedTuple):
    """One row: how it stands on the page, and how it is asked."""

    method: str
    address: str
    pattern: str
    action: str


class Person(NamedTuple):
    """One column: the browser of somebody, and what is special about how it asks."""

    name: str
    client: Client
    cookies: str
    other_show: bool = False


def asks() -> Iterator[Ask]:
    for pattern in dict.fromkeys(find_pages()):
        if BORING.match(pattern):
            continue
        if pattern in CHOICES:
            for action in CHOICES[pattern]:
                yield Ask(POST, pattern.replace("<slug:action>", action), pattern, action)
            continue
        yield Ask(GET, pattern, pattern, "")
        if not MODEL.fullmatch(pattern):
            yield Ask(POST, pattern, pattern, "")


def person(name: str, role: str | None, **fields: bool) -> Client:
    user = User.objects.create(username=name, is_staff=role is not None, **fields)
    if role in (OPERATOR, DIRECTOR, AUDITOR):
        user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def crowd(night: Night) -> list[Person]:
    """Everybody who might come; the last three are a director, in a way that must not count."""
    notary = User.objects.create(username="nora")
    Party.objects.filter(show=night.show).update(user=notary)
    party = Client()
    party.force_login(notary)
    forged = Client(
        enforce_csrf_checks=True, headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    )
    forged.force_login(director := User.objects.create(username="dora", is_staff=True))
    director.groups.add(Group.objects.get(name=DIRECTOR))
    expired = person("dirk", DIRECTOR)
    Session.objects.filter(session_key=expired.session.session_key).delete()
    people = {
        "nobody": Client(),
        "an account": person("mallory", None),
        "party": party,
        "auditor": person("ada", AUDITOR),
        "operator": person("olga", OPERATOR),
        "director": person("dana", DIRECTOR),
        FORGED: forged,
        "logged out": expired,
        OTHER: person("otto", DIRECTOR),
    }
    return [
        Person(name, one, one.cookies.output(header="", sep=";"), name == OTHER)
        for name, one in people.items()
    ]


def answer(night: Night, person: Person, ask: Ask) -> str:
    """One cell; nothing of what it did stays."""
    person.client.cookies = SimpleCookie(person.cookies)  # a logout would be for good
    address = fill(ask.pattern, night).replace("/arm/", f"/{ask.action}/" if ask.action else "/arm/")
    if person.other_show:
        if "<slug:slug>" not in ask.pattern or "_id>" not in ask.pattern:
            return ""  # there is nothing of another show in this address
        address = address.replace(f"/{night.show.slug}/", f"/{night.small.slug}/")
    if person.name == FORGED and ask.method == GET and not MODEL.fullmatch(ask.address):
        return ""  # another site cannot read the answer
    method = POST if person.name == FORGED else ask.method
    with transaction.atomic():
        said = person.client.get(address) if method == GET else person.client.post(address, {}, headers=JSON)
        transaction.set_rollback(True)
    cell = read(said)
    opened = cell == "yes" and ask.address.endswith("/change/")
    return "read only" if opened and 'name="_save"' not in said.content.decode() else cell


def read(said: object) -> str:
    status = said.status_code  # type: ignore[attr-defined]
    text = "" if said.streaming else said.content.decode(errors="replace")  # type: ignore[attr-defined]
    where = said.headers.get("Location", "")  # type: ignore[attr-defined]
    if status in (301, 302) and where.startswith(("/login/", "/admin/login/")):
        return "log in"
    if status == 403 and '"logged_out"' in text:
        return "log in"
    if status in (401, 403):
        return "no"
    if status in (404, 405):
        return "–"
    assert status < 500, (status, text[:300])
    return "yes"


def table(night: Night) -> list[str]:
    people = crowd(night)
    asked = [(ask, [answer(night, person, ask) for person in people]) for ask in asks()]
    rows = [
        (f"`{ask.method} {ask.address}`", cells) for ask, cells in asked if not MODEL.fullmatch(ask.address)
    ]
    lines = [f"| {name} | {' | '.join(cells)} |" for name, cells in rows if set(cells[:6]) - {"–", ""}]
    head = [
        f"| address | {' | '.join(person.name for person in people)} |",
        "| --- |" + " --- |" * len(people),
    ]
    return [*head, *lines, *of_models(asked)]


def of_models(asked: list[tuple[Ask, list[str]]]) -> Iterator[str]:
    """The administration, one line for each kind of row: what each role may do with it."""
    may: dict[str, list[list[str]]] = {}
    for ask, cells in asked:
        found = MODEL.fullmatch(ask.address)
        if found and ask.method == GET:
            rows = may.setdefault(found["model"], [[] for _ in cells])
            for row, cell in zip(rows, cells, strict=True):
                what = found["what"] or "list"
                row += ["read"] if cell == "read only" else [what] if cell == "yes" else []
    for model, rows in may.items():
        yield f"| `/admin/{model}/` | {' | '.join(' '.join(sorted(row)) or 'no' for row in rows)} |"


def held_to_page(name: str, lines: list[str]) -> None:
    """The page has exactly this table."""
    print(*lines, sep="\n")
    begin = BEGIN.format(name)
    before, _, rest = PAGE.read_text().partition(f"{begin}\n")
    told, _, after = rest.partition(END)
    if os.environ.get("UPDATE"):
        PAGE.write_text(f"{before}{begin}\n" + "".join(f"{line}\n" for line in lines) + END + after)
    else:
        assert told.splitlines() == lines


@pytest.mark.django_db
def test_every_address_answers_every_role_as_the_page_says() -> None:
    night = make_night()
    press(night.draft, "void", actor="olga", what={}, reason="rain")
    assert Approval.objects.earliest("pk").pk
    lines = table(night)
    held_to_page("addresses", lines)
    rights = [line.split(" | ")[1:] for line in lines[2:]]
    changing = [cells for line, cells in zip(lines[2:], rights, strict=True) if "`POST /console/" in line]
    assert len(changing) > 15
    for cells in changing:
        nobody, account, party, auditor, _, _, cross_site, logged_out, *_ = cells
        assert nobody == logged_out == "log in" and {account, party, auditor, cross_site} == {"no"}


def test_the_page_is_there() -> None:
    assert isinstance(PAGE, Path) and PAGE.read_text().count(END) == 2
