"""What a gateway measures of itself: the processor it wants, and the lateness of its event loop."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engagement.gateway.load_meter import SCHEDSTAT, LoadMeter
from gala.processes import spawn, stop_all

SPIN = "import time; end = time.monotonic() + 10\nwhile time.monotonic() < end: pass"

needs_schedstat = pytest.mark.skipif(not Path(SCHEDSTAT).exists(), reason="this kernel has no schedstat")


def spin(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@pytest.fixture
def shared_core(tmp_path: Path) -> Iterator[None]:
    """This thread has one core, and shares it with two processes that never rest."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    others = [
        spawn([sys.executable, "-c", SPIN], env=dict(os.environ), log=tmp_path / "spin.log") for _ in range(2)
    ]
    time.sleep(0.3)  # they have started
    yield
    os.sched_setaffinity(0, before)
    stop_all(others, seconds=2)


@pytest.fixture
def meter(request: pytest.FixtureRequest) -> Iterator[LoadMeter]:
    meter = LoadMeter(getattr(request, "param", SCHEDSTAT))
    yield meter
    meter.stop()


async def test_a_loop_that_rests_is_neither_busy_nor_late(meter: LoadMeter) -> None:
    meter.start()
    await asyncio.sleep(0.5)
    load = meter.sample(flush_ms=120)
    assert load.busy < 0.3 and load.lag_ms < 200 and load.flush_ms == 120


@pytest.mark.parametrize("meter", [SCHEDSTAT, "/nowhere"], indirect=True)
async def test_a_loop_that_works_half_of_the_time_says_so_with_and_without_the_kernels_figures(
    meter: LoadMeter,
) -> None:
    meter.start()
    started, used = time.monotonic(), time.thread_time()
    for _ in range(10):
        spin(0.03)
        await asyncio.sleep(0.03)
    share = (time.thread_time() - used) / (time.monotonic() - started)
    assert share - 0.05 < meter.sample(0).busy < 0.95


@needs_schedstat
@pytest.mark.usefixtures("shared_core")
async def test_waiting_for_the_processor_counts_as_busy(meter: LoadMeter) -> None:
    meter.start()
    started, used = time.monotonic(), time.thread_time()
    spin(0.6)
    share = (time.thread_time() - used) / (time.monotonic() - started)
    assert share < 0.7, "the others did not take their part"
    assert meter.sample(0).busy > 0.9


async def test_the_greatest_lateness_since_the_last_sample_is_told_once(meter: LoadMeter) -> None:
    meter.start()
    await asyncio.sleep(0.01)
    time.sleep(0.5)  # a loop that hangs
    await asyncio.sleep(0.15)
    assert 350 <= meter.sample(0).lag_ms < 1_500
    await asyncio.sleep(0.25)
    assert meter.sample(0).lag_ms < 300


async def test_a_timer_that_is_overdue_counts_before_it_runs(meter: LoadMeter) -> None:
    meter.start()
    time.sleep(0.5)  # a loop that hangs
    assert meter.sample(0).lag_ms >= 350


@pytest.mark.parametrize("text", ["0 0 0\n", None])
async def test_a_kernel_that_does_not_count_is_found_out(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "schedstat"
    if text is not None:
        file.write_text(text)
    meter = LoadMeter(str(file))
    meter.start()
    started, used = time.monotonic(), time.thread_time()
    spin(0.1)
    share = (time.thread_time() - used) / (time.monotonic() - started)
    assert meter.sample(0).busy > share / 2
    meter.stop()


async def test_a_meter_that_has_stopped_leaves_no_timer() -> None:
    meter = LoadMeter()
    meter.start()
    meter.stop()
    await asyncio.sleep(0.15)
    assert meter._timer is not None and meter._timer.cancelled()


async def test_a_meter_that_never_started_can_be_stopped() -> None:
    LoadMeter().stop()
