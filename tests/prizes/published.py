"""Draws in the database with their files, at any step, without the night that makes them.

The roll is made by the simple functions of `prizes.core`, its ranking by AES of single blocks, so that what is served
is compared with something that the engine had no part in.
"""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core import signing
from django.test import Client

from engagement.clock import from_ms
from engagement.core.digests import canonical_json, derive_pseudonym, derive_salt, parse_canonical
from engagement.core.names import stage_name
from engagement.core.phases import Phase
from engagement.ledger.core.merkle import build_levels, leaf_hash, proof_from_levels, root
from engagement.models import Segment
from engagement.passes import PURPOSE
from engagement.roles import create_roles
from engagement.vault import open_secret
from prizes import files
from prizes.core.digests import HOUSE, NO_SEAL, beacon_id, draw_key, roll_digest, rules_digest
from prizes.core.record import Prior, Ranked, Revealed, build_record, build_seal, encode_record, select_listed
from prizes.core.roll import build_roll, iterate_entries, iterate_runs, pack_total
from prizes.models import Draw, Freeze, Prize, Reveal, Win
from tests.cast import AUDITOR, OPERATOR, armed_segment, make_show

THROWS = ("3141526535456323" * 4)[:50]
SIGNATURE = "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39"
STEPS: list[str] = [
    Draw.Step.COMMITTED,
    Draw.Step.SEALED,
    Draw.Step.DRAWING,
    Draw.Step.DRAWN,
    Draw.Step.PUBLISHED,
]


ROLES = {OPERATOR: "operator", AUDITOR: "auditor"}


@pytest.fixture(autouse=True)
def own_folder(settings, tmp_path: Path) -> None:
    """Numbers of draws come again in every test, and with them the names of files."""
    options = {**settings.STORAGES["draws"], "OPTIONS": {"location": tmp_path}}
    settings.STORAGES = {**settings.STORAGES, "draws": options}
    settings.DRAWS_DIR = tmp_path


def crew(role: str) -> Client:
    """The browser of somebody of the crew who has logged in."""
    create_roles()
    user = User.objects.create_user(f"{role}-{User.objects.count()}", is_staff=True)
    user.groups.add(Group.objects.get(name=ROLES[role]))
    client = Client()
    client.force_login(user)
    return client


class Viewer(NamedTuple):
    uid: int
    salt: bytes
    pseudonym: bytes
    tickets: int


class Stored(NamedTuple):
    """A draw as it is stored, and the viewers of its show; `viewers` are in the order of the roll."""

    draw: Draw
    viewers: list[Viewer]
    roll: bytes
    record: dict[str, Any]

    @property
    def address(self) -> str:
        return f"/api/draws/{self.draw.pk}"


def make_viewers(show: Any, count: int) -> list[Viewer]:
    """Guests and users of a host app by turns, each with 1, 2, 3, 5 or 10 tickets."""
    key, viewers = open_secret(show.k_show), []
    for number in range(count):
        uid = number | (number % 2) << 63
        salt = derive_salt(key, show.slug, uid)
        viewers.append(
            Viewer(uid, salt, derive_pseudonym(show.slug, uid, salt), (1, 2, 3, 5, 10)[number % 5])
        )
    return sorted(viewers, key=lambda viewer: viewer.pseudonym)


def sign_pass(slug: str, uid: int) -> str:
    """The pass of this viewer, a guest or not."""
    return signing.dumps([slug, uid, 1_900_000_000_000], key=settings.PASS_KEYS[0], salt=PURPOSE)


def make_draw(
    step: str = Draw.Step.PUBLISHED,
    *,
    viewers: int = 600,
    show: Any = None,
    prior_rank: int = 0,
    **segment: Any,
) -> Stored:
    """A draw that has come so far. `prior_rank`: who comes at this rank has won in another draw of the show."""
    show = show or make_show()
    row = armed_segment(show, **{"beacon": "dice", **segment})
    draw = row.draws.select_related("show", "segment").get()
    people = make_viewers(show, viewers)
    if STEPS.index(step) == 0:
        return Stored(draw, people, b"", {})
    roll = _seal(draw, people, pending=bool(prior_rank))
    record = _account(draw, roll, prior_rank)
    if STEPS.index(step) >= STEPS.index(Draw.Step.DRAWN):
        _finish(draw, record, step)
    elif step != draw.step:
        Draw.objects.filter(pk=draw.pk).update(step=step)
    return Stored(Draw.objects.select_related("show", "segment").get(pk=draw.pk), people, roll, record)


def prior_of(draw: Draw, pending: bool) -> Prior:
    """Nobody has won by the seal; where that is wanted, another draw of the show is under way."""
    return Prior({}, [f"{draw.show.slug}/seg-9/draw-1"] if pending else [], NO_SEAL)


