"""The name of this installation where others may be, too: on one Redis server there may be a rehearsal beside the gala.

It is known without asking the database, which may be away when a gateway starts, and it does not change with a password
or a secret. See docs/decisions/0024-names-of-an-installation.md.
"""

import base64
import hashlib
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

SQLITE = "sqlite3"  # the last word of its ENGINE
POSTGRES_PORT = "5432"


def name_of(database: Mapping[str, Any], redis_url: str) -> str:
    """A name made from which database this is (host, port and name, or the file) and the number of Redis's database.

    >>> database = {"ENGINE": "postgresql", "HOST": "db", "PORT": 5432, "NAME": "gala", "PASSWORD": "secret"}
    >>> name_of(database, "redis://valkey:6379/0")
    'xjiealttuy6d'
    >>> name_of({**database, "PORT": "", "PASSWORD": "another"}, "redis://:password@elsewhere")
    'xjiealttuy6d'
    """
    parts = [*_place(database), str(redis_number(redis_url))]
    digest = hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).digest()
    return base64.b32encode(digest).decode()[:12].lower()


def _place(database: Mapping[str, Any]) -> list[str]:
    if database["ENGINE"].endswith(SQLITE):
        return [os.path.realpath(database["NAME"])]
    host, port = str(database.get("HOST") or ""), str(database.get("PORT") or POSTGRES_PORT)
    return [host.lower(), port, str(database["NAME"])]


def redis_number(url: str) -> int:
    """Which database of a Redis server an address means.

    >>> [redis_number(url) for url in ("redis://valkey", "redis://valkey/3", "unix:///run/valkey.sock?db=2")]
    [0, 3, 2]
    """
    parts = urlsplit(url)
    told = parse_qs(parts.query).get("db", [""])[0] or (
        "" if parts.scheme == "unix" else parts.path.strip("/")
    )
    return int(told) if told.isdecimal() else 0
