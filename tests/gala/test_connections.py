"""The connections to PostgreSQL that docker/README.md counts, under a flood of pages."""

import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from django.conf import settings

from gala.entrypoints import ROOT
from tests.gala.test_processes import until
from tests.postgres import start_postgres, stop_postgres
from tests.servers import running_gateway

pytestmark = pytest.mark.postgres


@pytest.fixture
def server() -> Iterator[Path]:
    """A PostgreSQL of its own: the folder of its socket."""
    with tempfile.TemporaryDirectory(prefix="gala-postgres-", ignore_cleanup_errors=True) as name:
        process = start_postgres(Path(name))
        try:
            yield Path(name)
        finally:
            stop_postgres(process)


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code


def test_a_gateway_process_has_no_more_of_them_than_it_is_counted_with(server: Path, tmp_path: Path) -> None:
    with psycopg.connect(host=str(server), dbname="postgres", autocommit=True) as admin:
        admin.execute("CREATE DATABASE gala")

        def connections() -> int:
            """Sockets that somebody still holds: a backend whose client has gone needs a moment to notice."""
            told = subprocess.run(["ss", "-xH"], capture_output=True, text=True, check=True).stdout
            rows = [line.split() for line in told.splitlines() if f"{server}/.s.PGSQL" in line]
            return sum(row[-1] != "0" for row in rows) - 1  # our own

        database = f"psql:///{server}/gala"
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=ROOT, env={**os.environ, "DATABASE_URL": database}, check=True)
        with running_gateway(tmp_path / "log", DATABASE_URL=database) as (address, _):
            most, paths = 0, ["/api/shows/nowhere/draws", "/readyz"] * 300
            with ThreadPoolExecutor(60) as pool:
                answers = [pool.submit(status, f"http://{address}{path}") for path in paths]
                while not all(answer.done() for answer in answers):
                    most = max(most, connections())
            assert until(lambda: connections() == 0), "all are given back"
    results = [answer.result() for answer in answers]
    assert results.count(200) > 100 and results.count(404) > 100 and set(results) <= {200, 404, 503}
    assert 2 <= most <= settings.HTTP_AT_ONCE + 1
