"""Who witnesses a show is named before anything of it is armed, and stays; only an address may change."""

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.test import Client

from engagement.ledger.core.cosignatures import WitnessKey, format_witness_key, parse_witness_key
from engagement.models import Show
from engagement.roles import AUDITOR, DIRECTOR, OPERATOR
from prizes.models import Cosignature, Quorum, Witness
from prizes.witness_models import MOST_WITNESSES
from tests.cast import armed_segment
from tests.prizes import nights
from tests.prizes.test_admin import address_of, chief, crew, errors_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]

URL = "https://w.example/shows"


@pytest.fixture
def show() -> Show:
    return nights.show(slug="gala", title="Gala")


def key(name: str = "w.example/1", number: int = 1, seed: bytes = b"") -> str:
    private = Ed25519PrivateKey.from_private_bytes(seed or bytes([number]) * 32)
    return format_witness_key(WitnessKey(name, private.public_key().public_bytes_raw()))


def add(client: Client, model: str, **fields: Any) -> Any:
    return client.post(f"/admin/prizes/{model}/add/", fields)


def test_a_director_names_witnesses_and_their_quorum(show: Show) -> None:
    director = crew(DIRECTOR)
    assert add(director, "witness", show=show.pk, key=key(), url=URL).status_code == 302
    row = Witness.objects.get()
    assert (row.name, row.url, row.known, row.trouble) == ("w.example/1", URL, 0, "")
    assert add(director, "quorum", show=show.pk, needed=1, unwitnessed="wait").status_code == 302
    assert Quorum.objects.get().unwitnessed == "wait"
    assert director.get("/admin/prizes/witness/").status_code == 200
    assert director.post(address_of(row, "delete"), {"post": "yes"}).status_code == 302
    assert not Witness.objects.exists()


@pytest.mark.parametrize("role", [OPERATOR, AUDITOR])
def test_others_only_look(show: Show, role: str) -> None:
    assert add(crew(role), "witness", show=show.pk, key=key(), url=URL).status_code == 403
    assert add(crew(role), "quorum", show=show.pk, needed=1, unwitnessed="wait").status_code == 403
    assert crew(role).get("/admin/prizes/witness/").status_code == 200
    Cosignature.objects.create(show=show, size=1, witness="w", line="— w AAAA\n", at_ms=1)
    assert crew(role).get("/admin/prizes/cosignature/").status_code == 200


def test_a_key_is_one_of_a_witness_and_counts_once(show: Show) -> None:
    client = chief()
    assert "name+id+base64" in errors_of(add(client, "witness", show=show.pk, key="nonsense", url=URL))
    assert "Expected http" in errors_of(add(client, "witness", show=show.pk, key=key(), url="ftp://w"))
    own = key(seed=settings.LEDGER_KEYS[0])
    assert "the ledger itself" in errors_of(add(client, "witness", show=show.pk, key=own, url=URL))
    assert add(client, "witness", show=show.pk, key=key(), url=URL).status_code == 302
    for again in (key("w.example/2"), key(number=2)):
        assert "this name or this key" in errors_of(add(client, "witness", show=show.pk, key=again, url=URL))
    for number in range(2, MOST_WITNESSES + 1):
        made = add(client, "witness", show=show.pk, key=key(f"w.example/{number}", number), url=URL)
        assert made.status_code == 302
    errors = errors_of(add(client, "witness", show=show.pk, key=key("w.example/x", 99), url=URL))
    assert "at most 16 witnesses" in errors


def test_once_something_is_armed_only_an_address_changes(show: Show) -> None:
    client = chief()
    add(client, "witness", show=show.pk, key=key(), url=URL)
    add(client, "quorum", show=show.pk, needed=1, unwitnessed="wait")
    row, quorum = Witness.objects.get(), Quorum.objects.get()
    armed_segment(show)
    assert "was armed" in errors_of(add(client, "witness", show=show.pk, key=key("w.example/2", 2), url=URL))
    moved = client.post(
        address_of(row), {"show": show.pk, "key": key("w.example/2", 2), "url": "http://w:81"}
    )
    assert moved.status_code == 302
    row.refresh_from_db()
    assert (row.url, row.key) == ("http://w:81", key())
    client.post(address_of(quorum), {"show": show.pk, "needed": 0, "unwitnessed": "go on"})
    quorum.refresh_from_db()
    assert (quorum.needed, quorum.unwitnessed) == (1, "wait")
    for kept in (row, quorum):
        assert client.post(address_of(kept, "delete"), {"post": "yes"}).status_code == 403
        action = {"action": "delete_selected", "_selected_action": kept.pk, "post": "yes"}
        client.post(f"/admin/prizes/{kept._meta.model_name}/", action)
    assert Witness.objects.exists() and Quorum.objects.exists()
    quorum.delete()
    assert "was armed" in errors_of(add(client, "quorum", show=show.pk, needed=1, unwitnessed="wait"))


def test_what_one_key_has_signed_never_counts_for_another_of_its_name(show: Show) -> None:
    client = chief()
    name, public = "w.example/1", parse_witness_key(key()).public
    raw = base64.b64encode(WitnessKey(name, public).key_id + bytes(72)).decode()
    Cosignature.objects.create(show=show, size=1, witness=name, line=f"— {name} {raw}\n", at_ms=1)
    errors = errors_of(add(client, "witness", show=show.pk, key=key(number=2), url=URL))
    assert "Another key of this name has cosigned" in errors
    assert add(client, "witness", show=show.pk, key=key(), url=URL).status_code == 302
