"""Files that are there whole or not at all."""

from pathlib import Path

import pytest

from engagement.whole import replacing


def test_a_file_takes_its_name_when_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text("old")
    with replacing(path) as new:
        new.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("durable", [True, False])
def test_nothing_is_left_of_a_file_that_was_not_finished(tmp_path: Path, durable: bool) -> None:
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "record.json", durable=durable) as new:
        new.write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
