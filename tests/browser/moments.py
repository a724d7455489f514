"""What is told to screens in every moment of a night, and what happens then, with the demo's garments and drawings.

The gateway's half of the socket is played: no night reaches all of its moments in a minute.
"""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, Route

from engagement.chinese import written_elsewhere
from tests.browser.conftest import ROOT
from tests.browser.test_phone_protocol import VIEWER, Gateway, now_ms, state

DRAWINGS = ROOT / "gala/drawings"
SEAL = "c0ffee42" + "5a" * 28
TICKETS = [[10, 1], [20, 2], [30, 3], [40, 4], [47, 5]]
Told = dict[str, Any]
COMING: Told = {"title": "Red carpet", "title_zh": "红毯时刻", "opens_at": None}


def prize(number: int = 3, **fields: Any) -> Told:
    told = {"id": number, "celebrity": "Lin Yao", "celebrity_zh": "林遥", "brand": "Northlight", "size": "M"}
    told |= {"garment": "Silver coat", "garment_zh": "银色大衣", "quantity": 1, "currency": "CNY"}
    return told | {"value_minor": 250_000, "picture": picture("coat")} | fields


def picture(name: str) -> Told:
    """One of the drawings of the demo, at an address of its own."""
    return {"base": f"/pictures/{name}/", "sizes": [[800, 1000]]}


JACKET = prize(4, garment="Velvet jacket", garment_zh="丝绒外套", celebrity="Marco Venn", celebrity_zh="马可·文",
               brand="Brume", size="L", value_minor=420_000, picture=picture("jacket"))  # fmt: skip


def serve_drawings(route: Route) -> None:
    name = route.request.url.split("/")[-2]
    route.fulfill(path=DRAWINGS / f"{name}.webp", content_type="image/webp")


def segment(phase: str, seq: int = 20, **fields: Any) -> Told:
    """A state in which everything is there that this phase may have."""
    rules = {"prizes": [prize()], "tickets": TICKETS}
    past = (
        {"opens_at": now_ms() - 60_000, "closes_at": now_ms() - 30_000}
        if phase != "armed"
        else {"opens_at": None}
    )
    told = state(seq, "Red carpet", title_zh="红毯时刻", **{**rules, "phase": phase, **past, **fields})
    return told | {"next": {"title": "Midnight duet", "title_zh": "午夜对唱", "opens_at": None}}


def window(opens_ms: int, length_ms: int = 30_000) -> Told:
    return {"opens_at": now_ms() + opens_ms, "closes_at": now_ms() + opens_ms + length_ms}


def naming(number: int, viewer: str = "ab" * 14, name: str = "Amber Comet 47") -> Told:
    winner = {"number": number, "at": now_ms() - 100, "pseudonym": viewer, "name": name, "prize": 3}
    return {"of": 5, "named": number, "winners": [winner], "prizes": [prize()]}


def published(viewer: str, *, more: bool = True) -> Told:
    winners = [(viewer, "Scarlet Eagle 47"), ("cd" * 14, "Quiet Harbour 12"), ("ef" * 14, "Golden Kite 80")]
    found = {
        "draw": 7, "segment": 1, "seal": SEAL, "strength": "public", "record_url": "/api/draws/7/record",
        "claim_url": "/draws/7/claim/", "claim_by": now_ms() + 84_000_000, "published_at": 1, "shown_at": 1,
        "winners": [{"pseudonym": who, "name": name, "prize": 3} for who, name in winners], "winners_total": 5,
        "winners_url": "/api/draws/7/winners", "prizes": [prize()],
    }  # fmt: skip
    told = segment("published", entries=8_123_456, seal=SEAL) | {"results": [found]}
    return told if more else told | {"more_to_come": False, "next": None}


def dressed(told: Told) -> Told:
    """The same with what wall, overlay and the host's screen show beside, written as readers of each Chinese do."""
    show = {"title": "Countdown Gala", "title_zh": "倒计时之夜", "cue": {"kind": "auto", "at": 0}}
    return translated(show | {"picture": picture("show"), "standby": picture("standby")} | told)


def translated(told: Any) -> Any:
    if isinstance(told, list):
        return [translated(one) for one in told]
    if not isinstance(told, dict):
        return told
    texts = [(key.removesuffix("_zh"), text) for key, text in told.items() if key.endswith("_zh")]
    more = {key: text for name, chinese in texts for key, text in written_elsewhere(name, chinese).items()}
    return {key: translated(value) for key, value in told.items()} | more


def pulse(gateway: Gateway) -> None:
    names = ("Sapphire Butterfly 88", "Amber Comet 47", "Quiet Harbour 12")
    leaders = [{"name": name, "total": 260 - 9 * place} for place, name in enumerate(names)]
    live = {"phones": 8_734_512, "shakes": 181_204_377, "per_second": 4_100_000, "leaders": leaders}
    gateway.say("pulse", epoch=5, seq=20, segment=1, **live)


