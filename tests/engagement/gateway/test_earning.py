"""Budgets of a neighbourhood, and the passes that are earned past them."""

import asyncio
import json
from typing import Any

import altcha
import pytest

from engagement.clock import now_ms
from engagement.core.digests import derive_salt
from engagement.fair_play.core.air_code import PERIOD_MS, code_of
from engagement.fair_play.core.budgets import ASKS, CODE_BUDGETS
from engagement.fair_play.core.origins import parse_origin
from engagement.gateway.hub import get_hub
from engagement.gateway.work import LIFETIME_S, make_challenge
from engagement.models import Show
from engagement.passes import ANY_TIME, check_pass
from engagement.vault import open_secret
from tests.engagement.test_passes import Answer, ask, promise
from tests.engagement.test_passes import hub_ends_with_the_test as hub_ends_with_the_test  # a fixture
from tests.engagement.test_passes import show as show  # a fixture

HERE, NEXT_DOOR = "192.0.2.1", "192.0.2.2"


async def want(show: Show, body: dict[str, Any] | None = None, address: str = HERE) -> Answer:
    return await ask(f"/api/shows/{show.slug}/passes", json.dumps(body or {}), address=address)


def work_off(challenge: dict[str, Any]) -> dict[str, Any]:
    """As a phone does."""
    found = altcha.solve_challenge(altcha.Challenge.from_dict(challenge))
    assert found is not None
    return {"work": {"challenge": challenge, "solution": found.to_dict()}}


def kind_of(show: Show, answer: Answer) -> str:
    assert answer.status == 200, answer.content
    return check_pass(answer.content["pass"], show.slug, now_ms()).kind


