"""Coroutines that mostly end at once, run by hand: a task each would cost more than what they do.

Up to its first suspension such a coroutine runs in no task, so that it must not use `asyncio.timeout` or what is built
on it, like `wait_for` and Redis: from Python 3.12 on they refuse. What needs them starts a task and awaits that.
"""

import types
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any


def start(coroutine: Coroutine[Any, Any, None]) -> Awaitable[None] | None:
    """Runs a coroutine up to its first suspension: None when it ended, else what remains of it, to be awaited."""
    try:
        awaited = coroutine.send(None)
    except StopIteration:
        return None
    return _go_on(coroutine, awaited)


@types.coroutine
def _go_on(coroutine: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    """Awaits the rest of a coroutine that was started by hand (an `await` of it would be refused by Python)."""
    while True:
        problem: BaseException | None = None
        try:
            answer = yield awaited
        except BaseException as error:
            problem = error
        try:
            awaited = coroutine.send(answer) if problem is None else coroutine.throw(problem)
        except StopIteration:
            return