def taps(page: Page, gateway: Gateway) -> None:
    for _ in range(6):
        page.locator("#tap").dispatch_event("pointerdown")
        page.wait_for_timeout(60)
    gateway.say("ack", segment=1, total=41)
    page.locator("#tap").dispatch_event("pointerdown")
    page.wait_for_timeout(60)


def elsewhere(page: Page, gateway: Gateway) -> None:
    held = "JSON.stringify({ tab: 'another', at: Date.now() })"
    page.evaluate(f"setInterval(() => localStorage.setItem('shake.night.turn', {held}), 50)")
    page.wait_for_timeout(300)


Act = Callable[[Page, Gateway], None]


def stay(page: Page, gateway: Gateway) -> None:
    pulse(gateway)


def lose(page: Page, gateway: Gateway) -> None:
    taps(page, gateway)
    gateway.greeting = lambda socket: None
    gateway.say("pace", report_every_ms=200, jitter_ms=50, spread_ms=60_000)
    gateway.sockets[-1].close(code=1011)
    page.wait_for_timeout(250)


def turn_away(page: Page, gateway: Gateway) -> None:
    """Too many come at once: this phone has a place in the line."""
    gateway.greeting = lambda socket: socket.close(code=4503, reason="retry=9000")
    page.reload()
    page.wait_for_timeout(500)


def ask_sensor(page: Page, gateway: Gateway) -> None:
    pulse(gateway)
    page.evaluate(
        "document.getElementById('sensor').hidden = false; document.getElementById('how').textContent = ''"
    )


def claimed(page: Page, gateway: Gateway) -> None:
    gateway.say("won", draw=7, prize=prize(), claim_url="/draws/7/claim/", claim_by=now_ms() + 84_000_000,
                status="claimed", shown_at=now_ms() - 100)  # fmt: skip


def put_away(page: Page, gateway: Gateway) -> None:
    gateway.say(
        "won", draw=6, prize=prize(), claim_url="/draws/6/claim/", claim_by=now_ms() + 84_000_000, shown_at=0
    )


# Moment -> the state, and what happens then.
MOMENTS: dict[str, tuple[Callable[[], Told], Act]] = {
    "idle": (lambda: state(20) | {"segment": None, "next": COMING, "picture": picture("show")}, stay),
    "idle-sensor": (lambda: state(20) | {"segment": None, "next": COMING, "picture": picture("show")}, ask_sensor),
    "armed": (lambda: segment("armed", prizes=[prize(quantity=2), JACKET]), stay),
    "soon": (lambda: segment("armed", **window(47_500)), ask_sensor),
    "cue": (lambda: segment("armed", **window(3_600)), stay),
    "cue-two": (lambda: segment("armed", **window(10_400)), lambda page, _: page.wait_for_timeout(600)),
    "open": (lambda: segment("open", **window(-6_000)), taps),
    "open-start": (lambda: segment("open", **window(-100)), stay),
    "elsewhere": (lambda: segment("open", **window(-6_000)), elsewhere),
    "closing": (lambda: segment("closing"), lambda page, gateway: gateway.say("ack", segment=1, total=41)),
    "sealed": (lambda: segment("sealed", seal=SEAL, entries=8_123_456, beacon_at=now_ms() + 40_000), stay),
    "beacon": (lambda: segment("sealed", seal=SEAL, beacon_at=now_ms() + 11_000), stay),
    "drawn": (lambda: segment("drawn", seal=SEAL, prizes=[prize(quantity=5)]), stay),
    "naming": (lambda: segment("drawn", naming=naming(2)), stay),
    "naming-you": (lambda: segment("drawn", naming=naming(2, VIEWER, "Scarlet Eagle 47")), stay),
    "published": (lambda: published("ab" * 14), stay),
    "lost": (lambda: published("ab" * 14), stay),
    "lost-last": (lambda: published("ab" * 14, more=False), stay),
    "won": (lambda: published(VIEWER), stay),
    "claimed": (lambda: published("ab" * 14), claimed),
    "win-strip": (lambda: segment("armed", **window(47_500)), put_away),
    "void": (lambda: segment("void", reason="the host fell ill"), stay),
    "offline": (lambda: segment("open", **window(-6_000)), lose),
    "overloaded": (lambda: segment("armed"), turn_away),
    "rehearsal": (lambda: segment("armed", rehearsal=True), stay),
    "rehearsal-open": (lambda: segment("open", rehearsal=True, **window(-6_000)), taps),
}  # fmt: skip
TOTALS = {"open-start": 0, "idle": 0, "closing": 41, "published": 0}
