"""The Redis of the benchmark: the one of REDIS_URL, else an embedded one for as long as this process lives."""

import atexit
import functools
import os
import secrets
import shutil
import tempfile
from pathlib import Path

import django
from django.apps import apps

from gala.embedded import EmbeddedServerError, find_server, start_server
from tests.bench.contenders.base import pinned


def missing_redis() -> str | None:
    if "REDIS_URL" in os.environ:
        return None
    try:
        find_server()
    except EmbeddedServerError as error:
        return str(error)
    return None


@functools.cache
def redis_url(core: int) -> str:
    """Its address; an embedded one is started on this core at the first call."""
    if "REDIS_URL" not in os.environ:
        data = Path(tempfile.mkdtemp(prefix="bench-redis-"))
        atexit.register(shutil.rmtree, data, ignore_errors=True)
        with pinned(core):
            server = start_server(data)
        atexit.register(server.stop)
        os.environ["REDIS_URL"] = server.url
        os.environ.setdefault("GALA_DATA", str(data))
    return os.environ["REDIS_URL"]


def set_up_django(core: int) -> None:
    """Makes this process one of the gala's, with the keys and the Redis that its gateways will have."""
    redis_url(core)
    os.environ.setdefault("SECRET_KEY", secrets.token_urlsafe(48))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gala.settings")
    if not apps.ready:
        django.setup()
