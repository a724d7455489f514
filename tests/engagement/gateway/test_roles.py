"""Who may what at a socket: the second table of docs/roles.md."""

from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from engagement.models import Segment
from engagement.passes import issue_guest_pass, issue_pass
from tests.client import TestPhone
from tests.test_roles import held_to_page

Say = Callable[[str], dict[str, Any]]
HELLOS: dict[str, Say] = {
    "a pass of the host app": lambda slug: {"pass": issue_pass(slug, 7)},
    "a guest's pass": lambda slug: {"pass": issue_guest_pass(slug)},
    "a screen": lambda slug: {"role": "screen"},
    "no pass": lambda slug: {},
    "an expired pass": lambda slug: {"pass": issue_pass(slug, 7, lifetime_s=-120)},
    "a pass of another show": lambda slug: {"pass": issue_pass("another", 7)},
    "a forged pass": lambda slug: {"pass": issue_pass(slug, 7)[:-3] + "abc"},
    "a cookie of the crew alone": lambda slug: {"pass": None},
}


@pytest.mark.django_db(transaction=True)
async def test_every_role_at_a_socket_gets_what_the_page_says(gateway: str, on_air: Segment) -> None:
    show = on_air.show
    lines = ["| says hello with | is told | may shake |", "| --- | --- | --- |"]
    for name, fields in HELLOS.items():
        async with TestPhone(gateway, show.slug) as phone:
            await phone.say({"type": "hello", **fields(show.slug)})
            try:
                await phone.hear("welcome")
            except ConnectionClosed:
                lines.append(f"| {name} | {(await phone.closed())[0]} `{phone.heard[-1]['code']}` | no |")
                continue
            await phone.shake(on_air.pk, 3)
            heard = await phone.hear("error" if "role" in fields(show.slug) else "ack")
            lines.append(f"| {name} | `welcome` | {'yes' if heard['type'] == 'ack' else 'no'} |")
    held_to_page("sockets", lines)
