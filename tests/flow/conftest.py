import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flow.night import Night


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    """A data directory of its own, and on PostgreSQL a database of its own."""
    if "DATABASE_URL" not in os.environ:
        yield Night(tmp_path / "night")
        return
    import psycopg

    server, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    name = f"night_{os.getpid()}_{abs(hash(tmp_path))}"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield Night(tmp_path / "night", f"{server}/{name}")
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
