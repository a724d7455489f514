"""What somebody tries at two gateways at once: the same work or token for two passes, and a pass that is taken back."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from websockets.exceptions import ConnectionClosed

from engagement.actions import announce_later
from engagement.clock import now_ms
from engagement.fair_play.models import FairPlay
from engagement.models import Segment, Show
from engagement.passes import ANY_TIME, check_pass, issue_guest_pass
from engagement.revoking import revoke_passes
from tests.cast import armed_segment, gateways_were_here, make_show, put_on_air, totals_in_tally
from tests.client import TestPhone
from tests.engagement.gateway.test_earning import work_off
from tests.engagement.gateway.test_revoking import OBEYS_S, proof_of
from tests.servers import running_gateway

pytestmark = pytest.mark.django_db(transaction=True)

Answer = tuple[int, dict[str, Any]]


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Two processes behind one proxy, as it were."""
    gateways_were_here()
    folder = tmp_path_factory.mktemp("two")
    trusting: dict[str, Any] = {"TRUST_REAL_IP_HEADER": "on"}
    with ExitStack() as stack:
        started = [running_gateway(folder / f"gateway-{number}", **trusting) for number in (1, 2)]
        yield [stack.enter_context(gateway)[0] for gateway in started]


@pytest.fixture
def on_air(transactional_db: None) -> Segment:
    return put_on_air(armed_segment(make_show()))


def promise(show: Show, **fields: Any) -> None:
    FairPlay.objects.filter(show=show).update(**fields)
    announce_later(show.pk)


def want(gateway: str, slug: str, body: dict[str, Any], address: str = "192.0.2.1") -> Answer:
    where = f"http://{gateway}/api/shows/{slug}/passes"
    headers = {"X-Real-IP": address}
    request = urllib.request.Request(where, json.dumps(body).encode(), headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)


async def at_once(gateways: list[str], times: int, slug: str, body: dict[str, Any]) -> list[Answer]:
    """So many times at each of them, all in one moment."""
    tries = [asyncio.to_thread(want, gateway, slug, body) for gateway in gateways for _ in range(times)]
    return await asyncio.gather(*tries)


async def test_work_that_is_handed_in_everywhere_at_once_is_good_for_one_pass(gateways: list[str]) -> None:
    show, other = [await sync_to_async(make_show)() for _ in range(2)]
    for row in (show, other):
        await sync_to_async(promise)(row, passes_ipv4=0)
    _, told = await asyncio.to_thread(want, gateways[0], show.slug, {})
    solved = work_off(told["work"])
    answers = await at_once(gateways, 8, show.slug, solved)
    assert sorted(status for status, _ in answers) == [200] + [403] * 15
    for slug, address in ((other.slug, "192.0.2.1"), (show.slug, "192.0.2.2"), (show.slug, "2001:db8::1")):
        status, told = await asyncio.to_thread(want, gateways[1], slug, solved, address)
        assert (status, told["code"]) == (403, "bad_work")


async def closed_with(phone: TestPhone) -> int | None:
    """The code with which the socket is closed in time."""
    try:
        async with asyncio.timeout(OBEYS_S):
            while True:
                await phone.socket.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None
    except TimeoutError:
        return None


async def renew_until(gateways: list[str], slug: str, proof: dict[str, str], until: int) -> list[str]:
    """Passes that somebody gets who renews without end, at both gateways in turns, until that time."""
    found, proofs = [], dict(proof)
    while now_ms() < until:
        for gateway in gateways:
            status, told = await asyncio.to_thread(want, gateway, slug, proofs)
            if status == 200:
                found.append(told["pass"])
                proofs["pass"] = told["pass"]
    return found


async def test_a_viewer_who_is_revoked_while_all_shake_is_gone_from_every_gateway(
    gateways: list[str], on_air: Segment
) -> None:
    show, token = on_air.show, issue_guest_pass(on_air.show.slug)
    viewer, proof = proof_of(show, token)
    async with AsyncExitStack() as stack:
        phones = [await stack.enter_async_context(TestPhone(gateway, show.slug)) for gateway in gateways * 2]
        for phone in phones:
            await phone.hello(token)
        for total, phone in enumerate(phones, 1):
            await phone.shake(on_air.pk, total)
            await phone.hear("ack", total=total)
        renewing = asyncio.create_task(renew_until(gateways, show.slug, proof, now_ms() + 3_000))
        await asyncio.sleep(0.2)
        await sync_to_async(revoke_passes)(show.pk, viewer=viewer, actor="dirk", reason="a farm")
        assert await asyncio.gather(*map(closed_with, phones)) == [4401] * 4
        renewed = await renewing
    assert renewed  # before that
    for gateway in gateways:
        status, told = await asyncio.to_thread(want, gateway, show.slug, proof | {"pass": renewed[-1]})
        assert (status, told["code"]) == (403, "revoked")
        async with TestPhone(gateway, show.slug) as again:
            await again.say({"type": "hello", "pass": renewed[-1]})
            assert (await again.closed())[0] == 4401
    assert totals_in_tally(on_air) == {viewer: 4}  # what was acknowledged stays


async def test_a_pass_of_the_second_in_which_passes_are_revoked_up_to_is_told_apart_by_its_millisecond(
    gateways: list[str], on_air: Segment
) -> None:
    show, before = on_air.show, now_ms() - 500
    early, late = (issue_guest_pass(show.slug, now=at) for at in (before - 1, before))
    assert [check_pass(token, show.slug, ANY_TIME).issued_at - before for token in (early, late)] == [-1, 0]
    async with AsyncExitStack() as stack:
        phones = [await stack.enter_async_context(TestPhone(gateway, show.slug)) for gateway in gateways]
        for phone, token in zip(phones, (early, late), strict=True):
            await phone.hello(token)
        await sync_to_async(revoke_passes)(show.pk, before=before, actor="dirk", reason="a farm")
        assert await asyncio.gather(*map(closed_with, phones)) == [4401, None]
