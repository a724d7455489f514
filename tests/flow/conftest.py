import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

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
    kept = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
    address = {
        word: connection.settings_dict[key] for word, key in kept.items() if connection.settings_dict[key]
    }
    with psycopg.connect(**address, dbname="postgres", autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        yield Night(tmp_path / "night", f"{server}/{name}")
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
