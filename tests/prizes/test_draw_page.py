"""The public page of a draw: what it tells whom, and when."""

import hashlib
import re
from html import unescape
from zoneinfo import ZoneInfo

import pytest
from django.test import Client

from engagement.clock import from_ms
from engagement.core.names import stage_name
from engagement.models import Segment
from gala.catalogues import key_of
from prizes import files
from prizes.models import Disposition, Draw, Prize, PrizeList, Win
from prizes.software import VERIFIER
from prizes.steps.claims import claim_prize, decline_prize
from prizes.steps.publish import publish_segment
from prizes.steps.void import void_segment
from prizes.story import group, money, span
from prizes.views import draws as public_views
from tests.cast import AUDITOR, OPERATOR, arm, armed_segment, make_segment, make_show
from tests.catalogues import texts_of
from tests.prizes.pipeline import ended, run_all
from tests.prizes.published import THROWS, Stored, crew, make_draw
from tests.prizes.published import own_folder as own_folder

pytestmark = pytest.mark.django_db
STUDIO = ZoneInfo("Asia/Shanghai")


def page_at(stored: Stored, client: Client | None = None) -> str:
    answer = (client or Client()).get(f"/draws/{stored.draw.pk}/")
    assert answer.status_code == 200
    return " ".join(unescape(answer.text).split())  # where a line ends means nothing


