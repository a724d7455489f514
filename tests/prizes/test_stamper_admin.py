"""Who stamps the seals of a show is named before anything of it is armed, and stays; only an address may change."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from engagement.models import Show
from engagement.roles import AUDITOR, DIRECTOR, OPERATOR
from prizes.models import Stamp, Stamper
from prizes.stamp_models import MOST_STAMPERS
from tests.cast import armed_segment
from tests.prizes import nights
from tests.prizes.test_admin import address_of, chief, crew, errors_of
from tests.prizes.tsa import EXPIRED, Authority, Maker, authority, key_of, make_certificate, pem

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]

URL = "https://tsa.example/tsr"


@pytest.fixture
def show() -> Show:
    return nights.show(slug="gala", title="Gala")


def root(number: int = 0) -> str:
    own = Maker(f"root {number}", key_of("p256", number))
    return pem(make_certificate(own, own, authority()))


def add(client: Client, **fields: Any) -> Any:
    row = {"name": "tsa.example", "url": URL, "certificate": root(), **fields}
    return client.post("/admin/prizes/stamper/add/", row)


def test_a_director_names_time_stampers(show: Show) -> None:
    director = crew(DIRECTOR)
    assert add(director, show=show.pk).status_code == 302
    row = Stamper.objects.get()
    assert (row.name, row.url, row.trouble) == ("tsa.example", URL, "")
    assert director.get("/admin/prizes/stamper/").status_code == 200
    assert director.post(address_of(row, "delete"), {"post": "yes"}).status_code == 302
    assert not Stamper.objects.exists()


@pytest.mark.parametrize("role", [OPERATOR, AUDITOR])
def test_others_only_look(show: Show, role: str) -> None:
    assert add(crew(role), show=show.pk).status_code == 403
    assert crew(role).get("/admin/prizes/stamper/").status_code == 200
    draw = armed_segment(show).draws.get()
    Stamp.objects.create(draw=draw, stamper="t", certificate="", token="", at_ms=1)
    assert crew(role).get("/admin/prizes/stamp/").status_code == 200


def test_a_certificate_is_one_that_stamps_can_be_checked_against(show: Show, tmp_path: Path) -> None:
    client, made = chief(), Authority(tmp_path / "a", kind="p256")
    own = Maker("old", key_of("p256"))
    for certificate, why in (
        ("nonsense", "certificate"),
        (root() + root(1), "expected one certificate, got 2"),
        (pem(make_certificate(own, own, authority(), EXPIRED)), "valid at"),
        (pem(made.signer), "issuer of a root certificate"),
        (pem(make_certificate(own, own, [])), "time stamping alone"),
        ("x" * 20_000 + root(), "at most 16384 characters"),
    ):
        assert why in errors_of(add(client, show=show.pk, certificate=certificate)), why
    assert "Expected http" in errors_of(add(client, show=show.pk, url="ftp://tsa"))
    assert not Stamper.objects.exists()


def test_each_counts_once_and_there_are_not_too_many(show: Show) -> None:
    client = chief()
    add(client, show=show.pk)
    assert "with this key" in errors_of(add(client, show=show.pk, name="another"))
    assert "already exists" in errors_of(add(client, show=show.pk, certificate=root(1)))
    for number in range(1, MOST_STAMPERS):
        assert add(client, show=show.pk, name=f"{number}", certificate=root(number)).status_code == 302
    told = errors_of(add(client, show=show.pk, name="one more", certificate=root(MOST_STAMPERS)))
    assert f"at most {MOST_STAMPERS} time stampers" in told


def test_once_a_segment_was_armed_only_an_address_changes(show: Show) -> None:
    client = chief()
    add(client, show=show.pk)
    row = Stamper.objects.get()
    armed_segment(show)
    assert "was armed" in errors_of(add(client, show=show.pk, name="late", certificate=root(1)))
    client.post(address_of(row), {"url": "https://elsewhere.example", "name": "x", "certificate": root(1)})
    assert client.post(address_of(row, "delete"), {"post": "yes"}).status_code == 403
    changed = Stamper.objects.get()
    assert (changed.url, changed.name, changed.certificate) == (
        "https://elsewhere.example",
        row.name,
        row.certificate,
    )
