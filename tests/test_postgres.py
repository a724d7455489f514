"""The helper that runs a command on a PostgreSQL of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gala.entrypoints import ROOT
from tests.gala.test_processes import alive, until


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.postgres", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_without_a_command_it_says_whether_there_is_one() -> None:
    there = run()
    assert there.returncode == (0 if there.stdout.startswith("PostgreSQL of /") else 2)
    assert there.stdout or "apt install postgresql" in there.stderr


@pytest.mark.postgres
class TestWithPostgres:
    def test_the_command_finds_the_server_and_its_status_is_passed_on(self) -> None:
        code = (
            "import environ, psycopg, sys\n"
            "host = environ.Env().db('DATABASE_URL')['HOST']\n"
            "with psycopg.connect(host=host, dbname='postgres') as connection:\n"
            "    print(connection.info.server_version)\n"
            "sys.exit(7)"
        )
        done = run(sys.executable, "-c", code)
        assert done.returncode == 7, done.stderr
        assert int(done.stdout) >= 150000

    def test_nothing_is_left_of_it_afterwards(self) -> None:
        code = "import environ; print(environ.Env().db('DATABASE_URL')['HOST'])"
        folder = Path(run(sys.executable, "-c", code).stdout.strip())
        assert folder.name.startswith("gala-postgres-")
        assert not folder.exists()

    def test_a_killed_helper_leaves_no_server_behind(self, tmp_path: Path) -> None:
        code = "import environ; print(environ.Env().db('DATABASE_URL')['HOST'], flush=True); input()"
        helper = subprocess.Popen(
            [sys.executable, "-m", "tests.postgres", sys.executable, "-c", code],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with helper:
            assert helper.stdout is not None
            folder = Path(helper.stdout.readline().strip())
            server = int((folder / "data" / "postmaster.pid").read_text().split()[0])
            assert alive(server)
            helper.kill()
        assert until(lambda: not alive(server))
        shutil.rmtree(folder)
