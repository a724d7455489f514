"""Passes for apps on iPhones and Androids, through the gateway's door; who vouches for them is a fake."""

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from engagement.clock import now_ms
from engagement.fair_play.attestation import app_attest, asking, challenges
from engagement.fair_play.attestation.reading import read_services
from engagement.fair_play.core.budgets import ATTESTED_BUDGETS
from engagement.gateway.admission import MAX_ATTESTED_BYTES, MAX_BODY_BYTES
from engagement.gateway.hub import get_hub
from engagement.models import Show
from tests.bad_input import TEXTS
from tests.devices import APP, PACKAGE, Apple, Play, written
from tests.engagement.gateway.test_earning import HERE, NEXT_DOOR, kind_of, refusal, want
from tests.engagement.test_passes import Answer, ask, promise
from tests.engagement.test_passes import hub_ends_with_the_test as hub_ends_with_the_test  # a fixture
from tests.engagement.test_passes import show as show  # a fixture

APPLE, PLAY = Apple(now_ms()), Play()


@pytest.fixture(autouse=True)
def apps(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(app_attest, "APPLE", APPLE.root)
    settings.PASS_ATTESTATION = [
        ("iphone", "app-attest", APP),
        ("android", "play-integrity", PACKAGE, *PLAY.words),
        ("nobody", "http://127.0.0.1:9/", "a-secret"),
    ]
    read_services.cache_clear()
    yield
    read_services.cache_clear()


def iphone(challenge: str, **more: Any) -> dict[str, Any]:
    return sent("iphone", written(APPLE.attest(challenge, **more)), challenge)


def android(challenge: str) -> dict[str, Any]:
    return sent("android", PLAY.token(PLAY.verdict(challenge, now_ms())), challenge)


def sent(service: str, token: str, challenge: str) -> dict[str, Any]:
    return {"attestation": {"service": service, "token": token, "challenge": challenge}}


async def challenge_of(show: Show, address: str = HERE) -> str:
    told = await want(show, address=address)
    assert refusal(told) == (403, "earn_it") and "work" not in told.content
    assert told.content["services"] == ["iphone", "android", "nobody"]
    return str(told.content["challenge"])


def says(answer: Answer, text: str) -> bool:
    return refusal(answer) == (403, "bad_attestation") and text in answer.content["message"]


@pytest.mark.parametrize("app", [iphone, android])
async def test_an_app_on_a_real_device_gets_a_pass_once(show: Show, app: Any) -> None:
    await promise(show, passes_ipv4=0, ways=["attested"])
    body = app(await challenge_of(show))
    assert kind_of(show, await want(show, body)) == "attested"
    assert says(await want(show, body), "before")
    assert (await get_hub()).issued == {show.slug: {"attested": 1}}


async def test_a_challenge_counts_once_whoever_vouches_and_a_refusal_brings_a_new_one(show: Show) -> None:
    await promise(show, passes_ipv4=0, ways=["attested"])
    challenge = await challenge_of(show)
    assert kind_of(show, await want(show, iphone(challenge))) == "attested"
    again = await want(show, android(challenge))
    assert says(again, "before")
    assert kind_of(show, await want(show, android(again.content["challenge"]))) == "attested"


async def test_of_many_at_once_with_one_challenge_one_gets_a_pass(show: Show) -> None:
    await promise(show, passes_ipv4=5, ways=["attested"])
    [challenge] = [(await want(show, sent("iphone", "", ""))).content["challenge"]]
    answers = await asyncio.gather(*[want(show, iphone(challenge)) for _ in range(5)])
    assert sorted(answer.status for answer in answers) == [200, 403, 403, 403, 403]


async def test_within_the_budget_an_app_asks_for_a_challenge_and_no_try_is_counted(show: Show) -> None:
    await promise(show, passes_ipv4=1, ways=["attested"])
    for _ in range(5):
        told = await want(show, sent("iphone", "", ""))
        assert says(told, "expected the challenge")
    assert kind_of(show, await want(show, iphone(told.content["challenge"]))) == "attested"
    assert kind_of(show, await want(show)) == "guest"


async def test_a_challenge_of_elsewhere_or_before_or_of_nobody_is_named(show: Show, settings: Any) -> None:
    await promise(show, passes_ipv4=0, ways=["attested"])
    here = await challenge_of(show)
    assert says(await want(show, iphone(here), address=NEXT_DOOR), "another network")
    block = challenges._signer(tuple(settings.PASS_KEYS)).unsign_object(here)[1]
    late = now_ms() + 600_000
    assert says(await want(show, iphone(challenges.make_challenge("other", block, late))), "another show")
    old = challenges.make_challenge(show.slug, block, now_ms() - 1)
    assert says(await want(show, iphone(old)), "too long ago")
    for forged in (here[:-1] + "!", here.partition(":")[2], "x", "é", "::", "W10:" + here[-43:]):
        assert says(await want(show, iphone(forged)), "expected the challenge"), forged
    settings.PASS_KEYS = ["another-key-0123456789abcdef0123456789", *settings.PASS_KEYS]
    assert kind_of(show, await want(show, iphone(here))) == "attested", "keys rotate"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"app": "ABCDE12345.com.example.other"}, "another app's"),
        ({"aaguid": b"appattestdevelop"}, "sandbox"),
        ({"days": (-4, -1)}, "not valid now"),
        ({"format_": "none"}, "the format"),
    ],
)
async def test_a_device_that_is_not_vouched_for_is_told_why(show: Show, fields: Any, text: str) -> None:
    await promise(show, passes_ipv4=0, ways=["attested"])
    assert says(await want(show, iphone(await challenge_of(show), **fields)), text)


