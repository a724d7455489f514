"""The consumer of Channels' tutorial under uvicorn with our options, once with each layer of channels_redis.

Four fifths of what a message costs it are not the consumer's own: Channels 4.3 closes old database connections before
each one, in a thread (`aclose_old_connections`), whether there is a database or not.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from gala import entrypoints
from tests.bench.contenders.base import (
    HERE,
    HOST,
    JSON_DIALECT,
    ROOT,
    Contender,
    Controlled,
    Dialect,
    Running,
    other_core,
    running_server,
)
from tests.bench.contenders.redis import missing_redis, redis_url

LAYERS = {
    "pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer",
    "core": "channels_redis.core.RedisChannelLayer",
}


class Tutorial(Contender):
    def __init__(self, name: str, key: str, layer: str) -> None:
        super().__init__(name, key)
        self._layer = layer

    def missing(self) -> str | None:
        return missing_redis()

    @contextlib.contextmanager
    def start(self, folder: Path, *, core: int, processes: int = 1) -> Iterator[Running]:
        # The room is new, so that members whom a killed server has left behind do not count.
        room, url = secrets.token_hex(8), redis_url(other_core(core))
        env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "mysite.settings",
            "REDIS_URL": url,
            "LAYER": self._layer,
        }
        server = running_server(_command, path="/count", env=env, log=folder / "tutorial.log", core=core)
        with server as (address, process):
            running = Controlled(
                address, process.pid, _dialect(room), path=f"/broadcast/{room}", envelope='{"message": ""}'
            )
            with contextlib.closing(running):
                yield running


def _dialect(room: str) -> Dialect:
    return JSON_DIALECT._replace(target=lambda client: f"/ws/chat/{room}/")


def _command(port: int) -> list[str]:
    """Our own command with another application."""
    words = entrypoints.gateway(HOST, port, graceful_seconds=2, fast=False)
    words[words.index("gala.asgi:application")] = "mysite.asgi:application"
    words[words.index(str(ROOT))] = str(HERE / "tutorial_site")
    return words


TUTORIALS: list[Contender] = [
    Tutorial("tutorial, pub/sub", "tutorial-pubsub", LAYERS["pubsub"]),
    Tutorial("tutorial, core", "tutorial-core", LAYERS["core"]),
]
