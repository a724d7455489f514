"""How many sockets one viewer and one network may have at a gateway."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from websockets.exceptions import ConnectionClosed

from engagement.actions import announce_later
from engagement.fair_play.models import FairPlay
from engagement.gateway.crowding import UNKNOWN, block_of
from engagement.models import Segment
from engagement.passes import issue_guest_pass, issue_pass
from tests.cast import gateways_were_here, make_show
from tests.client import TestPhone
from tests.servers import running_gateway

pytestmark = pytest.mark.django_db(transaction=True)

MOST = 4


@pytest.fixture(scope="module", params=["uvicorn", "plain uvicorn"])
def behind_proxy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway that believes X-Real-IP and takes few of each neighbour: its host:port."""
    gateways_were_here()
    few: dict[str, Any] = {"TRUST_REAL_IP_HEADER": "on", "SOCKETS_PER_BLOCK": str(MOST)}
    with running_gateway(tmp_path_factory.mktemp("few") / "log", server=request.param, **few) as (address, _):
        yield address


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def come(
    stack: AsyncExitStack, address: str, slug: str, token: str, origin: str = "192.0.2.1"
) -> TestPhone:
    """A phone from this address, welcomed or not."""
    phone = TestPhone(address, slug, additional_headers={"X-Real-IP": origin})
    await stack.enter_async_context(phone)
    with suppress(ConnectionClosed):  # refused already
        await phone.say({"type": "hello", "pass": token})
    return phone


@pytest.mark.every_server
async def test_the_fourth_socket_of_a_viewer_closes_the_oldest(
    gateway: str, on_air: Segment, stack: AsyncExitStack
) -> None:
    slug = on_air.show.slug
    mine, other = issue_pass(slug, 7), issue_pass(slug, 8)
    phones = [await come(stack, gateway, slug, mine) for _ in range(3)]
    stranger = await come(stack, gateway, slug, other)
    for phone in [*phones, stranger]:
        await phone.hear("welcome")
    fourth = await come(stack, gateway, slug, mine)
    await fourth.hear("welcome")
    assert await phones[0].closed() == (4409, "")
    assert phones[0].heard[-1]["code"] == "replaced"
    for phone in [*phones[1:], fourth, stranger]:
        await phone.shake(on_air.pk, 5)
        await phone.hear("ack", total=5)


async def test_a_screen_may_be_open_any_number_of_times(
    gateway: str, on_air: Segment, stack: AsyncExitStack
) -> None:
    for _ in range(6):
        screen = await stack.enter_async_context(TestPhone(gateway, on_air.show.slug))
        await screen.hello(role="screen")


@pytest.mark.parametrize(
    ("here", "next_door", "elsewhere"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ("2001:db8:1:2::3", "2001:db8:1:ffff::1", "2001:db8:2::1"),
    ],
)
async def test_a_network_has_its_share_of_a_process_and_comes_back(
    behind_proxy: str, on_air: Segment, stack: AsyncExitStack, here: str, next_door: str, elsewhere: str
) -> None:
    slug = on_air.show.slug
    phones = [await come(stack, behind_proxy, slug, issue_guest_pass(slug), here) for _ in range(MOST)]
    for phone in phones:
        await phone.hear("welcome")
    late = await come(stack, behind_proxy, slug, issue_guest_pass(slug), next_door)
    code, reason = await late.closed()
    assert code == 4503 and 2_000 <= int(reason.removeprefix("retry=")) < 4_000
    assert late.heard[-1]["message"] == "too many sockets of this network are open here"
    await (await come(stack, behind_proxy, slug, issue_guest_pass(slug), elsewhere)).hear("welcome")
    await phones[0].socket.close()
    await asyncio.sleep(0.5)  # until the gateway knows
    await (await come(stack, behind_proxy, slug, issue_guest_pass(slug), next_door)).hear("welcome")


async def test_a_carrier_has_its_factor_times_as_many(
    behind_proxy: str, transactional_db: None, stack: AsyncExitStack
) -> None:
    def promise() -> str:
        show = make_show()
        FairPlay.objects.filter(show=show).update(carriers="198.51.100.0/24 2")
        announce_later(show.pk)
        return show.slug

    slug = await sync_to_async(promise)()
    place = "198.51.100.7"
    for _ in range(2 * MOST):
        await (await come(stack, behind_proxy, slug, issue_guest_pass(slug), place)).hear("welcome")
    late = await come(stack, behind_proxy, slug, issue_guest_pass(slug), place)
    assert (await late.closed())[0] == 4503


def test_blocks_are_what_nobody_has_more_than_one_of() -> None:
    assert block_of("2001:db8:1::1") == block_of("2001:db8:1:ffff::2%eth0") != block_of("2001:db8:2::1")
    assert block_of("192.0.2.1") == block_of("::ffff:192.0.2.1") != block_of("192.0.2.2")
    assert {block_of(text) for text in ("", "testclient", "192.0.2", "1:2", "\x00", "::%")} == {
        UNKNOWN,
        1 << 48,
    }
