"""What a stub costs a gateway: final reports, whose acks come with one, beside reports while a window is open."""

from time import perf_counter
from typing import Any

from tests.bench.figures import quartile
from tests.bench.load import Crowd, Phone
from tests.bench.measures import Place, Rows, check_connected
from tests.bench.rounds import held_round, rest

STUB = b'"type":"stub"'


class Finals:
    """The phones of one feed, and how many stubs they have heard."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd, self.stubs = crowd, 0
        self.costs_us: list[float] = []  # of a report, for each round
        note_ack = crowd.note_ack

        def count(phone: Phone, data: bytes) -> int:
            self.stubs += STUB in data
            return note_ack(phone, data)

        crowd.note_ack = count  # type: ignore[method-assign]

    def play_round(self) -> None:
        """A report of everybody, with its flush, its acks and what comes with them."""
        rest(self.crowd)
        before = self.crowd.cpu_seconds()
        held_round(self.crowd)
        rest(self.crowd)
        self.costs_us.append((self.crowd.cpu_seconds() - before) / self.crowd.ready * 1e6)


def finals(contender: Any, place: Place) -> Rows:
    """Two crowds on one process, in alternating rounds: the window of the one is over, that of the other is not."""
    sizes = place.sizes
    with contender.start(place.folder, core=place.core) as running:
        over, open_ = running.split_feeds()
        with Crowd(over, sizes.finals) as ended, Crowd(open_, sizes.finals, first=sizes.finals) as shaking:
            ended.connect()
            shaking.connect()
            wrong = check_connected(ended) + check_connected(shaking)
            signed, plain = Finals(ended), Finals(shaking)
            ended.listen(
                ended.note_ack, perf_counter() + sizes.idle_s, lambda: False
            )  # until the first heartbeat
            for number in range(sizes.final_rounds + 1):
                for side in (signed, plain) if number % 2 else (plain, signed):
                    side.play_round()
            rounds = sizes.final_rounds + 1
            wrong += check_stubs(signed, rounds) + check_stubs(plain, 0)
            wrong += running.check_tally(ended.told | shaking.told)
    with_stub, without = (quartile(side.costs_us[1:]) for side in (signed, plain))
    return {
        "finals": {
            "value": (with_stub - without) / without,
            "unit": "reports/stub",
            "with_us": with_stub,
            "without_us": without,
            "sockets": sizes.finals,
            "details": f"a final report {with_stub:.1f} µs CPU with its stub, another {without:.1f} without",
            "wrong": wrong,
        }
    }


def check_stubs(side: Finals, rounds: int) -> list[str]:
    """Everybody gets one with each total."""
    expected = rounds * side.crowd.ready
    return [] if side.stubs == expected else [f"expected {expected:,} stubs, got {side.stubs:,}"]
