"""A night in real processes, and Debian's Chromium to look at it.

Every page has the policy of the site, so that an inline script or a foreign request fails here.
"""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from gala import entrypoints
from gala.embedded import start_server
from gala.processes import spawn, stop_all
from tests.servers import free_socket

ROOT = Path(__file__).resolve().parent.parent.parent
CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A thread, and not one process more, for pictures that are drawn without a graphics card.
    "--in-process-gpu",
    "--disable-features="
    # Each new window would start three pages of the browser's own for its address bar, and an empty process in reserve:
    # more work than the page that it is opened for.
    "WebUIOmniboxPopup,WebUIOmniboxAimPopup,SpareRendererForSitePerProcess",
    # A host name that is not localhost: there a page over http gets no motion sensor.
    "--host-resolver-rules=MAP studio.test 127.0.0.1",
]
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
PATIENCE_MS = 15_000
expect.set_options(timeout=PATIENCE_MS)


class Night:
    """The processes of a show called "night": `address` is host:port of the gateway, or of all its gateways.

    Worker and conductor come when a test asks for `tasks`: most only need pages.
    """

    def __init__(self, data: Path, migrated: Path, scene: str = "night", gateways: int = 1) -> None:
        self.data, self.gateways = data, gateways
        shutil.copytree(migrated, data, dirs_exist_ok=True)
        self.server = start_server(data)
        own = {
            "GALA_DATA": str(data),
            "REDIS_URL": self.server.url,
            "ALLOWED_HOSTS": "127.0.0.1,localhost,studio.test",
        }
        self.environment = {**os.environ, **own}
        self.environment.pop("DATABASE_URL", None)  # its own SQLite file, whatever the suite runs on
        self.hand = subprocess.Popen(
            [sys.executable, "-m", "tests.browser.stagehand"],
            env=self.environment, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.passwords: dict[str, Any] = self.set_up(scene)
        self.tasks: list[subprocess.Popen[bytes]] = []
        self.listener = free_socket()
        self.address = "{}:{}".format(*self.listener.getsockname())
        self.start_gateway()

    def set_up(self, scene: str, *arguments: Any) -> Any:
        """One of the scenes of stagehand.py; what it tells of it."""
        assert self.hand.stdin is not None and self.hand.stdout is not None
        self.hand.stdin.write(json.dumps([scene, *arguments]) + "\n")
        self.hand.stdin.flush()
        answer = self.hand.stdout.readline()
        assert answer, (
            f"{scene}: the stagehand has ended with status {self.hand.wait(10)}; its stack is above"
        )
        return json.loads(answer)

    def start_tasks(self) -> None:
        commands = {"worker": entrypoints.worker(concurrency=2), "conductor": entrypoints.conductor()}
        self.tasks = [
            spawn(command, env=self.environment, log=self.data / f"{name}.log")
            for name, command in commands.items()
        ]

    def start_gateway(self) -> None:
        fd = self.listener.fileno()
        command = entrypoints.gateway(fd=fd, workers=self.gateways, graceful_seconds=2)
        log = self.data / "gateway.log"
        self.gateway = spawn(command, env=self.environment, log=log, pass_fds=[fd])
        # The listening socket is ours and takes the connection at once: the gateway answers when it is ready.
        with urllib.request.urlopen(f"http://{self.address}/readyz", timeout=30) as answer:
            assert answer.status == 200

    def restart_gateway(self) -> None:
        """As after a crash: killed, and started again on the same port."""
        self.gateway.kill()
        self.gateway.wait()
        self.start_gateway()

    def stop(self) -> None:
        self.hand.communicate()
        stop_all([self.gateway, *self.tasks], 5)
        self.listener.close()
        self.server.stop()


@pytest.fixture(scope="package")
def night(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Night]:
    night = Night(tmp_path_factory.mktemp("night"), migrated)
    yield night
    night.stop()


@pytest.fixture(scope="package")
def tasks(night: Night) -> None:
    """The night's worker and conductor, for what happens by itself."""
    night.start_tasks()


# Not for the session: while Playwright is there, its event loop keeps all others out of this thread.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.fail(
            f"the browser tests need Chromium, and {CHROMIUM} is not there: "
            "install it (Debian: apt install chromium), or name another in CHROMIUM"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


class Pages:
    """Opens pages, and keeps whatever they complain of."""

    def __init__(self, browser: Browser, night: Night) -> None:
        self._browser, self._night = browser, night
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []

    def open(self, path: str, *, host: str | None = None, **options: Any) -> Page:
        """A page in a browser of its own."""
        context = self._browser.new_context(locale=options.pop("locale", "en-GB"), **options)
        self._contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        host = host or self._night.address
        complain = self.complaints.append
        page.on(
            "console", lambda said: complain(said.text) if "Content Security Policy" in said.text else None
        )
        page.on("pageerror", lambda error: complain(str(error)))
        page.on("request", lambda asked: complain(asked.url) if host not in asked.url else None)
        page.goto(f"http://{host}{path}")
        return page

    def close(self) -> None:
        """All of them; whatever they have complained of fails the test."""
        for context in self._contexts:
            context.unroute_all(behavior="ignoreErrors")  # a page may be on its way
            context.close()
        assert self.complaints == []


@pytest.fixture
def open_page(browser: Browser, night: Night) -> Iterator[Callable[..., Page]]:
    """`open_page("/stage/night/")`: a page in a browser of its own; whatever it complains of fails the test."""
    pages = Pages(browser, night)
    yield pages.open
    pages.close()


class Handset:
    """A phone that one viewer hands to the next, as good as new: opening another takes three times as much work."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._site = page.url

    def wipe(self) -> Page:
        """Nothing is kept, nothing is forged, and no page of ours is open."""
        self.page.unroute_all(behavior="ignoreErrors")
        self.page.goto(self._site)
        self.page.context.clear_cookies()
        self.page.evaluate("localStorage.clear(), sessionStorage.clear()")
        self.page.set_viewport_size(PHONE["viewport"])
        return self.page


@pytest.fixture(scope="module")
def handsets(browser: Browser, night: Night) -> Iterator[Callable[[str], Page]]:
    """`handsets("zh-CN")`: an empty phone in this language, on a page of the site that does nothing."""
    pages, known = Pages(browser, night), dict[str, Handset]()

    def handset(locale: str) -> Page:
        assert pages.complaints == []
        if locale not in known:
            known[locale] = Handset(pages.open("/healthz", locale=locale, **PHONE))
        return known[locale].wipe()

    yield handset
    pages.close()


@pytest.fixture
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the screenshots of this run go."""
    folder = tmp_path_factory.getbasetemp() / "shots"
    folder.mkdir(exist_ok=True)
    return folder


def log_in(page: Page, night: Night, role: str) -> None:
    page.fill("#id_username", role)
    page.fill("#id_password", night.passwords[role])
    page.get_by_role("button", name="Log in").click()
