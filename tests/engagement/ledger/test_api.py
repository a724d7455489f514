"""Checkpoints and proofs over HTTP: everybody gets them, nobody gets entries, and a wrong question is told why."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from engagement.core.digests import parse_canonical
from engagement.ledger.append import append_entry
from engagement.ledger.core.checkpoints import (
    Checkpoint,
    VerifierKey,
    open_note,
    parse_checkpoint,
    parse_vkey,
)
from engagement.ledger.core.merkle import check_consistency, check_inclusion, leaf_hash
from engagement.ledger.core.statements import check_statement, person_digest
from engagement.ledger.statements import PUBLIC_ACTIONS, WON_ELSEWHERE
from engagement.models import LedgerEntry, Show
from prizes.evidence.content import ACTIONS
from tests.cast import make_show
from tests.guards import tamper

pytestmark = pytest.mark.django_db

BASE = "/api/shows/gala/ledger"


@pytest.fixture
def show() -> Show:
    show = make_show(slug="gala")
    for number in range(7):
        append_entry(show, "test", actor="olga", details={"number": number})
    return show


def fetch(client: Client, path: str) -> Checkpoint:
    """A checkpoint, verified with the key that the server tells."""
    keys = [parse_vkey(key) for key in client.get(BASE).json()["keys"]]
    return parse_checkpoint(open_note(client.get(f"{BASE}{path}").text, keys))


def test_the_latest_checkpoint_is_text_that_the_key_has_signed(client: Client, show: Show) -> None:
    answer = client.get(f"{BASE}/checkpoint")
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    latest = fetch(client, "/checkpoint")
    assert latest[:2] == ("localhost/gala", 7)
    about = client.get(BASE).json()
    assert (about["origin"], about["size"], about["root"]) == (*latest[:2], latest.root.hex())
    assert fetch(client, "/checkpoint/7") == latest
    assert fetch(client, "/checkpoint/3").size == 3


def test_a_checkpoint_is_sent_once_to_who_has_it(client: Client, show: Show) -> None:
    first = client.get(f"{BASE}/checkpoint")
    again = client.get(f"{BASE}/checkpoint", headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    append_entry(show, "test")
    assert client.get(f"{BASE}/checkpoint", headers={"If-None-Match": first["ETag"]}).status_code == 200
    assert "no-cache" in first["Cache-Control"]
    assert "immutable" in client.get(f"{BASE}/checkpoint/7")["Cache-Control"]
    assert client.head(f"{BASE}/checkpoint")["ETag"] != first["ETag"]


def test_a_consistency_proof_joins_any_two_checkpoints(client: Client, show: Show) -> None:
    for first in range(1, 8):
        for second in range(first, 8):
            told = client.get(f"{BASE}/proof", {"from": first, "to": second}).json()
            proof = [bytes.fromhex(node) for node in told["proof"]]
            roots = [fetch(client, f"/checkpoint/{size}").root for size in (first, second)]
            assert check_consistency(first, second, proof, *roots)
            assert [told["first"]["root"], told["second"]["root"]] == [root.hex() for root in roots]


def test_an_inclusion_proof_shows_an_entry_without_telling_what_it_says(client: Client, show: Show) -> None:
    digest = LedgerEntry.objects.get(position=2).digest
    answer = client.get(f"{BASE}/inclusion", {"position": 2, "size": 6})
    told, signed = answer.json(), fetch(client, "/checkpoint/6")
    assert told["leaf"] == leaf_hash(bytes.fromhex(digest)).hex()
    proof = [bytes.fromhex(node) for node in told["proof"]]
    assert check_inclusion(bytes.fromhex(told["leaf"]), 2, 6, proof, signed.root)
    assert "olga" not in answer.text
    assert digest not in answer.text


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/proof", 400, "bad_request"),
        ("/proof?from=1", 400, "bad_request"),
        ("/proof?from=x&to=3", 400, "bad_request"),
        ("/proof?from=-1&to=3", 400, "bad_request"),
        ("/proof?from=1&to=99999999999", 400, "bad_request"),
        ("/proof?from=４&to=5", 400, "bad_request"),
        ("/proof?from=5&to=4", 400, "bad_request"),
        ("/proof?from=5&to=8", 404, "not_there_yet"),
        ("/inclusion?position=1", 400, "bad_request"),
        ("/inclusion?position=3&size=3", 400, "bad_request"),
        ("/inclusion?position=3&size=8", 404, "not_there_yet"),
        ("/statements/7", 404, "not_there_yet"),
        ("/statements/99999999999999999999", 404, "not_there_yet"),
        ("/statements/5?size=4", 404, "not_there_yet"),
        ("/statements?size=8", 404, "no_checkpoint"),
        ("/statements?after=x", 400, "bad_request"),
        ("/statements/0?size=8", 404, "no_checkpoint"),
        ("/statements/0?size=x", 400, "bad_request"),
        ("/statements/0", 404, "not_public"),
        ("/checkpoint/0", 404, "no_checkpoint"),
        ("/checkpoint/8", 404, "no_checkpoint"),
        ("/checkpoint/999999999999999999999", 404, "no_checkpoint"),
    ],
)
def test_a_wrong_question_is_answered_with_the_reason(
    client: Client, show: Show, path: str, status: int, code: str
) -> None:
    answer = client.get(BASE + path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["message"]
    assert answer["Cache-Control"] == "no-store"


def test_a_proof_asks_the_database_as_often_at_any_size(
    client: Client, show: Show, django_assert_num_queries
) -> None:
    for _ in range(60):
        append_entry(show, "test")
    for path in ("/proof?from=1&to=2", "/proof?from=33&to=67", "/inclusion?position=40&size=66"):
        with django_assert_num_queries(3):
            assert client.get(BASE + path).status_code == 200


def test_a_proof_of_what_was_removed_is_refused(client: Client, show: Show) -> None:
    tamper("DELETE FROM engagement_ledgerentry WHERE position = 3")
    answer = client.get(f"{BASE}/proof?from=5&to=7")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_proof")


# --- public statements ---


def keys_told(client: Client) -> list[VerifierKey]:
    return [parse_vkey(key) for key in client.get(BASE).json()["keys"]]


def test_a_public_entry_is_told_with_the_signature_over_it_and_without_names(
    client: Client, show: Show
) -> None:
    append_entry(show, "seal", actor="olga", details={"seal": "ab"}, people={"viewer": "vera"})
    append_entry(show, "test")
    for query, size in (("", 9), ("?size=8", 8), ("?size=9", 9)):
        answer = client.get(f"{BASE}/statements/7{query}")
        assert parse_canonical(answer.content) == answer.json()
        told = check_statement(answer.json(), keys_told(client))
        assert told.checkpoint == fetch(client, f"/checkpoint/{size}")
        assert (told.entry["action"], told.entry["details"]["seal"]) == ("seal", "ab")
        assert told.entry["details"]["viewer"] == person_digest(
            bytes.fromhex(LedgerEntry.objects.get(position=7).salt), "vera"
        )
        assert "olga" not in answer.text and "vera" not in answer.text
        assert ("immutable" in answer["Cache-Control"]) == (query != "")


def test_all_public_entries_are_listed_in_pages_under_one_checkpoint(
    client: Client, show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engagement.ledger.statements.AT_ONCE", 3)
    for number in range(8):
        append_entry(show, "seal" if number % 4 else "ask disqualification", actor="olga")
    told, after = [], ""
    while True:
        answer = client.get(f"{BASE}/statements?size=15{after}")
        page = answer.json()
        assert (page["size"], "olga" in answer.text) == (15, False)
        told += [check_statement(row, keys_told(client)) for row in page["statements"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert [row.entry["position"] for row in told] == [8, 9, 10, 12, 13, 14]
    assert {row.checkpoint for row in told} == {fetch(client, "/checkpoint/15")}
    assert client.get(f"{BASE}/statements?after=9999999999").json() == {
        "size": 15,
        "statements": [],
        "next": None,
    }
    assert "immutable" in answer["Cache-Control"]
    tamper("DELETE FROM engagement_ledgerentry WHERE position = 11")
    assert client.get(f"{BASE}/statements").json()["code"] == "no_proof"


def test_a_win_that_was_lost_to_another_one_is_not_listed_either(client: Client, show: Show) -> None:
    """It would name a winner before the stage does."""
    append_entry(show, "forfeit", reason=WON_ELSEWHERE)
    append_entry(show, "forfeit", reason="declined")
    assert client.get(f"{BASE}/statements/7").json()["code"] == "not_public"
    told = client.get(f"{BASE}/statements").json()["statements"]
    assert [row["entry"]["position"] for row in told] == [8]


def test_what_only_auditors_read_is_no_public_statement(client: Client, show: Show) -> None:
    append_entry(show, "seal")
    append_entry(show, "ask disqualification")
    tamper("UPDATE engagement_ledgerentry SET salt = '' WHERE position = 7")
    for position in (0, 7, 8):
        answer = client.get(f"{BASE}/statements/{position}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_public")
        assert "olga" not in answer.text


def test_every_public_action_that_is_done_today_is_in_the_words_of_the_evidence() -> None:
    assert PUBLIC_ACTIONS - set(ACTIONS) <= {
        "restore",
        "exclude",
        "include",
        "gateway key",
        "canaries",
        "spoil",
        "absent",
    }
    assert set(ACTIONS) - PUBLIC_ACTIONS == {"ask disqualification", "refuse disqualification"}


def test_a_statement_of_what_was_removed_is_refused(client: Client, show: Show) -> None:
    append_entry(show, "seal")
    append_entry(show, "seal")
    tamper("UPDATE engagement_ledgerentry SET previous = 'no hex' WHERE position = 8")
    tamper("DELETE FROM engagement_ledgerentry WHERE position = 7")
    for position in (7, 8):
        assert client.get(f"{BASE}/statements/{position}").json()["code"] == "no_proof"


def test_a_statement_asks_the_database_as_often_at_any_size(
    client: Client, show: Show, django_assert_num_queries
) -> None:
    for _ in range(60):
        append_entry(show, "seal")
    for path in (
        "/statements/7", "/statements/40?size=50", "/statements/66", "/statements", "/statements?after=60"
    ):  # fmt: skip
        with django_assert_num_queries(4):
            assert client.get(BASE + path).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/checkpoint",
        "/checkpoint/1",
        "/proof?from=1&to=1",
        "/inclusion?position=0&size=1",
        "/statements/0",
        "/statements",
    ],
)
def test_an_unknown_show_and_one_in_which_nothing_happened_have_no_checkpoints(
    client: Client, path: str
) -> None:
    assert client.get(f"/api/shows/nowhere/ledger{path}").json()["code"] == "no_such_show"
    make_show(slug="gala")
    assert client.get(BASE + path).json()["code"] in ("no_checkpoint", "not_there_yet")


def test_every_answer_is_described(client: Client) -> None:
    paths = client.get("/api/openapi.json").json()["paths"]
    ledger = {path: rows["get"] for path, rows in paths.items() if "/ledger" in path}
    assert len(ledger) == 8
    assert all(set(row["responses"]) == {"200", "400", "404"} for row in ledger.values())
    assert list(ledger["/api/shows/{slug}/ledger/checkpoint"]["responses"]["200"]["content"]) == [
        "text/plain"
    ]
    names = [row["name"] for row in ledger["/api/shows/{slug}/ledger/proof"]["parameters"]]
    assert names == ["slug", "from", "to"]


def test_no_address_of_the_interface_gives_entries(client: Client, show: Show) -> None:
    client.force_login(User.objects.create(username="mallory"))
    for path in ("/entries", "/entries.jsonl"):
        assert client.get(BASE + path).status_code == 404
    for path in ("entries.jsonl", "checkpoints.jsonl", ""):
        assert client.get(f"/console/gala/ledger/{path}").status_code == 403
        assert Client().get(f"/console/gala/ledger/{path}").status_code == 302
