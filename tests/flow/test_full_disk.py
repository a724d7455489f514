"""The disk of the draws is full on the night itself, in real processes."""

import json
from pathlib import Path

import pytest

from tests.disks import fill, small_disk
from tests.flow.night import Night, interrupt
from tests.flow.test_gala_night import wait_until

pytestmark = pytest.mark.flow


@pytest.mark.nightly
def test_a_full_disk_is_three_tries_then_a_person_makes_room_and_presses_draw(
    night: Night, tmp_path: Path
) -> None:
    def draw() -> dict:
        return json.loads(night.expect("segment", "status", "1", "--json"))["draws"][0]

    with small_disk(tmp_path / "draws") as disk:
        night.environment["DRAWS_DIR"] = str(disk)
        ballast = fill(disk)
        with night.show("--phones", "5", "--seconds", "3") as show:
            wait_until(lambda: (night.data / "logs" / "worker.log").exists(), night)
            trouble = "SELECT trouble FROM prizes_draw"
            wait_until(lambda: "Given up after 3 tries" in (night.ask(trouble) or ""), night, 90)
            assert f"Disk full: make room in {disk}" in draw()["trouble"]
            assert "Disk full" in night.expect("segment", "status", "1")
            log = (night.data / "logs" / "worker.log").read_text()
            assert log.count("Traceback") == 3, log[-6000:]
            ballast.unlink()
            night.expect("segment", "draw", "1", "--as", "olga")
            night.wait_for_phase(1, "published", 40)
            assert "NOT OK" not in night.expect("audit_draw", str(draw()["draw"]))
            interrupt(show)
            assert night.ends_within(15), night.output()


def test_a_night_that_does_not_fit_on_the_disk_is_one_clear_line(night: Night, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 3 << 20) as disk:
        done = night.run("show", "--once", "--port", str(night.port), "--data", str(disk / "data"))
        assert done.returncode == 2 and done.stderr == (
            f"show: the disk of {disk / 'data'} has 3 MB left, a night with 300 phones needs 32 MB: "
            "make room there, or choose another directory with --data\n"
        )
        assert not list(disk.rglob("*.sqlite3*"))


def test_a_disk_that_was_full_at_the_first_start_leaves_no_empty_secret_behind(
    night: Night, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "small") as disk:
        # As a new user starts it: with neither a database nor a secret of one's own.
        for name in ("DATABASE_URL", "SECRET_KEY"):
            night.environment.pop(name, None)
        start = ("show", "--once", "--port", str(night.port), "--data", str(disk))
        ballast = fill(disk)
        done = night.run(*start)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert f"cannot write {disk / 'secret_key'}: No space left on device" in done.stderr
        ballast.unlink()
        assert "1 MB left" in night.run(*start).stderr
        assert len((disk / "secret_key").read_text()) >= 32
