"""Whatever fails, people and programs are told what is true of it: done, not done, or look again."""

import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import IntegrityError, OperationalError, connection, transaction
from django.test import AsyncClient, Client

from engagement import views
from engagement.core.phases import Phase
from engagement.models import LedgerEntry, Segment, Show
from engagement.outcomes import Came, watched
from engagement.roles import DIRECTOR
from gala.entrypoints import ROOT
from prizes.models import Draw, Win
from prizes.views import console
from prizes.views.accounts import LogIn
from tests.cast import armed_segment, make_segment, make_show
from tests.cutting import Cut, Way, breakable
from tests.postgres import start_postgres, stop_postgres
from tests.prizes.pipeline import sealed
from tests.prizes.winners import Person, drawn_draw, make_people, published_draw, winners_of
from tests.servers import running_gateway

JSON, HTML = "application/json", "text/html"
TOKEN = "t" * 32  # of the form, and the same in its cookie
THROWS = ("123456" * 9)[:50]


class Told:
    """An answer of the gateway."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.text = status, headers, body.decode()

    @property
    def json(self) -> dict[str, Any]:
        assert self.headers["Content-Type"].startswith(JSON), self.text
        return dict(json.loads(self.text))


def ask(
    address: str, path: str, *, accept: str = JSON, form: Any = None, body: Any = None, session: str = ""
) -> Told:
    headers = {"Accept": accept, "Cookie": f"csrftoken={TOKEN}; {session}"}
    content = None
    if form is not None:
        content = urlencode({"csrfmiddlewaretoken": TOKEN, **form})
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    if body is not None:
        content, headers["Content-Type"] = json.dumps(body), JSON
    asked = http.client.HTTPConnection(address, timeout=60)
    try:
        asked.request("GET" if content is None else "POST", path, content, headers)
        answer = asked.getresponse()
        return Told(answer.status, answer.headers, answer.read())
    finally:
        asked.close()


def log_in(name: str = "dora") -> Client:
    user, _ = User.objects.get_or_create(username=name)
    user.groups.add(Group.objects.get(name=DIRECTOR))
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


# --- the connection is lost while an action is under way ---


@pytest.fixture
def way() -> Iterator[Way]:
    with breakable(connection.settings_dict) as way:
        yield way


@pytest.fixture
def gateway(transactional_db: None, way: Way, tmp_path: Path) -> Iterator[str]:
    with running_gateway(tmp_path / "log", DATABASE_URL=way.url) as (address, _):
        yield address


@pytest.fixture
def show(transactional_db: None) -> Show:
    return make_show(slug="gala", title="Gala", draws_per_minute=60)


@pytest.fixture
def people(show: Show) -> dict[str, Person]:
    return make_people(show, 8)


def session_cookie(client: Client) -> str:
    """The session that this client is logged in with, under its name."""
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


def press(gateway: str, segment: Segment, action: str, accept: str = JSON, **fields: str) -> Told:
    session = session_cookie(log_in())
    path = f"/console/gala/segments/{segment.pk}/{action}/"
    return ask(gateway, path, accept=accept, form=fields, session=session)


def phase_of(segment: Segment) -> str:
    return Segment.objects.values_list("phase", flat=True).get(pk=segment.pk)


@pytest.mark.postgres
def test_an_operator_reads_what_is_true_when_the_connection_is_lost(
    gateway: str, way: Way, show: Show, people: dict[str, Person]
) -> None:
    segment = drawn_draw(show, people).segment

    way.cut = Cut.BEFORE
    told = press(gateway, segment, "publish")
    assert (told.status, told.headers["Retry-After"], phase_of(segment)) == (503, "3", Phase.DRAWN)
    message = "Nothing was done: the database is busy or away. Please try again."
    assert told.json == {"ok": False, "code": "busy", "message": message}

    way.cut = Cut.LOST
    told = press(gateway, segment, "publish")
    assert (told.status, told.json["code"], told.json["phase"]) == (503, "look_again", "drawn")
    assert "nobody can say yet whether it was done" in told.json["message"]
    assert "is drawn now: " in told.json["message"] and phase_of(segment) == Phase.DRAWN

    way.cut = Cut.UNANSWERED
    told = press(gateway, segment, "publish")
    assert (told.status, told.json["code"], told.json["phase"]) == (503, "look_again", "published")
    assert "is published now: publish by dora at" in told.json["message"]
    assert phase_of(segment) == Phase.PUBLISHED
    assert press(gateway, segment, "publish").status == 409


@pytest.mark.postgres
def test_what_was_done_is_said_to_be_done_though_the_database_is_away_by_then(
    gateway: str, way: Way, show: Show
) -> None:
    first, second = make_segment(show), sealed(show, beacon="dice")

    way.cut = Cut.AFTER
    told = press(gateway, first, "arm")
    assert (told.status, told.json["ok"]) == (200, True), "there was nothing left to ask the database"
    assert phase_of(first) == Phase.ARMED

    way.is_open, way.cut = True, Cut.AFTER
    told = press(gateway, second, "dice", digits=THROWS)
    assert (told.status, told.json["ok"], told.json["code"]) == (503, True, "done")
    assert "is in the ledger (dice typed)" in told.json["message"]
    assert LedgerEntry.objects.filter(action="dice typed").count() == 1


@pytest.mark.postgres
def test_a_person_without_a_script_reads_the_same_on_a_page(gateway: str, way: Way, show: Show) -> None:
    segment = make_segment(show)
    for cut, words in ((Cut.BEFORE, "Nothing was done:"), (Cut.UNANSWERED, "is armed now: arm by dora")):
        way.cut = cut
        told = press(gateway, segment, "arm", accept=HTML)
        assert (told.status, told.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
        assert words in told.text


@pytest.mark.postgres
def test_a_winner_is_told_to_look_again_and_claims_no_second_time(
    gateway: str, way: Way, show: Show, people: dict[str, Person]
) -> None:
    draw = published_draw(show, people)
    winner = people[winners_of(draw)[0]]
    address = f"/api/draws/{draw.pk}/claims"
    told = []
    for cut in (Cut.BEFORE, Cut.LOST, Cut.UNANSWERED, None):
        way.cut = cut
        told.append(ask(gateway, address, body=winner.proof))
    assert [answer.status for answer in told] == [503, 503, 503, 200]
    assert [answer.json.get("code") for answer in told] == ["busy", "look_again", "look_again", None]
    assert all(set(answer.json) == {"code", "message"} for answer in told[:3])
    assert told[3].json["message"] == "The prize was claimed already."
    assert Win.objects.get(pseudonym=winner.pseudonym).status == "claimed"


# --- the database is away ---


SEED = """
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client
from tests.cast import make_segment, make_show
from tests.gala.test_failures import session_cookie
call_command("migrate", verbosity=0)
segment = make_segment(make_show(slug="gala", title="Gala"))
dora = User.objects.create_user("dora", is_staff=True)
dora.groups.add(Group.objects.get(name="director"))
client = Client()
client.force_login(dora)
print(segment.pk, session_cookie(client))
"""


def seed(environment: dict[str, str]) -> list[str]:
    """Fills an empty database: the segment there, and the session of its director."""
    command = [sys.executable, "manage.py", "shell", "-c", SEED, "--verbosity", "0"]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.split()


@pytest.mark.postgres
def test_every_page_and_request_says_so_while_the_database_is_stopped(tmp_path: Path, migrated: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="gala-postgres-", ignore_cleanup_errors=True) as name:
        server = start_postgres(Path(name))
        try:
            with psycopg.connect(host=name, dbname="postgres", autocommit=True) as admin:
                admin.execute("CREATE DATABASE gala")
            database, data = f"psql:///{name}/gala", str(tmp_path)
            own = {"INSTALLATION": settings.INSTALLATION, "DATABASE_URL": database, "GALA_DATA": data}
            shutil.copytree(migrated / "static", tmp_path / "static")
            segment, session = seed({**os.environ, **own})
            arm = f"/console/gala/segments/{segment}/arm/"
            with running_gateway(tmp_path / "log", DATABASE_URL=database, GALA_DATA=data) as (address, _):
                assert ask(address, "/console/gala/live", session=session).json["ok"] is True
                stop_postgres(server)
                check_that_all_say_it(address, session, arm)
                server = start_postgres(Path(name))
                live = ask(address, "/console/gala/live", session=session).json
                assert live["segments"][0]["phase"] == "draft"
                assert ask(address, arm, form={}, session=session).json["ok"] is True
                assert ask(address, "/play/gala/", accept=HTML).status == 200
        finally:
            stop_postgres(server)


def check_that_all_say_it(address: str, session: str, arm: str) -> None:
    words = "Nothing was done: the database is busy or away."
    for path, form in (("/console/gala/live", None), ("/parties/live", None), (arm, {})):
        told = ask(address, path, form=form, session=session)
        assert (told.status, told.json["code"], told.json["ok"]) == (503, "busy", False)
        assert told.json["message"].startswith(words)
    for path in ("/api/shows/gala/draws", "/api/shows/gala/ledger", "/api/draws/1/record"):
        told = ask(address, path, accept="*/*")
        assert (told.status, told.json["code"], told.headers["Retry-After"]) == (503, "busy", "3")
    for path in ("/", "/console/", "/console/gala/", "/play/gala/", "/stage/gala/", "/draws/", "/admin/"):
        told = ask(address, path, accept=HTML, session=session)
        assert (told.status, told.headers["Retry-After"]) == (503, "3")
        assert words in told.text and "This page reloads by itself." in told.text


# --- faults of our own ---


def break_down(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError


@pytest.mark.django_db(transaction=True)
def test_a_fault_of_ours_tells_what_was_done_before_it(monkeypatch: pytest.MonkeyPatch, show: Show) -> None:
    segment, client = make_segment(show), log_in()
    address = f"/console/gala/segments/{segment.pk}/arm/"
    monkeypatch.setattr(console, "_answer", break_down)
    answer = client.post(address, headers={"Accept": JSON})
    assert (answer.status_code, answer.json()["ok"], answer.json()["code"]) == (500, True, "done")
    assert "1. Segment 1 is armed now: arm by dora" in answer.json()["message"]
    monkeypatch.setattr(console, "_do", break_down)
    answer = client.post(address, headers={"Accept": JSON})
    assert (answer.status_code, answer.json()["ok"], answer.json()["code"]) == (500, False, "failed")
    assert answer.json()["message"].startswith("Nothing was done")


@pytest.mark.django_db(transaction=True)
def test_what_is_half_done_is_not_blamed_on_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    User.objects.create_user("dora", password="long enough for tests")
    monkeypatch.setattr(LogIn, "get_success_url", break_down)
    client = Client(raise_request_exception=False, headers={"Accept": JSON})
    answer = client.post("/login/", {"username": "dora", "password": "long enough for tests"})
    assert (answer.status_code, answer.json()["ok"], answer.json()["code"]) == (500, False, "look_again")
    assert answer.json()["message"].startswith("Something was written before it failed")


@pytest.mark.django_db(transaction=True)
def test_the_page_of_a_failure_needs_nothing(monkeypatch: pytest.MonkeyPatch, show: Show) -> None:
    monkeypatch.setattr(views, "render_page", break_down)
    client = Client(raise_request_exception=False)
    page = client.get("/play/gala/")
    assert (page.status_code, page["Content-Type"]) == (500, "text/html; charset=utf-8")
    assert "Nothing was done: this did not work" in page.text
    monkeypatch.setattr("gala.refusals.render_to_string", break_down)
    text = client.get("/play/gala/")
    assert (text.status_code, text["Content-Type"]) == (500, "text/plain; charset=utf-8")
    assert text.text.startswith("Nothing was done: this did not work")


@pytest.mark.django_db(transaction=True)
async def test_what_is_raised_around_a_view_is_answered_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(*_: Any) -> Any:
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(SessionMiddleware, "process_response", lose)
    asynchronous = AsyncClient(raise_request_exception=False)
    for answer in (
        await asynchronous.get("/draws/", headers={"Accept": JSON}),
        await sync_to_async(Client(raise_request_exception=False).get)("/draws/", headers={"Accept": JSON}),
    ):
        assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (503, "busy", "3")


# --- what is noted of a connection ---


@pytest.mark.django_db(transaction=True)
@pytest.mark.sqlite
def test_what_the_database_refuses_at_the_end_is_not_done(show: Show) -> None:
    with watched() as outcome, pytest.raises(IntegrityError), transaction.atomic():
        Segment.objects.create(show_id=show.pk + 1, position=1, title="Nowhere")
    assert outcome.came == Came.NOT_DONE


@pytest.mark.django_db(transaction=True)
@pytest.mark.sqlite
def test_what_lasts_without_an_entry_of_the_ledger_may_be_half_of_it(show: Show) -> None:
    with watched() as outcome:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            Show.objects.update(title="Other")
            break_down()
        came = [outcome.came]
        Show.objects.update(title="Other")
        came.append(outcome.came)
        armed_segment(show)
        came.append(outcome.came)
    assert (came, outcome.recorded) == ([Came.NOT_DONE, Came.LOOK_AGAIN, Came.DONE], ["arm"])
    assert Draw.objects.count() == 1