def table(page: str, name: str) -> list[list[str]]:
    """The cells of the body of a table, without markup."""
    body = re.search(rf'<table id="{name}"[^>]*>.*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    assert body, f"there is no table {name}"
    rows = re.findall(r"<tr>(.*?)</tr>", body[1], re.DOTALL)
    return [
        [
            re.sub(r"\s+", " ", re.sub("<[^>]*>", "", cell)).strip()
            for cell in re.findall("<td.*?</td>", row, re.DOTALL)
        ]
        for row in rows
    ]


def spaced(number: int) -> str:
    return f"{number:,}"


# --- who sees what, when ---


def test_an_armed_draw_shows_what_is_promised_and_where_to_get_it() -> None:
    stored = make_draw(Draw.Step.COMMITTED)
    page = page_at(stored)
    assert f'href="/api/draws/{stored.draw.pk}/precommitment"' in page
    assert [row[1:] for row in table(page, "prizes")] == [
        [f"Star {n}", "Paper Crane", "M", "1,000.00 CNY"] for n in (1, 2)
    ]
    assert '"name":"house"' in stored.draw.rules
    house = stored.draw.rules.split('"commitment":"')[1][:64]
    for text in (
        "3 days",
        "1 or more: 1",
        "2, and 1 in reserve",
        "app: 20 s, 0 s behind",
        "tv: 20 s, 0.4 s",
        house,
    ):
        assert text in page.replace("shakes or", "or")
    for text in ("Winners</h2>", 'id="seal"', 'id="receipt"', "<script", 'id="odds"'):
        assert text not in page
    assert table(page, "timeline")[0][1] != "–" and {row[1] for row in table(page, "timeline")[1:]} == {"–"}


@pytest.mark.parametrize("step", ["committed", "sealed", "drawing", "drawn"])
def test_nobody_but_the_auditor_sees_winners_before_they_are_published(step: str) -> None:
    stored = make_draw(step)
    winners = [row["pseudonym"] for row in stored.record["ranked"]] if stored.record else []
    for client in (Client(), crew(OPERATOR)):
        page = page_at(stored, client)
        assert "<h2>Winners" not in page and not any(viewer in page for viewer in winners)
        assert stored.record.get("key", "no key yet") not in page and THROWS not in page
    audited = page_at(stored, crew(AUDITOR))
    assert ("only auditors see this page" in audited) == (step == "drawn")
    assert ("<h2>Winners" in audited) == (step == "drawn")


def test_a_night_ends_with_a_page_of_everything_that_was_drawn(settings) -> None:
    show = make_show()
    draw = run_all(ended(armed_segment(show)))
    address = f"/draws/{draw.pk}/"
    assert "<h2>Winners" not in Client().get(address).text
    publish_segment(draw.segment_id, actor=OPERATOR)
    page = Client().get(address).text
    roll = files.fetch(files.roll_name(draw.key)).read_bytes()
    for text in (draw.seal, draw.record_digest, hashlib.sha256(roll).hexdigest(), "REHEARSAL"):
        assert text in page
    assert f'href="/api/draws/{draw.pk}/record"' in page
    assert draw.wins.count() == len(table(page, "winners")) == 2
    assert sum(int(row[1].replace(",", "")) for row in table(page, "odds")) == draw.entries


def test_the_index_lists_what_is_published_and_what_is_promised() -> None:
    show = make_show()
    promised, published = make_draw("committed", show=show, beacon="local"), make_draw(show=show)
    void = make_draw("committed", show=show)
    Segment.objects.filter(pk=void.draw.segment_id).update(phase="void")
    page = unescape(Client().get("/draws/").text)
    what = "Coat, worn by Star 1, and one more"
    assert [row[0] for row in table(page, "published")] == [f"{what} {published.draw.draw_id}"]
    assert [row[0] for row in table(page, "promised")] == [f"{what} {promised.draw.draw_id}"]
    assert f'href="/api/draws/{promised.draw.pk}/precommitment"' in page
    assert page.count("REHEARSAL") == 1
    assert (
        Client().get("/draws/987654/").status_code == Client().get(f"/draws/{'9' * 30}/").status_code == 404
    )


def test_a_show_lists_its_segments_with_what_was_called_off_and_why() -> None:
    show = make_show(title="Night of Coats", title_zh="大衣之夜")
    drawn, void = make_draw(show=show, title="Red carpet"), make_draw("committed", show=show, title="Duet")
    spoiled = make_draw("committed", show=show, title="Finale", beacon="local")
    make_segment(show, title="Secret guest")  # nothing is promised of it yet
    void_segment(void.draw.segment_id, actor="dirk", reason="The lights went out.")
    times = {"opens_at": from_ms(0), "closes_at": from_ms(1)}
    Segment.objects.filter(pk=spoiled.draw.segment_id).update(phase="spoiled", **times)
    page = " ".join(unescape(Client().get(f"/shows/{show.slug}/draws/").text).split())
    sections = re.findall(r'<section class="card segment.*?</section>', page)
    assert [title for row in sections for title in re.findall("<bdi>(.*?)</bdi></h2>", row)] == [
        "Red carpet",
        "Duet",
        "Finale",
    ]
    assert drawn.draw.seal[:8] in sections[0] and "Called off" not in sections[0]
    assert "Called off before the freeze" in sections[1] and "Reason: The lights went out." in sections[1]
    assert "Spoiled: it got no seal in time" in sections[2] and "REHEARSAL" in sections[2]
    assert "Secret guest" not in page
    assert Client().get("/shows/nothing/draws/").status_code == 404


def test_a_show_with_many_segments_has_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_views, "SEGMENTS_AT_ONCE", 2)
    show = make_show()
    for number in (1, 2, 3):
        make_draw("committed", show=show, title=f"Part {number}")
    first = Client().get(f"/shows/{show.slug}/draws/").text
    assert "Part 2" in first and "Part 3" not in first and 'href="?after=2"' in first
    for nonsense in ("x", "-1", "9" * 30, "1 OR 1"):
        assert "Part 1" in Client().get(f"/shows/{show.slug}/draws/", {"after": nonsense}).text
    last = Client().get(f"/shows/{show.slug}/draws/?after=2").text
    assert "Part 3" in last and "Part 2" not in last and "first segments" in last
    assert "Nothing is promised" in Client().get(f"/shows/{show.slug}/draws/?after={'9' * 18}").text


def test_each_seal_of_a_segment_says_what_it_is_for() -> None:
    segment = make_segment(make_show(), prizes=1, beacon="dice")
    second = PrizeList.objects.create(segment=segment, number=2)
    Prize.objects.create(
        prize_list=second, celebrity="Lin Yao", celebrity_zh="林遥", brand="Northlight",
        garment="Silver coat", garment_zh="银色大衣", size="M", value_minor=1,
    )  # fmt: skip
    armed = arm(segment)
    assert armed.announced_facts["draws"] == [1, 1]  # of the announced prizes, for screens
    coat = armed.draws.get(prize_list=second)
    page = " ".join(unescape(Client().get(f"/draws/{coat.pk}/").text).split())
    assert "<h1>Silver coat, worn by Lin Yao</h1>" in page
    assert "Coat, worn by Star 1" in page.split('id="beside"')[1].split("</ul>")[0]
    assert "<h1>林遙台上穿的銀色大衣</h1>" in Client().get(f"/draws/{coat.pk}/?lang=zh-hk").text


