"""Asks the time stampers of shows for stamps of their seals (RFC 3161; docs/draw.md, section 7).

Once a second the conductor looks which named time stamper has not stamped a seal whose beacon nobody can know yet, and
asks those, all at once (prizes/errands.py), each for one seal. It waits for nobody: answers are taken in a later
second, and no draw waits for a stamp. No time stamper is trusted: each token is verified by a library, and by the
program that strangers check it with, before it is kept.
"""

import base64
import logging
import secrets
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cryptography.x509 import load_der_x509_certificate
from django.db import transaction
from django.db.models import Exists, OuterRef
from rfc3161_client import PKIStatus, VerifierBuilder, decode_timestamp_response

from engagement.actions import lock_segment
from engagement.clock import now_ms
from prizes import verify_draw as verifier
from prizes.errands import Asking as Errands
from prizes.errands import Errand, Limits, Question, Reply, Settled
from prizes.models import Draw, Stamp, Stamper, known
from prizes.stamps import beacon_due, promised_stampers

log = logging.getLogger(__name__)

LIMITS = Limits(answer_s=3.0, most_bytes=64 * 1024, patience_s=0.0)  # an answer has 2 to 8 KB
SEALS_LOOKED_AT = 40  # the newest: those of dice and rehearsals may wait for ever
CLOCK_MS = 10_000  # further apart, a time stamper's clock is worth a word
SHA256 = bytes.fromhex("300d06096086480165030402010500")  # the algorithm, in DER
LONGEST_TROUBLE = Stamper._meta.get_field("trouble").max_length


class BadAnswer(ValueError):
    """What was answered is no stamp of the seal; the text says why."""


class Sent(NamedTuple):
    """Who was asked for a stamp of which draw's seal, and with which nonce."""

    stamper: Stamper
    draw: Draw
    nonce: int


# --- who is asked -------------------------------------------------------------------------------------------


def find_due(busy: set[int], now: int) -> list[tuple[Stamper, Draw]]:
    """Named time stampers that have not stamped a seal yet, each with the first such draw; three queries."""
    draws = [draw for draw in _open_draws() if (due := beacon_due(draw)) is None or now < due]
    if not draws:
        return []
    stampers = list(Stamper.objects.filter(show__in={draw.show_id for draw in draws}).exclude(pk__in=busy))
    there = {
        (row.draw_id, row.stamper) for row in Stamp.objects.filter(draw__in=draws).only("draw", "stamper")
    }
    missing = {
        row.pk: [draw for draw in draws if _is_named(row, draw) and (draw.pk, row.name) not in there]
        for row in stampers
    }
    return [
        (row, min(missing[row.pk], key=lambda draw: known(draw.sealed_at_ms)))
        for row in stampers
        if missing[row.pk]
    ]


def _open_draws() -> list[Draw]:
    """Sealed draws of shows with time stampers, whose beacon has not been told; the newest."""
    asked = Exists(Stamper.objects.filter(show=OuterRef("show")))
    sealed = Draw.objects.filter(asked, step=Draw.Step.SEALED, beacon_value="").exclude(seal="")
    return list(sealed.select_related("segment__freeze").order_by("-pk")[:SEALS_LOOKED_AT])


def _is_named(stamper: Stamper, draw: Draw) -> bool:
    """Whether the rules of the draw have it, with this certificate."""
    named = {"name": stamper.name, "certificate": stamper.fingerprint}
    return stamper.show_id == draw.show_id and named in promised_stampers(draw.promised)


