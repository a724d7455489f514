"""Broadcasts from processes without an event loop of their own."""

import os

from engagement import broadcast, tally


def test_a_forked_process_sends_too_as_celery_forks_its_workers() -> None:
    with tally.connect().pubsub() as heard:
        heard.psubscribe("*")
        heard.get_message(timeout=2)  # the subscription itself
        broadcast.send_result("fork", 1, 1, {"from": "parent"})
        child = os.fork()
        if child == 0:
            try:
                broadcast.send_result("fork", 1, 2, {"from": "child"})
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        broadcast.send_result("fork", 1, 3, {"from": "parent"})
        ours = []
        while (message := heard.get_message(timeout=0.5)) is not None:
            if message["channel"].endswith(broadcast.group_of("fork").encode()):
                ours.append(b"child" in message["data"])
    assert ours == [False, True, False]
