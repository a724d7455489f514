"""The benchmark of the gateway runs, says what it should and finds what is wrong; how fast it was is not asked here."""

import json
from pathlib import Path

import pytest

from tests.bench import gateway
from tests.bench.contenders import CONTENDERS
from tests.bench.measures import FULL, SHORT, Failed, Rows, describe_intake, join_turns
from tests.bench.rounds import Rounds
from tests.bench.stand_in import StandIn
from tests.bench.table import broken_promises, compare, find_target, judge


@pytest.fixture(autouse=True)
def _keep_the_cores(monkeypatch):
    """The other tests of this process run where they did before."""
    monkeypatch.setattr(gateway, "pin", lambda: 0)


# --- the program ---


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ({"wrong": ["client 3 was told 5, the tally has 4"]}, "client 3 was told 5, the tally has 4"),
        ({"loses": 3}, "counted"),
        ({"deaf": 1}, "did not get the result"),
        ({"twice": True}, "came more than once"),
    ],
)
def test_a_broken_promise_of_ours_ends_the_program_with_1(does, says, capsys):
    assert gateway.main(["--short", "--only", "mixed"], [StandIn(**does)]) == 1
    assert says in capsys.readouterr().err


def test_what_others_break_is_shown_and_no_error(capsys):
    other = StandIn(twice=True)
    other.key = "other"
    assert gateway.main(["--short", "--only", "fanout"], [other]) == 0
    assert "came more than once" in capsys.readouterr().out


def test_those_whose_fan_out_is_close_run_there_and_back(capsys):
    ours, close, slow = StandIn(), StandIn(twice=True), StandIn()
    close.key = close.name = "nchan"
    slow.key = slow.name = "tutorial-core"
    results = gateway.run(["fanout"], [ours, slow, close], SHORT, everybody=True)
    told = [line.split("fanout: ")[1] for line in capsys.readouterr().err.splitlines() if "fanout: " in line]
    assert [line.split(" ...")[0] for line in told] == [
        "stand-in", "nchan", "tutorial-core", "nchan", "stand-in",
    ]  # fmt: skip
    found = results["fanout 20"]
    assert list(found) == ["gateway", "tutorial-core", "nchan"]
    rates = sorted(figures["value"] for figures in found["gateway"]["each"])
    assert len(rates) == 2 * len(found["tutorial-core"]["each"]) == 6
    assert found["gateway"]["value"] == sum(rates[2:4]) / 2 and "6 rounds" in found["gateway"]["details"]
    assert len(results["fanout 40"]["nchan"]["wrong"]) == 2


def test_turns_go_there_and_back_and_there():
    ours, other = StandIn(), StandIn()
    other.key = "ws"
    assert gateway.running_order("storm", [ours, other], 3) == [ours, other, other, ours, ours, other]
    assert gateway.running_order("mixed", [ours, other], 1) == [ours, other]


def test_reports_of_all_turns_are_added_and_every_storm_is_told():
    short = SHORT._replace(turns=FULL.turns)
    results = gateway.run(["intake", "storm"], [StandIn()], short, everybody=True)
    found = results["intake"]["gateway"]
    assert found["held"]["seconds"] >= 2 * short.intake_s and found["sockets"] == short.intake
    assert found["value"] == found["held"]["reports"] / found["held"]["seconds"]
    for label in ("storm 40", "storm 80"):
        assert len(results[label]["gateway"]["each"]) == 3 and results[label]["gateway"]["wrong"] == []


@pytest.mark.parametrize("name", list(FULL.turns))
def test_who_fails_in_one_of_its_turns_has_no_figure(name, monkeypatch):
    turns, measure = [], gateway.MEASURES[name]

    def fails_in_the_second(contender, place):
        turns.append(contender)
        if len(turns) == 2:
            raise RuntimeError("it does not answer")
        return measure(contender, place)

    monkeypatch.setitem(gateway.MEASURES, name, fails_in_the_second)
    results = gateway.run([name], [StandIn(twice=True)], SHORT._replace(turns=FULL.turns), everybody=True)
    assert len(turns) == FULL.turns[name] and list(results) == [name]
    found = results[name]["gateway"]
    assert found["value"] is None and found["wrong"][0] == "failed: RuntimeError: it does not answer"
    assert any("came more than once" in what for what in found["wrong"][1:])


def test_the_intake_of_all_turns_is_all_reports_over_all_the_time():
    turns: list[Rows | Failed] = [
        {"intake": {"wrong": [], **describe_intake(Rounds(*held), Rounds(100, 1.0, 0.5))}}
        for held in ((1_000, 1.0, 0.5), (3_000, 1.0, 1.5))
    ]
    joined = join_turns("intake", turns)["intake"]
    assert (joined["value"], joined["cpu_us_per_report"], joined["sustained_per_s"]) == (
        2_000.0,
        500.0,
        100.0,
    )


def test_of_some_storms_the_middle_one_is_told_and_the_failures_of_all():
    storms = [
        row(rate, sockets=40, failures=failures, wrong=["lost"] * failures, details=f"p99 of {rate}")
        for rate, failures in ((5_000.0, 0), (None, 2), (4_000.0, 0))
    ]
    joined = join_turns("storm", [{"storm 40": storm} for storm in storms])["storm 40"]
    assert (joined["value"], joined["failures"], joined["each"]) == (4_000.0, 2, [0.0, 4_000.0, 5_000.0])
    assert (
        joined["wrong"] == ["lost"] * 2 and joined["details"] == "2 failed; p99 of 4000.0; of 0, 4,000, 5,000"
    )


