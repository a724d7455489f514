import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.flow.night import Night, connect


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    """A data directory of its own, and on PostgreSQL a database of its own."""
    if "DATABASE_URL" not in os.environ:
        yield Night(tmp_path / "night")
        return
    server, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    name = f"night_{os.getpid()}_{abs(hash(tmp_path))}"
    with closing(connect(f"{server}/postgres")) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        yield Night(tmp_path / "night", f"{server}/{name}")
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
