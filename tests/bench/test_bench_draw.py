"""The benchmark runs and says what it should; how fast it was is nobody's business here."""

import json

import pytest

from tests.bench import draw


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The figures of a small run, as they are written for programs."""
    path = tmp_path_factory.mktemp("bench") / "figures.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw, "pin", lambda cores=1: None)  # the other tests of this process keep their cores
        assert draw.main(["--entries", "20000", "--shards", "5", "--json", str(path)]) == 0
    return json.loads(path.read_text())


def test_every_measure_has_its_figures(results):
    measures = {
        name: set(row) for name, row in results.items() if name not in ("machine", "date", "versions")
    }
    engine = {name: {"engine"} for name in ("freeze", "freeze and totals", "count", "roll", "totals", "disk")}
    assert measures == {
        **engine,
        "rank": {"engine"},
        "prove": {"engine"},
        "sort": {"engine", "np.sort"},
        "draw": {"engine", "SHA-256 loop", "numpy choice"},
        "verify": {"verifier"},
        "split": {"two workers"},
    }
    for measure in measures:
        for row in results[measure].values():
            assert row["value"] >= 0 and row["unit"] == "s" and row["entries"] == 20_000
    assert results["versions"].keys() == {"python", "numpy", "cryptography"}


def test_four_shards_on_two_workers_give_the_same_bytes(results):
    assert results["split"]["two workers"]["same_bytes"] is True


def test_targets_are_judged_at_full_size_only():
    row = {"value": 4.9, "peak_rss_mib": 90}
    assert draw.judge("freeze", "engine", row, draw.FULL) == "5 s, 128 MiB: met"
    assert draw.judge("draw", "engine", row, draw.FULL) == "4 s, 128 MiB: MISSED"
    assert draw.judge("freeze", "engine", {**row, "peak_rss_mib": 129}, draw.FULL).endswith("MISSED")
    assert draw.judge("freeze", "engine", row, 1000) == "5 s, 128 MiB for 35,000,000"
    assert draw.judge("draw", "numpy choice", row, draw.FULL) == ""


@pytest.mark.parametrize("wrong", [["--entries", "0"], ["--entries", "many"], ["--shards", "-1"]])
def test_numbers_that_make_no_sense_are_refused(wrong, capsys):
    with pytest.raises(SystemExit, match="2"):
        draw.main(wrong)
    assert "argument --" in capsys.readouterr().err
