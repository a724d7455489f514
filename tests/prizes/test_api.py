"""What anybody may fetch of a draw, through its public API."""

import hashlib
import json
import math
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client

from engagement.core.digests import parse_canonical
from engagement.ledger.core.merkle import check_inclusion, leaf_hash
from gala.refusals import CODES, FAILED
from prizes import files
from prizes.api import draws as api
from prizes.api import schemas as api_schemas
from prizes.api.claims import STATUSES
from prizes.api.draws import router
from prizes.core.receipt import runs_around
from prizes.core.record import encode_record, record_digest, record_statement, with_dispositions
from prizes.downloads import OutOfRange, parse_range
from prizes.engine import make_tree
from prizes.files import tree_name
from prizes.models import Disposition, Draw
from prizes.software import VERIFIER
from tests.cast import AUDITOR, OPERATOR, make_show
from tests.prizes.published import Stored, crew, make_draw
from tests.prizes.published import own_folder as own_folder

pytestmark = pytest.mark.django_db


class Answer:
    """An answer with its whole body, streamed or not."""

    def __init__(self, answer: Any) -> None:
        self.status, self.headers = answer.status_code, answer.headers
        self.body = async_to_sync(self._read)(answer) if answer.streaming else answer.content

    async def _read(self, answer: Any) -> bytes:
        return b"".join([part async for part in answer.streaming_content])

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        assert self.headers["Content-Type"] == "application/json"
        assert set(self.json) == {"code", "message"}
        return str(self.json["code"])


def get(address: str, client: Client | None = None, method: str = "get", **headers: str) -> Answer:
    return Answer(getattr(client or Client(), method)(address, headers=headers))


# --- precommitment, and the list that leads to it ---


def test_a_precommitment_is_public_from_arming_on_and_never_changes() -> None:
    stored = make_draw(Draw.Step.COMMITTED)
    answer = get(f"{stored.address}/precommitment")
    document = parse_canonical(answer.body)
    assert answer.status == 200 and "immutable" in answer.headers["Cache-Control"]
    assert document["rules"] == json.loads(stored.draw.rules)
    assert document["commitments"] == {"house": document["rules"]["parties"][0]["commitment"]}
    assert (document["time"], document["ledger"]) == (
        stored.draw.committed_at_ms,
        stored.draw.committed_ledger,
    )
    assert get(f"{stored.address}/precommitment", If_None_Match=answer.headers["ETag"]).status == 304


def test_a_precommitment_is_the_same_before_and_after_the_draw() -> None:
    stored = make_draw()
    document = get(f"{stored.address}/precommitment").json
    assert document["rules_digest"] == stored.record["rules_digest"]
    assert document["commitments"] == stored.record["precommitment"]["commitments"]


def test_the_draws_of_a_show_are_listed_before_their_windows_open_with_what_there_is() -> None:
    show = make_show()
    early = make_draw(Draw.Step.COMMITTED, show=show)
    late = make_draw(show=show)
    answer = get(f"/api/shows/{show.slug}/draws")
    first, second = answer.json["draws"]
    assert (first["draw_id"], first["step"], first["segment"]["phase"]) == (
        early.draw.draw_id,
        "committed",
        "armed",
    )
    assert {name for name, address in first["links"].items() if address} == {"page", "precommitment"}
    assert all(second["links"].values())
    assert (
        get(second["links"]["receipt"].replace("{pseudonym}", late.viewers[0].pseudonym.hex())).status == 200
    )
    assert get(f"/api/shows/{show.slug}/draws", If_None_Match=answer.headers["ETag"]).status == 304
    assert get("/api/shows/none/draws").code == "no_such_show"


# --- record ---


def test_a_record_is_served_once_it_is_published_with_the_digest_of_its_bytes_as_tag() -> None:
    hidden, stored = make_draw(Draw.Step.DRAWN), make_draw()
    assert get(f"{hidden.address}/record").code == "not_published"
    assert get(f"{hidden.address}/record", crew(AUDITOR)).code == "not_published"
    answer = get(f"{stored.address}/record")
    served = parse_canonical(answer.body)
    assert {**served, "signature": ""} == stored.record and record_statement(served) in served["signature"]
    assert answer.headers["ETag"] == f'"{hashlib.sha256(answer.body).hexdigest()}"'
    assert get(f"{stored.address}/record", If_None_Match=f'"x", W/{answer.headers["ETag"]}').status == 304


