"""Probes of a real gateway, asked as a container's orchestrator asks."""

import http.client
import json
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.servers import running_gateway

POD = "10.1.2.3:8000"
AWAY = "redis://127.0.0.1:1/0"


def ask(address: str, path: str, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def told(answer: tuple[int, bytes]) -> tuple[int, Any]:
    return answer[0], json.loads(answer[1])


@pytest.mark.django_db(transaction=True)
def test_probes_are_answered_whatever_the_host_is_and_nothing_else_is(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "log") as (address, _):
        for host in (POD, "nobody.example", "..", ""):
            assert told(ask(address, "/healthz", Host=host)) == (200, {"ok": True})
            assert told(ask(address, "/readyz", Host=host)) == (200, {"ok": True, "missing": []})
            for path in (
                "/",
                "/draws/",
                "/console/",
                "/admin/login/",
                "/healthz/",
                "/readyzz",
                "/api/openapi.json",
            ):
                assert ask(address, path, Host=host)[0] == 400, path
        assert ask(address, "/api/openapi.json")[0] == 200


def test_what_is_missing_is_named_and_the_gateway_still_healthy(tmp_path: Path) -> None:
    broken: dict[str, Any] = {
        "REDIS_URL": AWAY,
        "DATABASE_URL": f"sqlite:///{tmp_path}/no/such/folder/gala.sqlite3",
    }
    with running_gateway(tmp_path / "log", **broken) as (address, _):
        assert told(ask(address, "/readyz", Host=POD)) == (
            503,
            {"ok": False, "missing": ["database", "redis"]},
        )
        assert told(ask(address, "/healthz", Host=POD)) == (200, {"ok": True})


def test_any_number_of_probes_at_once_get_an_answer(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "log", HTTP_AT_ONCE="1") as (address, _), ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: ask(address, "/readyz", Host=POD)[0], range(200)))
    assert set(answers) == {200}


def test_a_restored_database_is_told_by_a_gateway_that_is_ready(tmp_path: Path, migrated: Path) -> None:
    database: dict[str, Any] = {
        "GALA_DATA": str(tmp_path),
        "DATABASE_URL": f"sqlite:///{tmp_path}/gala.sqlite3",
    }
    shutil.copy(migrated / "gala.sqlite3", tmp_path)
    with closing(sqlite3.connect(tmp_path / "gala.sqlite3")) as rows:
        lost = json.dumps([{"show": "gala", "of": "ledger entry", "told": 9, "held": 0}])
        rows.execute("INSERT INTO engagement_restore VALUES (1, 0, ?, NULL, '')", [lost])
        rows.commit()
    with running_gateway(tmp_path / "log", **database) as (address, _):
        status, said = told(ask(address, "/readyz", Host=POD))
    assert (status, said["ok"]) == (200, True) and "gala was at ledger entry 9" in said["restored"]
