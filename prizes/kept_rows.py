"""Whether the guarded rows of a drawn draw are as they were written: by its record, and by what the ledger tells.

For whoever has lifted the guards. What a seal or a digest covers is checked where it is used (prizes/audit.py); this is
for the columns beside it, and for the shards that the roll was made of.
"""

import base64
import hashlib
import json
from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from django.core.exceptions import ObjectDoesNotExist

from engagement.clock import to_ms
from engagement.core.digests import canonical_json
from engagement.ledger.audit import Check
from engagement.models import LedgerEntry
from engagement.tally import shard_of
from engagement.vault import VaultError, open_secret
from prizes import verify_draw as verifier
from prizes.core.digests import HOUSE
from prizes.core.record import FORMAT
from prizes.core.roll import ENTRY_BYTES, HEADER_BYTES, TOTAL_BYTES
from prizes.engine.sharing import ROW_BYTES as ORIGIN_ROW_BYTES
from prizes.exclusions import explain_untold, told_exclusions
from prizes.files import exists, fetch, origins_name, part_name
from prizes.models import Draw
from prizes.stamps import promised_stampers, tell_stamps

# Between the moment that a row has and its entry, where the clocks of two servers differ: entries never run backwards.
CLOCKS_MS = 60_000
AT_ONCE = 1 << 20


class Compared(NamedTuple):
    """What a row says, and what it should."""

    name: str
    stored: Any
    expected: Any


def check_rows(draw: Draw, record: bytes) -> Check:
    """The draw's row, its reveals, wins and freeze: positions, times, counts and secrets."""
    try:
        rows = list(_compare(draw, json.loads(record)))
    except (ValueError, KeyError, TypeError, AttributeError, ObjectDoesNotExist) as error:
        return Check("rows as written", False, f"cannot be compared: {error!r}"[:200])
    wrong = [f"{row.name}: stored {row.stored}, expected {row.expected}" for row in rows if not _same(row)]
    return Check("rows as written", not wrong, "; ".join(wrong) or f"{len(rows)} values")


def _same(row: Compared) -> bool:
    return bool(row.stored == row.expected)


def _compare(draw: Draw, record: dict[str, Any]) -> Iterator[Compared]:
    yield from _of_draw(draw, record)
    yield from _of_steps(draw, record["ledger"])
    for reveal in draw.revealed.all():
        told = record["reveals"][reveal.party]
        yield Compared(f"time of the secret of {reveal.party}", reveal.at_ms, told["time"])
        yield Compared(f"position of the secret of {reveal.party}", reveal.ledger, told["ledger"])
    shows = set(draw.wins.values_list("show", flat=True)) - {draw.show_id}
    yield Compared("other shows of its wins", sorted(shows), [])
    yield from _of_freeze(draw, record)
    yield from _of_stamps(draw)


def _of_draw(draw: Draw, record: dict[str, Any]) -> Iterator[Compared]:
    precommitment, ledger = record["precommitment"], record["ledger"]
    yield Compared("show", draw.show_id, draw.segment.show_id)
    yield Compared("segment of its prizes", draw.prize_list.segment_id, draw.segment_id)
    promised = sorted({int(prize["id"].partition("-")[0]) for prize in draw.promised["prizes"]})
    yield Compared("prizes", sorted(draw.prize_list.prizes.values_list("pk", flat=True)), promised)
    yield Compared("time of arming", draw.committed_at_ms, precommitment["time"])
    yield Compared("position of arming", draw.committed_ledger, precommitment["ledger"])
    yield Compared("time of the seal", draw.sealed_at_ms, record["seal"]["time"])
    yield Compared("position of the seal", draw.sealed_ledger, ledger["seal"])
    yield Compared("position of the beacon", draw.beacon_ledger, ledger["beacon"])
    yield Compared("proof of the beacon", draw.beacon_proof, record["beacon"]["proof"])
    yield Compared("secret of the house", _open(draw.house_secret), record["reveals"][HOUSE]["secret"])
    if record["$format"] == FORMAT:
        yield from _of_seal(draw, record)