def test_a_record_tells_what_has_become_of_the_prizes() -> None:
    stored = make_draw()
    before = get(f"{stored.address}/record")
    winner = stored.record["winners"][0]
    row = {"pseudonym": winner["pseudonym"], "status": "claimed", "reason": "", "ledger": 99}
    Disposition.objects.create(draw=stored.draw, piece=winner["prize"], at_ms=12345, **row)
    after = get(f"{stored.address}/record", If_None_Match=before.headers["ETag"])
    assert after.status == 200
    assert after.json["dispositions"] == [{**row, "prize": winner["prize"], "time": 12345}]
    assert after.json["digest"] == record_digest(after.json).hex() != stored.record["digest"]


def test_a_record_that_is_not_the_drawn_one_is_not_served() -> None:
    stored = make_draw()
    files.fetch(files.record_name(stored.draw.key)).write_bytes(b"{}")
    assert (get(f"{stored.address}/record").status, get(f"{stored.address}/record").code) == (500, "broken")
    files.fetch(files.record_name(stored.draw.key)).unlink()
    assert (get(f"{stored.address}/record").status, get(f"{stored.address}/record").code) == (
        404,
        "not_stored",
    )


# --- roll and totals ---


def test_a_roll_is_everybodys_once_it_is_published_and_the_auditors_from_the_seal_on() -> None:
    armed, sealed, published = (make_draw(step) for step in ("committed", "sealed", "published"))
    auditor, operator = crew(AUDITOR), crew(OPERATOR)
    assert get(f"{armed.address}/roll", auditor).code == "not_sealed"
    assert (
        get(f"{sealed.address}/roll").code == get(f"{sealed.address}/roll", operator).code == "not_published"
    )
    early = get(f"{sealed.address}/roll", auditor)
    assert (early.body, early.headers["Cache-Control"]) == (sealed.roll, "private, no-cache")
    answer = get(f"{published.address}/roll")
    assert answer.body == published.roll and "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["ETag"] == f'"{published.record["roll"]["digest"]}"'
    assert answer.headers["Content-Type"] == "application/octet-stream"


def test_a_show_may_keep_its_rolls_to_its_auditors_but_not_receipts_and_records() -> None:
    stored = make_draw(show=make_show(roll_visibility="auditor"))
    refused = get(f"{stored.address}/roll")
    assert (refused.status, refused.code) == (403, "auditors_only")
    assert get(f"{stored.address}/roll", crew(AUDITOR)).body == stored.roll
    assert get(f"{stored.address}/record").status == 200
    assert get(f"{stored.address}/receipt/{stored.viewers[0].pseudonym.hex()}").status == 200


def test_totals_are_for_auditors_only() -> None:
    sealed, published = make_draw(Draw.Step.SEALED), make_draw()
    for stored in (sealed, published):
        assert {get(f"{stored.address}/totals", who).code for who in (None, crew(OPERATOR))} == {
            "auditors_only"
        }
        answer = get(f"{stored.address}/totals", crew(AUDITOR))
        assert answer.headers["ETag"] == f'"{hashlib.sha256(answer.body).hexdigest()}"'
        assert len(answer.body) == 18 * len(stored.viewers)
    assert get(f"{make_draw('committed').address}/totals", crew(AUDITOR)).code == "not_sealed"


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=64-4159", slice(64, 4160)),
        ("bytes=9000-", slice(9000, None)),
        ("BYTES=-16", slice(-16, None)),
        ("bytes=-99999999", slice(None)),
        ("bytes= 9660-99999999 ", slice(9660, None)),
    ],
)
def test_a_range_of_a_roll_is_served_alone(asked: str, part: slice) -> None:
    stored = make_draw()
    answer = get(f"{stored.address}/roll", Range=asked)
    start, stop, _ = part.indices(len(stored.roll))
    assert (answer.status, answer.body) == (206, stored.roll[part])
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(stored.roll)}"
    assert answer.headers["Content-Length"] == str(stop - start)


