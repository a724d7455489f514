"""A variable in docker/.env has the effect that docs/settings.md says: it is what the processes read."""

import base64
import hashlib
import json
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from gala.entrypoints import ROOT
from tests.gala.compose import IMAGES, OURS, MissingVariable, environment_of, example
from tests.test_docs import named, tables

# A container's own: .env does not reach them.
OF_THE_CONTAINER = {
    *("GATEWAY_HOST", "GATEWAY_PORT", "GALA_DATA", "HEALTH_DIR", "BEHIND_TLS_PROXY", "TRUST_REAL_IP_HEADER"),
}


def key_of(name: str) -> str:
    """As random as 0f0b973fb1d2a337666a4a9d9a3de0da8d81984ef7e97d5b5b808eb566c7d459, and the same each time."""
    return hashlib.sha256(name.encode()).hexdigest()


SAMPLES = {
    "DATABASE_URL": "postgres://u:p@elsewhere:5433/other",
    "REDIS_URL": "redis://:p@elsewhere:6380/3",
    "SECRET_KEY": key_of("another"),
    "SECRET_KEY_FALLBACKS": key_of("an earlier one"),
    "PASS_KEYS": f"{key_of('new')},{key_of('old')}",
    "STORAGE_KEYS": f"{key_of('newer')},{key_of('older')}",
    "LEDGER_KEYS": base64.b64encode(bytes.fromhex(key_of("ledger"))).decode(),
    "LEDGER_NAME": "ledger.example",
    "INSTALLATION": "rehearsal",
    "HOST_API_KEYS": f"{key_of('one app')},{key_of('another app')}",
    "PASS_ATTESTATION": "turnstile https://vouch.example/siteverify a-secret,iphone app-attest ABCDE12345.com.example",
    "RETENTION_DAYS": "30",
    "TALLY_SHARDS": "64",
    "DRAWS_DIR": "/data/elsewhere",
    "DRAWS_STORAGE": "s3://bucket/prefix",
    "PICTURES_DIR": "/data/pictures-elsewhere",
    "PICTURES_STORAGE": "s3://bucket/pictures",
    "DRAND_RELAYS": "https://drand.example",
    "DRAND_ROUNDS_FILE": "/data/rounds.json",
    "TIME_ZONE": "Europe/Berlin",
    "LOG_LEVEL": "ERROR",
    "DEBUG": "yes",
    "GATEWAY_WORKERS": "5",
    "GATEWAY_FAST": "no",
    "MAX_CONNECTIONS": "777",
    "FRAMES_PER_SECOND": "9",
    "SOCKETS_PER_BLOCK": "77",
    "HTTP_AT_ONCE": "3",
    "CREW_SECOND_FACTOR": "false",
    "ALLOWED_HOSTS": "a.example,b.example",
    "CSRF_TRUSTED_ORIGINS": "https://a.example",
    "SOCKET_ORIGINS": "https://b.example",
    "PASS_LIFETIME_S": "3600",
    "WORKER_CONCURRENCY": "7",
}
# In a process of its own: what settings and entry points make of each environment that comes in.
READ = """
import json, os, runpy, sys
from gala.entrypoints import arguments_of
for environment in json.load(sys.stdin):
    os.environ.clear()
    os.environ.update(environment)
    settings = runpy.run_path("gala/settings.py")
    read = {name: repr(value) for name, value in settings.items() if name.isupper()}
    commands = {name: arguments_of(name, os.environ) for name in ("gateway", "worker")}
    print(json.dumps({**read, **commands}))
"""


def documented() -> set[str]:
    rows = tables("docs/settings.md", "variable", "default")
    own = {"SITE_HOST", "POSTGRES_PASSWORD", "VALKEY_PASSWORD", *IMAGES}  # of compose itself
    return {name for row in rows for name in named(row[0])} - own


def read_by_processes(*environments: dict[str, str]) -> list[dict[str, Any]]:
    return _read(json.dumps(environments))


@cache  # all our services get the same environment
def _read(environments: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", READ], cwd=ROOT, input=environments, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_documented_variable_is_tried_here() -> None:
    assert set(SAMPLES) | OF_THE_CONTAINER == documented()


@pytest.mark.parametrize("service", ["gateway", "worker", "conductor", "migrate"])
def test_every_documented_variable_in_the_env_file_has_an_effect_and_no_other_has(service: str) -> None:
    names = sorted(documented())
    environments = [environment_of(service, example(**{name: SAMPLES.get(name, "off")})) for name in names]
    before, *after = read_by_processes(environment_of(service, example()), *environments)
    changed = {name for name, settings in zip(names, after, strict=True) if settings != before}
    assert changed == set(SAMPLES)


def test_what_is_set_is_what_is_read() -> None:
    [read] = read_by_processes(environment_of("gateway", example(**SAMPLES)))
    assert (read["HTTP_AT_ONCE"], read["TALLY_SHARDS"], read["PASS_LIFETIME_S"]) == ("3", "64", "3600")
    assert "'level': 'ERROR'" in read["LOGGING"]
    assert "'bucket_name': 'bucket'" in read["STORAGES"] and "elsewhere" in read["DATABASES"]
    assert "5" in read["gateway"] and "--plain" in read["gateway"] and "7" in read["worker"]


def test_without_more_than_the_example_everything_is_within_the_containers() -> None:
    [read] = read_by_processes(environment_of("gateway", example()))
    assert read["DATABASE_URL"] == repr("postgres://gala:p0stgres@postgres:5432/gala")
    assert read["REDIS_URL"] == repr("redis://:va1key@valkey:6379/0")
    assert read["ALLOWED_HOSTS"] == repr(["gala.example.com"])
    assert read["CSRF_TRUSTED_ORIGINS"] == repr(["https://gala.example.com"])
    assert (read["LEDGER_NAME"], read["INSTALLATION"]) == (repr("gala.example.com"),) * 2
    assert (read["BEHIND_TLS_PROXY"], read["TRUST_REAL_IP_HEADER"]) == ("True", "True")


@pytest.mark.parametrize("name", ["SITE_HOST", "POSTGRES_PASSWORD", "VALKEY_PASSWORD"])
def test_what_compose_needs_itself_is_required(name: str) -> None:
    with pytest.raises(MissingVariable, match=name):
        environment_of("gateway", example(**{name: ""}))


@pytest.mark.parametrize("name", ["SECRET_KEY", "PASS_KEYS", "STORAGE_KEYS", "LEDGER_KEYS"])
def test_a_key_that_nobody_filled_in_stops_the_start(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gala.entrypoints", "gateway"],
        cwd=ROOT, env=environment_of("gateway", example(**{name: ""})), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert (
        done.stderr.startswith(f"python -m gala.entrypoints: {name}: expected ")
        and done.stderr.count("\n") == 1
    )


def test_all_our_services_read_the_same() -> None:
    assert {str(service["env_file"]) for service in OURS.values()} == {"['.env']"}
    assert len({str(environment_of(name, example())) for name in OURS}) == 1
