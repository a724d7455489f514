"""Gateways in processes of their own, shows that are on air, and one that only a hub knows."""

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from engagement import tally
from engagement.core.show_state import ShowState, pack_state
from engagement.gateway.hub import stop_hub
from engagement.keys import own
from engagement.models import Segment
from tests.cast import DEMO_STATE, armed_segment, gateways_were_here, make_show, put_on_air
from tests.servers import running_gateway

EVERY_SERVER = ["uvicorn", pytest.param("plain uvicorn", marks=pytest.mark.nightly), "daphne"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The fast path alone, but for tests of what a server does with sockets and frames: there each may differ."""
    if "gateway" in metafunc.fixturenames:
        differs = metafunc.definition.get_closest_marker("every_server") is not None
        metafunc.parametrize("gateway", EVERY_SERVER if differs else EVERY_SERVER[:1], indirect=True)


# Not for the session: a gateway that lives keeps writing to Redis, and the seals of other tests would wait for it.
@pytest.fixture(scope="package")
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway in its own process, with the fast path and under plain ASGI servers: its host:port."""
    gateways_were_here()
    log: Path = tmp_path_factory.mktemp(request.param) / "gateway.log"
    with running_gateway(log, server=request.param) as (address, _):
        yield address
    text = log.read_text(errors="replace")
    assert "Traceback" not in text and "ERROR" not in text, text[-5000:]


@pytest.fixture
def on_air(transactional_db: None) -> Segment:
    """A segment that has been open for five seconds."""
    return put_on_air(armed_segment(make_show()))


@pytest.fixture
def nearly_over(transactional_db: None) -> Segment:
    """A segment that closes in a moment."""
    return put_on_air(armed_segment(make_show()), left_ms=700)


@pytest.fixture
async def known_show() -> AsyncIterator[ShowState]:
    """It is in Redis before the hub of this process starts, which is stopped in the end."""
    state = msgspec.structs.replace(DEMO_STATE, slug=f"demo-{secrets.token_hex(4)}")
    redis = tally.connect_async()
    await redis.set(own(f"show:{state.slug}"), pack_state(state))
    yield state
    await stop_hub()
    await redis.delete(own(f"show:{state.slug}"))
    await redis.aclose(close_connection_pool=True)
