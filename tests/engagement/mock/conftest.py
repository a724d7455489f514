import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from tests.cast import gateways_were_here
from tests.servers import running_gateway


# Not for the session: a gateway that lives keeps writing to Redis, and the seals of other tests would wait for it.
@pytest.fixture(scope="package")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway in its own process: its host:port."""
    gateways_were_here()
    log: Path = tmp_path_factory.mktemp("mock") / "gateway.log"
    with running_gateway(log) as (address, _):
        yield address
    text = log.read_text(errors="replace")
    assert "Traceback" not in text and "ERROR" not in text, text[-5000:]


@pytest.fixture
def whole_gateway(tmp_path: Path) -> Iterator[str]:
    """A gateway that sees the database of this test: claims are not the live side's, which needs none."""
    name = connection.settings_dict["NAME"]
    server = os.environ.get("DATABASE_URL", "sqlite:///").rpartition("/")[0]
    with running_gateway(tmp_path / "gateway.log", DATABASE_URL=f"{server}/{name}") as (address, _):
        yield address
