"""The ways to those outside and back: witnesses and time stampers. With prizes/drand.py the only module that opens
connections to the outside.

Whoever asks looks once a second. Each way is a thread of its own, which touches no database, and ends in a few seconds,
whatever happens on it: one that is away, slow or lying costs the others nothing. Nobody is trusted: what came is
verified by whoever has asked.

What is asked and not answered yet is in memory. Where it is lost, the same is asked again.
"""

import http.client
import re
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import urlsplit

URL = r"^https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?\Z"
LONGEST_REST_S = 10.0  # after failures, before somebody is asked again

T = TypeVar("T")


class Limits(NamedTuple):
    """The longest that somebody is waited for, from the look-up of its name to the last byte; the most bytes of an
    answer; how long the conductor waits for the quick ones.
    """

    answer_s: float
    most_bytes: int
    patience_s: float


class Question(NamedTuple):
    """What is posted: the path below the address, the body, its type ("": none)."""

    path: str
    body: bytes
    kind: str


class Reply(NamedTuple):
    """What was answered to one question; status 0: nothing, and `body` says why."""

    status: int
    kind: str
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def refusal(self) -> str:
        """Why it is no answer that can be used, in printable letters; for a status that is none."""
        said = "".join(letter if letter.isprintable() else " " for letter in self.text).strip()
        return f"refuses with {self.status}: {said}" if self.status else said


class Errand(Generic[T]):
    """The way to one of them and back; `asked` is what whoever asks remembers of it."""

    def __init__(self, asked: T, url: str, questions: Sequence[Question], limits: Limits) -> None:
        self.asked, self.url, self.questions, self.limits = asked, url, list(questions), limits
        self.replies: list[Reply] = []
        self.deadline = time.monotonic() + limits.answer_s
        self.sock: socket.socket | None = None
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run, name=f"errand to {url[:80]}", daemon=True)
        self.thread.start()

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.done.is_set() or time.monotonic() >= self.deadline

    def take(self) -> list[Reply]:
        """What was answered in time; one that is late is cut off, and its thread ends by itself."""
        late = not self.done.is_set()
        replies = [*self.replies, *([self._no_answer()] if late else [])]
        if late and self.sock is not None:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
        return replies

    def _no_answer(self) -> Reply:
        return Reply(0, "", f"gives no answer within {self.limits.answer_s:.0f} s".encode())

    def _run(self) -> None:
        try:
            for question in self.questions:
                self.replies.append(self._ask(question))
                if self.replies[-1].status != 200:
                    break
        except TimeoutError:
            self.replies.append(self._no_answer())
        except Exception as error:
            reason = getattr(error, "strerror", None) or error or type(error).__name__
            self.replies.append(Reply(0, "", f"cannot be asked: {reason}".encode()))
        finally:
            self.done.set()

    def _ask(self, question: Question) -> Reply:
        connection = _connection(self.url, self.deadline - time.monotonic())
        try:
            connection.connect()
            self.sock = connection.sock  # of http.client's own it is gone once it reads the answer
            path = urlsplit(self.url).path
            path = path.rstrip("/") + question.path if question.path else path or "/"
            kind = {"Content-Type": question.kind} if question.kind else {}
            connection.request("POST", path, question.body, {"Connection": "close", **kind})
            with connection.getresponse() as answer:
                body = answer.read(self.limits.most_bytes + 1)
        finally:
            connection.close()
        if len(body) > self.limits.most_bytes:
            raise OSError(f"answers more than {self.limits.most_bytes} bytes")
        return Reply(answer.status, answer.headers.get_content_type(), body)


def _connection(url: str, left: float) -> http.client.HTTPConnection:
    """Of http.client, which follows no redirect and asks no proxy."""
    if not re.match(URL, url):  # it is checked when it is typed, too
        raise ValueError(f"{url!r} is no address")
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=max(0.01, left))


class Settled(NamedTuple):
    """What came of an errand: whether it counts as a failure, and whether the same one is asked again at once."""

    failed: bool
    again: bool = False


class Asking(ABC, Generic[T]):
    """What is under way in this process: at most one thread for each of those who are asked."""

    limits: Limits

    def __init__(self) -> None:
        self.errands: dict[int, Errand[T]] = {}  # by the number of whoever is asked
        # Nobody waits for these any more, but their threads have not ended.
        self.hanging: dict[int, Errand[T]] = {}
        self.failures: dict[int, int] = {}
        self.rests_until: dict[int, float] = {}

    @abstractmethod
    def begin(self, busy: set[int]) -> Iterable[tuple[int, Errand[T]]]:
        """Sends somebody to everybody who is due, but to none of these."""

    @abstractmethod
    def settle(self, errand: Errand[T], failures: int) -> Settled:
        """Takes what came of an errand to somebody who has failed so often before."""

    def tick(self) -> None:
        """Takes answers, and asks whoever is due; the quick answers are taken at once, and who can be asked again at
        once is asked in the same tick.
        """
        until = time.monotonic() + self.limits.patience_s
        self._collect()
        for _ in range(2):
            for errand in self._send():
                errand.done.wait(max(0.0, until - time.monotonic()))
            if not self._collect():
                return

    def rest(self, number: int, failures: int, *, at_once: bool = False) -> None:
        """How often somebody has failed, and so how long it is left alone."""
        self.failures[number] = failures
        rest = 0.0 if at_once or not failures else min(2.0 ** (failures - 1), LONGEST_REST_S)
        self.rests_until[number] = time.monotonic() + rest

    def _collect(self) -> bool:
        """Takes what has come; whether somebody can be asked again at once."""
        self.hanging = {number: errand for number, errand in self.hanging.items() if not errand.done.is_set()}
        over = {number: errand for number, errand in self.errands.items() if errand.is_over}
        settled = [self._settle(number, errand) for number, errand in over.items()]
        return any(settled)

    def _settle(self, number: int, errand: Errand[T]) -> bool:
        failures = self.failures.get(number, 0)
        settled = self.settle(errand, failures)
        del self.errands[number]
        if not errand.done.is_set():
            self.hanging[number] = errand
        self.rest(number, failures + 1 if settled.failed else 0, at_once=settled.again)
        return settled.again

    def _send(self) -> list[Errand[T]]:
        now = time.monotonic()
        resting = {number for number, until in self.rests_until.items() if until > now}
        begun = []
        for number, errand in self.begin({*self.errands, *self.hanging, *resting}):
            self.errands[number] = errand
            begun.append(errand)
        return begun
