"""The sheet of a signed total, on a real night: what it says, and what is no stub."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from engagement.core.digests import canonical_json, parse_canonical
from engagement.ledger.core.stubs import LONGEST_STUB
from engagement.models import Show
from prizes import files
from prizes.models import Draw
from prizes.views.stub_sheets import LONGEST_FILE, read_stub
from tests.cast import armed_segment
from tests.prizes import kept, nights, pipeline
from tests.prizes.kept import STRANGER, Night

pytestmark = pytest.mark.django_db(transaction=True)

VIEWERS = pipeline.VIEWERS
WITH, WITHOUT = sorted(VIEWERS)[10], bytes([0xDD]) * 14
TOTAL = VIEWERS[WITH]


@pytest.fixture
def night(show: Show) -> Night:
    return nights.once("stub sheets", lambda: kept.play(armed_segment(show), VIEWERS, [WITH, WITHOUT]))


def sheet(client: Client, stub: bytes, lang: str = "en", status: int = 200) -> str:
    answer = client.post(f"/stub/?lang={lang}", {"stub": stub.decode()})
    assert answer.status_code == status, answer.content.decode()
    return " ".join(answer.content.decode().split())


def alone(kept_file: bytes) -> bytes:
    """The stub in the file of a phone."""
    return canonical_json(parse_canonical(kept_file)["stub"])


@pytest.mark.parametrize("form", ["kept", "alone", "file"])
def test_the_sheet_says_what_was_signed_and_what_the_roll_has(
    client: Client, night: Night, form: str
) -> None:
    stub = night.stub(WITH, TOTAL)
    if form == "file":
        upload = SimpleUploadedFile("stub.json", stub + b"\n")
        page = " ".join(client.post("/stub/?lang=en", {"file": upload}).content.decode().split())
    else:
        page = sheet(client, stub if form == "kept" else alone(stub))
    draw = Draw.objects.get()
    assert f"The server has signed that {TOTAL} shakes of this viewer are counted." in page
    assert "The signature holds" in page and f'id="viewer">{WITH.hex()}<' in page
    assert f"Draw {draw.pk}: the roll gives you" in page and "It is as it must be." in page
    assert f"/api/draws/{draw.pk}/receipt/{WITH.hex()}" in page
    # Which of the prizes a roll is for, and its seal: a segment may have several.
    assert "Coat, worn by Star 1" in page and f'digits8">{draw.seal[:8]}<' in page


def test_more_than_the_roll_has_is_said_in_plain_words(client: Client, night: Night) -> None:
    page = sheet(client, night.stub(WITH, 10**6))
    assert "THE SERVER PROMISED MORE THAN THE ROLL HAS" in page
    assert "承诺的多于名单所载" in sheet(client, night.stub(WITHOUT, 10**6), lang="zh")


def test_a_changed_stub_and_the_key_of_a_stranger_are_not_called_good(client: Client, night: Night) -> None:
    changed = parse_canonical(alone(night.stub(WITH, TOTAL))) | {"total": TOTAL + 1}
    for stub in (canonical_json(changed), night.stub(WITH, TOTAL, STRANGER)):
        page = sheet(client, stub)
        assert "THE SIGNATURE DOES NOT HOLD" in page and "The signature holds" not in page
    page = sheet(client, night.stub(WITH, TOTAL, gateway="nobody"))
    assert "cannot check the signature" in page


def test_a_stub_of_another_play_or_show_is_compared_with_no_roll(client: Client, night: Night) -> None:
    for segment in (night.segment.replace("-", "-9"), "x", "9" * 30):
        page = sheet(client, night.stub(WITH, TOTAL, segment=segment))
        assert "No roll of this segment is sealed here." in page
    assert "No roll of this segment is sealed here." in sheet(
        client, night.stub(WITH, TOTAL, show="elsewhere")
    )


def test_without_its_roll_it_says_so(client: Client, night: Night) -> None:
    files.fetch(files.roll_name(Draw.objects.get().key)).unlink()
    assert "its roll is not on this server any more" in sheet(client, night.stub(WITH, TOTAL))


def test_a_form_asks_for_the_file_and_says_what_was_wrong(client: Client, night: Night) -> None:
    page = client.get("/stub/?lang=en").content.decode()
    assert "Choose the file that your phone has saved" in page and "<script>" not in page
    assert client.post("/stub/", {}).status_code == 200
    deep, huge = b"[" * 20_000, b"1" * (LONGEST_FILE + 1)
    other = canonical_json({"$format": "shake-stub/v1/kept", "stub": {"show": "<script>"}})
    for junk in (b"nothing", b"{}", b"[1]", b"null", b'"<script>"', "\u202eكتاب".encode(), deep, huge, other):
        assert "This is no signed total:" in sheet(client, junk, status=400)
        assert "<script>alert" not in sheet(client, junk, status=400)
    with pytest.raises(ValueError, match="at most"):
        read_stub(b'"' + b"x" * LONGEST_STUB + b'"' + b" " * LONGEST_FILE)
    assert client.put("/stub/").status_code == 405


def test_the_longest_names_fit_into_a_code(client: Client, night: Night) -> None:
    """Or, where a stub is longer than any code, the sheet comes without one and says why."""
    long = night.stub(WITH, TOTAL, gateway="g" * 190, segment="s" * 190, show="é" * 190)
    assert "The server has signed" in sheet(client, long)
    stub = parse_canonical(alone(night.stub(WITH, TOTAL))) | {"proof": ["ab" * 32] * 50}
    assert len(canonical_json(stub)) < LONGEST_STUB
    assert "too long for a code" in sheet(client, canonical_json(stub))


def test_it_keeps_nothing(client: Client, night: Night, django_assert_max_num_queries: object) -> None:
    sheet(client, night.stub(WITH, TOTAL))
    assert client.cookies == {}
