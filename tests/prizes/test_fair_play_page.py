"""The crew's page of fair play: what was counted, and what a frozen segment says of blocks."""

import re

import pytest
from django.test import Client

from engagement.fair_play.core.origins import Origin
from engagement.ledger.append import append_entry
from engagement.models import Show
from prizes.models import Freeze
from tests.cast import AUDITOR, OPERATOR, make_show
from tests.prizes.pipeline import run_all
from tests.prizes.published import crew
from tests.prizes.steps.test_review import block, play, viewers

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def show() -> Show:
    return make_show(slug="gala")


def rows_of(page: str, table: str) -> list[list[str]]:
    """The cells of a table's body, without what marks them up."""
    body = re.search(rf"<table {table}>.*?<tbody>(.*?)</tbody>", page, re.S)
    assert body is not None, table
    rows = re.findall(r"<tr>(.*?)</tr>", body[1], re.S)
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.S) for row in rows]
    return [[" ".join(re.sub(r"<[^>]+>", "", cell).split()) for cell in row] for row in cells]


def look(client: Client, query: str = "") -> str:
    answer = client.get(f"/console/gala/fair-play/{query}")
    assert answer.status_code == 200
    return answer.text


def test_the_largest_blocks_stand_against_their_places(show: Show) -> None:
    farm, family, users = viewers(30), viewers(3), viewers(4)
    whence = {viewer: Origin("work", 0, block(0)) for viewer in farm}
    whence |= {viewer: Origin("guest", 1, block(1)) for viewer in family}
    totals = (
        dict.fromkeys(farm, 170) | dict.fromkeys(users, 50) | dict(zip(family, (41, 52, 63), strict=True))
    )
    draw = run_all(play(show, whence, totals, shared_entries=5, carriers="198.51.100.0/24 2"))
    page = look(crew(OPERATOR))
    assert rows_of(page, 'class="blocks"') == [
        [block(0).hex(), "–", "30", "5", "25", "170 (30 of 30 viewers) in step"],
        [block(1).hex(), "198.51.100.0/24", "3", "10", "–", "63 (1 of 3 viewers)"],
    ]
    most = Freeze.objects.get(segment=draw.segment).review["most_shakes"]
    assert most == 10 + 8 * 20  # the window of the cast
    assert rows_of(page, 'id="kinds"') == [
        ["app", "4", "0", "0.0 %"],
        ["guest", "3", "0", "0.0 %"],
        ["work", "30", "30", "100.0 %"],
    ]
    assert "had 30 entries, of which 5 count" in " ".join(re.sub(r"<[^>]+>", "", page).split())
    assert "Nobody is excluded by what stands on this page." in " ".join(page.split())


def test_where_nothing_is_shared_blocks_are_shown_without_places(show: Show) -> None:
    run_all(play(show, {viewer: Origin("guest", 0, block(0)) for viewer in viewers(6)}, shared_entries=0))
    ((*_, places, too_many, alike),) = rows_of(look(crew(AUDITOR)), 'class="blocks"')
    assert (places, too_many, alike) == ("not shared", "–", "50 (6 of 6 viewers)")  # too few to be a hint


def test_passes_of_each_minute_are_told_before_the_freeze(show: Show) -> None:
    page = look(crew(OPERATOR))
    assert "No segment was on air yet." in page
    segment = play(show, {viewers(1)[0]: Origin("guest", 0, block(0))})
    for minute in range(70):
        passes = {"app": 0, "attested": 0, "code": 1, "guest": minute, "work": 2}
        details = {"segment": segment.pk, "play": segment.key, "viewers": 10 + minute, "passes": passes}
        append_entry(show, "counts", details=details)
    append_entry(show, "counts", details={"play": segment.key, "passes": 7})
    page = look(crew(OPERATOR))
    rows = rows_of(page, 'id="minutes"')
    assert len(rows) == 60 and "come with the freeze" in page
    assert [row[1:] for row in rows[:2]] == [
        ["–", "0", "0", "0", "0", "0"],
        ["79", "0", "0", "1", "69", "2"],
    ]


def test_an_earlier_segment_can_be_chosen_and_one_frozen_before_the_page_has_no_blocks(
    show: Show,
) -> None:
    first = run_all(play(show, {viewer: Origin("guest", 0, block(0)) for viewer in viewers(3)})).segment
    second = play(show, {viewers(1)[0]: Origin("guest", 0, block(0))})
    client = crew(OPERATOR)
    newest = look(client)
    assert f'href="?segment={first.pk}"' in newest and "come with the freeze" in newest
    assert rows_of(look(client, f"?segment={first.pk}"), 'class="blocks"')[0][2] == "3"
    assert client.get(f"/console/gala/fair-play/?segment={second.pk + 99}").status_code == 404
    Freeze.objects.create(segment=second, shards=1, fenced_at_ms=1, frozen_at_ms=2, kinds={"guest": 1})
    assert 'class="blocks"' not in look(client) and rows_of(look(client), 'id="kinds"')[0][0] == "guest"


def test_the_crew_and_auditors_see_it_and_nobody_else(show: Show, client: Client) -> None:
    assert client.get("/console/gala/fair-play/").status_code == 302
    for somebody in (crew(AUDITOR), crew(OPERATOR)):
        assert somebody.get("/console/gala/fair-play/").status_code == 200
        assert 'href="/console/gala/fair-play/"' in somebody.get("/console/gala/").text
