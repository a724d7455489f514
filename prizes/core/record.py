"""The record: the published, self-contained account of a draw (docs/draw.md, section 7)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from engagement.core.digests import canonical_json, commit, parse_canonical, tagged_hash
from prizes.core.digests import (
    NO_SEAL,
    Sealed,
    beacon_id,
    beacon_round,
    beacon_strength,
    draw_key,
    prior_digest,
    roll_digest,
    rules_digest,
    seal_digest,
)
from prizes.core.roll import RUN_ENTRIES, parse_header

FORMAT = "shake-draw/v2"
FORMATS = ("shake-draw/v1", FORMAT)  # that can be read
UNDIGESTED = ("digest", "log", "signature")  # what is added to a record, and not part of what it says
NO_CUTOFF = b"\xff" * 16  # every entry of the roll is listed, so no score may be missing
LEDGER_STEPS = ("freeze", "seal", "beacon", "start")
STATUSES: dict[str, tuple[str, ...]] = {
    "claimed": ("",),
    "won": ("moved up",),
    "skipped": ("won in another draw",),
    "forfeited": ("declined", "deadline passed", "won in another draw"),
    "disqualified": (
        "staff or family",
        "under age",
        "outside the territory",
        "false identity",
        "second account",
    ),
}
"""The closed list of reasons for each disposition (docs/draw.md, section 7)."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """One entry of the ranking: pseudonym, tickets, its best ticket j, that ticket's 16-byte score, and its
    index in the roll.

    >>> Ranked(b"A" * 14, 3, 2, bytes(16), 0).ticket
    2
    """

    pseudonym: bytes
    tickets: int
    ticket: int
    score: bytes
    index: int


class Revealed(NamedTuple):
    """A party's secret of 32 bytes, when it was revealed (UTC ms) and where in the ledger that stands.

    >>> ABSENT
    Revealed(secret=b'', time=0, ledger=0)
    """

    secret: bytes
    time: int
    ledger: int


ABSENT = Revealed(b"", 0, 0)
"""A party that did not reveal in time: an empty field of the seal."""


class Prior(NamedTuple):
    """What a seal fixes of earlier draws: who had won by then, and what was sealed before and not drawn yet.

    `wins` maps pseudonyms to the draw id of their win, `pending` are draw ids in the order of their seals; `previous`
    is the seal made before this one in the show, 32 bytes.

    >>> NOTHING_BEFORE.pending
    ()
    """

    wins: Mapping[bytes, str]
    pending: Sequence[str]
    previous: bytes


NOTHING_BEFORE = Prior({}, (), NO_SEAL)
"""The first draw of a show."""


def select_listed(ranked: Sequence[Ranked], prior_wins: Mapping[bytes, str], take: int) -> list[Ranked]:
    """Return the ranking up to the entry that is the `take`-th not skipped, skipped ones included.

    `ranked` ascends by score; `prior_wins` maps viewers who already hold a win of this show to its draw id.
    A ranking of `take + len(prior_wins)` entries, or of the whole roll, is always long enough.
    Source: docs/draw.md, section 6.

    >>> rows = [Ranked(bytes([n]) * 14, 1, 0, bytes([n]) * 16, n) for n in range(4)]
    >>> [row.index for row in select_listed(rows, {rows[0].pseudonym: "draw-1"}, 2)]
    [0, 1, 2]
    """
    listed: list[Ranked] = []
    for row in ranked:
        if take == 0:
            break
        listed.append(row)
        take -= row.pseudonym not in prior_wins
    return listed


def build_record(
    *,
    rules: dict[str, Any],
    precommitted_at: int,
    precommitment_ledger: int,
    opens_at: int,
    closes_at: int,
    roll_header: bytes,
    roll_root: bytes,
    totals_digest: bytes,
    reveals: Mapping[str, Revealed],
    sealed_at: int,
    t_freeze: int,
    beacon_value: bytes,
    beacon_proof: Mapping[str, Any],
    ranked: Sequence[Ranked],
    proofs: Mapping[int, Sequence[bytes]],
    prior: Prior,
    pending_wins: Mapping[bytes, str],
    ledger: Mapping[str, int],
    software: Mapping[str, str],
    dispositions: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return the record of a draw as a JSON value; all digests in it are computed here.

    `rules` come from `build_rules`. Times are UTC ms, `t_freeze` whole Unix seconds;
    `opens_at` and `closes_at` are studio time, feeds saw them after their delay. `reveals` maps every
    party to what it revealed, or to `ABSENT`. `beacon_proof` is {"signature": hex} for drand,
    {"digits": text} for dice, {} for local. `ranked` needs the length `select_listed` asks for; `proofs` maps
    the index of a leaf (entry index // 256) to its inclusion proof. `prior` is what the seal fixes of earlier draws,
    `pending_wins` maps the winners of its pending draws to their draw ids. `ledger` has the positions of freeze,
    seal, beacon and start; `software` the hex digests "software" and "verifier" that ran.
    Raises ValueError where a secret or the roll does not fit the rules, or a winner is of a draw that is not pending.
    Source: docs/draw.md, section 7.

    >>> build_record(rules={"parties": []}, precommitted_at=0, precommitment_ledger=0, opens_at=0,
    ...     closes_at=0, roll_header=b"", roll_root=b"", totals_digest=b"", reveals={"x": ABSENT},
    ...     sealed_at=0, t_freeze=0, beacon_value=b"", beacon_proof={}, ranked=[], proofs={},
    ...     prior=NOTHING_BEFORE, pending_wins={}, ledger={}, software={})
    Traceback (most recent call last):
    ...
    ValueError: expected secrets of [], got ['x']
    """
    secrets = {name: revealed.secret for name, revealed in reveals.items()}
    _check_secrets(rules, secrets)
    prior_wins = _join_wins(prior, pending_wins)
    seal = build_seal(rules, roll_digest(roll_header, roll_root), totals_digest, prior, secrets, t_freeze)
    beacon = _beacon(rules["beacon"]["kind"], beacon_value, beacon_proof)
    listed = select_listed(ranked, prior_wins, rules["winners"] + rules["reserves"])
    record = {
        "$format": FORMAT,
        "rules": rules,
        "rules_digest": rules_digest(rules).hex(),
        "precommitment": {
            "commitments": {party["name"]: party["commitment"] for party in rules["parties"]},
            "time": precommitted_at,
            "ledger": precommitment_ledger,
        },
        "as_run": {"opens_at": opens_at, "closes_at": closes_at},
        "roll": _roll(rules, roll_header, roll_root, totals_digest),
        "reveals": {
            name: {"secret": row.secret.hex(), "time": row.time, "ledger": row.ledger}
            for name, row in reveals.items()
        },
        "seal": {
            "digest": seal.hex(),
            "time": sealed_at,
            "t_freeze": t_freeze,
            "round": beacon_round(beacon["kind"], t_freeze, rules["seal_margin_s"]),
            "previous": prior.previous.hex(),
        },
        "beacon": beacon,
        "key": draw_key(seal, bytes.fromhex(beacon["id"]), beacon_value).hex(),
        "ranked": [_ranked(rank, row, proofs, prior_wins) for rank, row in enumerate(listed, 1)],
        **_outcome(rules, listed, prior_wins),
        "prior_wins": [
            {"pseudonym": pseudonym.hex(), "draw_id": draw_id}
            for pseudonym, draw_id in sorted(prior_wins.items())
        ],
        "pending": list(prior.pending),
        "ledger": {step: ledger[step] for step in LEDGER_STEPS},
        "software": {name: software[name] for name in ("software", "verifier")},
        "log": None,
        "signature": "",
    }
    return with_dispositions(record, dispositions)


