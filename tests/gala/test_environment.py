import json
import os
import subprocess
import sys
from typing import NamedTuple

import pytest

from gala.entrypoints import ROOT
from gala.environment import BadVariable, Environment

# Many commands, each in a process and an environment of its own, which is a copy of one that has read what takes long,
# and nothing of the settings.
COMMANDS = """
import json, os, runpy, sys, tempfile
import django.core.management, django_stubs_ext, environ, importlib.resources
for environment in json.load(sys.stdin):
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as complained:
        if not (pid := os.fork()):
            os.dup2(said.fileno(), 1), os.dup2(complained.fileno(), 2)
            os.environ.clear()
            os.environ.update(environment)
            sys.argv = ["manage.py", "shell", "-v0", "-c", "from gala import settings; print(settings.DEBUG)"]
            runpy.run_path("manage.py", run_name="__main__")
            sys.exit()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        said.seek(0), complained.seek(0)
        print(json.dumps([status, said.read(), complained.read()]), flush=True)  # no copy goes on with it
"""


class Done(NamedTuple):
    """How a command ended."""

    status: int
    said: str
    complained: str


def commands_in(*changes: dict[str, str]) -> list[Done]:
    """What `manage.py` makes of the settings in each such environment."""
    given = json.dumps([{**os.environ, **change} for change in changes])
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS], cwd=ROOT, input=given, capture_output=True, text=True, check=True
    )
    return [Done(*json.loads(line)) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("word", ["true", "True", "TRUE", "on", "yes", "Y", "ok", "1"])
def test_a_switch_is_on_with_every_word_for_it_in_any_case(word: str) -> None:
    assert Environment({"S": word}).switch("S") is True


@pytest.mark.parametrize("word", ["false", "False", "off", "No", "n", "0"])
def test_a_switch_is_off_with_every_word_for_it(word: str) -> None:
    assert Environment({"S": word}).switch("S", default=True) is False


def test_a_switch_that_is_not_set_is_as_its_default() -> None:
    assert (Environment({}).switch("S"), Environment({}).switch("S", default=True)) == (False, True)


@pytest.mark.parametrize("word", ["", "perhaps", "2", "true "])
def test_another_word_is_refused_with_the_name_and_the_words_that_are_taken(word: str) -> None:
    with pytest.raises(
        BadVariable, match=rf"^S: expected one of true, on, .* or of false, .* 0, got '{word}'$"
    ):
        Environment({"S": word}).switch("S")


@pytest.mark.parametrize("text", ["", "0", "-1", "65536", "eight", "٣", "1.5", "1_0", "9" * 5000])
def test_a_number_out_of_bounds_or_none_is_refused(text: str) -> None:
    with pytest.raises(BadVariable, match=r"^N: expected a number from 1 to 65535, got '"):
        Environment({"N": text}).number("N", 8, 1, 65535)


def test_a_number_is_taken_up_to_both_bounds() -> None:
    read = [Environment({"N": text}).number("N", 8, 1, 65535) for text in ("1", "65535")]
    assert [*read, Environment({}).number("N", 8, 1, 65535)] == [1, 65535, 8]


def test_lists_have_no_empty_words_and_no_spaces_around_them() -> None:
    assert Environment({"L": " a, b,,c "}).words("L") == ["a", "b", "c"]
    assert (Environment({"L": ""}).words("L", ["x"]), Environment({}).words("L", ["x"])) == ([], ["x"])


def test_keys_keep_every_character_and_are_never_none_at_all() -> None:
    assert Environment({"K": "$a b,c"}).secrets("K", ["x"]) == ["$a b", "c"]
    assert Environment({}).keys("K", ["made,of a secret"]) == ["made,of a secret"]
    with pytest.raises(BadVariable, match=r"^K: expected at least one key, got none$"):
        Environment({"K": ""}).keys("K", ["x"])


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("redi://:s3cret@h:1", "begins with redis:// or unix://"),
        ("redis", "begins with redis://"),
        ("redis://:s3cret@h:port/0", "a number as its port"),
        ("redis://:s3cret@h:65536/0", "a number as its port"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused_without_its_password(address: str, said: str) -> None:
    with pytest.raises(BadVariable, match=said) as refusal:
        Environment({"A": address}).address("A", "", ("redis", "unix"))
    assert "s3cret" not in str(refusal.value)


def test_a_choice_is_one_of_its_words() -> None:
    assert Environment({"C": "b"}).choice("C", "a", ["a", "b"]) == "b"
    with pytest.raises(BadVariable, match=r"^C: expected one of a, b, got 'c'$"):
        Environment({"C": "c"}).choice("C", "a", ["a", "b"])


def test_the_settings_take_the_same_words() -> None:
    for done in commands_in(*({"DEBUG": word} for word in ("True", "y", "ok"))):
        assert (done.status, done.said) == (0, "True\n"), done.complained


def test_a_setting_that_makes_no_sense_ends_a_command_in_one_line() -> None:
    wrong = [
        (
            "DEBUG",
            "perhaps",
            "DEBUG: expected one of true, on, yes, y, ok, 1 or of false, off, no, n, 0, got 'perhaps'",
        ),
        ("TIME_ZONE", "Mars", "TIME_ZONE: expected a time zone such as Asia/Shanghai, got 'Mars'"),
        ("TALLY_SHARDS", "300", "TALLY_SHARDS: expected a number from 1 to 256, got '300'"),
        ("DATABASE_URL", "mysql://u:p@h/d", "DATABASE_URL: expected an address that begins with postgres://"),
        (
            "SECRET_KEY",
            "short",
            "SECRET_KEY: expected at least 32 characters that nobody can guess (openssl rand -hex 32), got 5 char",
        ),
        (
            "STORAGE_KEYS",
            "change-me-change-me-change-me-change-me",
            "STORAGE_KEYS: expected at least 32 characters that nobody can guess (openssl rand -hex 32), got something",
        ),
        (
            "PASS_ATTESTATION",
            "turnstile https://vouch.example s3cret, iphone app-attest com.example.app",
            "PASS_ATTESTATION: expected ten characters of a team, a dot and a bundle such as com.example, got 'com",
        ),
        (
            "PASS_ATTESTATION",
            "s3cret",
            "PASS_ATTESTATION: expected `name https://address secret`, `name app-attest",
        ),
        ("GALA_DATA", "", "GALA_DATA: expected a folder, got nothing"),
        ("DRAWS_DIR", "", "DRAWS_DIR: expected a folder, got nothing"),
        ("PICTURES_DIR", "", "PICTURES_DIR: expected a folder, got nothing"),
        ("REDIS_URL", "redis://h:6379/main", "REDIS_URL: expected the number of a database at its end"),
        (
            "ALLOWED_HOSTS",
            "https://gala.example.com",
            "ALLOWED_HOSTS: expected names of hosts, without https:// and port, got 'https://gala.example.com'",
        ),
        ("ALLOWED_HOSTS", "gala.example.com:8443", "ALLOWED_HOSTS: expected names of hosts, without"),
        (
            "SOCKET_ORIGINS",
            "app.example.com",
            "SOCKET_ORIGINS: expected origins such as https://app.example.com",
        ),
        (
            "CSRF_TRUSTED_ORIGINS",
            "gala.example.com",
            "CSRF_TRUSTED_ORIGINS: expected origins such as https://",
        ),
        (
            "CSRF_TRUSTED_ORIGINS",
            "https://gala.example.com/",
            "CSRF_TRUSTED_ORIGINS: expected origins such as",
        ),
    ]
    for (name, value, said), done in zip(
        wrong, commands_in(*({name: value} for name, value, _ in wrong)), strict=True
    ):
        assert done.status == 2, (name, value)
        assert done.complained.startswith(f"settings: {said}") and done.complained.count("\n") == 1


def test_no_refusal_of_a_setting_repeats_a_secret() -> None:
    wrong = [
        ("DRAWS_STORAGE", "http://key:s3cret@h/bucket"),
        ("PICTURES_STORAGE", "http://key:s3cret@h/bucket"),
        ("DRAND_RELAYS", "ftp://key:s3cret@h"),
        ("DATABASE_URL", "mysql://u:s3cret@h/d"),
        ("REDIS_URL", "redis://:s3cret@h/main"),
        ("PASS_KEYS", ",,"),
        ("LEDGER_KEYS", "s3cret"),
        ("SECRET_KEY", "s3cret"),
    ]
    for (name, _), done in zip(wrong, commands_in(*({name: value} for name, value in wrong)), strict=True):
        assert (done.status, "s3cret" in done.complained) == (2, False), name
        assert done.complained.startswith(f"settings: {name}: expected ")
