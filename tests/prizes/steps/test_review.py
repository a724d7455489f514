"""Entries of one block share what counts: by the rules, by the order of a hash, recounted by a program of its own."""

import hashlib
import itertools
import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from engagement import tally
from engagement.core.digests import derive_pseudonym, derive_salt, parse_canonical
from engagement.fair_play.core.origins import NO_BLOCK, Origin
from engagement.fair_play.models import FairPlay
from engagement.keys import own
from engagement.ledger.checkpoints import keys_of
from engagement.ledger.core.checkpoints import format_vkey
from engagement.models import LedgerEntry, Segment, Show
from engagement.passes import GUEST_BIT
from engagement.vault import open_secret
from prizes import on_air
from prizes import verify_draw as verifier
from prizes.audit import audit_draw
from prizes.core.sharing import shared_rank
from prizes.evidence.pack import make_pack
from prizes.files import fetch, origins_name, origins_shard_name, roll_name, shared_name, totals_name
from prizes.models import Draw
from prizes.publication import record_of
from prizes.steps import freeze
from prizes.steps.publish import publish_segment
from tests.cast import AUDITOR, arm, make_segment
from tests.guards import without_guards
from tests.prizes.pipeline import Killed, ended, kill_at, run_all
from tests.prizes.published import crew
from tests.prizes.test_api import get

pytestmark = pytest.mark.django_db(transaction=True)

_numbers = itertools.count(1)


def viewers(count: int) -> list[bytes]:
    return [hashlib.sha256(f"{next(_numbers)}".encode()).digest()[:14] for _ in range(count)]


def block(number: int) -> bytes:
    return hashlib.sha256(f"block {number}".encode()).digest()[:8]


def play(
    show: Show, whence: dict[bytes, Origin], totals: dict[bytes, int] | None = None, **promise: Any
) -> Segment:
    """A segment whose window is over, with guests from there and what they have shaken."""
    FairPlay.objects.filter(show=show).update(**promise)
    counted = dict.fromkeys(whence, 50) | (totals or {})
    segment = ended(arm(make_segment(show)), counted)
    redis = tally.connect()
    for viewer, origin in whence.items():
        shard = tally.shard_of(viewer, segment.shards)
        redis.hset(own(f"origins:{segment.key}:{shard}"), viewer, origin.pack())
    return segment


def entries_of(draw: Draw) -> dict[bytes, int]:
    body = fetch(roll_name(draw.key)).read_bytes()[64:]
    rows = [body[at : at + 16] for at in range(0, len(body), 16)]
    return {row[:14]: int.from_bytes(row[14:], "big") for row in rows}


def left_out(draw: Draw) -> list[bytes]:
    body = fetch(shared_name(draw.key)).read_bytes()
    return [body[at : at + 14] for at in range(0, len(body), 14)]


def told(draw: Draw) -> dict[str, Any]:
    entry = LedgerEntry.objects.get(show=draw.show_id, action="freeze")
    details: dict[str, Any] = json.loads(entry.details)
    return details


def failed(draw: Draw) -> dict[str, str]:
    return {check.name: check.detail for check in audit_draw(draw) if not check.ok}


