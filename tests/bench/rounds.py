"""Reports in rounds, one frame per read: a phone reports again only when its last report has been read.

That is so once a question, asked after a whole round was written, is answered: a server takes sockets in the order in
which they had something.
"""

from collections.abc import Sequence
from time import perf_counter
from typing import NamedTuple

from tests.bench.load import Crowd, LoadError, Phone
from tests.bench.processes import held, read_cpu_seconds

ACKS_S = 5.0
GROUPS = 4


class Rounds(NamedTuple):
    """Reports that were answered for within a time, and what they cost the server."""

    reports: int
    seconds: float
    cpu_s: float


def add_rounds(some: Sequence[Rounds]) -> Rounds:
    """All of them together.

    >>> add_rounds([Rounds(1_000, 0.5, 0.25), Rounds(3_000, 0.5, 0.5)])
    Rounds(reports=4000, seconds=1.0, cpu_s=0.75)
    """
    return Rounds(*map(sum, zip(*some, strict=True)))


# --- as fast as the load can send ---


class Sustained:
    """Phones in groups: one group waits for its answer while the others keep the server busy."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd, self.reports, self.open_rounds, self.stopping = crowd, 0, 0, False
        phones = crowd.online
        self.groups = [phones[number::GROUPS] for number in range(GROUPS)]
        self.group_of = {group[-1]: group for group in self.groups}

    def begin(self, group: list[Phone]) -> None:
        """All of a group report, then its last one asks a question."""
        self.crowd.report(group, max(phone.total for phone in group) + 1)
        self.crowd.sync(group[-1])
        self.open_rounds += 1

    def hear(self, phone: Phone, data: bytes) -> None:
        if self.crowd.dialect.synced not in data:
            self.crowd.note_ack(phone, data)
            return
        group = self.group_of[phone]
        self.reports += len(group)
        self.open_rounds -= 1
        if not self.stopping:
            self.begin(group)

    def lap(self, seconds: float) -> tuple[int, float, float]:
        """Goes on for so long, and up to the end of a round: reports, time and processor time so far."""
        self.crowd.listen(self.hear, perf_counter() + seconds, lambda: False)
        before = self.reports
        self.crowd.expect(self.hear, lambda: self.reports > before, "the answer to a sync")
        return self.reports, perf_counter(), self.crowd.cpu_seconds()


def sustained_rounds(crowd: Crowd, seconds: float, warm_up_s: float) -> Rounds:
    """Reports without a pause, until the server or the load has no more to give.

    Now and then two frames are read at once: a server may look at the question before it has looked at everything.
    """
    rounds = Sustained(crowd)
    for group in rounds.groups:
        rounds.begin(group)
    reports, began, cpu_s = rounds.lap(warm_up_s)
    reports_at_end, ended, cpu_s_at_end = rounds.lap(seconds)
    rounds.stopping = True
    crowd.expect(rounds.hear, lambda: not rounds.open_rounds, "the answer to the last sync")
    return Rounds(reports_at_end - reports, ended - began, cpu_s_at_end - cpu_s)


# --- as fast as the server can take them ---
# It is stopped, one report is written on each socket and a question as the last of each server, and it goes on: by
# then the load has done its work.


class HeldRound(NamedTuple):
    """One report of everybody: for how long the servers ran, what that cost, and for how long they stood before."""

    seconds: float
    cpu_s: float
    held_s: float


def held_round(crowd: Crowd) -> HeldRound:
    """One round; what the servers have not done by its end, they do in the next one."""
    phones = crowd.online
    leaders = _last_of_each_server(crowd, phones)
    total = max(phone.total for phone in phones) + 1
    before = perf_counter()
    with held(crowd.running.pids):
        crowd.report(phones, total)
        for leader in leaders:
            crowd.sync(leader)
        cpu_before, start = read_cpu_seconds(crowd.running.pids), perf_counter()
    crowd.wait_for_answers(leaders)
    seconds = perf_counter() - start
    return HeldRound(seconds, crowd.cpu_seconds() - cpu_before, start - before)


def _last_of_each_server(crowd: Crowd, phones: list[Phone]) -> list[Phone]:
    last = {crowd.address_of(phone.number): phone for phone in phones}
    return list(last.values())


def held_rounds(crowd: Crowd, seconds: float) -> Rounds:
    """One round after the other, until the servers have run for so long."""
    running, cpu_s, sent = 0.0, 0.0, crowd.sent
    while running < seconds:
        done = held_round(crowd)
        running, cpu_s = running + done.seconds, cpu_s + done.cpu_s
    return Rounds(crowd.sent - sent, running, cpu_s)


def rest(crowd: Crowd) -> None:
    """Waits until the servers have done everything, up to the last ack."""
    if not crowd.wait_for_acks(ACKS_S):
        raise LoadError("the acks of the last round did not come")
