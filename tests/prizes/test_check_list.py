"""The notary's check list of a pack: a place for everything, in both languages, on paper."""

import base64
import hashlib
import re
from pathlib import Path

import pytest
from django.test import Client
from django.utils.html import escape

from engagement.models import Show
from prizes.evidence.check_list import AFTER, BEFORE, PROGRAMS, WORDS, both
from prizes.models import Draw
from tests.cast import armed_segment, make_show
from tests.clock import clock as clock
from tests.prizes import shows
from tests.prizes.shows import Look
from tests.prizes.shows import folder as folder
from tests.prizes.shows import look as look
from tests.prizes.shows import night as night
from tests.prizes.shows import program as program

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_check_list_has_a_place_for_everything_in_both_languages(tmp_path: Path) -> None:
    """It is printed before the show, from a pack that is made once a segment is armed."""
    show = make_show(slug="gala", title="Gala <b>& friends")
    armed = armed_segment(show, beacon="dice").draws.get()
    folder = shows.unpack(shows.make_pack(tmp_path / "pack.zip"), tmp_path / "pack")
    page = (folder / "check-list.html").read_text()
    for text in (*WORDS.values(), *(text for text, _ in (*BEFORE, *AFTER))):
        said = both(text)
        assert said["en"] != said["zh"]
        assert all(escape(one) in page for one in said.values()), text
    assert all(words in page for words in ("Place and date", "地点与日期", "Signature, seal", "签名、盖章"))
    assert page.count("<li>") == len(BEFORE) + len(AFTER)
    assert page.count("<i></i>") - 4 == armed.promised["beacon"]["throws"] == 50
    assert f'<td class="mono">{armed.draw_id}</td>' in page
    assert all(name in page for name in PROGRAMS)
    assert "Gala &lt;b&gt;&amp; friends" in page and "<b>" not in page


def test_the_address_on_the_check_list_gives_what_the_command_on_it_takes(
    night: Show, folder: Path, look: Look, client: Client, tmp_path: Path
) -> None:
    page = (folder / "check-list.html").read_text()
    [address] = re.findall(r"<pre>(/[^<]+)</pre>", page)
    assert address in (folder / "README.txt").read_text()
    noted = tmp_path / "noted.txt"
    noted.write_bytes(client.get(address).content)
    report = look(folder, checkpoints=[str(noted)])
    assert shows.failed(report) == set() and "checkpoint noted.txt" in [row.name for row in report.checks]
    [command] = re.findall(r"<pre>(python3 [^<]+)</pre>", page)
    options = {word for word in command.split() if word.startswith("--")}
    assert options == {"--key", "--checkpoint", "--witness", "--tsa", "--stub"}


def test_the_check_list_tells_nothing_that_is_to_be_noted_by_hand(night: Show, folder: Path) -> None:
    page = (folder / "check-list.html").read_text()
    seals = [draw.seal for draw in Draw.objects.filter(show=night) if draw.seal]
    assert len(seals) == 2 and not any(part in page for seal in seals for part in (seal[:8], seal[-8:]))
    assert (folder / "ledger/keys.txt").read_text().strip() not in page


@pytest.mark.parametrize("name", ["check-list.html", "report.html"])
def test_what_is_to_be_printed_asks_nobody_for_anything(folder: Path, name: str) -> None:
    page = (folder / name).read_text()
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|\son\w+=|\ssrc=|\shref=|\sstyle=", page)
    css = page.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in page
