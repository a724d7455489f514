"""`python -m tests.screens FOLDER`: phone, wall, overlay and host's screen in every moment, in each language and size.

Pages, passes and files come from a real gateway; what the show does is told by a script (tests/browser/moments.py).
Beside the pictures there is a sheet for each language, with the four screens side by side in each moment, as WebP.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import CHROMIUM, FLAGS, Night, log_in
from tests.browser.moments import MOMENTS, TOTALS, dressed, pulse, serve_drawings
from tests.browser.test_phone_protocol import Gateway
from tests.migrated import make_once
from tests.sheets import write_sheets

LANGUAGES = {"en": "en-GB", "zh-hans": "zh-CN", "zh-hant": "zh-TW", "zh-hk": "zh-HK"}
SIZES = {
    "phone": ((320, 568), (390, 844), (768, 1024)),
    "wall": ((1920, 1080), (3840, 2160)),
    "overlay": ((1920, 1080),),
    "host": ((1600, 900),),
}
# Moments that all four screens have, and the overlay that has something to say in them.
SHARED = {
    "idle": "join", "armed": "prize", "soon": "counter", "cue": "counter", "open": "counter", "closing": "counter",
    "sealed": "counter", "beacon": "counter", "drawn": "winner", "naming": "winner", "published": "winner",
    "void": "counter", "offline": "counter", "rehearsal-open": "counter",
}  # fmt: skip
QUICK_MS = {
    "cue": 150,
    "cue-two": 150,
    "open": 60,
    "rehearsal-open": 60,
    "offline": 60,
}  # until a phone's picture
SETTLED_MS, NAMED_MS, LOST_MS = 950, 2_500, 5_600  # and until that of a screen that has lost its connection
SLOW_4G = {"latency": 150, "downloadThroughput": 1_638_400 / 8, "uploadThroughput": 768_000 / 8}
AT_REST = """() => document.getAnimations().every(
  (one) => one.playState !== "running" || one.effect.getTiming().iterations === Infinity)"""
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"


class Shot(NamedTuple):
    """One picture."""

    screen: str
    moment: str
    language: str
    size: tuple[int, int]

    @property
    def name(self) -> str:
        return f"{self.moment}-{self.screen}-{self.language}-{self.size[0]}.png"


class Studio:
    """A browser before a night; whoever looks at the host's screen is logged in."""

    def __init__(self, browser: Browser, night: Night) -> None:
        self.browser, self.night = browser, night
        self._login: Any = None
        self._code = f"http://{night.address}/stage/night/join.svg"  # no draw is here that has one

    def take(self, shot: Shot, folder: Path) -> Path:
        """Draws it; where it is."""
        page = self.open_page(shot)
        page.route("**/pictures/**", serve_drawings)
        gateway = Gateway(page)
        page.route("**/draws/7/code.svg", lambda route: route.continue_(url=self._code))
        if shot.screen == "phone":
            take_phone(page, gateway, self.night, shot)
        else:
            self._take_screen(page, gateway, shot)
        page.screenshot(path=folder / shot.name, omit_background=shot.screen == "overlay")
        page.context.close()
        return folder / shot.name

    def open_page(self, shot: Shot) -> Page:
        """An empty page as large as the picture, in its language."""
        options: dict[str, Any] = {"viewport": {"width": shot.size[0], "height": shot.size[1]}}
        if shot.screen == "phone":
            options |= {"has_touch": True, "is_mobile": True, "device_scale_factor": 2}
        if shot.screen == "host":
            options["storage_state"] = self._logged_in()
        context = self.browser.new_context(
            locale=LANGUAGES[shot.language], timezone_id="Asia/Shanghai", **options
        )
        return context.new_page()

    def _logged_in(self) -> Any:
        if self._login is None:
            context = self.browser.new_context(locale="en-GB")
            page = context.new_page()
            page.goto(f"http://{self.night.address}/login/")
            log_in(page, self.night, "operator")
            page.wait_for_url("**/console/**")
            self._login = context.storage_state()
            context.close()
        return self._login

    def _take_screen(self, page: Page, gateway: Gateway, shot: Shot) -> None:
        told = dressed(MOMENTS[shot.moment][0]())
        gateway.greeting = gateway.welcome(told, viewer="")
        paths = {"wall": "/stage/night/", "host": "/host/night/"}
        overlay = f"/stage/night/?overlay={SHARED[shot.moment]}&key=alpha"
        page.goto(f"http://{self.night.address}{paths.get(shot.screen, overlay)}")
        gateway.wait_for("hello")
        pulse(gateway)
        if shot.moment == "offline":
            gateway.greeting = lambda socket: None
            gateway.sockets[-1].close(code=1011)
            page.wait_for_timeout(LOST_MS)
        page.wait_for_timeout(NAMED_MS if shot.moment in ("naming", "published") else SETTLED_MS)


