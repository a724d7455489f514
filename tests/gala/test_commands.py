"""All of our commands, as manage.py starts them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command, get_commands, load_command_class
from django.core.management.base import SystemCheckError

from gala.apps import check_addresses
from gala.entrypoints import ROOT
from tests.gala.compose import environment_of, example

OURS = {name: app for name, app in get_commands().items() if app in {"gala", "engagement", "prizes"}}


@pytest.mark.parametrize("name", OURS)
def test_a_command_begins_at_once(name: str) -> None:
    """The checks of the whole site take as long as starting Python does; whoever opens a segment does not wait."""
    assert len(OURS) > 8
    assert not load_command_class(OURS[name], name).requires_system_checks


def test_the_development_server_is_daphne_which_serves_sockets_too() -> None:
    command = [sys.executable, "manage.py", "runserver", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert "--http_timeout" in done.stdout, "the option that Daphne's own runserver has"


def test_the_settings_of_the_containers_pass_the_checks_for_production(tmp_path: Path) -> None:
    environment = {
        **environment_of("gateway", example()),
        "PATH": os.environ["PATH"],
        "GALA_DATA": str(tmp_path),
    }
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "DEBUG"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "no issues (1 silenced)" in done.stdout


def test_the_settings_of_the_containers_without_tls_do_not_pass(tmp_path: Path) -> None:
    environment = {
        **environment_of("gateway", example()),
        "PATH": os.environ["PATH"],
        "GALA_DATA": str(tmp_path),
    }
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    without = {**environment, "BEHIND_TLS_PROXY": "no"}
    done = subprocess.run(command, cwd=ROOT, env=without, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "security.W008" in done.stderr


def test_a_proxy_that_hides_where_viewers_come_from_does_not_pass(settings: Any) -> None:
    settings.BEHIND_TLS_PROXY, settings.TRUST_REAL_IP_HEADER = True, False
    with pytest.raises(SystemCheckError, match="all phones share the passes of one neighbour"):
        call_command("check", deploy=True, fail_level="WARNING")
    settings.TRUST_REAL_IP_HEADER = True
    assert check_addresses() == []


@pytest.mark.django_db
def test_the_checks_of_the_whole_site_find_nothing() -> None:
    call_command("check", fail_level="DEBUG", databases=["default"])