@pytest.mark.parametrize("asked", ["bytes=9664-", "bytes=9664-9700", "bytes=-0", "bytes=99999999-"])
def test_a_range_beyond_the_end_is_refused_with_the_size(asked: str) -> None:
    stored = make_draw()
    assert len(stored.roll) == 9664
    answer = get(f"{stored.address}/roll", Range=asked)
    assert (answer.status, answer.code) == (416, "range_not_satisfiable")
    assert answer.headers["Content-Range"] == "bytes */9664"


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "bytes=0-1,5-6",
        "bytes=5-2",
        "bytes=-",
        "bytes=a-b",
        "lines=1-2",
        "bytes",
        f"bytes={'9' * 5000}-",
        "bytes=٣-",
    ],
)
def test_what_is_not_one_range_of_bytes_is_answered_with_the_whole(asked: str) -> None:
    assert parse_range(asked, 100) is None


def test_ranges_of_an_empty_file_do_not_exist() -> None:
    for asked in ("bytes=0-", "bytes=-5", "bytes=0-0"):
        with pytest.raises(OutOfRange):
            parse_range(asked, 0)


def test_a_range_goes_on_only_where_the_file_is_still_the_same() -> None:
    stored = make_draw()
    tag = f'"{stored.record["roll"]["digest"]}"'
    assert get(f"{stored.address}/roll", Range="bytes=0-9", If_Range=tag).status == 206
    for other in ('"other"', f"W/{tag}", "Sat, 21 Nov 2026 20:00:00 GMT"):
        assert get(f"{stored.address}/roll", Range="bytes=0-9", If_Range=other).status == 200
    assert get(f"{stored.address}/roll", Range="bytes=0-9", If_None_Match=tag).status == 304


@pytest.mark.parametrize("name", ["precommitment", "record", "roll", "receipt"])
def test_head_tells_the_same_headers_and_no_body(name: str) -> None:
    stored = make_draw()
    address = f"{stored.address}/{name}" + (
        f"/{stored.viewers[3].pseudonym.hex()}" if name == "receipt" else ""
    )
    whole, head = get(address), get(address, method="head", Range="bytes=0-0")
    assert (head.status, head.body) == (200, b"")
    for header in ("ETag", "Cache-Control", "Content-Type", "Content-Length"):
        assert head.headers[header] == whole.headers[header]
    assert whole.headers["Content-Length"] == str(len(whole.body))


def test_a_roll_that_is_not_on_this_server_is_missed_and_not_an_error() -> None:
    stored = make_draw()
    files.fetch(files.roll_name(stored.draw.key)).unlink()
    viewer = stored.viewers[0].pseudonym.hex()
    assert (
        get(f"{stored.address}/roll").code == get(f"{stored.address}/receipt/{viewer}").code == "not_stored"
    )


@pytest.mark.parametrize("name", ["precommitment", "record", "roll", "totals", f"receipt/{'ab' * 14}"])
@pytest.mark.parametrize("number", ["987654", "9" * 30])
def test_a_draw_that_does_not_exist_is_missed(name: str, number: str) -> None:
    answer = get(f"/api/draws/{number}/{name}")
    assert (answer.status, answer.code, answer.headers["Cache-Control"]) == (404, "no_such_draw", "no-store")


# --- refusals that no endpoint has made ---


@pytest.mark.parametrize(
    "address", ["/api/nothing", "/api/draws/abc/record", "/api/draws/1/", "/api/shows/a b/draws", "/api/"]
)
def test_an_unknown_address_is_refused_in_json(address: str) -> None:
    answer = get(address)
    assert (answer.status, answer.code, answer.headers["Cache-Control"]) == (
        404,
        "no_such_address",
        "no-store",
    )


def test_another_method_and_a_body_that_is_too_large_are_refused_in_json() -> None:
    answer = get("/api/draws/1/record", method="put")
    assert (answer.status, answer.code, set(answer.headers["Allow"].split(", "))) == (
        405,
        "wrong_method",
        {"GET", "HEAD"},
    )
    posted = Answer(Client().post("/api/draws/1/claims", "x" * 3_000_000, content_type="application/json"))
    assert (posted.status, posted.code) == (413, "too_large")


async def test_they_are_json_under_asgi_too() -> None:
    answer = await AsyncClient().get("/api/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_such_address")


def test_what_fails_in_the_server_is_said_in_json_and_pages_stay_pages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(api, "precommitment_of", lambda _: 1 / 0)
    stored = make_draw(Draw.Step.COMMITTED)
    answer = get(f"{stored.address}/precommitment", Client(raise_request_exception=False))
    assert (answer.status, answer.code) == (500, "failed")
    assert get("/nothing").headers["Content-Type"].startswith("text/html")


