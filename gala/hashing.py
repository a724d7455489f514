"""Password hashes, one at a time per process, in a thread of their own that everything else goes before.

A hash is a quarter of a second of a core on purpose. Several at once took the processor from the sockets of the same
gateway: 16 logins slowed every phone from 4 to 143 ms. See docs/decisions/0046-crew-accounts.md.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from django.contrib.auth.hashers import PBKDF2PasswordHasher

NICE = 10  # a tenth of what the loop gets where both want the core; at 19 no login would end in a busy hour


class QuietHasher(PBKDF2PasswordHasher):
    """Django's own hasher, and what it has hashed before; only when and where it works is ours."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        return _thread(os.getpid()).submit(super().encode, password, salt, iterations).result()


@cache
def _thread(pid: int) -> ThreadPoolExecutor:
    """That of this process: a forked child has none of its parent's threads."""
    return ThreadPoolExecutor(1, f"hashes-{pid}", initializer=_step_back)


def _step_back() -> None:
    if sys.platform == "linux":  # elsewhere this would be said of the whole process
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
