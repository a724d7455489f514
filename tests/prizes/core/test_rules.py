"""The rules hold everything that is promised before the window opens, and refuse what can't be promised."""

import pytest

from prizes.core.digests import rules_digest
from prizes.core.rules import BEACON_RULES
from tests.prizes.draws import make_prize, make_rules

WINDOW = {"feed": "tv", "delay_ms": 1500, "window_ms": 60000}
STAMPER = {"name": "tsa", "certificate": "55" * 32}
WITNESS = {"name": "notary", "key": "notary+00000000+BAAA"}
PARTY = {"name": "operator", "commitment": "80" * 32}


def test_the_rules_say_how_many_win_and_how_many_wait():
    rules = make_rules(prizes=3, reserves=8)
    assert (rules["winners"], rules["reserves"], rules["tmax"]) == (3, 8, 3)
    assert [prize["id"] for prize in rules["prizes"]] == ["prize-0", "prize-1", "prize-2"]


@pytest.mark.parametrize("kind", BEACON_RULES)
def test_each_beacon_is_described_in_the_rules(kind):
    beacon = make_rules(beacon=kind)["beacon"]
    assert (beacon["kind"], beacon["rule"]) == (kind, BEACON_RULES[kind])
    assert len(beacon["chain"]) == (64 if kind == "drand" else 0)


def test_a_change_of_any_rule_changes_the_digest():
    changed = [make_rules(3), make_rules(reserves=1), make_rules(beacon="dice")]
    changed.append(make_rules(changes={"eligibility": "x"}))
    assert len({rules_digest(rules) for rules in [make_rules(), *changed]}) == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prizes": []}, "at least one prize"),
        ({"prizes": [make_prize(1), make_prize(1)]}, "'prize-1' again"),
        ({"prizes": [{**make_prize(1), "value_minor": -1}]}, "value_minor of 0"),
        ({"prizes": [{**make_prize(1), "value_minor": 1.5}]}, "value_minor of a prize as int"),
        ({"prizes": [{**make_prize(1), "currency": "eur"}]}, "three capital letters"),
        ({"prizes": [{**make_prize(1), "colour": "red"}]}, "expected a prize with"),
        ({"prizes": [{**make_prize(1), "size": 38}]}, "size of a prize as str"),
        ({"prizes": [{**make_prize(1), "id": ""}]}, "prize id as text"),
        ({"reserves": 8}, r"reserves of 0 \.\. 7, got 8"),
        ({"reserves": -1}, "got -1"),
        ({"reserves": True}, "got True"),
        ({"windows": []}, "at least one feed"),
        ({"windows": [{**WINDOW, "window_ms": 0}]}, "window_ms of 1"),
        ({"windows": [{**WINDOW, "delay_ms": -1}]}, "delay_ms of 0"),
        ({"windows": [{**WINDOW, "opens_at": 0}]}, "expected a window with"),
        ({"windows": [WINDOW, WINDOW]}, "'tv' again"),
        ({"parties": []}, "at least one party"),
        ({"parties": [PARTY, PARTY]}, "'operator' again"),
        ({"parties": [{**PARTY, "commitment": "AB" * 32}]}, "commitment of 'operator'"),
        ({"parties": [{**PARTY, "name": ""}]}, "party name"),
        ({"tickets": [[10, 0]]}, "row 1"),
        ({"seal_margin_s": 14}, "seal_margin_s of 15"),
        ({"reveal_deadline_s": 61}, r"reveal_deadline_s of 1 \.\. 60"),
        ({"k_show_commitment": "11"}, "k_show_commitment as 64"),
        ({"software_digest": None}, "software_digest as 64"),
        ({"draw_id": ""}, "draw_id as text"),
        ({"void_rule": ""}, "void_rule as text"),
        ({"beacon_kind": "lottery"}, "drand, dice, local, got 'lottery'"),
        ({"beacon_kind": "dice", "throws": 49}, r"throws of 50 \.\. 400, got 49"),
        ({"publish_by_s": 119}, "publish_by_s of 120"),
        ({"quorum": 1}, r"quorum of 0 \.\. 0, got 1"),
        ({"stampers": [STAMPER, STAMPER]}, "'tsa' again"),
        ({"stampers": [STAMPER, {**STAMPER, "name": "other"}]}, "certificate of a time stamper once"),
        ({"stampers": [{**STAMPER, "certificate": "ab"}]}, "certificate of 'tsa' as 64"),
        ({"stampers": [{**STAMPER, "name": ""}]}, "time stamper's name as text"),
        ({"stampers": [STAMPER] * 5}, "number of time stampers of 0 .. 4, got 5"),
        ({"unwitnessed": "maybe"}, "unwitnessed of wait, go on, got 'maybe'"),
        ({"witnesses": [WITNESS, WITNESS]}, "'notary' again"),
        ({"witnesses": [WITNESS, {**WITNESS, "name": "other"}]}, "key of a witness once"),
        ({"witnesses": [{**WITNESS, "key": ""}]}, "witness key as text"),
    ],
)
def test_rules_that_can_not_be_promised_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make_rules(changes=changes)
