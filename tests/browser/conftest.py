"""A night in real processes, and Debian's Chromium to look at it.

Every page gets the strict policy that production will send, so that an inline script or a foreign request fails here.
"""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright

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
    # A page whose header was changed here counts as public, and may not open a socket to loopback.
    "--disable-features=LocalNetworkAccessChecks",
    # A host name that is not localhost: there a page over http gets no motion sensor.
    "--host-resolver-rules=MAP studio.test 127.0.0.1",
]
POLICY = "default-src 'self'"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
PATIENCE_MS = 15_000
expect.set_options(timeout=PATIENCE_MS)


class Night:
    """The processes of a show called "night": `address` is host:port of the gateway."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.server = start_server(data)
        own = {"GALA_DATA": str(data), "REDIS_URL": self.server.url, "ALLOWED_HOSTS": "127.0.0.1,studio.test"}
        self.environment = {**os.environ, **own}
        self.environment.pop("DATABASE_URL", None)  # its own SQLite file, whatever the suite runs on
        self.manage("migrate", "--verbosity", "0")
        self.manage("collectstatic", "--noinput", "--verbosity", "0")
        self.passwords: dict[str, str] = json.loads(self._run("-m", "tests.browser.seed"))
        commands = {"worker": entrypoints.worker(concurrency=2), "conductor": entrypoints.conductor()}
        self.tasks = [
            spawn(command, env=self.environment, log=data / f"{name}.log")
            for name, command in commands.items()
        ]
        self.listener = free_socket()
        self.address = "{}:{}".format(*self.listener.getsockname())
        self.start_gateway()

    def manage(self, *arguments: str) -> str:
        return self._run(str(ROOT / "manage.py"), *arguments)

    def _run(self, *arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, env=self.environment, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start_gateway(self) -> None:
        fd = self.listener.fileno()
        command = entrypoints.gateway(fd=fd, graceful_seconds=2)
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
        stop_all([self.gateway, *self.tasks], 5)
        self.listener.close()
        self.server.stop()


@pytest.fixture(scope="package")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    night = Night(tmp_path_factory.mktemp("night"))
    yield night
    night.stop()


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


@pytest.fixture
def open_page(browser: Browser, night: Night) -> Iterator[Callable[..., Page]]:
    """`open_page("/stage/night/")`: a page in a browser of its own; whatever it complains of fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_page(path: str, *, host: str | None = None, **options: Any) -> Page:
        context = browser.new_context(locale=options.pop("locale", "en-GB"), **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        if host is None:
            context.route("**/*", _add_policy)
        page = context.new_page()
        host = host or night.address
        page.on(
            "console",
            lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None,
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: complaints.append(asked.url) if host not in asked.url else None)
        page.goto(f"http://{host}{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def _add_policy(route: Route) -> None:
    if route.request.resource_type != "document":
        route.continue_()
        return
    answer = route.fetch(max_redirects=0)
    route.fulfill(response=answer, headers={**answer.headers, "content-security-policy": POLICY})


@pytest.fixture
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the screenshots of this run go."""
    folder = tmp_path_factory.getbasetemp() / "shots"
    folder.mkdir(exist_ok=True)
    return folder


def log_in(page: Page, night: Night, role: str) -> None:
    page.fill("#id_username", role)
    page.fill("#id_password", night.passwords[role])
    page.click("input[type=submit]")
