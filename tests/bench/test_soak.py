"""The soak runs, and finds what has grown."""

from pathlib import Path

import pytest

from tests.bench import soak
from tests.bench.contenders import CONTENDERS
from tests.bench.load import Crowd
from tests.bench.open_loop import OpenLoop
from tests.bench.stand_in import StandIn


def test_a_short_soak_finds_nothing(capsys, monkeypatch):
    monkeypatch.setattr(soak, "pin", lambda: 0)  # the other tests of this process keep their cores
    assert soak.main(["--minutes", "2", "--minute", "2", "--phones", "300", "--reconnect", "0.2"]) == 0
    assert "nothing has grown" in capsys.readouterr().out


def test_a_soak_finds_what_has_grown():
    before = soak.Vitals(80_000, 20, 5, 8, 0, 0)
    good = soak.Vitals(100_000, 325, 5, 9, 300, 300)
    assert soak.judge_growth([good, good._replace(rss_kib=101_900)], before, 300) == []
    for wrong in ({"rss_kib": 103_100}, {"descriptors": 340}, {"threads": 6}, {"connections": 299}):
        assert len(soak.judge_growth([good, good._replace(**wrong)], before, 300)) == 1


@pytest.mark.parametrize("left", [{"connections": 1}, {"sessions": 1}, {"tasks": 9}, {"descriptors": 29}])
def test_what_phones_leave_behind_is_found(left, monkeypatch):
    before = soak.Vitals(80_000, 20, 5, 8, 0, 0)
    monkeypatch.setattr(soak, "QUIET_S", 0.0)
    monkeypatch.setattr(soak, "read_vitals", lambda pid: before)
    assert soak.check_all_gone(1, before) == []
    monkeypatch.setattr(soak, "read_vitals", lambda pid: before._replace(**left))
    assert "after all phones have left" in soak.check_all_gone(1, before)[0]


@pytest.mark.parametrize("wrong", [[], ["client 3 was told 5, the tally has 4"]])
def test_the_end_of_a_soak_compares_what_phones_were_told_with_the_tally(wrong):
    with StandIn(wrong=wrong).start(Path("."), core=0) as running, Crowd(running, 5) as crowd:
        assert soak.check_end(OpenLoop(crowd)) == wrong
        crowd.doubles, crowd.lost["reset"] = 1, 1
        assert len(soak.check_end(OpenLoop(crowd))) == 2 + len(wrong)


@pytest.mark.parametrize(
    "bad",
    [["--phones", "0"], ["--minute", "nan"], ["--minute", "0"], ["--reconnect", "2"], ["--minutes", "x"]],
)
def test_options_that_make_no_sense_are_refused(bad, capsys):
    with pytest.raises(SystemExit, match="2"):
        soak.main(bad)
    assert f"argument {bad[0]}: expected a" in capsys.readouterr().err


def test_a_soak_without_a_server_says_what_is_missing(capsys, monkeypatch):
    monkeypatch.setattr(CONTENDERS[0], "missing", lambda: "no server")
    assert soak.main(["--phones", "1"]) == 2
    assert "no server" in capsys.readouterr().err