# --- receipts ---


def check_runs(receipt: dict[str, Any], leaves: int) -> list[bytes]:
    """The entries of all runs of a receipt, once their proofs hold."""
    for run in receipt["runs"]:
        proof = [bytes.fromhex(node) for node in run["siblings"]]
        leaf, top = leaf_hash(bytes.fromhex(run["data"])), bytes.fromhex(receipt["roll"]["root"])
        assert check_inclusion(leaf, run["leaf"], leaves, proof, top)
    data = b"".join(bytes.fromhex(run["data"]) for run in receipt["runs"])
    return [data[start : start + 16] for start in range(0, len(data), 16)]


def fetch_receipt(stored: Stored, pseudonym: bytes) -> dict[str, Any]:
    answer = get(f"{stored.address}/receipt/{pseudonym.hex()}")
    assert answer.status == 200 and "immutable" in answer.headers["Cache-Control"]
    assert len(answer.body) < 20_000
    receipt: dict[str, Any] = parse_canonical(answer.body)
    roll = stored.record["roll"]
    assert receipt["roll"] == {name: roll[name] for name in ("header", "root", "digest")}
    assert (receipt["seal"], receipt["draw_id"]) == (stored.draw.seal, stored.draw.draw_id)
    return receipt


@pytest.mark.parametrize("count", [1, 255, 256, 257, 600])
def test_every_viewer_of_a_sealed_roll_has_a_receipt_that_proves_the_entry(count: int) -> None:
    stored = make_draw(Draw.Step.SEALED, viewers=count)
    for index in {0, 1, 254, 255, 256, 511, 512, count - 1} & set(range(count)):
        viewer = stored.viewers[index]
        receipt = fetch_receipt(stored, viewer.pseudonym)
        entries = check_runs(receipt, -(-count // 256))
        assert receipt["entry"] == {"index": index, "tickets": viewer.tickets}
        assert [run["leaf"] for run in receipt["runs"]] == [index // 256]
        assert entries[index % 256] == viewer.pseudonym + viewer.tickets.to_bytes(2, "big")


@pytest.mark.parametrize("count", [0, 1, 256, 257, 600])
def test_the_receipt_of_somebody_absent_proves_that_there_is_no_entry(count: int) -> None:
    stored = make_draw(Draw.Step.SEALED, viewers=count)
    names = [viewer.pseudonym for viewer in stored.viewers]
    between = [name[:13] + bytes([name[13] ^ 1]) for name in names[:3] + names[254:258]]
    for absent in [bytes(14), b"\xff" * 14, *between]:
        receipt = fetch_receipt(stored, absent)
        entries = [entry[:14] for entry in check_runs(receipt, -(-count // 256))]
        assert receipt["entry"] is None
        position = sum(name < absent for name in names)
        assert [run["leaf"] for run in receipt["runs"]] == runs_around(position, count, present=False)
        neighbours = {names[index] for index in (position - 1, position) if 0 <= index < count}
        assert neighbours <= set(entries) and absent not in entries


def test_there_is_no_receipt_before_the_seal_and_none_for_what_is_no_pseudonym() -> None:
    armed, sealed = make_draw(Draw.Step.COMMITTED), make_draw(Draw.Step.SEALED)
    assert get(f"{armed.address}/receipt/{'ab' * 14}").code == "not_sealed"
    for wrong in ("ab" * 13, "AB" * 14, "zz" * 14, "ab" * 15, "%E2%82%AC" * 14):
        answer = get(f"{sealed.address}/receipt/{wrong}")
        assert (answer.status, answer.code) == (400, "bad_pseudonym")


def test_the_tree_is_made_once_and_receipts_read_a_few_blocks_of_the_roll(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored = make_draw(Draw.Step.SEALED, viewers=2000)
    viewers = random.Random(3).sample(stored.viewers, 20)
    first = fetch_receipt(stored, viewers[0].pseudonym)
    tree = files.fetch(tree_name(stored.draw.key)).read_bytes()
    assert tree[-32:].hex() == first["roll"]["root"]
    monkeypatch.setattr("prizes.receipts.make_tree", lambda *_: pytest.fail("the roll was hashed again"))
    for viewer in viewers:
        assert fetch_receipt(stored, viewer.pseudonym)["entry"]["tickets"] == viewer.tickets
    assert files.fetch(tree_name(stored.draw.key)).read_bytes() == tree


def test_a_roll_that_is_broken_is_hashed_once_and_not_for_every_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored = make_draw(Draw.Step.SEALED, viewers=600)
    hashed: list[Any] = []

    def make_and_note(*paths: Any) -> Any:
        hashed.append(paths)
        return make_tree(*paths)

    path = files.fetch(files.roll_name(stored.draw.key))
    path.write_bytes(path.read_bytes()[:-1] + bytes([stored.roll[-1] ^ 1]))
    monkeypatch.setattr("prizes.receipts.make_tree", make_and_note)
    address = f"{stored.address}/receipt/{stored.viewers[-1].pseudonym.hex()}"
    assert [get(address).code for _ in range(3)] == ["broken"] * 3
    assert len(hashed) == 1
    path.write_bytes(stored.roll)
    assert get(address).status == 200


def test_further_receipts_of_a_draw_ask_the_database_nothing(django_assert_num_queries) -> None:
    stored = make_draw(Draw.Step.SEALED)
    fetch_receipt(stored, stored.viewers[0].pseudonym)
    with django_assert_num_queries(0):
        for viewer in stored.viewers[1:4]:
            fetch_receipt(stored, viewer.pseudonym)


def test_a_draw_of_another_database_under_the_same_number_is_not_mixed_up() -> None:
    old, new = make_draw(Draw.Step.SEALED), make_draw(Draw.Step.SEALED)
    api._sealed[new.draw.pk] = old.draw, math.inf
    old.draw.pk = new.draw.pk
    assert fetch_receipt(new, new.viewers[0].pseudonym)["entry"]["index"] == 0


def test_what_stands_beside_another_roll_of_that_number_is_made_anew() -> None:
    stored = make_draw(Draw.Step.SEALED)
    files.write(tree_name(stored.draw.key), bytes(32 * 6))
    check_runs(fetch_receipt(stored, stored.viewers[0].pseudonym), 3)


@pytest.mark.parametrize("harm", ["cut", "changed", "header"])
def test_no_receipt_is_made_from_a_roll_that_is_not_the_sealed_one(harm: str) -> None:
    stored = make_draw(Draw.Step.SEALED)
    changed = bytearray(stored.roll[:-16] if harm == "cut" else stored.roll)
    if harm != "cut":
        changed[100 if harm == "changed" else 20] ^= 1
    files.fetch(files.roll_name(stored.draw.key)).write_bytes(changed)
    answer = get(f"{stored.address}/receipt/{stored.viewers[0].pseudonym.hex()}")
    assert (answer.status, answer.code) == (500, "broken")


# --- what is served, against the verifier ---


def verify(tmp_path: Path, record: bytes, *receipts: bytes, roll: bytes = b"") -> dict[str, bool]:
    """What the program that everybody can download says of these files: check -> whether it holds."""
    arguments: list[str | Path] = [tmp_path / "record.json"]
    (tmp_path / "record.json").write_bytes(record)
    if roll:
        arguments.append(tmp_path / "roll.bin")
        (tmp_path / "roll.bin").write_bytes(roll)
    for number, receipt in enumerate(receipts):
        (tmp_path / f"receipt-{number}.json").write_bytes(receipt)
        arguments += ["--receipt", tmp_path / f"receipt-{number}.json"]
    command = [sys.executable, "-I", VERIFIER, *arguments, "--json"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    checks = {row["name"]: row["ok"] for row in json.loads(done.stdout)["checks"]}
    assert (done.returncode == 0) == all(checks.values())
    return checks


def test_the_verifier_accepts_what_is_served_and_every_receipt(tmp_path: Path) -> None:
    stored = make_draw(prior_rank=2)
    viewers = [
        stored.viewers[0].pseudonym,
        bytes.fromhex(stored.record["winners"][0]["pseudonym"]),
        bytes(14),
    ]
    receipts = [get(f"{stored.address}/receipt/{viewer.hex()}").body for viewer in viewers]
    record, roll = get(f"{stored.address}/record").body, get(f"{stored.address}/roll").body
    checks = verify(tmp_path, record, *receipts, roll=roll)
    assert [name for name, ok in checks.items() if not ok] == []
    assert {f"receipt {viewer.hex()}" for viewer in viewers} <= set(checks)


def test_the_verifier_takes_the_receipt_of_a_winner_who_was_struck_for_a_proof(tmp_path: Path) -> None:
    stored = make_draw()
    winner = stored.record["ranked"][0]["pseudonym"]
    receipt = get(f"{stored.address}/receipt/{winner}").body
    forged = {**stored.record, "ranked": stored.record["ranked"][1:]}
    checks = verify(tmp_path, encode_record(with_dispositions(forged, [])), receipt)
    assert checks[f"receipt {winner}"] is False


# --- OpenAPI ---


def test_openapi_lists_every_endpoint_with_its_answers() -> None:
    document = get("/api/openapi.json").json
    ours = {"/api" + re.sub(r"\{\w+:", "{", path) for path in router.path_operations}
    assert len(ours) == 9 and ours <= set(document["paths"])
    for path in ours:
        (operation,) = document["paths"][path].values()
        assert operation["summary"] and len(operation["description"]) > 60
        assert {"200", "304", "404"} <= set(operation["responses"])
        names = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"}
        assert all(f"{{{name}}}" in path for name in names) and names
        assert all(parameter["schema"] for parameter in operation["parameters"])


def schema_of(document: dict[str, Any], path: str, status: int, kind: str) -> dict[str, Any]:
    content = document["paths"][path]["get"]["responses"][str(status)]["content"]
    assert list(content) == [kind]
    schema: dict[str, Any] = content[kind]["schema"]
    return schema


@pytest.mark.parametrize("name", ["precommitment", "record", "receipt", "draws"])
def test_documents_are_as_openapi_describes_them(name: str) -> None:
    stored, document = make_draw(prior_rank=2), get("/api/openapi.json").json
    path, address = f"/api/draws/{{draw_id}}/{name}", f"{stored.address}/{name}"
    if name == "receipt":
        path, address = f"{path}/{{pseudonym}}", f"{address}/{stored.viewers[0].pseudonym.hex()}"
    if name == "draws":
        path, address = "/api/shows/{slug}/draws", f"/api/shows/{stored.draw.show.slug}/draws"
    answer = get(address)
    named = schema_of(document, path, 200, answer.headers["Content-Type"])["$ref"].rpartition("/")[2]
    described = document["components"]["schemas"][named]
    assert set(answer.json) == set(described["properties"]) == set(described["required"])
    getattr(api_schemas, named).model_validate(answer.json)


def test_files_and_refusals_are_as_openapi_describes_them() -> None:
    stored, document = make_draw(), get("/api/openapi.json").json
    path, binary = "/api/draws/{draw_id}/roll", "application/octet-stream"
    for status, headers in ((200, {}), (206, {"Range": "bytes=0-9"})):
        answer = Answer(Client().get(f"{stored.address}/roll", headers=headers))
        assert (answer.status, answer.headers["Content-Type"]) == (status, binary)
        assert schema_of(document, path, status, binary) == {"type": "string", "format": "binary"}
    for status in (403, 404, 416):
        assert schema_of(document, path, status, "application/json")["$ref"].endswith("/Failure")
    api_schemas.Failure.model_validate(get(f"{stored.address}/totals").json)


def test_the_page_of_the_api_has_every_address_and_every_code() -> None:
    page = (Path(__file__).parents[2] / "docs/api.md").read_text()
    addresses = re.findall(r"^\| `(/api/[^`]+)`", page, re.MULTILINE)
    ours = {"/api" + re.sub(r"\{(\w+:)?\w+\}", "<>", path) for path in router.path_operations}
    assert {re.sub("<[^>]+>", "<>", address) for address in addresses} == ours
    source = (Path(__file__).parents[2] / "prizes/api/draws.py").read_text()
    codes = re.findall(r'(?:Refused|refuse)\((\d+), "(\w+)"', source)
    anywhere = {
        *((code, "503") for code in ("busy", "look_again", "done")),
        (FAILED[0], "500"),
        ("bad_input", str(STATUSES["bad_input"])),
        *((code, str(status)) for status, (code, _) in CODES.items()),
    }
    listed = set(re.findall(r"^\| `(\w+)` \| (\d+)", page, re.MULTILINE))
    assert listed == {(code, status) for status, code in codes} | anywhere
