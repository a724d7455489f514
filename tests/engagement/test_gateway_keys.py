"""The keys of gateways in the ledger: each once, for every show on air that the gateway is in."""

import secrets
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from django.test import Client
from redis.exceptions import ConnectionError as NoRedis

from engagement import gateway_keys, tally
from engagement.clock import now_ms
from engagement.core.phases import Phase
from engagement.gateway_keys import KEYS_AT_ONCE, certify_gateways
from engagement.keys import own
from engagement.ledger.core.stubs import LONGEST_NAME
from engagement.ledger.statements import PUBLIC_ACTIONS, statement
from engagement.models import LedgerEntry, Show
from engagement.tasks import conduct
from tests.cast import armed_segment, make_segment, make_show, put_on_air

pytestmark = pytest.mark.django_db(transaction=True)

HOUR_MS = 3_600_000


@pytest.fixture(autouse=True)
def nobody_else() -> Iterator[None]:
    """No gateway but those of the test, and a conductor that remembers nothing."""
    tally.connect().delete(own(tally.GATEWAYS))
    gateway_keys._written.clear()
    yield
    tally.connect().delete(own(tally.GATEWAYS))


def on_air(slug: str, **fields: Any) -> Show:
    return put_on_air(armed_segment(make_show(slug=slug)), **fields).show


def beat(*shows: str, name: str = "", silent_ms: int = 0, **fields: Any) -> dict[str, Any]:
    """A gateway that is in these shows: what its entry will say."""
    name, now = name or f"gate-{secrets.token_hex(4)}", now_ms()
    said = {"key": secrets.token_hex(32), "since": now - 9_000, **fields}
    row = {"at": now - silent_ms, "shows": {slug: {} for slug in shows}, **said}
    tally.connect().hset(own(tally.GATEWAYS), name, msgspec.json.encode(row))
    return {"gateway": name, "key": said["key"], "from": said["since"]}


def written(show: Show) -> list[dict[str, Any]]:
    entries = LedgerEntry.objects.filter(show=show, action="gateway key").order_by("position")
    assert {entry.actor for entry in entries} <= {"system"}
    return [msgspec.json.decode(entry.details) for entry in entries]


def by_name(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: str(row["gateway"]))


def test_each_gateway_of_a_show_on_air_is_written_down_once_whatever_is_forgotten() -> None:
    gala, other = on_air("gala"), on_air("other")
    one, two, three = beat("gala"), beat("gala", "other"), beat("elsewhere")
    assert three not in written(gala)
    conduct()
    assert by_name(written(gala)) == by_name([one, two]) and written(other) == [two]
    assert certify_gateways() == 0
    gateway_keys._written.clear()  # the conductor was restarted
    assert certify_gateways() == 0
    assert len(written(gala)) == 2


def test_a_gateway_that_starts_while_the_segment_is_open_and_one_that_starts_anew_are_written_down_too() -> (
    None
):
    gala = on_air("gala")
    one = beat("gala")
    certify_gateways()
    two = beat("gala", name="gate-of-the-second-life")
    certify_gateways()
    assert written(gala) == [one, two]


def test_also_one_that_has_died_since_the_window_opened_but_none_that_was_dead_before() -> None:
    gala = on_air("gala", opened_ms_ago=20_000, left_ms=-2_000, phase=Phase.CLOSING)
    died = beat("gala", silent_ms=15_000)
    beat("gala", silent_ms=60_000)
    assert certify_gateways() == 1 and written(gala) == [died]


@pytest.mark.parametrize("phase", [Phase.ARMED, Phase.OPEN, Phase.CLOSING])
def test_on_air_is_what_phones_know_the_times_of(phase: Phase) -> None:
    show = on_air("gala", phase=phase)
    beat("gala", "drafts", "armed", "over")
    drafts, armed = make_show(slug="drafts"), make_show(slug="armed")
    make_segment(drafts)
    armed_segment(armed)
    over = on_air("over", opened_ms_ago=HOUR_MS, left_ms=-HOUR_MS // 2, phase=Phase.SEALED)
    assert certify_gateways() == 1
    assert [len(written(one)) for one in (show, drafts, armed, over)] == [1, 0, 0, 0]


@pytest.mark.parametrize(
    "fields",
    [
        {"key": None},
        {"key": "AB" * 32},
        {"key": "00" * 31},
        {"since": None},
        {"since": "now"},
        {"since": 2**53 + 1},
        {"name": "n" * (LONGEST_NAME + 1)},
    ],
    ids=str,
)
def test_a_heartbeat_without_a_key_is_passed_over(fields: dict[str, Any]) -> None:
    show = on_air("gala")
    beat("gala", **fields)
    assert certify_gateways() == 0 and written(show) == []


def test_so_many_in_a_second_and_the_rest_in_the_next() -> None:
    show = on_air("gala")
    beats = [beat("gala") for _ in range(KEYS_AT_ONCE + 3)]
    assert certify_gateways() == KEYS_AT_ONCE
    assert certify_gateways() == 3
    assert by_name(written(show)) == by_name(beats)


def test_a_conductor_that_remembers_much_forgets_it_and_writes_nothing_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gateway_keys, "REMEMBERED", 2)
    show = on_air("gala")
    for _ in range(5):
        beat("gala")
    assert certify_gateways() == 5
    assert certify_gateways() == 0 and len(written(show)) == 5


def test_without_redis_segments_still_open_and_close(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise NoRedis("away")

    show = on_air("gala")
    beat("gala")
    monkeypatch.setattr(tally, "read_gateways", away)
    assert certify_gateways() == 0
    monkeypatch.undo()
    assert certify_gateways() == 1 and len(written(show)) == 1


def test_everybody_gets_the_entry_of_a_gateway_as_a_public_statement(client: Client) -> None:
    show = on_air("gala")
    said = beat("gala", name='a "strange" gate_%')
    beat("gala", name='a "strange" gateX_')
    certify_gateways()
    answer = client.get("/api/shows/gala/ledger/gateway-keys/a%20%22strange%22%20gate_%25")
    assert answer.status_code == 200 and answer.json()["entry"]["details"] == said
    assert answer.json() == statement(show, answer.json()["entry"]["position"])
    assert "gateway key" in PUBLIC_ACTIONS and "max-age=60" in answer["Cache-Control"]


@pytest.mark.parametrize("name", ["nobody", "%25", "x" * (LONGEST_NAME + 5)])
def test_a_gateway_that_is_not_there_is_said_to_be_none(client: Client, name: str) -> None:
    on_air("gala")
    beat("gala")
    certify_gateways()
    answer = client.get(f"/api/shows/gala/ledger/gateway-keys/{name}")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_gateway_key")
