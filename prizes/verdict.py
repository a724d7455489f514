"""What the page of a draw says first: one sentence, and what that rests on. It claims no more than was checked.

What this server has found by itself is told as that. What somebody outside has said is told with names and times. Each
ground says how we know, and how anybody checks it elsewhere.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from engagement.clock import from_ms
from engagement.core.phases import CALLED_OFF, Phase
from engagement.languages import fill
from engagement.ledger.checkpoints import keys_of
from engagement.ledger.core.checkpoints import format_vkey
from engagement.models import RollVisibility
from prizes.core.digests import version_of
from prizes.core.record import FORMAT
from prizes.cosignatures import witnessed_size
from prizes.models import Beacon, Cosignature, Draw, known
from prizes.phrases import CHIPS, SENTENCES, TEXTS, WHYS
from prizes.publication import PublishedRecord
from prizes.stamps import beacon_known_at, promised_stampers, stamps_of
from prizes.story import describe_beacon

EVER = 2**62  # later, and larger, than anything

OPEN, HOLDS, LACKS, FAILED = "open", "holds", "lacks", "failed"

# Everything that a sentence may rest on, and what each amounts to. The texts are CHIPS, TEXTS and, by the first word,
# WHYS of prizes/phrases.py.
GROUNDS = {
    "arithmetic_open": OPEN,
    "arithmetic_holds": HOLDS,
    "arithmetic_stopped": FAILED,
    "arithmetic_lost": FAILED,
    "signature_open": OPEN,
    "signature_holds": HOLDS,
    "signature_none": LACKS,
    "log_promised": HOLDS,
    "log_sealed": HOLDS,
    "log_void": HOLDS,
    "log_holds": HOLDS,
    "log_none": LACKS,
    "log_lost": FAILED,
    "witnesses_open": OPEN,
    "witnesses_holds": HOLDS,
    "witnesses_unnamed": LACKS,
    "witnesses_lack": LACKS,
    "witnesses_broken": FAILED,
    "stamps_open": OPEN,
    "stamps_holds": HOLDS,
    "stamps_unnamed": LACKS,
    "stamps_lack": LACKS,
    "beacon_drand": HOLDS,
    "beacon_dice": HOLDS,
    "beacon_local": FAILED,
    # The first is what the server says; the phone that looks at the page puts what it has found in its place (draw.js).
    "stub_open": OPEN,
    "stub_holds": HOLDS,
    "stub_lacks": LACKS,
    "stub_failed": FAILED,
}

# Every sentence, and its tone. The texts are SENTENCES of prizes/phrases.py.
STANDINGS = {
    "armed": "plain",
    "open": "plain",
    "closing": "plain",
    "sealed": "plain",
    "drawn": "plain",
    "published": "good",
    "unwitnessed": "warn",
    "unnamed": "warn",
    "unkept": "bad",
    "rehearsal": "bad",
    "stopped": "bad",
    "lost": "bad",
    "void": "bad",
    "spoiled": "bad",
}


class Ground(NamedTuple):
    """Something that the sentence rests on, in a word and in a sentence; how we know, with lines to compare, and the
    command that checks it elsewhere ("" where there is nothing to check yet).
    """

    name: str
    state: str
    chip: str
    text: str
    why: str
    lines: Sequence[str]
    command: str


class Verdict(NamedTuple):
    """The sentence of a draw, and what it rests on."""

    standing: str
    tone: str
    sentence: str
    grounds: list[Ground]
    witnesses: list[dict[str, str]]  # name, key, at ("" where it has not signed in time)
    stamps: list[dict[str, str]]  # name, certificate (its SHA-256), at ("" where it has not stamped in time)


class Seen(NamedTuple):
    """Which of the named witnesses have signed the seal before the beacon could be known, and when, in UTC ms."""

    named: Sequence[dict[str, str]]
    needed: int
    signed: Sequence[tuple[str, int]]

    @property
    def enough(self) -> bool:
        return len(self.signed) >= max(1, self.needed)


class Stamped(NamedTuple):
    """Which of the named time stampers have stamped the seal before the beacon could be known, and when, in UTC ms."""

    named: Sequence[dict[str, str]]
    signed: Sequence[tuple[str, int]]


class Case(NamedTuple):
    """What a verdict is made from; `record` is None where it is not published, or lost."""

    draw: Draw
    rules: dict[str, Any]
    record: PublishedRecord | None
    seen: Seen
    stamped: Stamped
    key: str
    origin: str

    @property
    def published(self) -> bool:
        return self.draw.step == Draw.Step.PUBLISHED

    def ledger(self, path: str) -> str:
        """An address of the show's ledger."""
        return f"{self.origin}api/shows/{self.draw.show.slug}/ledger/{path}"


