"""Which passes are revoked."""

import pytest

from engagement.core.show_state import Revocation
from engagement.fair_play.core.revoked import Revoked

ONE, OTHER = b"\x01" * 14, b"\x02" * 14


def test_nobody_is_revoked_at_first() -> None:
    assert not Revoked().has(ONE, "guest", 0)


def test_a_viewer_is_revoked_for_good() -> None:
    revoked = Revoked([Revocation(viewer=ONE.hex())])
    assert revoked.has(ONE, "app", 2**53) and not revoked.has(OTHER, "app", 0)


@pytest.mark.parametrize(("kind", "issued_at", "is_revoked"), [
    ("guest", 49, True), ("guest", 50, False), ("work", 9, True), ("work", 10, False), ("app", 49, False),
])  # fmt: skip
def test_a_kind_is_revoked_up_to_the_latest_of_its_times(kind: str, issued_at: int, is_revoked: bool) -> None:
    rows = [("guest", 50), ("guest", 20), ("work", 10)]
    revoked = Revoked(Revocation(kind=kind, before=before) for kind, before in rows)
    assert revoked.has(ONE, kind, issued_at) is is_revoked


def test_without_a_kind_all_are_revoked_up_to_a_time() -> None:
    revoked = Revoked([Revocation(before=50), Revocation(kind="guest", before=60)])
    assert [revoked.has(ONE, kind, 55) for kind in ("guest", "app")] == [True, False]
    assert revoked.has(ONE, "app", 49)