def _seal(draw: Draw, people: list[Viewer], pending: bool) -> bytes:
    rules, at = parse_canonical(draw.rules.encode()), draw.committed_at_ms
    entries = [(viewer.pseudonym, viewer.tickets) for viewer in people]
    roll = build_roll(entries, rules_digest(rules), rules["tmax"])
    totals = b"".join(pack_total(viewer.pseudonym, 15 * viewer.tickets) for viewer in people)
    files.write(files.roll_name(draw.key), roll)
    files.write(files.totals_name(draw.segment.key), totals)
    secret, frozen_at = open_secret(draw.house_secret), at + 40_000
    position = draw.committed_ledger
    Reveal.objects.create(
        draw=draw, party=HOUSE, secret=draw.house_secret, at_ms=frozen_at, ledger=position + 2
    )
    Freeze.objects.create(
        segment=draw.segment, shards=1, fenced_at_ms=frozen_at, frozen_at_ms=frozen_at, ledger=position + 1
    )
    top = root([leaf_hash(run) for run in iterate_runs(roll[64:])])
    totals_digest = hashlib.sha256(totals).digest()
    sealed = roll_digest(roll[:64], top), totals_digest, prior_of(draw, pending)
    seal = build_seal(rules, *sealed, {HOUSE: secret}, frozen_at // 1000)
    window = {"opens_at": from_ms(at + 5_000), "closes_at": from_ms(at + 25_000)}
    Segment.objects.filter(pk=draw.segment_id).update(
        phase=Phase.SEALED, announced_seals=[seal.hex()], **window
    )
    counts = [tickets for _, tickets in entries]
    Draw.objects.filter(pk=draw.pk).update(
        step=Draw.Step.SEALED,
        roll_header=roll[:64].hex(),
        roll_root=top.hex(),
        roll_sha256=hashlib.sha256(roll).hexdigest(),
        totals_digest=totals_digest.hex(),
        entries=len(entries),
        tickets=sum(counts),
        classes=[[tickets, counts.count(tickets)] for tickets in sorted(set(counts))],
        seal=seal.hex(),
        sealed_at_ms=at + 41_000,
        sealed_ledger=position + 3,
        prior=canonical_json({"pending": prior_of(draw, pending).pending, "wins": []}).decode(),
        previous_seal=NO_SEAL.hex(),
        publish_by_ms=at + 41_000 + 86_400_000,
    )
    draw.refresh_from_db()
    return roll


def beacon_of(kind: str) -> tuple[bytes, dict[str, str]]:
    """A value and its proof; the signature of drand is that of round 1000, not of the round of this draw."""
    if kind == "local":
        return bytes(range(32)), {}
    proof = {"signature": SIGNATURE} if kind == "drand" else {"digits": THROWS}
    source = bytes.fromhex(SIGNATURE) if kind == "drand" else THROWS.encode()
    return hashlib.sha256(source).digest(), proof


def rank(roll: bytes, key: bytes) -> list[Ranked]:
    """Everybody in the order of the smallest of their scores."""
    encryptor, ranked = Cipher(algorithms.AES(key), modes.ECB()).encryptor(), []
    for index, (pseudonym, tickets) in enumerate(iterate_entries(roll[64:])):
        blocks = [pseudonym + ticket.to_bytes(2, "big") for ticket in range(tickets)]
        score, ticket = min((encryptor.update(block), ticket) for ticket, block in enumerate(blocks))
        ranked.append(Ranked(pseudonym, tickets, ticket, score, index))
    return sorted(ranked, key=lambda row: row.score)


def _account(draw: Draw, roll: bytes, prior_rank: int) -> dict[str, Any]:
    rules, at = parse_canonical(draw.rules.encode()), draw.committed_at_ms
    value, proof = beacon_of(rules["beacon"]["kind"])
    key = draw_key(bytes.fromhex(draw.seal), beacon_id(rules["beacon"]["kind"]), value)
    ranked = rank(roll, key)
    prior = prior_of(draw, bool(prior_rank))
    won = {ranked[prior_rank - 1].pseudonym: prior.pending[0]} if prior_rank else {}
    levels = build_levels([leaf_hash(run) for run in iterate_runs(roll[64:])])
    listed = select_listed(ranked, won, rules["winners"] + rules["reserves"])
    position = draw.committed_ledger
    return build_record(
        rules=rules,
        precommitted_at=at,
        precommitment_ledger=position,
        opens_at=at + 5_000,
        closes_at=at + 25_000,
        roll_header=roll[:64],
        roll_root=bytes.fromhex(draw.roll_root),
        totals_digest=bytes.fromhex(draw.totals_digest),
        reveals={HOUSE: Revealed(open_secret(draw.house_secret), at + 40_000, position + 2)},
        sealed_at=at + 41_000,
        t_freeze=(at + 40_000) // 1000,
        beacon_value=value,
        beacon_proof=proof,
        ranked=ranked,
        proofs={row.index // 256: proof_from_levels(levels, row.index // 256) for row in listed},
        prior=prior,
        pending_wins=won,
        ledger={"freeze": position + 1, "seal": position + 3, "beacon": position + 4, "start": position + 5},
        software={name: rules[f"{name}_digest"] for name in ("software", "verifier")},
    )


def _finish(draw: Draw, record: dict[str, Any], step: str) -> None:
    content, at = encode_record(record), draw.committed_at_ms
    files.write(files.record_name(draw.key), content)
    for winner in record["winners"]:
        prize, _, piece = winner["prize"].partition("-")
        Win.objects.create(
            show=draw.show,
            draw=draw,
            prize=Prize.objects.get(pk=prize),
            piece=int(piece),
            rank=winner["rank"],
            pseudonym=winner["pseudonym"],
            name=stage_name(bytes.fromhex(winner["pseudonym"])),
            claim_by=from_ms(at + 90_000_000),
        )
    published = step == Draw.Step.PUBLISHED
    Segment.objects.filter(pk=draw.segment_id).update(phase=Phase.PUBLISHED if published else Phase.DRAWN)
    Draw.objects.filter(pk=draw.pk).update(
        step=step,
        beacon_value=record["beacon"]["value"],
        beacon_proof=record["beacon"]["proof"],
        beacon_ledger=draw.committed_ledger + 4,
        started_at=from_ms(at + 50_000),
        drawn_at=from_ms(at + 52_000),
        published_at=from_ms(at + 60_000) if published else None,
        record_digest=hashlib.sha256(content).hexdigest(),
    )
