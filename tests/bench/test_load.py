"""The load generator speaks WebSocket to a server of another make, and notices what that does wrong."""

import contextlib
import os
from pathlib import Path

import pytest

from tests.bench.figures import percentile, quartile
from tests.bench.frames import PING, TEXT, client_frame, close_code, is_one_text, split_frames
from tests.bench.load import Crowd
from tests.bench.measures import check_arrivals, check_doubles, check_promises, check_totals
from tests.bench.open_loop import OpenLoop
from tests.bench.processes import busy_loops
from tests.bench.rounds import sustained_rounds
from tests.bench.scaling import check_busy
from tests.bench.stand_in import StandIn


@contextlib.contextmanager
def crowd_at(stand_in, phones=5):
    with stand_in.start(Path("."), core=0) as running, Crowd(running, phones) as crowd:
        crowd.connect(patience_s=5)
        yield crowd


# --- frames and figures ---


def server_frame(payload, first=TEXT):
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 1 << 16:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_frames_of_all_three_kinds_of_length_are_found(size):
    payload = b"x" * size
    data = server_frame(payload) + server_frame(b"ping", PING)
    assert split_frames(data) == ([(TEXT, payload), (PING, b"ping")], b"")


def test_frames_may_be_cut_anywhere():
    data = server_frame(b"one") + server_frame(b"2" * 200) + server_frame(b"three")
    for cut in range(len(data)):
        first, rest = split_frames(data[:cut])
        second, nothing = split_frames(rest + data[cut:])
        assert [payload for _, payload in first + second] == [b"one", b"2" * 200, b"three"]
        assert nothing == b""


@pytest.mark.parametrize(
    ("data", "one"),
    [
        (server_frame(b"hi"), True),
        (server_frame(b"x" * 126), True),
        (server_frame(b"x" * 65_536), False),  # rare enough for the slow way
        (server_frame(b"hi") + server_frame(b"hi"), False),
        (server_frame(b"hello")[:-1], False),
        (server_frame(b"hi", PING), False),
        (b"\x81", False),
        (b"", False),
    ],
)
def test_one_whole_text_frame_is_told_from_all_else(data, one):
    assert is_one_text(data) is one


def test_a_frame_of_a_client_is_masked_as_in_the_standard():
    assert client_frame(b"Hello").hex() == "818537fa213d7f9f4d5158"  # RFC 6455, 5.7


def test_a_close_frame_has_a_code_or_none():
    assert [close_code(b"\x11\x4dretry"), close_code(b"")] == [4429, 1005]


def test_percentiles_are_values_that_occurred():
    assert [percentile(range(1, 101), share) for share in (0.0, 0.5, 0.99, 1.0)] == [1, 50, 99, 100]
    assert percentile([], 0.5) is None
    assert quartile([4, 3, 1, 2]) == 1
    with pytest.raises(ValueError, match="nothing"):
        quartile([])


# --- the load, against a server of another make ---


def test_reports_are_counted_and_told():
    with crowd_at(StandIn()) as crowd:
        crowd.report(crowd.phones, 7)
        assert check_totals(crowd) == []
        assert crowd.told == dict.fromkeys(range(5), 7)
        assert crowd.sent == 5


def test_rounds_of_reports_end_with_an_answer_for_every_group():
    with crowd_at(StandIn(), phones=8) as crowd:
        rounds = sustained_rounds(crowd, 0.2, 0.05)
        assert rounds.reports > 0 and rounds.reports % 2 == 0  # groups of two
        assert check_totals(crowd) == []


def test_a_report_that_is_not_counted_is_found():
    with crowd_at(StandIn(loses=1)) as crowd:
        crowd.report(crowd.phones, 1)
        assert check_totals(crowd, 0.3) == ["5 reports were sent, 4 counted"]


def test_a_socket_that_the_server_closes_is_found_with_its_code():
    with crowd_at(StandIn()) as crowd:
        crowd.say(crowd.phones[0], client_frame(b"bye"))
        crowd.listen(lambda *_: None, crowd.phones[0].welcomed_at + 5, lambda: bool(crowd.lost))
        assert check_totals(crowd) == ["sockets lost: {'closed with 4429': 1}"]


def test_phones_that_a_broadcast_does_not_reach_are_counted():
    with crowd_at(StandIn(deaf=2)) as crowd:
        arrivals = crowd.broadcast(patience_s=0.5)
        assert check_arrivals([arrivals]) == ["2 of 5 deliveries never came"]