def test_the_pictures_of_the_prizes_are_shown_in_sizes_for_a_page() -> None:
    stored = make_draw()
    segment, base = stored.draw.segment, f"/pictures/{'5f' * 32}/"
    sizes = [[720, 480], [1240, 827], [1920, 1280]]
    for row in segment.announced_prizes:
        row["picture"] = {"base": base, "sizes": sizes, "alt": 'A "coat"'}
    segment.save()
    for path in ("", "certificate/"):
        page = Client().get(f"/draws/{stored.draw.pk}/{path}").text
        assert f"{base}720.webp 720w, {base}1240.webp 1240w" in page and "1920" not in page
        assert f'src="{base}1240.jpg" width="1240" height="827" alt="A &quot;coat&quot;"' in page


def test_a_draw_that_was_called_off_says_why() -> None:
    stored = make_draw("committed")
    void_segment(stored.draw.segment_id, actor="dirk", reason="The lights went out.")
    assert "called off before the freeze; nothing is drawn. Reason: The lights went out." in page_at(stored)


# --- what it says ---


def test_winners_have_their_masked_names_their_prizes_and_what_became_of_them() -> None:
    stored = make_draw(prior_rank=2)
    first, second = stored.draw.wins.order_by("rank")
    rows = [(first, "forfeited", "deadline passed", 91), (second, "claimed", "", 92)]
    for win, status, reason, position in rows:
        Win.objects.filter(pk=win.pk).update(status=status)
        values = {"piece": win.piece_id, "status": status, "reason": reason, "at_ms": 5, "ledger": position}
        Disposition.objects.create(draw=stored.draw, pseudonym=win.pseudonym, **values)
    page = page_at(stored)
    names = [stage_name(bytes.fromhex(win.pseudonym)) for win in (first, second)]
    prizes = [f"Coat worn by Star {number}, size M" for number in (1, 2)]
    assert table(page, "winners") == [
        ["1", names[0], prizes[0], "forfeited: deadline passed", first.pseudonym],
        ["3", names[1], prizes[1], "claimed", second.pseudonym],
    ]
    assert re.search(r"1 passed over.*?rank 2 \([\w-]+/seg-9/draw-1\)", page, re.DOTALL)
    assert "Without a holder: Coat worn by Star 1, size M." in page


def test_a_winner_who_has_not_claimed_yet_is_shown_with_the_deadline() -> None:
    stored = make_draw()
    deadline = stored.draw.wins.earliest("rank").claim_by
    assert (
        table(page_at(stored), "winners")[0][3] == f"not claimed yet; until {deadline:%Y-%m-%d %H:%M:%S} UTC"
    )


def in_words(page: str) -> str:
    """What stands below the winners, in one line."""
    found = re.search(r"<p>A winner is shown.*?</p>", page, re.DOTALL)
    assert found
    return re.sub(r"\s+", " ", found[0])


def test_the_page_tells_the_reserves_that_are_left_and_who_has_moved_up() -> None:
    stored = make_draw()
    first, second = stored.draw.wins.order_by("rank")
    assert "1 left in reserve, in the order of the draw." in in_words(page_at(stored))
    decline_prize(stored.draw.pk, first.pseudonym)
    claim_prize(stored.draw.pk, second.pseudonym)
    page = page_at(stored)
    assert "Nobody is left in reserve." in in_words(page) and "Without a holder" not in page
    deadline = stored.draw.wins.get(rank=3).claim_by
    assert [(row[0], row[3]) for row in table(page, "winners")] == [
        ("1", "forfeited: declined"),
        ("2", "claimed"),
        ("3", f"moved up from the reserves; not claimed yet; until {deadline:%Y-%m-%d %H:%M:%S} UTC"),
    ]
    claim_prize(stored.draw.pk, stored.record["reserves"][0]["pseudonym"])
    assert table(page_at(stored), "winners")[2][3] == "moved up from the reserves; claimed"


