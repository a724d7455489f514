"""What the tests of wall, overlay and host's screen have in common: the gateway's half, played by the test."""

from typing import Any

from playwright.sync_api import Page

from tests.browser.conftest import Night
from tests.browser.test_phone_protocol import Gateway, now_ms

SEAL = "7f3a91c2" + "ab" * 28
PICTURE = {"base": "/pictures/0a/", "sizes": [[720, 900], [1600, 2000]]}
PRIZE: dict[str, Any] = {
    "id": 3, "celebrity": "Lin Yao", "celebrity_zh": "林遥", "brand": "Northlight", "garment": "Silver coat",
    "garment_zh": "银色大衣", "size": "M", "quantity": 2, "value_minor": 250_000, "currency": "CNY",
}  # fmt: skip
# A blue picture, whatever size is asked for.
PIXEL = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="1600" height="2000">'
    b'<rect width="1600" height="2000" fill="#246"/></svg>'
)


def segment(phase: str, **fields: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"id": 1, "title": "Opening", "title_zh": "", "phase": phase}
    return {**told, "opens_at": None, "closes_at": None, "prizes": [PRIZE], "reason": "", **fields}


def open_for(ms: int = 60_000) -> dict[str, Any]:
    return segment("open", opens_at=now_ms() - 1_000, closes_at=now_ms() + ms)


def state(seq: int, shown: dict[str, Any] | None, **fields: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"epoch": 5, "seq": seq, "segment": shown, "results": [], "more_to_come": False}
    return {
        **told,
        "next": None,
        "cue": {"kind": "auto", "at": 0},
        "title": "Night of Coats",
        "title_zh": "",
        **fields,
    }


def naming(*winners: tuple[str, int], of: int = 3, prize: dict[str, Any] = PRIZE) -> dict[str, Any]:
    rows = [
        {"number": number, "at": at, "pseudonym": f"{number:028x}", "name": name, "prize": prize["id"]}
        for number, (name, at) in enumerate(winners, start=1)
    ]
    return {"of": of, "named": len(rows), "winners": rows, "prizes": [prize]}


def result(*names: str, prize: dict[str, Any] = PRIZE) -> dict[str, Any]:
    """A published draw; its winners come in the order of `naming`."""
    winners = [
        {"pseudonym": f"{number:028x}", "name": name, "prize": prize["id"]}
        for number, name in enumerate(names, start=1)
    ]
    told = {"draw": 7, "segment": 1, "seal": SEAL, "strength": "public", "record_url": "", "claim_url": ""}
    times = {"claim_by": now_ms() + 3_600_000, "published_at": now_ms() - 9_000, "shown_at": now_ms() - 9_000}
    return {
        **told,
        **times,
        "winners": winners,
        "winners_total": len(names),
        "winners_url": "",
        "prizes": [prize],
    }


class Screen(Gateway):
    """A page of the show "night", and what it is told."""

    def __init__(self, page: Page, night: Night, path: str, begin: dict[str, Any]) -> None:
        super().__init__(page)
        self.night, self.seq = night, begin["seq"]
        page.route("**/pictures/**", lambda route: route.fulfill(body=PIXEL, content_type="image/svg+xml"))
        self.greeting = self.welcome(begin, viewer="")
        page.goto(f"http://{night.address}{path}")
        self.wait_for("hello")

    def show(self, shown: dict[str, Any] | None, **fields: Any) -> None:
        """A newer state."""
        self.seq += 1
        self.say("state", **state(self.seq, shown, **fields))

    def pulse(self, shakes: int, **fields: Any) -> None:
        told = {"epoch": 5, "seq": self.seq, "segment": 1, "phones": 1_204, "per_second": 40, "leaders": []}
        self.say("pulse", **{**told, "shakes": shakes, **fields})

    def scene(self) -> str:
        return str(self.page.evaluate("document.body.dataset.scene"))

    def wait_for_scene(self, name: str) -> None:
        self.page.wait_for_function("name => document.body.dataset.scene === name", arg=name)
