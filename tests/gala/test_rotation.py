"""Every key that signs or encrypts is changed without a gap: the new one goes in front, the old one is still known."""

import secrets
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from engagement.clock import now_ms
from engagement.ledger.append import append_entry
from engagement.ledger.audit import audit_ledger
from engagement.models import Show
from engagement.passes import BadPass, check_pass, issue_pass
from engagement.vault import VaultError, lock_secret, open_secret
from gala.environment import Environment
from gala.settings import made_for, seeds
from tests.cast import make_show

NEW = secrets.token_hex(32)


@pytest.fixture
def show(db: None) -> Show:
    return make_show()


def test_storage_keys_are_changed_by_one_command_and_the_old_one_is_needed_no_more(
    show: Show, settings: Any
) -> None:
    key, old = open_secret(show.k_show), settings.STORAGE_KEYS
    settings.STORAGE_KEYS = [NEW, *old]
    for _ in range(2):  # once more does no harm
        call_command("rotate_storage_keys", stdout=(out := StringIO()))
    assert out.getvalue() == "Encrypted with the first of STORAGE_KEYS: the key of 1 show.\n"
    settings.STORAGE_KEYS = [NEW]
    show.refresh_from_db()
    assert open_secret(show.k_show) == key and show.stale  # gateways are told
    settings.STORAGE_KEYS = old
    with pytest.raises(VaultError):
        open_secret(show.k_show)
    with pytest.raises(CommandError, match="after 0 others: STORAGE_KEYS does not hold the key"):
        call_command("rotate_storage_keys", stdout=StringIO())


def test_a_pass_of_before_is_taken_until_its_key_is_taken_out(show: Show, settings: Any) -> None:
    token, old = issue_pass(show.slug, 7), settings.PASS_KEYS
    settings.PASS_KEYS = [NEW, *old]
    assert check_pass(token, show.slug, now_ms()).uid == 7
    fresh = issue_pass(show.slug, 7)
    settings.PASS_KEYS = [NEW]
    assert check_pass(fresh, show.slug, now_ms()).uid == 7
    with pytest.raises(BadPass):
        check_pass(token, show.slug, now_ms())


def test_a_ledger_that_two_keys_have_signed_is_whole(show: Show, settings: Any) -> None:
    append_entry(show, "change", actor="a")
    settings.LEDGER_KEYS = [secrets.token_bytes(32), *settings.LEDGER_KEYS]
    append_entry(show, "change", actor="b")
    assert all(check.ok for check in audit_ledger(show, []))


def test_whoever_is_logged_in_stays_logged_in_when_the_secret_key_changes(db: None, settings: Any) -> None:
    olga, here, there = User.objects.create_superuser("olga"), Client(), Client()
    here.force_login(olga)
    there.force_login(olga)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, [settings.SECRET_KEY]
    assert here.get("/console/").status_code == 200  # and from now on by the new key
    settings.SECRET_KEY_FALLBACKS = []
    assert (here.get("/console/").status_code, there.get("/console/").status_code) == (200, 302)


def test_what_was_made_from_an_earlier_secret_key_stays_known(settings: Any, monkeypatch: Any) -> None:
    locked, before = lock_secret(b"x" * 32), settings.SECRET_KEY
    monkeypatch.setattr("gala.settings.SECRET_KEY", NEW)
    monkeypatch.setattr("gala.settings.SECRET_KEY_FALLBACKS", [before])
    settings.STORAGE_KEYS = made_for("storage")
    assert settings.STORAGE_KEYS[0] == f"{NEW}:storage" and open_secret(locked) == b"x" * 32
    assert seeds("LEDGER_KEYS", made_for("ledger"))[1] == settings.LEDGER_KEYS[0]


def test_the_earlier_secret_keys_come_from_the_environment() -> None:
    assert Environment({"SECRET_KEY_FALLBACKS": NEW}).more_keys("SECRET_KEY_FALLBACKS") == [NEW]
