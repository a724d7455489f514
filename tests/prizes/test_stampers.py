"""The server and its time stampers: seals are stamped in time, whoever of them is away, slow or lying."""

import base64
import datetime
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test import Client

from engagement.clock import now_ms
from engagement.models import Show
from prizes import stampers, tasks
from prizes import verify_draw as verifier
from prizes.models import Draw, Stamp, Stamper
from prizes.stampers import Asking, find_due
from prizes.stamps import stamper_rules
from prizes.steps import freeze
from tests.cast import armed_segment, make_show
from tests.guards import tamper
from tests.prizes import nights
from tests.prizes.pipeline import ended, sealed
from tests.prizes.stamp_maker import integer, make_answer, make_token, stamp_info, value
from tests.prizes.tsa import DAY, NOW, Authority, Dates, name_stamper, pem, running_tsa
from tests.relays import Answer, Handler, answers, dead_address, relay

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def show() -> Show:
    return nights.show(slug="gala", title="Gala")


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Asking:
    monkeypatch.setattr(stampers, "asking", Asking())
    return stampers.asking


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("honest"), root_name="honest root")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other"), kind="p256", root_name="other root")


def ask(asking: Asking) -> None:
    """One look of the conductor, and more until everybody who was asked has answered."""
    stampers.ask_stampers()
    while asking.errands:
        time.sleep(0.02)
        asking._collect()


def draw_of(segment: Any) -> Draw:
    return Draw.objects.select_related("show", "segment__freeze").get(segment=segment)


def seal(show: Show, **fields: Any) -> Draw:
    return draw_of(sealed(show, **{"beacon": "drand", **fields}))


def trouble(row: Stamper) -> str:
    row.refresh_from_db()
    return row.trouble


def stamps_with(
    made: Authority, at: datetime.datetime = NOW, *, ahead_s: int = 0, accuracy_s: int = 0
) -> Answer:
    """Stamps whatever comes, with this time."""

    def answer(handler: Handler) -> None:
        row = verifier.Members(verifier.only(handler.data, verifier.SEQUENCE))
        row.take(verifier.INTEGER)
        imprint = verifier.Members(row.take(verifier.SEQUENCE))
        imprint.take(verifier.SEQUENCE)
        seal, nonce = imprint.take(verifier.OCTETS).body.hex(), verifier.number(row.take(verifier.INTEGER))
        moment = at + datetime.timedelta(seconds=ahead_s)
        content = stamp_info(seal, moment, value(0x30, integer(accuracy_s)), nonce=nonce)
        token = make_token(content, made.signer, made.key, made.certificates)
        handler.say(200, make_answer(token), **{"Content-Type": "application/timestamp-reply"})

    return answer


# --- in time ---


def test_each_named_time_stamper_stamps_each_seal_once(
    show: Show, asking: Asking, honest: Authority, other: Authority
) -> None:
    with running_tsa(honest) as first, running_tsa(other) as second:
        name_stamper(show, honest, first.url, "a.example")
        name_stamper(show, other, second.url, "b.example")
        draws = [seal(show), seal(show)]
        assert draws[0].promised["stampers"] == stamper_rules(show)
        assert [row["name"] for row in stamper_rules(show)] == ["a.example", "b.example"]
        for _ in range(4):
            ask(asking)
        assert first.asked() == ["application/timestamp-query /tsr"] * 2 == second.asked()
    for draw in draws:
        rows = list(draw.stamps.all())
        assert [row.stamper for row in rows] == ["a.example", "b.example"]
        for row, made in zip(rows, (honest, other), strict=True):
            assert base64.b64decode(row.certificate) == made.anchor
            token = base64.b64decode(row.token)
            assert row.at_ms == verifier.check_token(token, made.anchor, bytes.fromhex(draw.seal))
            assert abs(row.at_ms - now_ms()) < 60_000
    assert find_due(set(), now_ms()) == [] and not Stamper.objects.exclude(trouble="").exists()


def test_nothing_is_asked_once_the_beacon_can_be_known_or_of_whom_the_rules_do_not_name(
    show: Show, asking: Asking, honest: Authority, other: Authority
) -> None:
    before = seal(show)
    row = Stamper.objects.create(show=show, name="a", url=dead_address(), certificate=pem(honest.root))
    assert find_due(set(), now_ms()) == []  # it was named after the arming
    draw = seal(make_show(slug="other", title="Other"))
    assert not draw.promised["stampers"]
    named = seal(show)
    now = now_ms()
    assert [(found.pk, missing) for found, missing in find_due(set(), now)] == [(row.pk, named)]
    assert find_due({row.pk}, now) == [] and find_due(set(), now + 120_000) == []
    Stamper.objects.filter(pk=row.pk).update(certificate=pem(other.root))
    assert find_due(set(), now) == []  # nor with another certificate
    assert not before.promised["stampers"]