def test_a_reserve_who_has_won_elsewhere_is_not_left_in_reserve() -> None:
    show = make_show()
    other, stored = make_draw("sealed", show=show), make_draw(show=show)
    reserve, prize = stored.record["reserves"][0]["pseudonym"], Prize.objects.order_by("pk")[0]
    Win.objects.create(
        show=show, draw=other.draw, prize=prize, piece=1, rank=1, pseudonym=reserve, name="A Reserve"
    )
    decline_prize(stored.draw.pk, stored.draw.wins.order_by("rank")[0].pseudonym)
    words = in_words(page_at(stored))
    assert "Nobody is left in reserve. 1 of the reserves passed over since" in words
    assert "Without a holder: Coat worn by Star 1, size M." in words


@pytest.mark.parametrize(
    ("viewers", "why"), [(0, "Nobody was in the roll"), (1, "Everybody in the roll had won before")]
)
def test_a_page_without_winners_says_why(viewers: int, why: str) -> None:
    stored = make_draw(viewers=viewers, prior_rank=viewers)
    assert f"{why}, so nobody has won." in page_at(stored)


def test_odds_are_exact_fractions_for_each_number_of_tickets() -> None:
    stored = make_draw("sealed", viewers=600)
    total = sum(viewer.tickets for viewer in stored.viewers)
    assert total == 2520
    rows = table(page_at(stored), "odds")
    assert [row[:3] for row in rows] == [
        [str(count), "120", f"{count} / 2,520"] for count in (1, 2, 3, 5, 10)
    ]
    # Two places at about t / W each: 2520 / 2 and 2520 / 20, nearly.
    assert [row[3] for row in rows] == ["1 in 1,259", "1 in 629", "1 in 420", "1 in 252", "1 in 126"]


def test_every_step_has_its_moment_in_utc_and_in_the_studio() -> None:
    stored = make_draw()
    rows = table(page_at(stored), "timeline")
    assert len(rows) == 9
    assert rows[3][0].endswith("600 viewers, 2,520 tickets") and rows[4][0] == "house reveals its secret"
    frozen_at_ms = stored.draw.segment.freeze.frozen_at_ms
    assert frozen_at_ms is not None
    frozen_at = from_ms(frozen_at_ms)
    assert rows[3][1:] == [
        f"{moment:%Y-%m-%d %H:%M:%S}" for moment in (frozen_at, frozen_at.astimezone(STUDIO))
    ]
    assert all(utc != studio for what, utc, studio in rows if utc != "–")


@pytest.mark.parametrize(
    ("beacon", "texts"),
    [
        ("drand", ["https://api.drand.sh/52db9ba7", "many independent organisations", "fixed by the seal"]),
        ("dice", ["recording of the broadcast", THROWS]),
        ("local", ["REHEARSAL</span> The random numbers come from this server alone", "<dd>rehearsal</dd>"]),
    ],
)
def test_the_beacon_is_named_with_its_strength_and_where_to_look_it_up(beacon: str, texts: list[str]) -> None:
    stored = make_draw(beacon=beacon)
    page = page_at(stored)
    for text in texts:
        assert text in page
    assert ("REHEARSAL" in page) == (beacon == "local")
    if beacon == "drand":
        assert f"/public/{stored.record['seal']['round']}<" in page
    assert not re.findall(r'(?:src|href|action)="(?!/|\?)[^"]*"', page)


def test_downloads_have_their_sizes_and_digests_and_the_command_is_complete() -> None:
    stored = make_draw()
    page = page_at(stored)
    record = Client().get(f"{stored.address}/record").content
    rows = {row[0]: row[1:] for row in table(page, "downloads")}
    assert rows["record.json"] == [spaced(len(record)), hashlib.sha256(record).hexdigest()]
    assert rows["roll.bin"] == [spaced(len(stored.roll)), hashlib.sha256(stored.roll).hexdigest()]
    assert rows["verify_draw.py"][1] == hashlib.sha256(VERIFIER.read_bytes()).hexdigest()
    assert "python3 verify_draw.py record.json roll.bin" in page
    assert f"curl -o roll.bin http://testserver/api/draws/{stored.draw.pk}/roll" in page


