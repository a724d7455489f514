"""The long-running processes, written down once: `make show` starts them, and so do the containers.

`python -m gala.entrypoints gateway|worker|conductor` becomes that process. The environment sets it up:
GATEWAY_HOST, GATEWAY_PORT, GATEWAY_WORKERS, GATEWAY_FAST and WORKER_CONCURRENCY.
"""

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from gala.environment import Environment
from gala.listener import BACKLOG

ROOT = Path(__file__).resolve().parent.parent
BEAT_QUEUE, STEP_QUEUE = "conductor", "steps"
FAST_HTTP = "engagement.gateway.transport.handshake:FastHttp"
PLAIN_HTTP = "engagement.gateway.transport.bounded:BoundedHttp"
LARGEST_FRAME = 4096  # bytes, docs/protocol.md; a larger one closes the socket before it is in memory


def gateway(
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 1,
    *,
    fd: int | None = None,
    fast: bool = True,
    graceful_seconds: int = 3,
) -> list[str]:
    """uvicorn with the settings that were measured to matter; `fd` is an inherited listening socket.

    Several workers are children of one process that looks after them (gateways.py). Without `fast`, phones are served
    through plain ASGI, as under any other server.
    """
    address = ["--host", host, "--port", str(port)] if fd is None else ["--fd", str(fd)]
    if workers > 1:
        return [
            *(sys.executable, "-m", "gala.gateways", "--processes", str(workers), *address),
            *("--graceful-seconds", str(graceful_seconds), *([] if fast else ["--plain"])),
        ]
    return [
        *(sys.executable, "-m", "uvicorn", "gala.asgi:application", "--app-dir", str(ROOT)),
        *address,
        *("--http", FAST_HTTP if fast else PLAIN_HTTP),
        *("--ws", "websockets-sansio", "--ws-max-size", str(LARGEST_FRAME)),
        *("--ws-ping-interval", "20", "--ws-ping-timeout", "20"),
        *("--ws-per-message-deflate", "false"),
        *("--backlog", str(BACKLOG)),
        *("--timeout-graceful-shutdown", str(graceful_seconds)),
        # The client's address comes from the proxy's own header or not at all (TRUST_REAL_IP_HEADER).
        # At INFO uvicorn writes two lines for every phone that connects.
        *("--no-proxy-headers", "--no-server-header", "--no-access-log", "--log-level", "warning"),
    ]


def worker(concurrency: int = 2) -> list[str]:
    """A Celery worker: freezes, seals, draws, publishes. Any number of them."""
    return _worker(STEP_QUEUE, concurrency)


def conductor() -> list[str]:
    """Celery beat and the worker that it wakes once a second, exactly one: moves segments on and queues what is due.

    A worker of its own: a step over a large roll takes half a minute, and no phase waits behind it. This scheduler
    keeps no file, because what is due is in the database.
    """
    return [*_worker(BEAT_QUEUE, 1), "--beat", "--scheduler", "celery.beat:Scheduler"]


def _worker(queue: str, concurrency: int) -> list[str]:
    return [
        *(
            sys.executable,
            "-m",
            "celery",
            "-A",
            "gala",
            "--workdir",
            str(ROOT),
            "worker",
            "--loglevel",
            "INFO",
        ),
        *("--hostname", f"{queue}@%h", "--queues", queue, "--concurrency", str(concurrency)),
        # Nobody listens to other workers' chatter, and each message of it is work for Redis.
        *("--without-gossip", "--without-mingle"),
    ]


def arguments_of(name: str, environment: Mapping[str, str]) -> list[str]:
    """The argument list of one entry point, set up by the environment; BadVariable where that makes no sense."""
    env = Environment(environment)
    if name == "gateway":
        host, port = env.text("GATEWAY_HOST", "127.0.0.1"), env.number("GATEWAY_PORT", 8000, 1, 65535)
        workers, fast = env.number("GATEWAY_WORKERS", 1, 1, 1000), env.switch("GATEWAY_FAST", default=True)
        return gateway(host, port, workers, fast=fast)
    if name == "worker":
        return worker(env.number("WORKER_CONCURRENCY", 2, 1, 1000))
    if name == "conductor":
        return conductor()
    raise ValueError(f"expected gateway, worker or conductor, got {name!r}")


def main(arguments: list[str]) -> None:
    """Become the named process, so that signals reach it and not a wrapper."""
    try:
        command = arguments_of(" ".join(arguments), os.environ)
        import_module(
            "gala.settings"
        )  # what is wrong there is one line here, and a stack for each child later
    except (ValueError, ImproperlyConfigured) as error:
        sys.exit(f"python -m gala.entrypoints: {error}")
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
