"""The name of an installation: the same in all its processes, and in no other's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gala.installation import name_of

DATABASE = {"ENGINE": "django.db.backends.postgresql", "HOST": "db.gala", "PORT": 5432, "NAME": "gala"}
REDIS = "redis://valkey:6379/0"


@pytest.mark.parametrize(
    "change",
    [{"PASSWORD": "new"}, {"USER": "another"}, {"PORT": "5432"}, {"PORT": ""}, {"HOST": "DB.gala"}],
    ids=str,
)
def test_another_spelling_or_password_is_the_same_installation(change: dict[str, str]) -> None:
    assert name_of({**DATABASE, **change}, REDIS) == name_of(DATABASE, "rediss://:secret@another.name")


def test_another_database_or_another_number_in_redis_is_another_installation() -> None:
    others = [{**DATABASE, "HOST": "db"}, {**DATABASE, "PORT": 5433}, {**DATABASE, "NAME": "rehearsal"}]
    names = {name_of(database, REDIS) for database in (DATABASE, *others)}
    names |= {name_of(DATABASE, address) for address in ("redis://valkey/1", "unix:///run/valkey.sock?db=2")}
    assert len(names) == 6


def test_a_file_is_known_by_where_it_lies(tmp_path: Path) -> None:
    sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "gala.sqlite3")}
    (tmp_path / "link").symlink_to(tmp_path)
    assert name_of(sqlite, REDIS) == name_of({**sqlite, "NAME": str(tmp_path / "link/gala.sqlite3")}, REDIS)
    assert name_of(sqlite, REDIS) != name_of({**sqlite, "NAME": str(tmp_path / "copy.sqlite3")}, REDIS)


@pytest.mark.parametrize("name", ["with_underscore", "a:b", "x" * 65, "näh"])
def test_a_name_that_could_be_part_of_another_is_refused(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import gala.settings"],
        env={**os.environ, "INSTALLATION": name}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1 and "INSTALLATION: expected up to 64 letters" in done.stderr


def test_a_browser_keeps_the_log_ins_of_two_installations_on_one_host_apart() -> None:
    program = "from gala.settings import SESSION_COOKIE_NAME; print(SESSION_COOKIE_NAME)"
    names = {
        subprocess.check_output([sys.executable, "-c", program], env={**os.environ, "INSTALLATION": name})
        for name in ("gala", "rehearsal")
    }
    assert names == {b"gala-gala-session\n", b"gala-rehearsal-session\n"}
