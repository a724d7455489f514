"""The soak runs, and finds what has grown."""

from tests.bench import soak


def test_a_short_soak_finds_nothing(capsys, monkeypatch):
    monkeypatch.setattr(soak, "pin", lambda: 0)  # the other tests of this process keep their cores
    assert soak.main(["--minutes", "2", "--minute", "2", "--phones", "300", "--reconnect", "0.2"]) == 0
    assert "nothing has grown" in capsys.readouterr().out


def test_a_soak_finds_what_has_grown():
    before = soak.Vitals(80_000, 20, 5, 8, 0)
    good = soak.Vitals(100_000, 325, 5, 9, 300)
    assert soak.judge_growth([good, good._replace(rss_kib=104_000)], before, 300) == []
    for wrong in ({"rss_kib": 106_000}, {"descriptors": 340}, {"threads": 6}, {"connections": 299}):
        assert len(soak.judge_growth([good, good._replace(**wrong)], before, 300)) == 1