def test_a_farm_behind_one_address_has_the_entries_of_one_block_and_all_others_stay(show: Show) -> None:
    farm, homes, users = viewers(60), viewers(20), viewers(10)
    whence = {viewer: Origin("guest", 0, block(0)) for viewer in farm}
    whence |= {viewer: Origin("guest", 0, block(1 + number // 2)) for number, viewer in enumerate(homes)}
    draw = run_all(play(show, whence, dict.fromkeys(users, 50), shared_entries=5))
    draw.refresh_from_db()
    entries = entries_of(draw)
    ranked = sorted(farm, key=lambda viewer: shared_rank(bytes.fromhex(draw.totals_digest), viewer))
    assert set(entries) == {*ranked[:5], *homes, *users}
    assert left_out(draw) == sorted(ranked[5:])
    sha256 = hashlib.sha256(b"".join(sorted(ranked[5:]))).hexdigest()
    assert draw.shared == {"blocks": 1, "entries": 60, "kept": 5, "sha256": sha256}
    details = told(draw)
    assert (details["kinds"], details["draws"][0]["shared"]) == ({"app": 10, "guest": 80}, draw.shared)
    origins = fetch(origins_name(draw.segment.key)).read_bytes()
    assert details["origins_sha256"] == hashlib.sha256(origins).hexdigest() and len(origins) == 80 * 24
    assert failed(draw) == {}


def test_a_carrier_has_so_many_times_more_and_attested_passes_share_nothing(show: Show) -> None:
    many, attested, unknown = viewers(25), viewers(12), viewers(12)
    whence = {viewer: Origin("work", 2, block(7)) for viewer in many}
    whence |= {viewer: Origin("attested", 0, block(8)) for viewer in attested}
    whence |= {viewer: Origin("guest", 0, NO_BLOCK) for viewer in unknown}
    carriers = "198.51.100.0/24 2\n203.0.113.0/24 3"
    draw = run_all(play(show, whence, shared_entries=4, carriers=carriers))
    draw.refresh_from_db()
    kinds = Counter(whence[viewer].kind for viewer in entries_of(draw))
    assert kinds == {"work": 12, "attested": 12, "guest": 12}
    assert (draw.shared["blocks"], draw.shared["entries"], draw.shared["kept"]) == (1, 25, 12)
    assert failed(draw) == {}


def test_a_kind_has_the_tickets_that_were_promised_and_0_means_none(show: Show) -> None:
    guests, coded = viewers(6), viewers(6)
    whence = {viewer: Origin("guest", 0, block(number)) for number, viewer in enumerate(guests)}
    whence |= {viewer: Origin("code", 0, block(9)) for viewer in coded}
    segment = play(show, whence, most_tickets={"guest": 2, "code": 0}, shared_entries=3)
    draw = run_all(segment)
    worth = [row[1] for row in draw.promised["tickets"]]
    capped = max(number for number in worth if number <= 2)
    assert entries_of(draw) == dict.fromkeys(guests, capped) and max(worth) > 2
    draw.refresh_from_db()
    assert draw.shared["entries"] == 0 and failed(draw) == {}  # what does not take part needs no place


def test_where_nothing_is_shared_everybody_counts(show: Show) -> None:
    whence = {viewer: Origin("guest", 0, block(0)) for viewer in viewers(40)}
    draw = run_all(play(show, whence, shared_entries=0))
    assert set(entries_of(draw)) == set(whence) and left_out(draw) == [] and failed(draw) == {}


def test_what_is_no_origin_holds_up_no_show(show: Show) -> None:
    [viewer] = viewers(1)
    segment = play(show, {viewer: Origin("guest", 0, block(0))})
    shard = tally.shard_of(viewer, segment.shards)
    tally.connect().hset(own(f"origins:{segment.key}:{shard}"), viewer, b"rubbish")
    draw = run_all(segment)
    assert told(draw)["kinds"] == {"app": 1} and failed(draw) == {}


@pytest.mark.parametrize(
    "where", ["dump_origins", "_make_part", "freeze_origins", "share_entries", "_record_freeze"]
)
def test_killed_and_run_again_it_comes_to_the_same(
    show: Show, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    whence = {viewer: Origin("guest", 0, block(number % 2)) for number, viewer in enumerate(viewers(30))}
    segment = play(show, whence, shared_entries=3)
    kill_at(monkeypatch, where)
    with pytest.raises(Killed):
        run_all(segment)
    draw = run_all(segment)
    draw.refresh_from_db()
    assert (draw.shared["blocks"], draw.shared["kept"], len(entries_of(draw))) == (2, 6, 6)
    assert failed(draw) == {}


def test_origins_that_were_changed_after_the_freeze_stop_it(show: Show) -> None:
    whence = {viewer: Origin("guest", 0, block(0)) for viewer in viewers(9)}
    segment = play(show, whence)
    fenced = freeze.close_tally(segment, 2**60)
    for number in freeze.missing_shards(fenced):
        freeze.freeze_shard(segment.pk, number)
    shard = tally.shard_of(next(iter(whence)), segment.shards)
    path = fetch(origins_shard_name(segment.key, shard))
    path.write_bytes(path.read_bytes()[24:])
    with pytest.raises(freeze.Broken, match="origins"):
        freeze.complete_freeze(fenced)


# --- what others make of it ---


@pytest.fixture
def shared(show: Show) -> Draw:
    whence = {viewer: Origin("guest", 0, block(number // 30)) for number, viewer in enumerate(viewers(45))}
    draw = run_all(play(show, whence, shared_entries=20))
    draw.refresh_from_db()
    return draw


def recount(draw: Draw, **changes: bytes) -> dict[str, verifier.Check]:
    read = {
        "roll": fetch(roll_name(draw.key)).read_bytes(),
        "totals": fetch(totals_name(draw.segment.key)).read_bytes(),
        "origins": fetch(origins_name(draw.segment.key)).read_bytes(),
        "shared": fetch(shared_name(draw.key)).read_bytes(),
    } | changes
    given = verifier.Given(origins=read["origins"], shared=read["shared"])
    record = Path(fetch(f"draw-{draw.key}/record.json")).read_bytes()
    return {row.name: row for row in verifier.verify_draw(record, read["roll"], read["totals"], given)}


def test_the_second_program_comes_to_the_same_list_by_itself(shared: Draw) -> None:
    checks = recount(shared)
    assert [name for name, row in checks.items() if not row.ok] == []
    assert "10 entries of blocks that have too many are left out" in checks["tickets from shakes"].detail
    assert "10 entries do not count" in checks["shared entries"].detail


def without_one_of(origins: bytes, crowded: bytes) -> bytes:
    """Origins without the first one of a block that has too many: of another block it makes no difference."""
    rows = [origins[at : at + 24] for at in range(0, len(origins), 24)]
    rows.remove(next(row for row in rows if row.endswith(crowded)))
    return b"".join(rows)


def test_somebody_else_in_the_place_of_the_one_who_stays_is_found(shared: Draw) -> None:
    names = left_out(shared)
    stays = next(name for name in entries_of(shared) if name not in names)
    other = b"".join(sorted([*names[1:], stays]))
    assert not recount(shared, shared=other)["shared entries"].ok
    assert not recount(shared, shared=b"".join(names[1:]))["shared entries"].ok
    assert "increase" in recount(shared, shared=b"".join(reversed(names)))["shared entries"].detail


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: without_one_of(rows, block(0)), "expected the roll"),
        (lambda rows: rows[:-1], "24 bytes"),
        (lambda rows: rows[24:48] + rows[:24] + rows[48:], "order of pseudonyms"),
        (lambda rows: rows[:14] + b"\x09" + rows[15:], "known kind"),
        (lambda rows: bytes(14) + rows[14:], "of viewers in the totals"),
        (lambda rows: rows + b"\xff" * 14 + b"\x01" + bytes(9), "of viewers in the totals"),
        (lambda rows: b"", "expected the roll"),
    ],
)
def test_other_origins_do_not_give_this_roll(shared: Draw, change: Any, said: str) -> None:
    rows = fetch(origins_name(shared.segment.key)).read_bytes()
    assert said in recount(shared, origins=change(rows))["tickets from shakes"].detail


def case_of(draw: Draw, **more: Any) -> verifier.Case:
    """The whole draw with its origins, every check done."""
    names = roll_name(draw.key), totals_name(draw.segment.key), origins_name(draw.segment.key)
    roll, totals, origins = (fetch(name).read_bytes() for name in names)
    record = parse_canonical(fetch(f"draw-{draw.key}/record.json").read_bytes())
    case = verifier.Case(record, roll, totals, verifier.Given(origins=origins, **more))
    assert [row.detail for row in verifier.check_case(case) if not row.ok] == []
    return case


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (lambda told: told, ""),
        (lambda told: told["kinds"].update(app=44, guest=1), "kinds in the ledger"),
        (lambda told: told["draws"][0]["shared"].update(blocks=3), "blocks with too many entries"),
        (lambda told: told["draws"][0]["shared"].update(entries=60, kept=50), "blocks with too many entries"),
    ],
)
def test_every_figure_of_the_ledger_is_recounted(
    shared: Draw, monkeypatch: pytest.MonkeyPatch, forge: Any, said: str
) -> None:
    case, details = case_of(shared), told(shared)
    forge(details)
    monkeypatch.setattr(verifier, "frozen_details", lambda _: details)
    check = verifier.run("origins", verifier.check_origins, case)
    assert check.ok == (not said) and said in check.detail


def test_a_user_of_the_host_app_who_is_put_into_a_block_is_found(show: Show) -> None:
    key = open_secret(show.k_show)
    users, guests = range(1, 9), range(GUEST_BIT, GUEST_BIT + 30)

    def pseudonym(uid: int) -> bytes:
        return derive_pseudonym(show.slug, uid, derive_salt(key, show.slug, uid))

    whence = {pseudonym(uid): Origin("guest", 0, block(0)) for uid in guests}
    honest = {pseudonym(uid): 50 for uid in users}
    draw = run_all(play(show, whence, honest, shared_entries=20))
    origins = fetch(origins_name(draw.segment.key)).read_bytes()
    case = case_of(draw, show_key=key, uids=[*users, *guests])
    row = min(honest) + Origin("guest", 0, block(0)).pack()
    rows = [origins[at : at + 24] for at in range(0, len(origins), 24)]
    case.origins = verifier.as_file(b"".join(sorted([*rows, row])))
    with pytest.raises(verifier.Wrong, match="got 1 of users of the host app"):
        verifier.check_origins(case)


def test_nobody_comes_from_anywhere_where_the_rules_take_no_guests(shared: Draw) -> None:
    case = case_of(shared)
    case.rules["fair_play"]["guests"] = False
    with pytest.raises(verifier.Wrong, match="no guests, by the rules"):
        verifier.check_origins(case)


def test_without_origins_the_auditor_is_told_what_is_missing(shared: Draw) -> None:
    record = fetch(f"draw-{shared.key}/record.json").read_bytes()
    roll, totals = (
        fetch(name).read_bytes() for name in (roll_name(shared.key), totals_name(shared.segment.key))
    )
    [check] = [row for row in verifier.verify_draw(record, roll, totals) if row.name == "tickets from shakes"]
    assert not check.ok and "--origins" in check.detail


def test_everybody_gets_the_list_and_auditors_get_the_origins(shared: Draw, client: Client) -> None:
    answer = get(f"/api/draws/{shared.pk}/shared")
    assert answer.body == b"".join(left_out(shared))
    assert answer.headers["ETag"] == f'"{shared.shared["sha256"]}"'
    origins = get(f"/api/draws/{shared.pk}/origins", crew(AUDITOR))
    assert origins.body == fetch(origins_name(shared.segment.key)).read_bytes()
    assert client.get(f"/api/draws/{shared.pk}/origins").json()["code"] == "auditors_only"


def test_a_draw_from_before_has_neither(shared: Draw, client: Client) -> None:
    with without_guards():
        Draw.objects.update(shared={})
    assert client.get(f"/api/draws/{shared.pk}/shared").json()["code"] == "no_origins"


def test_a_phone_that_was_told_more_and_stands_on_the_list_proves_no_fraud(show: Show) -> None:
    whence = {viewer: Origin("guest", 0, block(number // 30)) for number, viewer in enumerate(viewers(45))}
    segment = play(show, whence, shared_entries=20)
    draw = run_all(segment)
    publish_segment(segment.pk, actor="olga")
    draw.refresh_from_db()
    outside, inside = left_out(draw)[0], next(iter(entries_of(draw)))
    record, given = record_of(draw).content, fetch(shared_name(draw.key)).read_bytes()
    keys, roll = [format_vkey(key) for key in keys_of(show)], fetch(roll_name(draw.key)).read_bytes()

    def excuse(viewer: bytes, **more: Any) -> str:
        case = verifier.Case(parse_canonical(record), roll, None, verifier.Given(keys=keys, **more))
        assert [row.detail for row in verifier.check_case(case) if not row.ok] == []
        return verifier.excuse(case, viewer.hex(), 0, "so many were told")

    assert "on the list of those that do not count" in excuse(outside, shared=given)
    with pytest.raises(verifier.Wrong, match=r"CONTRADICTION.*--shared"):
        excuse(outside)
    with pytest.raises(verifier.Wrong, match="PROOF OF FRAUD"):
        excuse(inside, shared=given)


def test_a_canary_of_a_block_with_too_many_is_not_missed(shared: Draw) -> None:
    assert all(on_air.is_left_out(shared, viewer) for viewer in left_out(shared))
    assert not any(on_air.is_left_out(shared, viewer) for viewer in entries_of(shared))


def test_a_guest_whose_origin_was_taken_away_is_one_user_of_the_app_more_than_was_counted(
    show: Show, tmp_path: Path
) -> None:
    """Who can write into Redis would have entries of their own share with nobody."""
    whence = {viewer: Origin("guest", 0, block(1)) for viewer in viewers(5)}
    segment = play(show, whence, shared_entries=2)
    row = {"viewers": 5, "shakes": 250, "app": 0, "unsure": 0, "reports": 5, "clamped": 0}  # of the gateway
    redis, mine = tally.connect(), next(iter(whence))
    redis.delete(own(f"live:{segment.key}"))
    redis.hset(own(f"live:{segment.key}"), "gate-1", json.dumps(row))
    redis.hdel(own(f"origins:{segment.key}:{tally.shard_of(mine, segment.shards)}"), mine)
    draw = run_all(segment)
    assert mine in entries_of(draw)  # it stops nothing
    uncounted = json.loads(LedgerEntry.objects.get(show=show, action="uncounted").details)
    assert (uncounted["app"], uncounted["counted"]["app"], uncounted["viewers"]) == (1, 0, 5)
    assert [check.name for check in audit_draw(draw) if not check.ok] == ["counts"]
    publish_segment(segment.pk, actor="olga")
    pack = make_pack(show.slug, tmp_path / "pack.zip", totals=True, force=True, tell=lambda *_: None)
    wrong = "at most 0 frozen users of the host app"
    assert any(wrong in row.output for row in pack.verdicts if not row.ok)


def test_a_pack_for_auditors_has_all_that_a_recount_needs_and_holds(show: Show, tmp_path: Path) -> None:
    whence = {viewer: Origin("guest", 0, block(number // 30)) for number, viewer in enumerate(viewers(45))}
    segment = play(show, whence, shared_entries=20)
    draw = run_all(segment)
    publish_segment(segment.pk, actor="olga")
    pack = make_pack(show.slug, tmp_path / "pack.zip", totals=True, force=False, tell=lambda *_: None)
    with zipfile.ZipFile(tmp_path / "pack.zip") as packed:
        names = " ".join(packed.namelist())
    assert f"draw-{draw.pk}/shared.bin" in names and f"segment-{segment.pk}/origins.bin" in names
    assert [row.output for row in pack.verdicts if not row.ok] == []
