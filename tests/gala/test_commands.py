"""All of our commands, as manage.py starts them."""

import subprocess
import sys

import pytest
from django.core.management import call_command, get_commands, load_command_class

from gala.entrypoints import ROOT

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


@pytest.mark.django_db
def test_the_checks_of_the_whole_site_find_nothing() -> None:
    call_command("check", fail_level="DEBUG", databases=["default"])
