"""What the phones of a crowd hold in their hands at the end: every stub is checked, against the ledger, too."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from engagement.core.digests import canonical_json
from engagement.ledger.core.checkpoints import parse_vkey
from engagement.ledger.core.statements import check_statement
from engagement.ledger.core.stubs import check_stub, parse_stub
from engagement.mock.client import Client
from engagement.mock.passes import CrowdError, Passes
from engagement.mock.phone import Count, Message

TOLD_MOST = 20  # viewers of each kind in a summary


@dataclass(slots=True)
class StubFigures:
    """How many stubs were kept, and what was wrong with them; `missing` and `wrong` name viewers by pseudonym."""

    kept: int = 0
    certified: int = 0  # whose key was found in the ledger
    missing: list[str] = field(
        default_factory=list
    )  # were there to the end, and have none of their final total
    wrong: dict[str, str] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """As they stand in the summary."""
        return {
            "kept": self.kept,
            "certified": self.certified,
            "missing": len(self.missing),
            "wrong": dict(list(self.wrong.items())[:TOLD_MOST]),
        }

    def problems(self) -> list[str]:
        """What makes a run no success."""
        found = []
        if self.wrong:
            viewer, why = next(iter(self.wrong.items()))
            found.append(f"{len(self.wrong)} phones have a stub that does not hold, such as {viewer}: {why}")
        if self.missing:
            found.append(
                f"{len(self.missing)} phones were there to the end and have no stub of their final total"
            )
        return found


async def check_stubs(
    clients: list[Client], ledger: Passes | None, *, to_the_end: bool, now: float
) -> StubFigures:
    """All of them, with the keys that they came with or those of the ledger.

    `to_the_end`: every segment was seen to its end, so that each phone must have its stub.
    """
    figures = StubFigures()
    kept = [(client, message) for client in clients for message in client.phone.stubs.values()]
    names = {message["stub"]["gateway"] for _, message in kept}
    keys = await _keys_in_the_ledger(ledger, names) if ledger is not None else {}
    for client, message in kept:
        key = keys.get(message["stub"]["gateway"])
        figures.kept += 1
        figures.certified += key is not None
        try:
            _check(client, message, key)
        except ValueError as error:
            figures.wrong[client.phone.viewer] = str(error)
    if to_the_end:
        figures.missing = [client.phone.viewer for client in clients if any(_without_stub(client, now))]
    return figures


async def _keys_in_the_ledger(passes: Passes, gateways: Iterable[str]) -> dict[str, str]:
    """The keys of these gateways by statements that the organiser has signed, as far as there are any."""
    keys: dict[str, str] = {}
    with suppress(CrowdError):
        about = await passes.ledger("")
        for gateway in gateways:
            statement = await passes.ledger(f"/gateway-keys/{gateway}")
            if "entry" in statement:
                signed_by = [parse_vkey(key) for key in about["keys"]]
                details = check_statement(statement, signed_by).entry["details"]
                keys[details["gateway"]] = details["key"]
    return keys


def _check(client: Client, message: Message, key: str | None) -> None:
    """ValueError unless the stub is this viewer's, says no more than was acknowledged, and has the right signature."""
    stub, phone = parse_stub(canonical_json(message["stub"])), client.phone
    check_stub(stub, bytes.fromhex(message["key"]))
    said = message["key"], stub["pseudonym"], stub["segment"].partition("-")[0]
    right = key or message["key"], phone.viewer, str(message["segment"])
    if said != right:
        raise ValueError(f"expected one of {right}, got {said}")
    acknowledged = phone.counts[message["segment"]].acknowledged
    if stub["total"] > acknowledged:
        raise ValueError(
            f"expected a total of at most {acknowledged}, which is acknowledged, got {stub['total']}"
        )


def _without_stub(client: Client, now: float) -> Iterator[Count]:
    """Segments in whose end this phone took part without a break, and of whose total it has no stub."""
    for segment, count in client.phone.counts.items():
        opens, closes = client.phone.window_of(count)
        over = opens <= closes < now and client.phone.online and client.welcomed_at < closes
        told = client.phone.stubs.get(segment, {"stub": {"total": 0}})["stub"]["total"]
        if over and not count.called_off and count.acknowledged > told:
            yield count
