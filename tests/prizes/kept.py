"""What a night leaves in the hands of others: the signed files of a draw, and what its phones were told."""

from collections.abc import Callable
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engagement.core.digests import canonical_json, parse_canonical
from engagement.ledger.append import append_entry
from engagement.ledger.checkpoints import keys_of
from engagement.ledger.core.checkpoints import format_vkey
from engagement.ledger.core.stubs import BLIND_BYTES, Batch, sign_batch
from engagement.ledger.statements import GATEWAY_KEY, find_gateway_key, statement
from engagement.models import Segment
from prizes import files
from prizes.models import Draw
from prizes.publication import record_of
from prizes.receipts import make_receipt
from prizes.steps.publish import publish_segment
from tests.cast import OPERATOR
from tests.prizes import pipeline

GATEWAY = "gate-1"
SIGNER, STRANGER = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (0x51, 0x52))
GATEWAY_PUBLIC = SIGNER.public_key().public_bytes_raw()
AT = 1_794_000_021_500
NEIGHBOURS = {bytes([0xEE, number]) * 7: number for number in range(4)}  # in the batch of every stub


class Night(NamedTuple):
    """The published files of one draw, the frozen totals, and the ledger's statement of the gateway's key."""

    show: str
    segment: str  # as stubs name it
    key: str
    record: bytes
    roll: bytes
    totals: bytes
    receipts: dict[bytes, bytes]
    certificate: dict[str, Any]

    def stub(self, viewer: bytes, total: int, signer: Ed25519PrivateKey = SIGNER, **changes: Any) -> bytes:
        """The file that a phone keeps when it was told so; `changes` are of the batch."""
        said = {"show": self.show, "segment": self.segment, "gateway": GATEWAY, "at": AT, **changes}
        return keep(sign_stub(Batch(**said), viewer, total, signer), self.certificate)


def sign_stub(batch: Batch, viewer: bytes, total: int, signer: Ed25519PrivateKey = SIGNER) -> dict[str, Any]:
    """As a gateway signs it, the last but two of its batch."""
    totals = {**dict(list(NEIGHBOURS.items())[:2]), viewer: total, **dict(list(NEIGHBOURS.items())[2:])}
    blinds, key = bytes(len(totals) * BLIND_BYTES), signer.public_key().public_bytes_raw()
    found: dict[str, Any] = parse_canonical(sign_batch(batch, totals, blinds, key, signer.sign)[2].encode())
    return found


def keep(stub: dict[str, Any], certificate: dict[str, Any]) -> bytes:
    return canonical_json({"$format": "shake-stub/v1/kept", "gateway_key": certificate, "stub": stub})


def leave(draw: Draw) -> None:
    """Nothing happens between the draw and its publication."""


def play(
    segment: Segment,
    totals: dict[bytes, int],
    viewers: list[bytes],
    *,
    gateway: bytes = GATEWAY_PUBLIC,
    before_publication: Callable[[Draw], None] = leave,
) -> Night:
    """The draw of an armed segment among these, published, with the receipts of some; the gateway has this key."""
    show = segment.show
    segment = pipeline.ended(segment, totals)
    if find_gateway_key(show, GATEWAY) is None:
        append_entry(show, GATEWAY_KEY, details={"gateway": GATEWAY, "key": gateway.hex(), "from": AT})
    draw = pipeline.run_all(segment)
    before_publication(draw)
    publish_segment(draw.segment_id, actor=OPERATOR)
    draw = Draw.objects.select_related("show", "segment__freeze").get(pk=draw.pk)
    position = find_gateway_key(show, GATEWAY)
    assert position is not None
    return Night(
        show=show.slug,
        segment=draw.segment.key,
        key=format_vkey(keys_of(draw.show)[0]),
        record=record_of(draw).content,
        roll=files.fetch(files.roll_name(draw.key)).read_bytes(),
        totals=files.fetch(files.totals_name(draw.segment.key)).read_bytes(),
        receipts={viewer: make_receipt(draw, viewer) for viewer in viewers},
        certificate=statement(show, position),
    )
