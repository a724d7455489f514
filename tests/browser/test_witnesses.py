"""The crew sees who has cosigned the ledger, how far and when: asked by the real conductor, signed by real ones."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Night, log_in
from tests.prizes.witnesses import make_witness, running_witness
from tests.relays import dead_address

pytestmark = pytest.mark.browser


def test_the_control_room_and_the_ledger_show_who_has_cosigned(
    night: Night, tasks: None, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    log = night.set_up("witnessed", "watched")
    room = open_page("/console/watched/", viewport={"width": 1500, "height": 950})
    log_in(room, night, "auditor")
    expect(room.locator("#cosigning")).to_be_hidden()
    with contextlib.ExitStack() as stack:
        for name in ("notary.example/gala", "paper.example/witness"):
            folder = tmp_path / name.partition("/")[0]
            make_witness(folder, name)
            running = stack.enter_context(running_witness(folder, log))
            night.set_up("witness", "watched", running.vkey, running.url)
        night.set_up("witness", "watched", make_witness(tmp_path / "away", "tv.example/away"), dead_address())
        table = room.locator("#witnesses tr")
        expect(table).to_have_count(3)
        expect(table.nth(0)).to_contain_text("notary.example/gala")
        expect(table.nth(0)).to_contain_text("up to date")
        expect(table.nth(2)).to_contain_text("cannot be asked")
        expect(room.locator("#cosigning")).to_contain_text("2 of 3 witnesses have cosigned all 3 entries")
        expect(room.locator("#warnings")).to_contain_text("Witness tv.example/away cannot be asked")
        room.goto(f"http://{night.address}/console/watched/ledger/")
        expect(room.locator("#cosigned")).to_contain_text("A seal needs 2 of them; without, the draw waits.")
        expect(room.locator("#witnesses tbody tr")).to_have_count(3)
        expect(room.locator("#witnesses tbody tr").nth(1)).to_contain_text("up to date")