def format_request(seal: str, nonce: int) -> bytes:
    """The TimeStampReq for a seal, which is a SHA-256 (RFC 3161, 2.4.1): with this nonce, and with certificates."""
    imprint = _der(0x30, SHA256 + _der(0x04, bytes.fromhex(seal)))
    number = nonce.to_bytes(nonce.bit_length() // 8 + 1, "big")
    return _der(0x30, b"\x02\x01\x01" + imprint + _der(0x02, number) + b"\x01\x01\xff")


def _der(tag: int, body: bytes) -> bytes:
    """A value of less than 128 bytes."""
    return bytes([tag, len(body)]) + body


# --- what is answered ---------------------------------------------------------------------------------------


def read_stamp(sent: Sent, reply: Reply) -> Stamp:
    """The verified stamp in an answer; raises BadAnswer."""
    if reply.status != 200:
        raise BadAnswer(reply.refusal)
    anchor, seal = sent.stamper.der, bytes.fromhex(sent.draw.seal)
    try:
        token = _verify(reply.body, anchor, seal, sent.nonce)
        at_ms = verifier.check_token(token, anchor, seal)  # whoever checks the record has to come to the same
    except Exception as error:  # of any kind: two libraries have read what a stranger has sent
        raise BadAnswer(f"answers with no stamp of the seal: {error}") from None
    certificate, packed = (base64.b64encode(data).decode() for data in (anchor, token))
    return Stamp(
        draw=sent.draw, stamper=sent.stamper.name, certificate=certificate, token=packed, at_ms=at_ms
    )


def _verify(answer: bytes, anchor: bytes, seal: bytes, nonce: int) -> bytes:
    """The token in an answer that was granted, with this nonce, by a chain that ends at this certificate."""
    response = decode_timestamp_response(sort_certificates(answer))
    if response.status != PKIStatus.GRANTED:
        raise BadAnswer(f"status {response.status} {' '.join(response.status_string)}".strip())
    builder = VerifierBuilder(roots=[load_der_x509_certificate(anchor)], nonce=nonce)
    builder.build().verify(response, seal)
    return response.time_stamp_token()


def sort_certificates(answer: bytes) -> bytes:
    """An answer with its certificates in the order of DER, which the library insists on and many time stampers do not
    keep. Nobody has signed that order.
    """
    outer = verifier.Members(verifier.only(answer, verifier.SEQUENCE))
    outer.take(verifier.SEQUENCE)
    token = outer.maybe(verifier.SEQUENCE)
    if token is None:
        return answer
    inner = verifier.Members(token)
    inner.take(verifier.OBJECT)
    signed = verifier.Members(verifier.only(inner.take(verifier.OPTION_0).body, verifier.SEQUENCE))
    for tag in (verifier.INTEGER, verifier.SET, verifier.SEQUENCE):
        signed.take(tag)
    brought = signed.maybe(verifier.OPTION_0)
    if brought is None:
        return answer
    rows = verifier.Members(brought, verifier.OPTION_0).rows
    return answer.replace(brought.body, b"".join(sorted(row.whole for row in rows)), 1)


def explain_clock(stamp: Stamp, now: int) -> str:
    """What is wrong with the time that was stamped, by our clock."""
    if known(stamp.draw.sealed_at_ms) - CLOCK_MS <= stamp.at_ms <= now + CLOCK_MS:
        return ""
    side = "ahead of" if stamp.at_ms > now else "behind"
    return f"stamps with {verifier.moment_text(stamp.at_ms)}: its clock is {side} ours"


def is_early(stamp: Stamp, now: int) -> bool:
    """Whether it shows that the seal was there before the beacon; one from the future shows nothing."""
    due = beacon_due(stamp.draw)
    return stamp.at_ms <= now + CLOCK_MS and (due is None or stamp.at_ms < due)


def keep(stamp: Stamp) -> None:
    """Writes it, once, unless the record is published and stays as it is."""
    with transaction.atomic():
        lock_segment(stamp.draw.segment_id)
        if Draw.objects.filter(pk=stamp.draw_id, step=Draw.Step.PUBLISHED).exists():
            return
        if not Stamp.objects.filter(draw=stamp.draw_id, stamper=stamp.stamper).exists():
            stamp.save(force_insert=True)


def note(stamper: Stamper, trouble: str) -> None:
    """What is wrong with a time stamper; in the log, too, when that is new."""
    trouble = "".join(letter if letter.isprintable() else " " for letter in trouble)[:LONGEST_TROUBLE]
    if trouble == stamper.trouble:
        return
    if trouble:
        log.warning("Time stamper %s of show %s %s", stamper, stamper.show_id, trouble)
    Stamper.objects.filter(pk=stamper.pk).update(trouble=trouble)


# --- once a second ------------------------------------------------------------------------------------------


class Asking(Errands[Sent]):
    """The time stampers that are being asked in this process."""

    limits = LIMITS

    def begin(self, busy: set[int]) -> Iterator[tuple[int, Errand[Sent]]]:
        for stamper, draw in find_due(busy, now_ms()):
            sent = Sent(stamper, draw, secrets.randbits(64))
            question = Question("", format_request(draw.seal, sent.nonce), "application/timestamp-query")
            yield stamper.pk, Errand(sent, stamper.url, [question], self.limits)

    def settle(self, errand: Errand[Sent], failures: int) -> Settled:
        trouble = self._take(errand.asked, errand.take())
        note(errand.asked.stamper, trouble)
        return Settled(failed=bool(trouble))

    def _take(self, sent: Sent, replies: Sequence[Reply]) -> str:
        """Keeps the stamp; what is wrong with the answer, or with the time in it."""
        now = now_ms()
        try:
            stamp = read_stamp(sent, replies[0])
        except BadAnswer as error:
            return str(error)
        trouble = explain_clock(stamp, now)
        if is_early(stamp, now):
            keep(stamp)
            return trouble
        return trouble or "stamps too late: the beacon could be known"


asking = Asking()


def ask_stampers() -> None:
    """One look of the conductor at all time stampers."""
    asking.tick()
