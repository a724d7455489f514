"""Weaknesses that advisories know are told, and so is that nobody could ask; the SBOM has every locked package."""

import json
import re
from pathlib import Path

import pytest

from tests import supply
from tests.supply import Looked, audit, main, read_report, sentences, write_sbom

REPORT = {
    "dependencies": [
        {"name": "django", "version": "1.0", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1", "2.0"]}]},
        {"name": "daphne", "version": "2.0", "vulns": []},
        {"name": "msgspec", "skip_reason": "not found"},
    ]
}


def test_a_weakness_is_told_with_the_versions_that_mend_it() -> None:
    looked = read_report(REPORT)
    assert looked == Looked(["django 1.0: CVE-1, mended in 1.1, 2.0"], 2, 1)
    assert list(sentences("r", looked))[1] == "r: 1 known weaknesses in 2 packages, NOT AUDITED: 1."


def test_what_nobody_could_look_at_is_never_called_good() -> None:
    skipped = read_report({"dependencies": [{"name": "a", "skip_reason": "?"}]})
    for looked in (None, skipped):
        assert list(sentences("r", looked)) == ["r: NOT AUDITED, the advisories are out of reach."]


def test_a_weakness_fails_the_run_and_silence_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supply, "audit", lambda lock: read_report(REPORT))
    assert main(["--sbom", str(tmp_path / "a.json")]) == 1
    monkeypatch.setattr(supply, "audit", lambda lock: None)
    assert main(["--sbom", str(tmp_path / "b.json")]) == 0
    assert capsys.readouterr().out.count("NOT AUDITED, the advisories are out of reach.") == len(supply.LOCKS)


def test_the_auditor_itself_answers_in_the_form_that_we_read() -> None:
    looked = audit(supply.ROOT / "requirements.txt")
    locked = len(
        re.findall(r"^[\w.-]+(?:\[\w+\])?==", (supply.ROOT / "requirements.txt").read_text(), re.MULTILINE)
    )
    # Some packages are for other systems than this one.
    assert looked is None or locked - 10 < looked.audited + looked.missing <= locked


def test_the_list_of_a_release_has_every_locked_package_with_its_hashes_and_is_the_same_each_time(
    tmp_path: Path,
) -> None:
    lock = (supply.ROOT / supply.RELEASED).read_text()
    locked = set(re.findall(r"^([\w.-]+)(?:\[\w+\])?==(\S+)", lock, re.MULTILINE))
    assert write_sbom(tmp_path / "one.json") == write_sbom(tmp_path / "two.json") == len(locked)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    found = json.loads((tmp_path / "one.json").read_text())
    assert found["bomFormat"] == "CycloneDX"
    assert {(row["name"], row["version"]) for row in found["components"]} == locked
    assert all(row["externalReferences"][0]["hashes"] for row in found["components"])
