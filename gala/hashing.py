"""Password hashes, one at a time per process, made by a small process of its own that steps back behind all others.

A hash is a quarter of a second of a core on purpose. Several at once took the processor from the sockets of the same
gateway: 16 logins slowed every phone from 4 to 143 ms. A thread that steps back is no way out: on a full machine it
falls asleep with the interpreter's lock in its hand, and every phone waits for it.
See docs/decisions/0046-crew-accounts.md.
"""

import atexit
import base64
import os
import subprocess
import sys
import threading
from functools import cache

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from gala import hash_process


class QuietHasher(PBKDF2PasswordHasher):
    """Django's own hasher, and what it has hashed before; only where it works is ours."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        count = iterations or self.iterations
        made = base64.b64encode(worker_of(os.getpid()).hash(password, salt, count)).decode()
        return f"{self.algorithm}${count}${salt}${made}"


class Worker:
    """The process. It ends with the pipe from this one, however this one ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # one hash at a time
        self._process: subprocess.Popen[str] | None = None
        atexit.register(self.stop)

    def hash(self, password: str, salt: str, iterations: int) -> bytes:
        question = f"{password.encode().hex()},{salt.encode().hex()},{iterations}\n"
        with self._lock:
            answer = self._ask(question) or self._ask(question)  # of a new one, where it had gone
        if not answer:
            raise OSError("the process that hashes passwords ends at once")
        return bytes.fromhex(answer)

    def _ask(self, question: str) -> str:
        """Empty where it has gone."""
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(question)
            process.stdin.flush()
            answer = process.stdout.readline().strip()
        except OSError:
            answer = ""
        if not answer:
            self.stop()
        return answer

    def _start(self) -> "subprocess.Popen[str]":
        command = [sys.executable, "-I", "-S", hash_process.__file__]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="ascii"
        )
        return self._process

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


@cache
def worker_of(pid: int) -> Worker:
    """That of this process: a forked child asks one of its own."""
    return Worker()