def test_a_contender_that_is_not_installed_is_named_and_left_out(capsys, monkeypatch):
    absent = StandIn()
    monkeypatch.setattr(absent, "missing", lambda: "Node.js")
    assert gateway.main(["--short"], [absent]) == 0
    assert "not installed: stand-in (Node.js); make bench-deps" in capsys.readouterr().err


def test_who_is_named_takes_part_in_everything():
    other = StandIn()
    other.key = "gateway-daphne"
    assert not gateway.takes_part(other, "memory", everybody=False)
    assert gateway.takes_part(other, "memory", everybody=True)
    assert gateway.takes_part(other, "intake", everybody=False)
    assert not gateway.takes_part(other, "pace", everybody=True)


@pytest.mark.parametrize("wrong", [["--only", "fan"], ["--only", "intake,x"], ["--contenders", "nobody"]])
def test_names_that_do_not_exist_are_refused(wrong, capsys):
    with pytest.raises(SystemExit, match="2"):
        gateway.main(wrong)
    assert "expected some of" in capsys.readouterr().err


def test_figures_for_a_folder_that_is_not_there_are_refused_before_the_run(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        gateway.main(["--json", str(tmp_path / "nowhere" / "figures.json")])
    assert "expected a file in a folder that is there" in capsys.readouterr().err


def test_a_choice_in_which_nobody_takes_part_is_refused(capsys):
    assert gateway.main(["--only", "intake,pace", "--contenders", "nchan"]) == 2
    assert "nobody of those chosen takes part in intake, pace" in capsys.readouterr().err


def test_only_the_sockets_of_the_chosen_measures_must_fit():
    assert gateway.most_sockets(FULL, ["intake"]) == 1_000
    assert gateway.most_sockets(FULL, ["storm", "intake"]) == 15_000
    assert gateway.most_sockets(FULL, list(gateway.MEASURES)) == 16_000


def test_the_first_lines_say_with_what_and_without_whom(capsys):
    other = StandIn()
    other.key = "other"
    assert gateway.main(["--short", "--only", "mixed"], [StandIn(), other]) == 0
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert "uvicorn" in first and "Python" in first
    assert second == "left out unless --all: mixed: other"


def row(value, **fields):
    return {"name": "", "value": value, "unit": "", "details": "", "wrong": [], **fields}


def test_ratios_and_targets_are_judged():
    results = {
        "intake": {"gateway": row(90_000.0), "ws": row(60_000.0), "tutorial-core": row(10_000.0)},
        "memory": {"gateway": row(11.9), "ws": row(8.0)},
        "storm 15000": {"gateway": row(3_000.0, failures=0)},
    }
    compare(results)
    judge(results, "storm 15000")
    assert results["intake"]["ws"]["ratio"] == 1.5 and results["intake"]["ws"]["met"]
    assert not results["intake"]["tutorial-core"]["met"]
    assert results["memory"]["gateway"]["met"] and "met" not in results["memory"]["ws"]
    assert results["storm 15000"]["gateway"]["met"]  # only that all are connected counts here
    assert broken_promises(results) == []


def test_every_number_of_sockets_has_the_target_of_its_measure():
    assert find_target("fanout 3000", "nchan") is find_target("fanout 15000", "nchan") is not None
    assert find_target("mixed", "gateway") is None


# --- the real ones ---


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """What a short run writes for programs: intake and fan-out of everybody who is installed."""
    path = tmp_path_factory.mktemp("bench") / "figures.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gateway, "pin", lambda: 0)
        assert gateway.main(["--short", "--only", "intake,fanout", "--json", str(path)]) == 0
    return json.loads(path.read_text())


def test_all_who_are_installed_take_part(figures):
    here = {one.key for one in CONTENDERS if not one.missing()}
    assert here >= {"gateway", "gateway-daphne", "tutorial-pubsub", "tutorial-core"}
    assert set(figures) == {"intake", "fanout 20", "fanout 40"}
    assert set(figures["intake"]) == here - {"nchan"}
    assert set(figures["fanout 20"]) == here
    assert set(figures["fanout 40"]) == here & gateway.LARGE_FANOUT


def test_every_figure_has_a_value_a_unit_and_the_ratio_of_ours_to_it(figures):
    for label in ("intake", "fanout 20", "fanout 40"):
        for key, found in figures[label].items():
            assert found["value"] > 0 and found["unit"] and found["wrong"] == []
            assert (found["ratio"] is None) == (key == "gateway")


def test_every_measure_of_ours_holds_its_equations(tmp_path):
    path = tmp_path / "figures.json"
    chosen = ["memory", "storm", "mixed", "scaling", "processes", "pace"]
    assert (
        gateway.main(["--short", "--contenders", "gateway", "--only", ",".join(chosen), "--json", str(path)])
        == 0
    )
    found = json.loads(path.read_text())
    sized = {f"scaling {sockets}" for sockets in SHORT.scaling}
    assert set(found) == sized | {
        *("memory", "storm 40", "storm 80", "mixed", "flatness reports", "flatness deliveries"),
        *("processes", "pace"),
    }


def test_processes_are_ended_when_the_run_is_stopped_by_hand(monkeypatch):
    monkeypatch.setitem(gateway.MEASURES, "intake", interrupted)
    assert gateway.main(["--short", "--only", "intake", "--contenders", "gateway"]) == gateway.INTERRUPTED
    assert not Path(f"/proc/{STARTED[0]}").exists()


STARTED: list[int] = []


def interrupted(contender, place):
    with contender.start(place.folder, core=0) as running:
        STARTED.extend(running.pids)
        raise KeyboardInterrupt