def _of_seal(draw: Draw, record: dict[str, Any]) -> Iterator[Compared]:
    """What a seal of the second version fixes of earlier draws, and the time until which the result is public."""
    pending = record["pending"]
    wins = [row for row in record["prior_wins"] if row["draw_id"] not in pending]
    sealed = canonical_json({"pending": pending, "wins": wins}).decode()
    yield Compared("wins and draws before the seal", draw.prior, sealed)
    yield Compared("seal before", draw.previous_seal, record["seal"]["previous"])
    publish_by = record["seal"]["time"] + 1000 * draw.promised["publish_by_s"]
    yield Compared("time to publish", draw.publish_by_ms, publish_by)


def _open(secret: str) -> str:
    try:
        return open_secret(secret).hex()
    except (ValueError, VaultError):
        return "none"


def _of_steps(draw: Draw, ledger: dict[str, Any]) -> Iterator[Compared]:
    """When it was drawn and published, and how many have how many tickets."""
    told = _entry(draw, "drawn", {"draw": draw.draw_id})
    yield Compared("time of the draw", _moment(draw.drawn_at, told), told and told.at_ms)
    publish = _entry(draw, "publish", {})
    if draw.prior:  # the first version kept no positions of these
        yield Compared("position of the draw", draw.drawn_ledger, told and told.position)
        yield Compared("position of the publication", draw.published_ledger, publish and publish.position)
    yield Compared("time of publication", _moment(draw.published_at, publish), publish and publish.at_ms)
    freeze = _entry(draw, "freeze", {"position": ledger["freeze"]})
    rows = json.loads(freeze.details)["draws"] if freeze else []
    classes = [row["classes"] for row in rows if row["draw"] == draw.pk]
    yield Compared("tickets by number", [draw.classes], classes)
    shared = [row.get("shared", {}) for row in rows if row["draw"] == draw.pk]
    yield Compared("shared entries", [draw.shared], shared)


def _moment(stored: Any, told: LedgerEntry | None) -> int | None:
    """In ms; the entry's own time where that is as good as the same."""
    moment = None if stored is None else stored if isinstance(stored, int) else to_ms(stored)
    if told is not None and moment is not None and 0 <= told.at_ms - moment <= CLOCKS_MS:
        return told.at_ms
    return moment


def _entry(draw: Draw, action: str, wanted: dict[str, Any]) -> LedgerEntry | None:
    """The last entry of this kind that tells of the draw's segment."""
    told = LedgerEntry.objects.filter(show=draw.show_id, action=action, position__gte=draw.committed_ledger)
    entry: LedgerEntry
    for entry in told.order_by("-position"):
        details = {**json.loads(entry.details), "position": entry.position}
        if {"segment": draw.segment_id, **wanted}.items() <= details.items():
            return entry
    return None


def _of_freeze(draw: Draw, record: dict[str, Any]) -> Iterator[Compared]:
    freeze = draw.segment.freeze
    told = _entry(draw, "freeze", {"position": record["ledger"]["freeze"]})
    fence = _entry(draw, "fence", {})
    details = json.loads(told.details) if told else {}
    yield Compared("position of the freeze", freeze.ledger, record["ledger"]["freeze"])
    yield Compared("time of the freeze", freeze.frozen_at_ms, told and told.at_ms)
    yield Compared("time of the fence", _moment(freeze.fenced_at_ms, fence), fence and fence.at_ms)
    yield Compared("viewers", freeze.viewers, details.get("viewers"))
    yield Compared("shakes", freeze.shakes, details.get("shakes"))
    yield Compared("shards", freeze.shards, draw.segment.shards)
    if draw.shared or "kinds" in details:  # else from before origins were kept
        yield Compared("viewers by kind", freeze.kinds, details.get("kinds"))
        yield Compared("origins", freeze.origins_sha256, details.get("origins_sha256"))


def _of_stamps(draw: Draw) -> Iterator[Compared]:
    """What was stamped when, by whom, and that none is missing of those of which the ledger tells."""
    named = {row["name"]: row["certificate"] for row in promised_stampers(draw.promised)}
    for row in draw.stamps.all():
        anchor, token = base64.b64decode(row.certificate), base64.b64decode(row.token)
        digest = hashlib.sha256(anchor).hexdigest()
        yield Compared(f"certificate of {row.stamper}", digest, named.get(row.stamper))
        yield Compared(f"time that {row.stamper} stamped", row.at_ms, _stamped(token, anchor, draw.seal))
    if publish := _entry(draw, "publish", {}):
        told = json.loads(publish.details).get("stamps", {})
        yield Compared("time stamps", tell_stamps(draw), told.get(draw.draw_id, {}))


