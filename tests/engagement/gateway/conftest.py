from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import running_gateway


@pytest.fixture(scope="session", params=["uvicorn", "plain uvicorn", "daphne"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway in its own process, with the fast path and under plain ASGI servers: its host:port."""
    log: Path = tmp_path_factory.mktemp(request.param) / "gateway.log"
    with running_gateway(log, server=request.param) as (address, _):
        yield address
    text = log.read_text(errors="replace")
    assert "Traceback" not in text and "ERROR" not in text, text[-5000:]
