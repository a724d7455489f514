"""What viewers have won, in Redis: written by several processes at once, and never over what is newer."""

import asyncio

from engagement import tally
from engagement.wins import Step, Wins, fetch_wins, keep_wins, restore_wins
from tests.cast import make_won

VIEWER = b"v" * 14


def kept(slug: str) -> tuple[Step | None, Wins]:
    async def read() -> tuple[Step | None, Wins]:
        redis = tally.connect_async()
        try:
            return await fetch_wins(redis, slug, [VIEWER])
        finally:
            await redis.aclose(close_connection_pool=True)

    return asyncio.run(read())


def test_whoever_is_slow_to_write_all_wins_does_not_overwrite_a_later_step() -> None:
    won, claimed = {VIEWER: [make_won()]}, {VIEWER: [make_won(status="claimed")]}
    restore_wins("gala-wins", Step(1, 1), won)
    keep_wins("gala-wins", Step(1, 2), claimed)
    restore_wins("gala-wins", Step(1, 1), won)
    assert kept("gala-wins") == (Step(1, 2), claimed)
    restore_wins("gala-wins", Step(2, 0), won)  # another life of the show
    assert kept("gala-wins") == (Step(2, 0), won)
