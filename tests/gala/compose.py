"""docker/compose.yaml as the engine reads it: what a service gets for its environment out of a .env file."""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import yaml

from gala.entrypoints import ROOT

DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "gala"}
IMAGES = ("PYTHON_IMAGE", "POSTGRES_IMAGE", "VALKEY_IMAGE", "NGINX_IMAGE")
# The innermost ${NAME}, ${NAME:-default} or ${NAME:?reason}.
INNERMOST = re.compile(r"(?<!\$)\$\{([A-Z_]+)(?::([-?])([^${}]*))?\}")


class MissingVariable(Exception):
    """A variable that the file requires."""


def interpolate(text: str, values: Mapping[str, str]) -> str:
    def fill(found: re.Match[str]) -> str:
        name, operator, rest = found.groups()
        if values.get(name):
            return values[name].replace("$", "$$")
        if operator == "?":
            raise MissingVariable(name)
        return rest or ""

    while (filled := INNERMOST.sub(fill, text)) != text:
        text = filled
    return text.replace("$$", "$")


def parse_env(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE))


def example(**more: str) -> dict[str, str]:
    """.env.example, filled in as it says."""
    filled = parse_env((DOCKER / ".env.example").read_text())
    names = ("SECRET_KEY", "PASS_KEYS", "STORAGE_KEYS", "LEDGER_KEYS")
    keys = {name: hashlib.sha256(name.encode()).hexdigest() for name in names}
    keys["LEDGER_KEYS"] = base64.b64encode(bytes.fromhex(keys["LEDGER_KEYS"])).decode()
    return {**filled, **keys, "POSTGRES_PASSWORD": "p0stgres", "VALKEY_PASSWORD": "va1key", **more}


def environment_of(service: str, values: Mapping[str, str]) -> dict[str, str]:
    """The file's own lines go before those of .env."""
    given = SERVICES[service].get("environment", {})
    from_file = values if SERVICES[service].get("env_file") == [".env"] else {}
    return {**from_file, **{name: interpolate(str(text), values) for name, text in given.items()}}