def test_dice_are_stamped_until_they_are_told(show: Show, asking: Asking, honest: Authority) -> None:
    row = name_stamper(show, honest, dead_address())
    draw = seal(show, beacon="dice")
    assert [found for found, _ in find_due(set(), now_ms() + 10**9)] == [row]
    Draw.objects.filter(pk=draw.pk).update(beacon_value="11" * 32)
    assert find_due(set(), now_ms()) == []


def test_while_a_restore_waits_for_a_person_nobody_is_asked(
    show: Show, asking: Asking, honest: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_tsa(honest) as tsa:
        name_stamper(show, honest, tsa.url)
        seal(show)
        monkeypatch.setattr(tasks, "trouble", lambda: "restored")
        tasks.conduct_stampers()
        assert not asking.errands
        monkeypatch.setattr(tasks, "trouble", lambda: "")
        tasks.conduct_stampers()
        ask(asking)
    assert Stamp.objects.count() == 1


# --- who is slow, away or lying costs the others nothing ---


WAYS = {
    "lies": "answers with no stamp of the seal: Mismatch between messages",
    "forgets": "Nonce mismatch",
    "junk": "answers with no stamp of the seal",
    "page": "answers with no stamp of the seal",
    "nothing": "answers with no stamp of the seal",
    "refuses": "status 2",
    "redirects": "refuses with 302",
    "endless": "answers more than 65536 bytes",
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_no_stamp_of_the_seal_is_not_kept_and_the_reason_is_told(
    show: Show, asking: Asking, honest: Authority, way: str
) -> None:
    with running_tsa(honest, way) as tsa:
        row = name_stamper(show, honest, tsa.url)
        seal(show)
        ask(asking)
        assert WAYS[way] in trouble(row) and asking.failures == {row.pk: 1}
        ask(asking)  # it rests
        assert len(tsa.asked()) == 1
    assert not Stamp.objects.exists()


@pytest.mark.parametrize("way", ["slow", "drips"])
def test_one_that_does_not_answer_holds_up_nobody(
    show: Show, asking: Asking, honest: Authority, other: Authority, way: str
) -> None:
    with running_tsa(honest, way) as slow, running_tsa(other) as good:
        late = name_stamper(show, honest, slow.url, "a.example")
        name_stamper(show, other, good.url, "b.example")
        seal(show)
        meanwhile: list[int] = []
        while trouble(late) == "":
            started = time.monotonic()
            meanwhile = [Stamp.objects.count(), *meanwhile]
            stampers.ask_stampers()
            assert time.monotonic() - started < 0.5
            time.sleep(0.2)
        assert trouble(late) == "gives no answer within 3 s" and 1 in meanwhile
    deadline = time.monotonic() + 3
    while asking.hanging and time.monotonic() < deadline:
        asking._collect()
        time.sleep(0.05)
    assert not asking.hanging and Stamp.objects.get().stamper == "b.example"


def test_a_stamp_of_another_root_is_none(
    show: Show, asking: Asking, honest: Authority, other: Authority
) -> None:
    with running_tsa(other) as tsa:
        row = name_stamper(show, honest, tsa.url)
        seal(show)
        ask(asking)
    assert "answers with no stamp of the seal" in trouble(row) and not Stamp.objects.exists()


@pytest.mark.parametrize(
    ("ahead_s", "told", "kept"),
    [
        (3600, "its clock is ahead of ours", 0),
        (-3600, "its clock is behind ours", 1),
        (0, "", 1),
    ],
)
def test_a_clock_that_is_not_ours_is_told_and_a_time_to_come_shows_nothing(
    show: Show, asking: Asking, honest: Authority, ahead_s: int, told: str, kept: int
) -> None:
    at = datetime.datetime.now(datetime.UTC)
    with relay(stamps_with(honest, at, ahead_s=ahead_s)) as tsa:
        row = name_stamper(show, honest, tsa.address)
        seal(show)
        ask(asking)
    assert told in trouble(row) and (trouble(row) == "") == (told == "")
    assert Stamp.objects.count() == kept


def test_a_time_after_the_last_year_of_the_calendar_costs_the_others_nothing(
    show: Show, asking: Asking, honest: Authority, tmp_path: Path
) -> None:
    last = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)
    long = Dates(NOW - DAY, last)
    odd = Authority(tmp_path, kind="p256", root_name="odd root", dates=long, root_dates=long)
    far = stamps_with(odd, last - DAY, accuracy_s=2**31 - 1)
    with relay(far) as first, running_tsa(honest) as second:
        row = name_stamper(show, odd, first.address, "a.example")
        name_stamper(show, honest, second.url, "b.example")
        seal(show)
        ask(asking)
    assert [stamp.stamper for stamp in Stamp.objects.all()] == ["b.example"]
    assert "its clock is ahead of ours" in trouble(row)


def test_what_is_away_is_asked_again_and_its_trouble_ends(
    show: Show, asking: Asking, honest: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    row = name_stamper(show, honest, dead_address())
    seal(show)
    ask(asking)
    assert "cannot be asked" in trouble(row) and f"Time stamper {row} of show" in caplog.text
    with running_tsa(honest) as tsa:
        Stamper.objects.update(url=tsa.url)
        asking.rests_until.clear()
        ask(asking)
    assert trouble(row) == "" and Stamp.objects.count() == 1


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "//t.example", "http://u:p@t.example/", "http://t/?a=b", "http://t\r\n"]
)
def test_only_plain_addresses_of_http_are_taken_and_asked(
    show: Show, asking: Asking, honest: Authority, url: str
) -> None:  # fmt: skip
    row = Stamper(show=show, name="t", url=url, certificate=pem(honest.root))
    with pytest.raises(ValidationError):
        row.full_clean()
    row.save()
    seal(show)
    ask(asking)
    assert "is no address" in trouble(row)


