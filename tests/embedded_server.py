"""Loaded by `-p tests.embedded_server`: a server and a data directory of its own for every pytest process.

pytest-django reads the settings before any conftest.py, so the environment must be ready earlier than that.
With pytest-xdist each worker has its own server, because pub/sub is not separated by database number.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from gala.embedded import EmbeddedServer, start_server

OURS = "GALA_TEST_SERVER"  # tells an xdist worker that the REDIS_URL it inherits is ours, not the caller's
SECRET_KEY = (
    "tests-only-9f3kq7vX2mZr8sLw4bTy6hNc1dPg5jRe"  # the same everywhere, so that a failure can be repeated
)

_data: Path | None = None
_server: EmbeddedServer | None = None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Not for an option: it is the first hook of all, the only one before the settings are read."""
    global _data, _server
    _data = Path(tempfile.mkdtemp(prefix="gala-test-"))
    (_data / "static").mkdir()  # whitenoise warns when it is missing
    os.environ["GALA_DATA"] = str(_data)
    os.environ.setdefault("SECRET_KEY", SECRET_KEY)
    os.environ["DRAND_RELAYS"] = ""  # no test asks the world
    if "REDIS_URL" not in os.environ or OURS in os.environ:
        _server = start_server(_data)
        os.environ["REDIS_URL"] = _server.url
        os.environ[OURS] = "1"


def pytest_report_header() -> str:
    return f"redis: {os.environ['REDIS_URL']}, database: {os.environ.get('DATABASE_URL', 'SQLite')}"


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    if _server is not None:
        _server.stop()
    if _data is not None:
        shutil.rmtree(_data, ignore_errors=True)