def build_seal(
    rules: dict[str, Any],
    roll: bytes,
    totals: bytes,
    prior: Prior,
    secrets: Mapping[str, bytes],
    t_freeze: int,
) -> bytes:
    """Return the 32-byte seal of a draw from its rules, the digests of its roll and its totals, what was won before,
    and its parties' secrets.

    Source: docs/draw.md, section 4. KeyError for a party without an entry in `secrets`.

    >>> rules = {"draw_id": "d", "seal_margin_s": 60, "beacon": {"kind": "dice"}, "parties": []}
    >>> fixed = Sealed(rules_digest(rules), bytes(32), bytes(32), prior_digest({}, []), NO_SEAL)
    >>> build_seal(rules, bytes(32), bytes(32), NOTHING_BEFORE, {}, 0) == seal_digest("d", fixed, 0, [])
    True
    """
    fixed = Sealed(rules_digest(rules), roll, totals, prior_digest(prior.wins, prior.pending), prior.previous)
    return seal_digest(
        rules["draw_id"],
        fixed,
        beacon_round(rules["beacon"]["kind"], t_freeze, rules["seal_margin_s"]),
        [secrets[party["name"]] for party in rules["parties"]],
    )


def with_dispositions(record: dict[str, Any], dispositions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the record with these dispositions in place of its own, and its digest computed anew.

    Each has pseudonym, prize (id), status and reason (of `STATUSES`), time (UTC ms), ledger (position).
    ValueError for other fields, or a reason that is not on the closed list. Source: docs/draw.md, section 7.

    >>> with_dispositions({"$format": "shake-draw/v2"}, [])["dispositions"]
    []
    """
    fields = {"pseudonym", "prize", "status", "reason", "time", "ledger"}
    for row in dispositions:
        if set(row) != fields:
            raise ValueError(f"expected a disposition with {sorted(fields)}, got {sorted(row)}")
        if row["reason"] not in STATUSES.get(row["status"], ()):
            came = f"{row['status']!r}, {row['reason']!r}"
            raise ValueError(f"expected a status and reason of {STATUSES}, got {came}")
    changed = {**record, "dispositions": [dict(row) for row in dispositions]}
    return {**changed, "digest": record_digest(changed).hex()}


def record_digest(record: Mapping[str, Any]) -> bytes:
    """Return the 32-byte digest over all that a record says: all but its fields "digest", "log" and "signature".

    >>> record_digest({"$format": FORMAT}) == record_digest({"$format": FORMAT, "digest": "old"})
    True
    """
    rest = {name: value for name, value in record.items() if name not in UNDIGESTED}
    return tagged_hash(f"{record['$format']}/record", canonical_json(rest))


def record_statement(record: Mapping[str, Any]) -> str:
    """Return the text that the organiser signs for a record as it is now (docs/draw.md, section 7).

    >>> record_statement({"rules": {"draw_id": "d"}, "digest": "00" * 32}).splitlines()[:2]
    ['shake-draw/v2/record', 'd']
    """
    return f"{FORMAT}/record\n{record['rules']['draw_id']}\n{record['digest']}\n"


def encode_record(record: dict[str, Any]) -> bytes:
    """Return the record as canonical JSON, the bytes that are published.

    >>> encode_record({"$format": FORMAT, "key": ""})
    b'{"$format":"shake-draw/v2","key":""}'
    """
    return canonical_json(record)


def parse_record(data: bytes) -> dict[str, Any]:
    """Parse the bytes of `encode_record`; ValueError unless canonical and of a version that is known.

    The content is checked by prizes/verify_draw.py, not here.

    >>> parse_record(b'{"$format":"shake-draw/v9"}')
    Traceback (most recent call last):
    ...
    ValueError: expected a record of shake-draw/v1 or shake-draw/v2, got another document
    """
    record = parse_canonical(data)
    if not isinstance(record, dict) or record.get("$format") not in FORMATS:
        raise ValueError(f"expected a record of {' or '.join(FORMATS)}, got another document")
    return record


def _join_wins(prior: Prior, pending_wins: Mapping[bytes, str]) -> dict[bytes, str]:
    """Who is passed over: all who had won by the seal, and the winners of draws that were under way then."""
    strangers = sorted(set(pending_wins.values()) - set(prior.pending))
    if strangers:
        raise ValueError(
            f"expected wins of the pending draws {list(prior.pending)}, got one of {strangers[0]!r}"
        )
    return {**pending_wins, **prior.wins}


def _check_secrets(rules: dict[str, Any], secrets: Mapping[str, bytes]) -> None:
    names = [party["name"] for party in rules["parties"]]
    if set(secrets) != set(names):
        raise ValueError(f"expected secrets of {names}, got {sorted(secrets)}")
    for party in rules["parties"]:
        secret = secrets[party["name"]]
        if secret and commit(rules["draw_id"], party["name"], secret).hex() != party["commitment"]:
            raise ValueError(f"expected the secret that {party['name']!r} committed to, got another")


def _roll(rules: dict[str, Any], header: bytes, root: bytes, totals_digest: bytes) -> dict[str, Any]:
    parsed = parse_header(header)
    if (parsed.rules_digest, parsed.tmax) != (rules_digest(rules), rules["tmax"]):
        raise ValueError("expected a roll made under these rules, got another rules digest or Tmax")
    return {
        "header": header.hex(),
        "entries": parsed.entries,
        "tickets": parsed.tickets,
        "root": root.hex(),
        "digest": roll_digest(header, root).hex(),
        "totals_digest": totals_digest.hex(),
    }


def _ranked(
    rank: int, row: Ranked, proofs: Mapping[int, Sequence[bytes]], prior_wins: Mapping[bytes, str]
) -> dict[str, Any]:
    leaf = row.index // RUN_ENTRIES
    return {
        "rank": rank,
        "pseudonym": row.pseudonym.hex(),
        "tickets": row.tickets,
        "ticket": row.ticket,
        "score": row.score.hex(),
        "index": row.index,
        "proof": {"leaf": leaf, "siblings": [sibling.hex() for sibling in proofs[leaf]]},
        "won": prior_wins.get(row.pseudonym, ""),
    }


def _beacon(kind: str, value: bytes, proof: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kind": kind,
        "id": beacon_id(kind).hex(),
        "value": value.hex(),
        "strength": beacon_strength(kind),
        "proof": dict(proof),
    }


def _outcome(
    rules: dict[str, Any], listed: Sequence[Ranked], prior_wins: Mapping[bytes, str]
) -> dict[str, Any]:
    takers = [
        {"rank": rank, "pseudonym": row.pseudonym.hex()}
        for rank, row in enumerate(listed, 1)
        if row.pseudonym not in prior_wins
    ]
    winners = zip(takers, rules["prizes"], strict=False)  # fewer takers than prizes is legal
    complete = len(takers) == rules["winners"] + rules["reserves"]
    return {
        "cutoff": (listed[-1].score if complete else NO_CUTOFF).hex(),
        "winners": [{**taker, "prize": prize["id"]} for taker, prize in winners],
        "reserves": takers[rules["winners"] :],
    }
