"""The bench of logins runs, and loses nothing."""

import json
from pathlib import Path

import pytest

from tests.bench import logins as bench


def test_its_short_form_loses_nothing_and_waits_for_no_hash(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Acks wait for the next write in any case: a quarter of a second, and not one hash more."""
    monkeypatch.setattr(bench, "pin", lambda: 0)
    monkeypatch.setattr(bench, "SETTLE_S", 1.0)
    options = ["--phones", "200", "--turns", "2", "--seconds", "5", "--warm-up", "1"]
    assert bench.main([*options, "--json", str(tmp_path / "figures.json")]) == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["answers"]["503"] > figures["answers"]["200"] > 0
    assert figures["p99_with_logins_ms"] < figures["p99_alone_ms"] + 250, figures
