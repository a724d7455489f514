"""This gateway: under uvicorn with and without the fast path, and under Daphne; it writes to a real Redis.

A show of its own in every run, with an open segment in which nothing is clamped. Client i is the viewer with uid i.
"""

import contextlib
import itertools
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gala import entrypoints
from tests.bench.contenders.base import (
    BACKLOG,
    HOST,
    MESSAGE_BYTES,
    ROOT,
    Contender,
    Dialect,
    Running,
    fill,
    other_core,
    running_server,
)
from tests.bench.contenders.redis import missing_redis, set_up_django

SEGMENT, SHARDS = 7, 16

if TYPE_CHECKING:
    from engagement.core.show_state import ShowState

HOUR_MS = 3_600_000
LATE_MS = 48 * HOUR_MS
MAX_HZ = 1_000_000  # the clamp is computed for every report, and is never reached

Command = Callable[[int], list[str]]


class Gateway(Contender):
    def __init__(self, name: str, key: str, command: Command) -> None:
        super().__init__(name, key)
        self._command = command

    def missing(self) -> str | None:
        return missing_redis()

    @contextlib.contextmanager
    def start(self, folder: Path, *, core: int, processes: int = 1, **environment: str) -> Iterator[Running]:
        cores = [core, other_core(core)]
        set_up_django(cores[1])
        (folder / "static").mkdir(exist_ok=True)  # whitenoise warns when it is missing
        with _open_show() as show, contextlib.ExitStack() as stack:
            servers = [
                stack.enter_context(
                    running_server(
                        self._command,
                        path="/healthz",
                        env={**_environment(folder), **environment},
                        log=folder / f"gateway-{number}.log",
                        core=cores[number % 2],
                    )
                )
                for number in range(processes)
            ]
            running = RunningGateway(
                [address for address, _ in servers], [process.pid for _, process in servers], show
            )
            yield running


class RunningGateway(Running):
    def __init__(
        self, addresses: list[tuple[str, int]], pids: list[int], show: "Show", feed: str | None = None
    ) -> None:
        super().__init__(addresses, pids, _dialect(show, feed))
        self._show = show
        self._seq = itertools.count(show.state.seq + 1)

    def split_feeds(self) -> tuple["RunningGateway", "RunningGateway"]:
        """The same gateway as phones of two feeds see it, before anybody has come: one whose window is over, and one
        that is two days late, whose window is open."""
        import msgspec

        from engagement.broadcast import keep_state

        state, over_at = self._show.state, int(time.time() * 1000) - HOUR_MS
        times = {"opens_at": over_at - LATE_MS, "closes_at": over_at}
        self._show.state = msgspec.structs.replace(
            state,
            seq=next(self._seq),
            feeds={"over": 0, "open": LATE_MS},
            segments=[msgspec.structs.replace(state.segments[0], **times)],
        )
        keep_state(self._show.state)
        over, open_ = (
            RunningGateway(self.addresses, self.pids, self._show, feed) for feed in ("over", "open")
        )
        return over, open_

    def broadcast(self, marker: bytes) -> None:
        from engagement.broadcast import send_state

        send_state(_state(self._show.state, next(self._seq), marker.decode("ascii")), dict)

    def accepted(self) -> int:
        """As of the last flush, which is a quarter of a second ago at most."""
        from engagement.tally import read_live

        return read_live(self._show.key).get("reports", 0)

    def check_tally(self, told: dict[int, int]) -> list[str]:
        """Viewer by viewer, both ways; the tally is read as docs/redis.md describes it, not by the gateway's code."""
        tally = self._show.read_tally()
        differences = []
        for client, total in told.items():
            written = tally.pop(self._show.viewer(client), 0)
            if written != total:
                differences.append(f"client {client} was told {total}, the tally has {written}")
        return differences + [
            f"the tally has {total} of a viewer who was told nothing" for total in tally.values()
        ]