async def test_a_good_token_over_another_challenge_earns_nothing(show: Show) -> None:
    await promise(show, passes_ipv4=5, ways=["attested"])
    asked = [await want(show, sent("iphone", "", "")) for _ in range(4)]
    first, *others = (answer.content["challenge"] for answer in asked)
    for app, challenge in zip((iphone, android), others, strict=False):
        of_first = app(first)["attestation"]
        told = await want(show, sent(of_first["service"], of_first["token"], challenge))
        assert says(told, "over another challenge")
    wrong = sent("android", iphone(others[2])["attestation"]["token"], others[2])
    assert says(await want(show, wrong), "expected a token of Play Integrity")
    assert says(await want(show, android(others[2])), "before"), "a challenge is good for one try"


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("service", ["iphone", "android"])
async def test_whatever_comes_as_a_token_is_refused_by_name(show: Show, service: str, name: str) -> None:
    await promise(show, passes_ipv4=50, ways=["attested"])
    challenge = (await want(show, sent(service, "", ""))).content["challenge"]
    encoded = base64.b64encode(TEXTS[name].encode(errors="replace")).decode()
    for text in (TEXTS[name], encoded):
        for body in (sent(service, text, challenge), sent(service, "", text)):
            answer = await want(show, body)
            assert refusal(answer) in [(403, "bad_attestation"), (413, "too_large"), (422, "bad_body")]


async def test_the_door_is_as_wide_as_apple_needs_and_only_where_apps_attest(
    show: Show, settings: Any
) -> None:
    await promise(show, passes_ipv4=9, ways=["attested"])
    wide = await ask(f"/api/shows/{show.slug}/passes", " " * (MAX_ATTESTED_BYTES + 1))
    assert refusal(wide) == (413, "too_large")
    long = await want(show, sent("iphone", "x" * 11_001, ""))
    assert refusal(long) == (422, "bad_body")
    settings.PASS_ATTESTATION = settings.PASS_ATTESTATION[2:]
    narrow = await ask(f"/api/shows/{show.slug}/passes", " " * (MAX_BODY_BYTES + 1))
    assert refusal(narrow) == (413, "too_large")
    told = await want(show, sent("nobody", "x", ""))
    assert says(told, "does not answer") and "challenge" not in told.content


async def test_one_network_has_its_share_of_passes_for_attestations(show: Show) -> None:
    """One real device makes as many keys as it likes."""
    await promise(show, passes_ipv4=0, ways=["attested"])
    statuses = [(await want(show, android(await challenge_of(show)))).status for _ in range(ATTESTED_BUDGETS)]
    assert statuses == [200] * ATTESTED_BUDGETS
    assert says(await want(show, android(await challenge_of(show))), "has had its passes for attestations")
    assert (
        kind_of(show, await want(show, android(await challenge_of(show, NEXT_DOOR)), NEXT_DOOR)) == "attested"
    )


async def test_one_service_that_does_not_answer_keeps_nobody_from_another(
    show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    await promise(show, passes_ipv4=0, ways=["attested"])
    monkeypatch.setitem(asking._waiting, "nobody", asking.MOST_WAITING)
    assert says(await want(show, sent("nobody", "x", "")), "does not answer")
    assert kind_of(show, await want(show, iphone(await challenge_of(show)))) == "attested"


def test_a_whole_body_of_an_app_fits() -> None:
    assert len(json.dumps(iphone("c" * 200))) < MAX_ATTESTED_BYTES