def refusal(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.content["code"]


async def test_within_the_budget_passes_are_free_and_say_where_they_are_from(show: Show) -> None:
    await promise(show, passes_ipv4=2, carriers="198.51.100.0/24 3")
    answers = [await want(show, address=f"::ffff:{HERE}"), await want(show), await want(show)]
    assert [answer.status for answer in answers] == [200, 200, 403]
    assert (await want(show, address=NEXT_DOOR)).status == 200
    large = [await want(show, address="198.51.100.7") for _ in range(7)]
    assert [answer.status for answer in large] == [200] * 6 + [403]
    origins = [
        parse_origin(check_pass(answer.content["pass"], show.slug, now_ms()).origin)
        for answer in (*answers[:2], large[0])
    ]
    assert [(origin.kind, origin.carrier) for origin in origins] == [("guest", 0), ("guest", 0), ("guest", 1)]
    assert origins[0].block == origins[1].block != origins[2].block


async def test_a_home_has_its_budget_and_the_48_around_it_one_that_a_home_cannot_use_up(show: Show) -> None:
    await promise(show, passes_ipv6_64=2, passes_ipv6_48=5)
    one = [await want(show, address=f"2001:db8:1:1::{number}") for number in range(20)]
    assert [answer.status for answer in one].count(200) == 2
    others = [await want(show, address=f"2001:db8:1:{number}::1") for number in range(2, 7)]
    assert [answer.status for answer in others] == [200, 200, 200, 403, 403]
    assert (await want(show, address="2001:db8:2:1::1")).status == 200


async def test_past_the_budget_a_pass_is_worked_for(show: Show) -> None:
    await promise(show, passes_ipv4=1)
    await want(show)
    told = await want(show)
    assert refusal(told) == (403, "earn_it") and told.content["ways"] == ["work"]
    challenge = told.content["work"]
    assert challenge["parameters"]["expiresAt"] <= now_ms() // 1000 + LIFETIME_S
    solved = work_off(challenge)
    assert kind_of(show, await want(show, solved)) == "work"
    again = await want(show, solved)
    assert refusal(again) == (403, "bad_work") and "before" in again.content["message"]
    assert (await get_hub()).issued == {show.slug: {"guest": 1, "work": 1}}


async def test_a_renewed_pass_is_of_the_same_kind_and_place_and_costs_nothing(show: Show) -> None:
    await promise(show, passes_ipv4=0)
    first = (await want(show, work_off((await want(show)).content["work"]))).content["pass"]
    old = check_pass(first, show.slug, ANY_TIME)
    salt = derive_salt(open_secret(show.k_show), show.slug, old.uid).hex()
    renewed = await want(show, {"pass": first, "salt": salt}, address="203.0.113.9")
    new = check_pass(renewed.content["pass"], show.slug, now_ms())
    assert (
        new._replace(expires_at=0) == old._replace(expires_at=0) and new.kind == "work" and new.issued_at > 0
    )


def changed(challenge: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return challenge | {"parameters": challenge["parameters"] | fields}


async def test_forged_work_is_refused_before_anything_is_computed(show: Show, settings: Any) -> None:
    await promise(show, passes_ipv4=0)
    challenge = (await want(show)).content["work"]
    solved = work_off(challenge)["work"]
    here = challenge["parameters"]["data"]["block"]
    stale = make_challenge(settings.PASS_KEYS[0], show.slug, here, 0, now_ms() - LIFETIME_S * 1000 - 1000)
    elsewhere = make_challenge(settings.PASS_KEYS[0], "other", here, 0, now_ms())
    foreign = make_challenge("another key", show.slug, here, 0, now_ms())
    easier = challenge["parameters"]["data"] | {"level": -5}
    forged = [
        solved | {"solution": {"counter": 1, "derivedKey": "00" * 32}},
        solved | {"solution": {"counter": 1, "derivedKey": "xy"}},
        solved | {"challenge": changed(challenge, cost=1)},
        solved | {"challenge": changed(challenge, keySignature="00")},
        solved | {"challenge": changed(challenge, data=easier)},
        solved | {"challenge": challenge | {"signature": "00" * 32}},
        *[work_off(other)["work"] for other in (stale, elsewhere, foreign)],
    ]
    for work in forged:
        assert refusal(await want(show, {"work": work})) == (403, "bad_work"), work
    assert refusal(await want(show, {"work": solved}, address=NEXT_DOOR)) == (403, "bad_work")
    assert kind_of(show, await want(show, {"work": solved})) == "work"


@pytest.mark.parametrize(
    "body",
    [
        {"work": {}},
        {"work": "x"},
        {"work": {"challenge": {}, "solution": {}}},
        {"code": 123456},
        {"code": "1" * 17},
        {"code": "1", "pass": "x"},
        {"work": None, "other": 1},
        [],
        7,
    ],
)
async def test_a_body_of_another_form_is_named(show: Show, body: Any) -> None:
    answer = await ask(f"/api/shows/{show.slug}/passes", json.dumps(body))
    assert refusal(answer) == (422, "bad_body")


async def test_work_grows_with_what_was_earned_and_nobody_saves_up_easy_challenges(show: Show) -> None:
    await promise(show, passes_ipv4=1)
    await want(show)
    saved = [(await want(show)).content["work"] for _ in range(4)]
    assert [challenge["parameters"]["data"]["level"] for challenge in saved] == [0, 0, 0, 0]
    answers = [await want(show, work_off(challenge)) for challenge in saved]
    assert [answer.status for answer in answers] == [200, 200, 403, 403]
    assert refusal(answers[2]) == (403, "bad_work") and "more work" in answers[2].content["message"]
    assert (await want(show)).content["work"]["parameters"]["data"] == {
        "show": show.slug, "block": saved[0]["parameters"]["data"]["block"], "level": 2, "counters": 8192,
    }  # fmt: skip


async def test_challenges_are_bounded_and_so_is_what_is_kept(show: Show) -> None:
    await promise(show, passes_ipv4=1)
    answers = [await want(show) for _ in range(ASKS + 3)]
    assert refusal(answers[-1]) == (429, "too_many") and 0 < int(answers[-1].headers[b"retry-after"]) <= 3601
    redis = (await get_hub()).redis
    keys = [key async for key in redis.scan_iter(match=f"*passes:{show.slug}:*")]
    assert len(keys) == 1 and 0 < await redis.ttl(keys[0]) <= 3_660


async def test_a_show_without_ways_says_when_to_come_back(show: Show) -> None:
    await promise(show, passes_ipv4=0, ways=[])
    assert refusal(await want(show)) == (429, "too_many")
    work = work_off(make_challenge("k", show.slug, "00", 0, now_ms()))
    assert refusal(await want(show, work)) == (403, "no_such_way")
    assert refusal(await want(show, {"code": "123456"})) == (403, "no_such_way")


async def test_the_code_on_air_earns_a_pass_and_guessing_ends_soon(show: Show) -> None:
    await promise(show, passes_ipv4=2, ways=["code"])
    key = open_secret(show.k_show)
    for feed, late in (("app", 0), ("tv", 2)):
        code = code_of(key, feed, now_ms() - late * PERIOD_MS)
        assert kind_of(show, await want(show, {"code": code})) == "code"
    right = code_of(key, "tv", now_ms())
    wrong = f"{(int(right) + 1) % 10**6:06}"
    guesses = [await want(show, {"code": wrong}) for _ in range(4)]
    assert {refusal(answer) for answer in guesses} == {(403, "bad_code")}
    blocked = await want(show, {"code": right})
    assert refusal(blocked) == (403, "bad_code") and "too many wrong codes" in blocked.content["message"]
    assert kind_of(show, await want(show, {"code": right}, address=NEXT_DOOR)) == "code"


async def test_one_network_has_its_share_of_passes_for_the_code(show: Show) -> None:
    await promise(show, passes_ipv4=1, ways=["code"])
    code = code_of(open_secret(show.k_show), "app", now_ms())
    answers = [await want(show, {"code": code}) for _ in range(CODE_BUDGETS + 1)]
    assert [answer.status for answer in answers] == [200] * CODE_BUDGETS + [403]


async def test_an_address_that_nobody_can_read_has_a_budget_too(show: Show) -> None:
    await promise(show, passes_ipv4=1, ways=[])
    assert [(await want(show, address="unix:")).status for _ in range(2)] == [200, 429]


async def test_without_redis_nobody_is_kept_out(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    await promise(show, passes_ipv4=0, ways=["code", "work"])
    challenge = (await want(show)).content["work"]
    hub = await get_hub()

    def away(*_: Any, **__: Any) -> Any:
        raise ConnectionError("away")

    monkeypatch.setattr(hub.redis, "pipeline", away)
    monkeypatch.setattr(hub.redis, "set", away)
    assert kind_of(show, await want(show)) == "guest"
    assert kind_of(show, await want(show, await asyncio.to_thread(work_off, challenge))) == "work"
    assert refusal(await want(show, {"code": "000000"})) == (403, "bad_code")
