"""Broadcasts from processes without an event loop of their own."""

import os
import secrets

import msgspec

from engagement import broadcast, tally
from tests.cast import DEMO_STATE

SLUG = f"fork-{secrets.token_hex(4)}"


def send(seq: int, title: str) -> None:
    state = msgspec.structs.replace(DEMO_STATE, slug=SLUG, seq=seq, title=title)
    broadcast.send_state(state, dict)


def test_a_forked_process_sends_too_as_celery_forks_its_workers() -> None:
    with tally.connect().pubsub() as heard:
        heard.psubscribe("*")
        heard.get_message(timeout=2)  # the subscription itself
        send(1, "parent")
        child = os.fork()
        if child == 0:
            try:
                send(2, "child")
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        send(3, "parent")
        ours = []
        while (message := heard.get_message(timeout=0.5)) is not None:
            if message["channel"].endswith(broadcast.group_of(SLUG).encode()):
                ours.append(b"child" in message["data"])
    assert ours == [False, True, False]
