"""The other commands of docker/compose.yaml as themselves: the migration, and the servers with their health checks."""

import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from gala.embedded import find_server
from gala.entrypoints import ROOT
from gala.processes import spawn, stop_all
from tests.gala.compose import SERVICES, environment_of, example, interpolate
from tests.gala.nginx import free_port
from tests.gala.test_processes import until
from tests.postgres import find_programs, start_postgres, stop_postgres
from tests.servers import running_gateway

PASSWORD = example()["VALKEY_PASSWORD"]


def check_of(service: str) -> list[str]:
    """The health check as a command; a container's engine gives CMD-SHELL to the shell."""
    kind, *words = [interpolate(word, {}) for word in SERVICES[service]["healthcheck"]["test"]]
    return words if kind == "CMD" else ["sh", "-c", *words]


def test_the_migration_makes_all_that_a_gateway_needs_for_its_pages(tmp_path: Path) -> None:
    place: dict[str, Any] = {"GALA_DATA": str(tmp_path), "DATABASE_URL": f"sqlite:///{tmp_path}/gala.sqlite3"}
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**environment_of("migrate", example()), **place, "PATH": paths}
    for _ in range(2):  # each `up` does it again
        done = subprocess.run(
            SERVICES["migrate"]["entrypoint"], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    with (
        running_gateway(tmp_path / "log", **place) as (address, _),
        urllib.request.urlopen(f"http://{address}/draws/", timeout=20) as answer,
    ):
        assert answer.status == 200 and b"/static/" in answer.read()


def test_valkey_keeps_what_it_has_and_is_healthy_with_its_password_only(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    client = shutil.which("valkey-cli") or shutil.which("redis-cli")
    assert client is not None, "redis-cli is not installed (Debian: apt install redis-tools)"
    (programs / "valkey-server").symlink_to(find_server()[0])
    (programs / "valkey-cli").symlink_to(client)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", **environment_of("valkey", example())}
    port = free_port()
    *shell, command = [interpolate(word, {}) for word in SERVICES["valkey"]["command"]]
    command = command.replace("--dir /data", f"--dir {tmp_path} --port {port}")
    check = [word.replace("valkey-cli ", f"valkey-cli -p {port} ") for word in check_of("valkey")]

    def healthy(**more: str) -> bool:
        return subprocess.run(check, env=environment | more, capture_output=True, timeout=3).returncode == 0

    assert not healthy()
    server = spawn([*shell, command], env=environment, log=tmp_path / "log")
    try:
        assert until(healthy), (tmp_path / "log").read_text()
        assert not healthy(VALKEY_PASSWORD="wrong")
        with redis.Redis(port=port, password=PASSWORD) as connection:
            wanted = {
                "appendonly": "yes",
                "maxmemory-policy": "noeviction",
                "save": "",
                "appendfsync": "everysec",
            }
            assert {name: connection.config_get(name)[name] for name in wanted} == wanted
    finally:
        stop_all([server], 10)


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that PostgreSQL's account can enter, too."""
    with tempfile.TemporaryDirectory(prefix="gala-postgres-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.mark.postgres
def test_postgresql_is_healthy_once_it_takes_connections(folder: Path) -> None:
    environment = {"PATH": f"{find_programs()}:{os.environ['PATH']}", "PGHOST": str(folder)}

    def status() -> int:
        return subprocess.run(
            check_of("postgres"), env=environment, capture_output=True, timeout=5
        ).returncode

    assert status() == 2  # nobody answers
    server = start_postgres(folder)
    try:
        assert status() == 0
    finally:
        stop_postgres(server)
