"""The key of a show is opened afterwards: an auditor sees that it is the promised one, and who is behind the roll."""

from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from engagement.core.digests import derive_pseudonym, derive_salt
from engagement.models import LedgerEntry, Show
from engagement.vault import open_secret
from prizes import verify_draw as verifier
from prizes.files import fetch, roll_name
from prizes.models import Draw
from prizes.publication import record_of
from prizes.steps.publish import publish_segment
from tests.cast import OPERATOR, armed_segment
from tests.prizes.pipeline import ended, run_all

pytestmark = pytest.mark.django_db(transaction=True)

UIDS = [0, 7, 2**53, 2**63 + 5, 2**64 - 1]


def open_key(*words: str) -> str:
    out = StringIO()
    call_command("show_key", *words, stdout=out)
    return out.getvalue().strip()


@pytest.fixture
def draw(show: Show) -> Draw:
    key = open_secret(show.k_show)
    names = [derive_pseudonym(show.slug, uid, derive_salt(key, show.slug, uid)) for uid in UIDS]
    segment = ended(armed_segment(show), dict.fromkeys(names, 100))
    run_all(segment)
    publish_segment(segment.pk, actor=OPERATOR)
    return Draw.objects.select_related("show", "segment__freeze").get(segment=segment)


def verify(folder: Path, draw: Draw, key: str, uids: Sequence[object]) -> int:
    (folder / "record.json").write_bytes(record_of(draw).content)
    (folder / "key.txt").write_text(key + "\n")
    (folder / "ids.txt").write_text("\n".join(map(str, uids)))
    more = ["--show-key", str(folder / "key.txt"), "--uids", str(folder / "ids.txt")]
    return verifier.main([str(folder / "record.json"), str(fetch(roll_name(draw.key))), *more])


def test_the_opened_key_shows_who_stands_behind_every_entry(
    draw: Draw, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = open_key(draw.show.slug, "--reason", "the audit")
    told = LedgerEntry.objects.get(show=draw.show, action="open key")
    assert told.reason == "the audit" and key not in told.details
    assert verify(tmp_path, draw, key, [*UIDS, 99]) == 0
    assert "every entry of the roll is of one of the 6 ids" in capsys.readouterr().out
    assert verify(tmp_path, draw, key, UIDS[:3]) == 1  # two were stuffed in
    assert "got 2 others" in capsys.readouterr().out
    assert verify(tmp_path, draw, "00" * 32, UIDS) == 1
    assert "commitment to the show's key: expected" in capsys.readouterr().out
    hostile: list[tuple[str, Sequence[object]]] = [("zz", UIDS), ("00", UIDS), (key, [2**64]), (key, ["x"])]
    for text, uids in hostile:
        assert verify(tmp_path, draw, text, uids) == 1
        assert "FAIL files: " in capsys.readouterr().out


def test_nothing_is_opened_during_a_show_or_without_a_reason(show: Show) -> None:
    segment = armed_segment(show)
    with pytest.raises(CommandError, match="is armed: the key"):
        open_key(show.slug, "--reason", "curious")
    assert segment.show == show
    with pytest.raises(CommandError, match="needs a reason"):
        open_key(show.slug)
    with pytest.raises(CommandError, match="there is no show"):
        open_key("nowhere", "--reason", "x")
    assert not LedgerEntry.objects.filter(action="open key").exists()
