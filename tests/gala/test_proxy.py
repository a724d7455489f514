"""The same words of a proxy mean the same to Django's pages and to passes (tests/engagement/test_passes.py)."""

import http.client
from pathlib import Path

import pytest

from tests.servers import running_gateway


def is_https(address: str, forwarded: str) -> bool:
    """Whether Django takes the request for one over https: only there it answers, and promises so for the future."""
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request("GET", "/api/openapi.json", headers={"X-Forwarded-Proto": forwarded})
        answer = connection.getresponse()
        promised = answer.headers.get("Strict-Transport-Security") is not None
        assert (answer.status, bool(answer.read())) == ((200, True) if promised else (301, False))
        assert promised or answer.headers["Location"].startswith("https://127.0.0.1")
        return promised
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_pages_are_as_safe_as_the_viewer_sees_them(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "log", BEHIND_TLS_PROXY="yes") as (address, _):
        seen = {word: is_https(address, word) for word in ("https", "https,http", "http,https", "http", "")}
    assert seen == {"https": True, "https,http": True, "http,https": False, "http": False, "": False}