def describe_verdict(draw: Draw, record: PublishedRecord | None, origin: str) -> Verdict:
    """The verdict on a draw for everybody; `origin` is the beginning of addresses on this site."""
    rules = draw.promised
    key = format_vkey(keys_of(draw.show)[0])
    seen, stamped = who_has_seen(draw, rules), who_has_stamped(draw, rules)
    case = Case(draw, rules, record, seen, stamped, key, origin)
    standing = standing_of(case)
    values = {"count": len(case.seen.signed), "named": len(case.seen.named), "quorum": case.seen.needed}
    sentence = fill(str(SENTENCES[standing]), **values)
    grounds = list_grounds(case, standing)
    told = tell_moments(seen), tell_moments(stamped)
    return Verdict(standing, STANDINGS[standing], sentence, grounds, *told)


def standing_of(case: Case) -> str:
    """Where the draw is, as one of STANDINGS."""
    draw = case.draw
    if draw.step == Draw.Step.SPOILED:
        return "spoiled"
    if draw.segment.phase in CALLED_OFF:
        return "void"
    if draw.disagreement:
        return "stopped"
    if case.published:
        return _standing_when_published(case)
    if draw.step == Draw.Step.DRAWN:
        return "drawn"
    if draw.seal:
        return "sealed"
    return str(draw.segment.phase) if draw.segment.phase in (Phase.OPEN, Phase.CLOSING) else "armed"


def _standing_when_published(case: Case) -> str:
    if case.record is None:
        return "lost"
    if case.draw.beacon_kind == Beacon.LOCAL:
        return "rehearsal"
    if case.seen.enough:
        return "published"
    if not case.seen.named:
        return "unnamed"
    return "unkept" if _promised_to_wait(case) else "unwitnessed"


def _promised_to_wait(case: Case) -> bool:
    """Without its witnesses such a draw should not be there: the verifier refuses it."""
    return bool(case.rules["unwitnessed"] == "wait")


def list_grounds(case: Case, standing: str) -> list[Ground]:
    """What the sentence rests on; of a draw that was called off or spoiled only the ledger."""
    if standing in ("void", "spoiled"):
        return [_log(case, "log_void")]
    grounds = [
        _arithmetic(case, standing),
        _signature(case),
        _log(case, _log_name(case)),
        _witnesses(case),
        _stamps(case),
        _beacon(case),
    ]
    return [*grounds, _stub(case)] if case.draw.seal else grounds


def _ground(case: Case, name: str, *, lines: Sequence[str] = (), command: str = "", **values: Any) -> Ground:
    first = name.partition("_")[0]
    chip, text = fill(str(CHIPS[name]), **values), fill(str(TEXTS[name]), **values)
    why = str(WHYS[name if first == "beacon" else first])
    return Ground(first, GROUNDS[name], chip, text, why, lines, command)


# --- the grounds, one by one --------------------------------------------------------------------------------


def _arithmetic(case: Case, standing: str) -> Ground:
    """The second program, on this server: before any winner is written down (prizes/second_check.py)."""
    if standing in ("stopped", "lost"):
        return _ground(case, f"arithmetic_{standing}")
    if case.draw.step not in (Draw.Step.DRAWN, Draw.Step.PUBLISHED):
        return _ground(case, "arithmetic_open")
    files = "record.json roll.bin" if _shows_roll(case.draw) else "record.json"
    return _ground(
        case, "arithmetic_holds", command=f"python3 verify_draw.py {files}" if case.published else ""
    )


def _shows_roll(draw: Draw) -> bool:
    return bool(draw.show.roll_visibility == RollVisibility.PUBLIC)


def _signature(case: Case) -> Ground:
    if version_of(case.rules) != FORMAT:
        return _ground(case, "signature_none", lines=[case.key])
    if case.record is None or not case.published:
        return _ground(case, "signature_open", lines=[case.key])
    command = f'python3 verify_draw.py record.json \\\n  --key "{case.key}"'
    return _ground(case, "signature_holds", lines=[case.key], command=command)


def _log_name(case: Case) -> str:
    if not case.published or case.record is None:
        return "log_sealed" if case.draw.seal else "log_promised"
    if case.record.value["$format"] != FORMAT:
        return "log_none"
    return "log_holds" if case.record.value["log"] else "log_lost"


def _log(case: Case, name: str) -> Ground:
    draw = case.draw
    values: dict[str, Any] = {"entry": draw.committed_ledger, "seal": draw.sealed_ledger or 0}
    if name == "log_holds" and case.record is not None:
        log = case.record.value["log"]
        values |= {"count": len(log["statements"]), "size": int(log["checkpoint"].splitlines()[1])}
        return _ground(
            case, name, command=f'python3 verify_draw.py record.json \\\n  --key "{case.key}"', **values
        )
    position = known(draw.sealed_ledger) if name == "log_sealed" else draw.committed_ledger
    command = (
        f"curl -o verify_ledger.py {case.origin}verify_ledger.py\n"
        f"curl -o entry.json {case.ledger(f'statements/{position}')}\n"
        f'python3 verify_ledger.py --key "{case.key}" entry.json'
    )
    return _ground(case, name, command="" if name in ("log_none", "log_lost") else command, **values)