def _stamped(token: bytes, anchor: bytes, seal: str) -> int | str:
    try:
        return verifier.check_token(token, anchor, bytes.fromhex(seal))
    except verifier.Wrong as error:
        return str(error)


def check_exclusions(draw: Draw) -> Check:
    """Whoever was excluded when it was armed had a line in the ledger before, and the last one about him said so."""
    name = "exclusions in the ledger"
    armed = LedgerEntry.objects.filter(show=draw.show_id, position=draw.committed_ledger).first()
    if armed is not None and not armed.salt:
        return Check(name, True, "armed when they were not told yet")
    try:
        found = explain_untold(draw.excluded, told_exclusions(draw.show_id, before=draw.committed_ledger))
    except (ValueError, TypeError) as error:
        return Check(name, False, str(error))
    return Check(name, not found, found or f"{len(draw.excluded)} told before it was armed")


# --- the shards ---


class Slice(NamedTuple):
    """The rows of one shard in a sorted file."""

    rows: int
    sha256: str


def check_shards(draw: Draw, roll: Path, totals: Path) -> Check:
    """Totals and roll, cut as they were frozen, are what the rows of the shards say."""
    count = draw.segment.shards
    try:
        freeze = draw.segment.freeze
        frozen = list(_slices(totals, 0, TOTAL_BYTES, count))
        parts, origins = _parts(draw, roll), _origins(draw)
    except (ValueError, IndexError, OSError, ObjectDoesNotExist) as error:
        return Check("frozen shards", False, f"cannot be compared: {error}")
    rows = {row.number: row for row in freeze.frozen_shards.all()}
    found = {number: (*frozen[number], parts[number], origins[number]) for number in range(count)}
    stored = {
        number: (row.viewers, row.sha256, _part(row.parts, draw), row.origins_sha256)
        for number, row in rows.items()
    }
    wrong = sorted(number for number in {*found, *stored} if found.get(number) != stored.get(number))
    shakes = sum(row.shakes for row in rows.values())
    if shakes != freeze.shakes:
        return Check("frozen shards", False, f"{shakes} shakes, the freeze has {freeze.shakes}")
    return Check("frozen shards", not wrong, f"not as frozen: {wrong}" if wrong else f"{count} shards")


def _part(parts: Any, draw: Draw) -> Any:
    return parts.get(draw.draw_id) if isinstance(parts, dict) else None


def _parts(draw: Draw, roll: Path) -> list[str]:
    """The SHA-256 of each shard's part of the roll; where blocks have too many entries it has more than the roll, and
    the second check recounts it."""
    count = draw.segment.shards
    if isinstance(draw.shared, dict) and draw.shared.get("entries"):
        return [_sha256_of(part_name(draw.key, number)) for number in range(count)]
    return [row.sha256 for row in _slices(roll, HEADER_BYTES, ENTRY_BYTES, count)]


def _origins(draw: Draw) -> list[str]:
    """The SHA-256 of each shard's origins; none of a draw from before they were kept."""
    count, name = draw.segment.shards, origins_name(draw.segment.key)
    if not exists(name):
        return [""] * count
    return [row.sha256 for row in _slices(fetch(name), 0, ORIGIN_ROW_BYTES, count)]


def _sha256_of(name: str) -> str:
    with fetch(name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _slices(path: Path, header: int, row_bytes: int, count: int) -> Iterator[Slice]:
    with path.open("rb") as file:
        rows = range((path.stat().st_size - header) // row_bytes)

        def shard_at(index: int) -> int:
            file.seek(header + index * row_bytes)
            return shard_of(file.read(1), count)

        starts = [bisect_left(rows, shard, key=shard_at) for shard in range(count)]
        for start, end in pairwise([*starts, len(rows)]):
            file.seek(header + start * row_bytes)
            yield Slice(end - start, _sha256(file, (end - start) * row_bytes))


def _sha256(file: BinaryIO, size: int) -> str:
    digest = hashlib.sha256()
    while size > 0 and (chunk := file.read(min(size, AT_ONCE))):
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest()