class Show:
    """An open segment in Redis, and the secret of its show."""

    def __init__(self) -> None:
        from django.conf import settings

        from engagement.core.phases import Phase
        from engagement.core.show_state import SegmentState, ShowState
        from engagement.vault import lock_secret

        self.k_show, now, epoch = secrets.token_bytes(32), int(time.time() * 1000), secrets.randbits(48)
        self.key = f"{epoch}-{SEGMENT}"
        segment = SegmentState(
            id=SEGMENT,
            key=self.key,
            title="Benchmark",
            title_zh="基准测试",
            phase=Phase.OPEN,
            opens_at=now - HOUR_MS,
            closes_at=now + 24 * HOUR_MS,
            shards=SHARDS,
            prizes=[],
            seals=[],
        )
        self.state = ShowState(
            installation=settings.INSTALLATION,
            slug=f"bench-{epoch:x}",
            title="Benchmark",
            title_zh="基准测试",
            epoch=epoch,
            seq=1,
            wins=0,
            guests=True,
            k_show=lock_secret(self.k_show),
            feeds={"app": 0},
            max_hz=MAX_HZ,
            burst=10,
            grace_ms=3_000,
            current=SEGMENT,
            segments=[segment],
            results=[],
            more_to_come=False,
        )

    def viewer(self, client: int) -> bytes:
        from engagement.core.digests import derive_pseudonym, derive_salt

        slug = self.state.slug
        return derive_pseudonym(slug, client, derive_salt(self.k_show, slug, client))

    def keys(self) -> list[str]:
        from engagement.keys import own

        return [own(f"tally:{self.key}:{shard}") for shard in range(SHARDS)]

    def read_tally(self) -> dict[bytes, int]:
        from engagement.tally import connect

        redis: Any = connect()
        rows = itertools.chain.from_iterable(redis.zrange(key, 0, -1, withscores=True) for key in self.keys())
        return {viewer: int(total) for viewer, total in rows}


@contextlib.contextmanager
def _open_show() -> Iterator[Show]:
    from engagement.broadcast import forget_state, keep_state
    from engagement.keys import own
    from engagement.tally import connect

    show = Show()
    keep_state(show.state)  # before there is any gateway that would have to be told
    try:
        yield show
    finally:
        forget_state(show.state.slug)
        connect().delete(own(f"live:{show.key}"), *show.keys())


def _dialect(show: Show, feed: str | None) -> Dialect:
    from engagement.core.messages import SUBPROTOCOL
    from engagement.passes import issue_pass

    slug = show.state.slug
    more = b"" if feed is None else b',"feed":"%s"' % feed.encode()
    return Dialect(
        target=lambda client: f"/ws/shows/{slug}/",
        subprotocol=SUBPROTOCOL,
        hello=lambda client: [b'{"type":"hello","pass":"%s"%s}' % (issue_pass(slug, client).encode(), more)],
        welcomed=b'"type":"welcome"',
        report=lambda total: b'{"type":"shakes","segment":%d,"total":%d}' % (SEGMENT, total),
        sync=b'{"type":"sync","t0":0}',
        synced=b'"type":"synced"',
        ack=b'"type":"ack"',
    )


def _state(state: "ShowState", seq: int, marker: str) -> "ShowState":
    """The show with another title of its segment, so that the `state` frame is MESSAGE_BYTES long."""
    import msgspec

    from engagement.core.messages import encode
    from engagement.core.show_state import state_message

    def entitled(title: str) -> "ShowState":
        segments = [msgspec.structs.replace(state.segments[0], title=title, title_zh="")]
        return msgspec.structs.replace(state, seq=seq, segments=segments)

    return entitled(fill(marker, MESSAGE_BYTES - len(encode(state_message(entitled(""), "app")))))


# --- processes ---


def _environment(folder: Path) -> dict[str, str]:
    """The limit on frames stays in place and is computed for each; only a benchmark must exceed it."""
    from django.conf import settings

    ours = {
        "GALA_DATA": str(folder),
        "INSTALLATION": settings.INSTALLATION,
        "FRAMES_PER_SECOND": "1000000",
        "LOG_LEVEL": "WARNING",
    }
    return {**os.environ, **ours, "PYTHONPATH": str(ROOT)}


def _uvicorn(**options: Any) -> Command:
    return lambda port: entrypoints.gateway(HOST, port, graceful_seconds=2, **options)


def _daphne(port: int) -> list[str]:
    endpoint = f"tcp:{port}:interface={HOST}:backlog={BACKLOG}"
    return [sys.executable, "-m", "daphne", "--endpoint", endpoint, "-v", "0", "gala.asgi:application"]


GATEWAYS: list[Contender] = [
    Gateway("gateway, uvicorn", "gateway", _uvicorn()),
    Gateway("gateway, plain uvicorn", "gateway-plain", _uvicorn(fast=False)),
    Gateway("gateway, Daphne", "gateway-daphne", _daphne),
]
