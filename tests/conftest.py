import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from django.test import TransactionTestCase
from hypothesis import settings
from pytest_django import DjangoDbBlocker

from engagement.marks import forget_marks
from gala.catalogues import compile_all
from tests.guards import empty_tables
from tests.migrated import make_once

compile_all()  # before anything is said

collect_ignore = ["gala/slow_pages.py"]  # whoever imports it adds its pages to the site

# How long an example takes says more about the machine than about the code.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Threads that async tests have used keep their connections; PostgreSQL drops no database that is in use."""
    yield
    if connection.vendor == "postgresql":
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


@pytest.fixture(scope="session", autouse=True)
def tables_are_emptied_quickly() -> Iterator[None]:
    """After tests that commit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda case: empty_tables())
        yield


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with an empty database on SQLite and the static files, for processes that get a copy of it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    return make_once(shared / "migrated")


@pytest.fixture(autouse=True)
def no_marks() -> None:
    """The database is empty again, and was not restored."""
    forget_marks()


@pytest.fixture(autouse=True)
def small_and_plain(settings) -> None:
    """Few shards; static files under their own names, so that no test has to collect them first; and passwords that are
    hashed at once: half a second of the processor each is for those who guess them."""
    settings.TALLY_SHARDS = 4
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    quick = "django.contrib.auth.hashers.MD5PasswordHasher"
    settings.PASSWORD_HASHERS = [quick, *settings.PASSWORD_HASHERS]  # other processes have the others