def test_a_broadcast_that_comes_twice_is_counted():
    with crowd_at(StandIn(twice=True)) as crowd:
        assert check_arrivals([crowd.broadcast()]) == []
        assert check_doubles(crowd) == ["5 messages came more than once"]


def test_an_older_broadcast_that_comes_once_more_is_counted_whatever_is_waited_for():
    with crowd_at(StandIn()) as crowd:
        crowd.broadcast()
        crowd.running.broadcast(b"marker-0-")
        assert check_arrivals([crowd.broadcast()]) == []
        assert check_doubles(crowd) == ["5 messages came more than once"]
        load = OpenLoop(crowd)
        crowd.running.broadcast(b"marker-1-")
        load.run(0.3)
        assert crowd.doubles == 10


def test_a_broadcast_that_comes_late_came_once():
    with crowd_at(StandIn()) as crowd:
        crowd.new_marker()
        crowd.running.broadcast(b"marker-0-")
        crowd.broadcast()
        assert crowd.doubles == 0


def test_a_phone_that_was_told_more_than_it_sent_is_found():
    with crowd_at(StandIn()) as crowd:
        crowd.report(crowd.phones, 7)
        crowd.phones[0].acked = 8
        assert check_totals(crowd) == ["1 phones were told more than they had sent"]


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ({}, []),
        ({"loses": 1}, ["5 reports were sent, 4 counted"]),
        ({"deaf": 1}, ["1 of 5 deliveries never came"]),
        ({"twice": True}, ["5 messages came more than once"]),
    ],
)
def test_after_every_measure_the_promises_are_checked(does, says):
    with crowd_at(StandIn(**does)) as crowd:
        assert check_promises(crowd, 0.3) == says


def test_a_storm_lasts_from_the_first_connect_to_the_last_welcome():
    with crowd_at(StandIn(), phones=3) as crowd:
        for phone, started_at, welcomed_at in zip(crowd.phones, (1, 2, 5), (4, 7, 6), strict=True):
            phone.started_at, phone.welcomed_at = started_at, welcomed_at
        assert crowd.arrived_s == 6


def test_a_busy_loop_that_has_ended_is_found():
    with busy_loops(2, min(os.sched_getaffinity(0))) as loops:
        assert check_busy(loops) == []
        loops[0].kill()
        loops[0].wait(5)
        assert check_busy(loops) == ["1 of 2 busy loops ended early"]


def test_phones_that_report_by_the_clock_come_back_and_lose_nothing():
    with crowd_at(StandIn(), phones=20) as crowd:
        load = OpenLoop(crowd, every_s=0.1, reconnects_per_s=20)
        load.run(1.0)
        assert load.finish()
        assert load.reconnects > 5 and crowd.ready == 20
        assert load.acks_from(0).total() > 50
        assert all(phone.acked == phone.total for phone in crowd.phones)


def test_phones_obey_the_pace():
    with crowd_at(StandIn()) as crowd:
        load = OpenLoop(crowd, every_s=0.1, obeys=True)
        crowd.running.broadcast(b'{"type":"pace","report_every_ms":5000,"jitter_ms":1000}')
        load.run(0.3)
        assert {phone.pace for phone in crowd.phones} == {(5.0, 1.0)}
        sent = crowd.sent
        load.run(0.5)
        assert crowd.sent == sent


def test_a_slower_pace_puts_off_the_report_that_is_waited_for():
    with crowd_at(StandIn()) as crowd:
        load = OpenLoop(crowd, every_s=0.4, obeys=True)
        pace = b'{"type":"pace","report_every_ms":5000,"jitter_ms":1000}'
        load.run(0.9, [(0.45, lambda: crowd.running.broadcast(pace))])
        sent = crowd.sent  # everybody once, and some of them twice
        assert len(crowd.phones) < sent < 2 * len(crowd.phones)
        load.run(0.5)
        assert crowd.sent == sent


def test_phones_that_obey_leave_out_one_turn_while_they_wait_for_an_ack():
    with crowd_at(StandIn(silent=True)) as crowd:
        OpenLoop(crowd, every_s=0.2, obeys=True).run(1.1)
        assert 2 * len(crowd.phones) < crowd.sent <= 3 * len(crowd.phones)