def _witnesses(case: Case) -> Ground:
    draw, seen = case.draw, case.seen
    values = {"count": len(seen.signed), "named": len(seen.named), "quorum": seen.needed}
    if not seen.named:
        return _ground(case, "witnesses_unnamed")
    lack = "broken" if _promised_to_wait(case) else "lack"
    state = "holds" if seen.enough else lack if draw.beacon_value else "open"
    lines = [f"{row['at'] or '–'}  {row['key']}" for row in tell_moments(seen)]
    keys = "".join(f' \\\n  --witness "{row["key"]}"' for row in seen.named)
    command = f"curl {case.ledger(f'checkpoint/{known(draw.sealed_ledger) + 1}')}" if draw.seal else ""
    if case.published:
        command = f'python3 verify_draw.py record.json \\\n  --key "{case.key}"{keys}'
    return _ground(case, f"witnesses_{state}", lines=lines, command=command, **values)


def _stamps(case: Case) -> Ground:
    draw, stamped = case.draw, case.stamped
    if not stamped.named:
        return _ground(case, "stamps_unnamed")
    state = "holds" if stamped.signed else "lack" if draw.beacon_value else "open"
    lines = [f"{row['at'] or '–'}  {row['name']}  {row['certificate']}" for row in tell_moments(stamped)]
    command = ""
    if case.published:
        command = f'python3 verify_draw.py record.json \\\n  --key "{case.key}" \\\n  --tsa CERTIFICATE.pem'
    values = {"count": len(stamped.signed), "named": len(stamped.named)}
    return _ground(case, f"stamps_{state}", lines=lines, command=command, **values)


def tell_moments(seen: Seen | Stamped) -> list[dict[str, str]]:
    """Each of those who were named, as the rules name them, and the moment on its clock; "" where not in time."""
    signed = {name: f"{from_ms(at):%Y-%m-%d %H:%M:%S} UTC" for name, at in seen.signed}
    return [{**row, "at": signed.get(row["name"], "")} for row in seen.named]


def _beacon(case: Case) -> Ground:
    kind = case.draw.beacon_kind
    beacon = describe_beacon(case.draw, case.rules, told=False)
    command = f"curl {beacon['look_up']}" if beacon["round"] else ""
    return _ground(case, f"beacon_{kind}", command=command)


def _stub(case: Case) -> Ground:
    """What a phone was told, against the roll: only that phone knows."""
    command = ""
    if case.published:
        command = (
            f'python3 verify_draw.py record.json \\\n  --key "{case.key}" \\\n'
            "  --receipt receipt.json --stub stub.json"
        )
    return _ground(case, "stub_open", command=command)


# --- who has seen the seal ----------------------------------------------------------------------------------


def who_has_seen(draw: Draw, rules: dict[str, Any]) -> Seen:
    """The named witnesses under the checkpoint that the record has with the seal in it; none before the seal.

    Two queries more where witnesses are named, three where the beacon is not drand's.
    """
    named, needed = rules.get("witnesses", []), rules.get("quorum", 0)
    if not named or draw.sealed_ledger is None:
        return Seen(named, needed, [])
    due = _beacon_due(draw)
    most = EVER if draw.published_ledger is None else draw.published_ledger + 1
    names = [row["name"] for row in named]
    size = witnessed_size(draw.show, names, draw.sealed_ledger + 1, most, due)
    if size is None:
        return Seen(named, needed, [])
    rows = Cosignature.objects.filter(show=draw.show_id, size=size, witness__in=names, at_ms__lt=due)
    return Seen(named, needed, list(rows.order_by("witness").values_list("witness", "at_ms")))


def who_has_stamped(draw: Draw, rules: dict[str, Any]) -> Stamped:
    """The named time stampers whose stamps the record has; one query more where somebody is named, two where the
    beacon is not drand's.
    """
    named = promised_stampers(rules)
    if not named or draw.sealed_ledger is None:
        return Stamped(named, [])
    return Stamped(named, [(row.stamper, row.at_ms) for row in stamps_of(draw, _beacon_due(draw))])


def _beacon_due(draw: Draw) -> int:
    """Who signs before this, in UTC ms, is in time: while the beacon is not there, everybody; never, where the ledger
    has lost the moment.
    """
    if draw.beacon_kind != Beacon.DRAND and draw.beacon_ledger is None:
        return EVER
    try:
        return beacon_known_at(draw)
    except KeyError:
        return 0