def take_phone(page: Page, gateway: Gateway, night: Night, shot: Shot) -> None:
    state, act = MOMENTS[shot.moment]
    gateway.greeting = gateway.welcome(dressed(state()), total=TOTALS.get(shot.moment, 34))
    page.goto(f"http://{night.address}/play/night/?feed=app")
    gateway.wait_for("hello")
    page.wait_for_timeout(200)
    act(page, gateway)
    if shot.moment in ("won", "claimed"):
        page.locator("#won").wait_for()
    page.wait_for_timeout(QUICK_MS.get(shot.moment, SETTLED_MS))
    if shot.moment not in QUICK_MS:
        page.wait_for_function(AT_REST)


def first_paint(studio: Studio) -> float:
    """When a phone on slow 4G with a processor of a quarter of this one shows something, ms: the second best of 4."""
    return sorted(paint_once(studio) for _ in range(4))[1]  # the very first waits for the server to begin


def paint_once(studio: Studio) -> float:
    page = studio.open_page(Shot("phone", "idle", "en", (390, 844)))
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", {"offline": False, **SLOW_4G})
    session.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    page.goto(f"http://{studio.night.address}/play/night/?feed=app", wait_until="load")
    page.wait_for_function(f"() => {PAINTED}")
    painted = float(page.evaluate(PAINTED))
    page.context.close()
    return painted


@contextmanager
def open_studio() -> Iterator[Studio]:
    """A night of its own, and a browser."""
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        night = Night(Path(scratch) / "night", make_once(Path(scratch) / "migrated"))
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        try:
            yield Studio(browser, night)
        finally:
            browser.close()
            night.stop()


def shots(screens: list[str], moments: list[str], languages: list[str], sizes: list[str]) -> list[Shot]:
    """Every picture that was asked for."""
    return [
        Shot(screen, moment, language, wide)
        for language in languages
        for moment in moments
        for screen in screens
        if screen == "phone" or moment in SHARED
        for wide in SIZES[screen]
        if f"{wide[0]}x{wide[1]}" in sizes
    ]


def parse() -> argparse.Namespace:
    def some(known: Any) -> Any:
        def chosen(text: str) -> list[str]:
            if unknown := [one for one in text.split(",") if one not in known]:
                raise argparse.ArgumentTypeError(f"expected some of {', '.join(known)}, got {unknown[0]!r}")
            return text.split(",")

        return {"type": chosen, "default": list(known), "metavar": "A,B", "help": f"of {', '.join(known)}"}

    every_size = [f"{wide}x{high}" for sizes in SIZES.values() for wide, high in sizes]
    parser = argparse.ArgumentParser(prog="make screenshots", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", **some(MOMENTS))
    parser.add_argument("--screen", **some(SIZES))
    parser.add_argument("--language", **some(LANGUAGES))
    parser.add_argument("--size", **some(dict.fromkeys(every_size)))
    parser.add_argument("--no-paint", action="store_true", help="do not measure the first paint")
    return parser.parse_args()


def main() -> None:
    asked = parse()
    asked.folder.mkdir(parents=True, exist_ok=True)
    with open_studio() as studio:
        if not asked.no_paint:
            print(
                f"First paint on slow 4G with a 4 x slower processor: {first_paint(studio):.0f} ms",
                flush=True,
            )
        wanted = shots(asked.screen, asked.only, asked.language, asked.size)
        for shot in wanted:
            studio.take(shot, asked.folder)
    sheets = write_sheets(asked.folder, asked.language)
    print(f"{len(wanted)} pictures in {asked.folder}; sheets: {', '.join(path.name for path in sheets)}")


if __name__ == "__main__":
    main()
