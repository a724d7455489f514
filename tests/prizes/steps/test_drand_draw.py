"""Whole draws from the control room, with every beacon; the clock is that of the night of drand's round 1000."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from engagement.core.digests import commit
from engagement.core.phases import Phase
from engagement.models import Segment, Show
from engagement.roles import OPERATOR
from engagement.tasks import conduct
from gala.celery import app
from prizes.files import fetch, roll_name
from prizes.models import Draw, Party
from prizes.software import VERIFIER
from prizes.tasks import conduct_draws
from tests.cast import a_gateway_lives, gateways_were_here, make_segment, make_show
from tests.clock import Clock
from tests.prizes.draws import ROUND, SIGNATURE, T_FREEZE, VECTORS
from tests.prizes.pipeline import write_tally

pytestmark = pytest.mark.django_db(transaction=True)

VIEWERS = {bytes([number * 5, number]) + bytes(12): 1 + number for number in range(1, 40)}
LASTS_S = 21  # window, the delay of the last feed, and the grace of the cast's segments
THROWS = ("123456" * 9)[:50]
SECRET = bytes(range(32))


@pytest.fixture
def tasks_run_here() -> Iterator[None]:
    """In this process, so that they go by the clock of the test."""
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


@pytest.fixture
def show(clock: Clock, settings: Any, tasks_run_here: None) -> Show:
    settings.DRAND_ROUNDS_FILE = str(VECTORS / "drand_quicknet_rounds.json")
    clock.set((T_FREEZE - LASTS_S - 60) * 1000)
    gateways_were_here()
    return make_show(slug="gala", title="Gala", draws_per_minute=60)


def browser(name: str, role: str | None = OPERATOR) -> Client:
    user = User.objects.create(username=name)
    if role:
        user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def press(client: Client, segment: Segment, action: str, **fields: str) -> str:
    address = f"/console/gala/segments/{segment.pk}/{action}/"
    answer = client.post(address, fields, headers={"Accept": "application/json"}).json()
    assert answer["ok"], answer["message"]
    return answer["message"]


def live(client: Client) -> dict[str, Any]:
    (row,) = client.get("/console/gala/live").json()["segments"]
    return row


def seconds(clock: Clock, count: int = 1) -> None:
    """What the conductor does in the first of so many seconds and in the last two: what it did too early would stay."""
    left = count
    while left:
        step = 1 if left in (1, 2, count) else left - 2
        clock.move(step * 1000)
        conduct()
        conduct_draws()
        left -= step


def play(room: Client, segment: Segment, clock: Clock) -> None:
    """From the draft to the freeze at `T_FREEZE`, by buttons and by the clock."""
    press(room, segment, "arm")
    clock.set((T_FREEZE - LASTS_S) * 1000)
    a_gateway_lives()  # else a lamp is red
    press(room, segment, "open", lead="0")
    write_tally(Segment.objects.get(pk=segment.pk), VIEWERS)
    seconds(clock, LASTS_S)


def published(client: Client, folder: Path) -> tuple[dict[str, Any], str, str]:
    """The record as anybody gets it, the page, and what the verifier says of both files."""
    draw = Draw.objects.get()
    (folder / "record").write_bytes(client.get(f"/api/draws/{draw.pk}/record").content)
    (folder / "roll").write_bytes(fetch(roll_name(draw.key)).read_bytes())
    command = [sys.executable, "-I", str(VERIFIER), str(folder / "record"), str(folder / "roll")]
    verdict = subprocess.run(command, capture_output=True, text=True, check=False)
    assert verdict.returncode == 0, verdict.stdout
    return json.loads((folder / "record").read_text()), client.get(f"/draws/{draw.pk}/").text, verdict.stdout


def test_a_draw_with_drand_from_a_file_of_rounds(
    show: Show, clock: Clock, tmp_path: Path, client: Client
) -> None:
    room, segment = browser("olga"), make_segment(show, beacon="drand")
    play(room, segment, clock)
    row = live(room)
    assert (row["phase"], row["waits"][0]["lines"]) == ("sealed", ["drand round 1000 is due in 60 s"])
    seconds(clock, 59)
    assert live(room)["phase"] == "sealed"
    seconds(clock, 3)
    assert live(room)["phase"] == "drawn"
    press(room, segment, "publish")
    record, page, verdict = published(client, tmp_path)
    assert (record["seal"]["t_freeze"], record["seal"]["round"]) == (T_FREEZE, ROUND)
    assert (record["beacon"]["kind"], record["beacon"]["strength"]) == ("drand", "public")
    assert record["beacon"]["proof"] == {"signature": SIGNATURE}
    assert "drand" in page
    assert "REHEARSAL" not in page
    assert "beacon" in verdict


def test_a_draw_with_drand_that_is_pasted_and_a_party(
    show: Show, clock: Clock, tmp_path: Path, client: Client, settings: Any
) -> None:
    settings.DRAND_ROUNDS_FILE = ""
    room, nora, segment = browser("olga"), browser("nora", None), make_segment(show, beacon="drand")
    notary = Party.objects.create(
        show=show, name="notary", title="A notary", user=User.objects.get(username="nora")
    )
    digest = commit("gala/seg-1/draw-1", "notary", SECRET).hex()
    prize_list = segment.prize_lists.get()
    nora.post(f"/parties/{notary.pk}/lists/{prize_list.pk}/commit/", {"commitment": digest})
    play(room, segment, clock)
    assert live(room)["phase"] == "closing"
    draw = Draw.objects.get()
    nora.post(f"/parties/{notary.pk}/draws/{draw.pk}/reveal/", {"secret": SECRET.hex()})
    seconds(clock)
    assert live(room)["phase"] == "sealed"
    seconds(clock, 60)
    assert "It can be pasted: Enter beacon." in live(room)["trouble"]
    press(room, segment, "beacon", signature=json.dumps({"round": ROUND, "signature": SIGNATURE}))
    seconds(clock, 2)
    press(room, segment, "publish")
    record, _, _ = published(client, tmp_path)
    reveal = record["reveals"]["notary"]
    assert (reveal["secret"], reveal["time"]) == (SECRET.hex(), T_FREEZE * 1000)
    assert [party["name"] for party in record["rules"]["parties"]] == ["house", "notary"]


def test_a_draw_without_an_absent_party(show: Show, clock: Clock, tmp_path: Path, client: Client) -> None:
    room, segment = browser("olga"), make_segment(show, beacon="local")
    notary = Party.objects.create(show=show, name="notary", title="A notary")
    address = segment.prize_lists.get()
    notary.commitments.create(prize_list=address, draw_id="gala/seg-1/draw-1", commitment="ab" * 32)
    play(room, segment, clock)
    seconds(clock, 45)
    assert live(room)["phase"] == "closing"
    seconds(clock, 2)
    press(room, segment, "publish")
    record, page, _ = published(client, tmp_path)
    assert record["reveals"]["notary"] == {"secret": "", "time": 0, "ledger": 0}
    assert (record["beacon"]["kind"], record["beacon"]["strength"]) == ("local", "rehearsal")
    assert "REHEARSAL" in page


def test_a_draw_with_dice_that_two_operators_type(
    show: Show, clock: Clock, tmp_path: Path, client: Client
) -> None:
    olga, omar, segment = browser("olga"), browser("omar"), make_segment(show, beacon="dice")
    play(olga, segment, clock)
    assert live(olga)["waits"][0]["lines"] == [
        "waiting for the dice: two operators type the 50 throws that were made on air"
    ]
    press(olga, segment, "dice", digits=THROWS)
    seconds(clock, 2)
    assert live(olga)["phase"] == "sealed"
    press(omar, segment, "dice", digits=THROWS)
    seconds(clock)
    press(olga, segment, "publish")
    record, page, _ = published(client, tmp_path)
    assert (record["beacon"]["kind"], record["beacon"]["proof"]) == ("dice", {"digits": THROWS})
    assert "dice" in page
    assert "REHEARSAL" not in page


def test_a_rehearsal_says_so(show: Show, clock: Clock, tmp_path: Path, client: Client) -> None:
    room, segment = browser("olga"), make_segment(show, beacon="local")
    assert "(rehearsal)" in room.get("/console/gala/").text
    play(room, segment, clock)
    seconds(clock)
    assert Segment.objects.get().phase == Phase.DRAWN
    press(room, segment, "publish")
    record, page, _ = published(client, tmp_path)
    assert (record["beacon"]["kind"], record["beacon"]["strength"]) == ("local", "rehearsal")
    assert "REHEARSAL" in page
    assert Segment.objects.get().announced_results[0]["strength"] == "rehearsal"