def test_a_roll_of_a_show_that_keeps_it_to_its_auditors_is_not_offered() -> None:
    stored = make_draw(show=make_show(roll_visibility="auditor"))
    page = page_at(stored)
    assert "roll.bin: for auditors only, in this show" in page
    assert f"{stored.address}/roll" not in page and "verify_draw.py record.json</pre>" in page


def test_a_draw_whose_files_are_not_on_this_server_still_has_a_page() -> None:
    stored = make_draw()
    files.fetch(files.roll_name(stored.draw.key)).unlink()
    files.fetch(files.record_name(stored.draw.key)).unlink()
    assert page_at(stored).count("not on this server") == 2


def test_the_page_tells_the_digest_of_the_roll_without_reading_it() -> None:
    stored = make_draw()
    files.fetch(files.roll_name(stored.draw.key)).write_bytes(b"")
    assert hashlib.sha256(stored.roll).hexdigest() in page_at(stored)


def test_a_page_asks_the_database_a_fixed_number_of_times(django_assert_max_num_queries) -> None:
    stored = make_draw()
    with django_assert_max_num_queries(12):
        page_at(stored)


# --- the verifier ---


def test_the_verifier_is_served_as_it_was_promised_in_the_rules() -> None:
    stored = make_draw("committed")
    answer = Client().get("/verify_draw.py")
    assert answer.content == VERIFIER.read_bytes()
    assert answer.headers["Content-Type"].startswith("text/x-python")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="verify_draw.py"'
    digest = hashlib.sha256(answer.content).hexdigest()
    assert f'"verifier_digest":"{digest}"' in stored.draw.rules and digest in page_at(stored)
    assert "older verifier" not in page_at(stored)
    assert (
        Client().get("/verify_draw.py", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    )


def test_a_page_says_when_its_draw_was_made_with_an_older_verifier(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = make_draw()
    promised = hashlib.sha256(VERIFIER.read_bytes()).hexdigest()
    monkeypatch.setattr(public_views, "_read_verifier", lambda: b"print('newer')\n")
    page = page_at(stored)
    assert "made with an older verifier" in page and f'<br> <span class="mono">{promised}</span></p>' in page
    assert hashlib.sha256(b"print('newer')\n").hexdigest() in page


# --- words ---


def test_the_pages_of_draws_speak_chinese_to_who_prefers_it() -> None:
    stored = make_draw()
    english = [text for text in map(key_of, texts_of("django")) if "%" not in text and len(text) > 8]
    assert len(english) > 200
    for path in (f"/draws/{stored.draw.pk}/", "/draws/"):
        answer = Client().get(path, headers={"Accept-Language": "en;q=0.1, zh;q=0.9"})
        assert '<html lang="zh-Hans"' in answer.text and "Accept-Language" in answer["Vary"]
        assert [text for text in english if f">{text}<" in answer.text] == []
        assert '<html lang="en"' in Client().get(f"{path}?lang=en", headers={"Accept-Language": "zh"}).text


def test_every_step_winner_and_promise_of_a_draw_is_told_in_chinese() -> None:
    page = Client().get(f"/draws/{make_draw().draw.pk}/?lang=zh").text
    for text in (
        "尺码 ",
        "尚未领取",
        "冻结：名单已完整",
        "人，",
        "票",
        "分之一",
        "摇 ",
        "逾期由下一位候补递补",
    ):
        assert text in page, text


def test_numbers_money_and_lengths_of_time_read_well() -> None:
    assert [group(number) for number in (0, 999, 81234, 35_000_000)] == [
        "0",
        "999",
        "81,234",
        "35,000,000",
    ]
    assert money(129_905, "EUR") == "1,299.05 EUR" and money(5000, "JPY") == "5,000 JPY"
    assert [span(seconds) for seconds in (0, 1, 90, 60, 7200, 259_200)] == [
        "0 seconds", "1 second", "90 seconds", "1 minute", "2 hours", "3 days",
    ]  # fmt: skip


def test_the_certificate_is_set_in_a_smaller_hand_for_long_titles() -> None:
    for title, is_long in (("Red carpet", False), ("The night of the thousand and one coats, again", True)):
        stored = make_draw(title=title)
        assert ("data-long" in Client().get(f"/draws/{stored.draw.pk}/certificate/").text) is is_long