def test_letters_that_move_a_terminal_are_not_kept(show: Show, asking: Asking, honest: Authority) -> None:
    with relay(answers(500, b"no\x1b[31m\nway")) as tsa:
        row = name_stamper(show, honest, tsa.address)
        seal(show)
        ask(asking)
    assert trouble(row) == "refuses with 500: no [31m way"


# --- what is kept, and shown ---


def test_stamps_stay_as_they_were_written(show: Show, asking: Asking, honest: Authority) -> None:
    with running_tsa(honest) as tsa:
        name_stamper(show, honest, tsa.url)
        draw = seal(show)
        ask(asking)
    for statement in ("UPDATE prizes_stamp SET at_ms = 1", "DELETE FROM prizes_stamp"):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    stamp = Stamp.objects.get()
    again = Stamp(draw=draw, stamper=stamp.stamper, certificate="", token="", at_ms=1)
    stampers.keep(again)
    assert Stamp.objects.get().token == stamp.token


def test_nothing_is_added_once_the_record_is_published(show: Show, honest: Authority) -> None:
    draw = nights.once("published for stamps", lambda: draw_of(sealed(show, beacon="dice")))
    tamper("UPDATE prizes_draw SET step = 'published', record_digest = '11' WHERE id = %s", draw.pk)
    stampers.keep(Stamp(draw=draw, stamper="late", certificate="", token="", at_ms=1))
    assert not Stamp.objects.exists()


def test_the_crew_sees_who_has_stamped_and_what_is_wrong(
    show: Show, asking: Asking, honest: Authority, other: Authority, admin_client: Client
) -> None:
    with running_tsa(honest) as tsa:
        name_stamper(show, honest, tsa.url, "a.example")
        name_stamper(show, other, dead_address(), "b.example")
        draw = seal(show)
        ask(asking)
    live = admin_client.get("/console/gala/live").json()
    good, away = live["stampers"]
    assert (good["name"], good["draw"], good["trouble"]) == ("a.example", draw.draw_id, "")
    assert abs(good["at"] - now_ms()) < 60_000 and (away["draw"], away["at"]) == (None, None)
    assert any(told.startswith("Time stamper b.example cannot be asked") for told in live["warnings"])
    page = admin_client.get("/console/gala/ledger/").content.decode()
    assert "Time stampers" in page and "a.example" in page and "cannot be asked" in page


def test_a_draw_does_not_wait_for_a_stamp(show: Show, asking: Asking, honest: Authority) -> None:
    name_stamper(show, honest, dead_address())
    segment = ended(armed_segment(show))
    tasks.advance_seal(segment.pk, lambda number: freeze.freeze_shard(segment.pk, number))
    assert draw_of(segment).seal
