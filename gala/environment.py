"""The variables of the environment, read in one way. docs/settings.md describes each of them.

A value that makes no sense stops the start: `BadVariable` names the variable, what was expected and what came.
"""

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from gala.strength import SHORTEST, weakness_of

ON = ("true", "on", "yes", "y", "ok", "1")
OFF = ("false", "off", "no", "n", "0")


class BadVariable(ImproperlyConfigured):
    """A variable whose value cannot be used."""

    def __init__(self, name: str, expected: str, came: str) -> None:
        super().__init__(f"{name}: expected {expected}, got {came}")


class Environment:
    """Reads variables; `values` is the environment of this process unless a test says otherwise."""

    def __init__(self, values: Mapping[str, str] = os.environ) -> None:
        self._values = values

    def has(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str, default: str) -> str:
        return self._values.get(name, default)

    def path(self, name: str, default: Path) -> Path:
        """A folder. An empty one would be wherever the process was started."""
        text = self.text(name, str(default))
        if not text:
            raise BadVariable(name, "a folder", "nothing")
        return Path(text).absolute()

    def words(self, name: str, default: Collection[str] = ()) -> list[str]:
        """A list, separated by commas; empty words and spaces around words do not count."""
        if name not in self._values:
            return list(default)
        return [word for word in map(str.strip, self._values[name].split(",")) if word]

    def secrets(self, name: str, default: Collection[str]) -> list[str]:
        """A list of secrets, spaces and all. An empty one is a line of .env.example that nobody filled in."""
        if name not in self._values:
            return list(default)
        keys = [key for key in self._values[name].split(",") if key]
        if not keys:
            raise BadVariable(name, "at least one key", "none")
        return keys

    def keys(self, name: str, default: Collection[str]) -> list[str]:
        """A list of secrets that nobody can guess; the default is made from one."""
        keys = self.secrets(name, default)
        return [strong(name, key) for key in keys] if name in self._values else keys

    def more_keys(self, name: str) -> list[str]:
        """As `keys`, of which there may be none."""
        return self.keys(name, ()) if self._values.get(name) else []

    def address(self, name: str, default: str, schemes: Collection[str]) -> str:
        """An address such as redis://…; what came is not repeated: there may be a password in it."""
        address = self.text(name, default)
        if address.partition("://")[0] not in schemes or "://" not in address:
            beginnings = " or ".join(f"{scheme}://" for scheme in schemes)
            raise BadVariable(name, f"an address that begins with {beginnings}", "another")
        try:
            _ = urlsplit(address).port
        except ValueError:
            raise BadVariable(name, "an address with a number as its port", "another") from None
        return address

    def number(self, name: str, default: int, low: int, high: int) -> int:
        text = self.text(name, str(default))
        if not (re.fullmatch(r"[0-9]{1,18}", text) and low <= int(text) <= high):
            raise BadVariable(name, f"a number from {low} to {high}", repr(text))
        return int(text)

    def switch(self, name: str, default: bool = False) -> bool:
        text = self.text(name, ON[0] if default else OFF[0])
        if text.lower() not in ON + OFF:
            raise BadVariable(name, f"one of {', '.join(ON)} or of {', '.join(OFF)}", repr(text))
        return text.lower() in ON

    def choice(self, name: str, default: str, allowed: Collection[str], like: str = "") -> str:
        """One of some words; `like` says what they are where there are too many to list."""
        text = self.text(name, default)
        if text not in allowed:
            raise BadVariable(name, like or f"one of {', '.join(allowed)}", repr(text))
        return text


def strong(name: str, key: str) -> str:
    """The same key, where nobody can guess it; what came is not repeated."""
    if weakness := weakness_of(key):
        expected = f"at least {SHORTEST} characters that nobody can guess (openssl rand -hex 32)"
        raise BadVariable(name, expected, weakness)
    return key
