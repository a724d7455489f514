"""Frames that nobody expects: each an error that the protocol names, and no line in the gateway's log."""

from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from engagement.core.errors import WireError
from engagement.models import Segment
from engagement.passes import issue_pass
from tests.bad_input import FRAMES
from tests.client import TestPhone

pytestmark = pytest.mark.django_db(transaction=True)
KNOWN = {error.code for error in WireError}
CLOSES = {error.close for error in WireError} | {1007, 1009}


async def answer_of(phone: TestPhone, frame: Any) -> str:
    """How the gateway takes a frame: an error's code, or the code of the close."""
    await phone.say(frame)
    try:
        return str((await phone.hear("error", patience_s=3))["code"])
    except ConnectionClosed:
        code = (await phone.closed())[0]
        assert code in CLOSES, code
        return str(code)


@pytest.mark.every_server
@pytest.mark.parametrize("first", [True, False], ids=["as the first message", "after hello"])
async def test_every_frame_is_refused_by_name(gateway: str, on_air: Segment, first: bool) -> None:
    slug = on_air.show.slug
    for name, frame in FRAMES.items():
        async with TestPhone(gateway, slug, max_size=None) as phone:
            if not first:
                await phone.hello(issue_pass(slug, 7))
            told = await answer_of(phone, frame)
            assert told in KNOWN or told.isdigit(), (name, told)
    async with TestPhone(gateway, slug) as phone:  # and all others go on
        assert (await phone.hello(issue_pass(slug, 8)))["type"] == "welcome"
