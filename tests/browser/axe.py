"""axe-core, which looks for what keeps people from using a page."""

from typing import Any

from playwright.sync_api import Page

from tests.node import PACKAGES, install

AXE = PACKAGES / "axe-core/axe.min.js"


def serious(page: Page) -> list[Any]:
    """What it finds that is serious, on the page as it is: rule, and the elements."""
    install()
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("async () => (await axe.run()).violations")
    return [
        (one["id"], [node["html"] for node in one["nodes"]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
