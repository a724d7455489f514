"""What the crowd says of its stubs: all are checked, also against the ledger, and a wrong one is found."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from engagement.core.phases import Phase
from engagement.gateway_keys import certify_gateways
from engagement.mock.client import now_ms
from engagement.mock.crowd import Crowd, CrowdOptions
from engagement.mock.passes import Passes
from engagement.mock.stubs import StubFigures, check_stubs
from engagement.models import Segment
from tests.cast import totals_in_tally
from tests.engagement.mock.test_crowd import mock_phones, on_air, publish

pytestmark = pytest.mark.django_db(transaction=True)

PHONES = 12


def later(seconds: float, work: Callable[..., Any], *arguments: Any) -> None:
    timer = threading.Timer(seconds, work, arguments)
    timer.daemon = True
    timer.start()


def test_everybody_has_one_of_the_final_total_with_a_key_of_the_ledger(
    whole_gateway: str, tmp_path: Path
) -> None:
    segment = on_air(1.5, grace_ms=3_500)
    later(2.5, certify_gateways)
    later(6, publish, segment, 901)
    summary = mock_phones(whole_gateway, segment, tmp_path / "out.json", until_result=True, check_stubs=True)
    assert summary["stubs"] == {"kept": 40, "certified": 40, "missing": 0, "wrong": {}}
    found = summary["segments"][str(segment.pk)]
    assert found["stubs"] == found["acknowledged"] == totals_in_tally(segment)
    assert summary["problems"] == []


async def played(address: str, segment: Segment) -> Crowd:
    """A crowd that has seen the segment to its end."""
    show = segment.show.slug
    crowd = Crowd(
        CrowdOptions(url=f"ws://{address}", show=show, phones=PHONES, timeout=15, until_result=True)
    )
    later(6, publish, segment, 902)
    await crowd.run()
    return crowd


async def checked(crowd: Crowd) -> StubFigures:
    for client in crowd.clients:
        client.phone.online = True  # they have hung up by now
    passes = Passes(crowd.address)
    found = await check_stubs(crowd.clients, passes, to_the_end=True, now=now_ms())
    passes.end()
    return found


async def test_a_stub_that_was_changed_that_says_more_or_that_is_missing_is_told(whole_gateway: str) -> None:
    segment = await sync_to_async(on_air)(1.5, grace_ms=3_500)
    crowd = await played(whole_gateway, segment)
    fine = await checked(crowd)
    assert (fine.kept, fine.certified, fine.missing, fine.wrong) == (PHONES, 0, [], {}), (
        "no conductor was there"
    )
    assert fine.problems() == []
    changed, lower, foreign, without = (client.phone for client in crowd.clients[:4])
    changed.stubs[segment.pk] = with_stub(changed.stubs[segment.pk], total=9_999)
    lower.counts[segment.pk].acknowledged -= 1
    foreign.stubs[segment.pk] = crowd.clients[5].phone.stubs[segment.pk]
    del without.stubs[segment.pk]
    found = await checked(crowd)
    assert found.wrong.keys() == {changed.viewer, lower.viewer, foreign.viewer}
    assert "not that of this key" in found.wrong[changed.viewer]
    assert "which is acknowledged" in found.wrong[lower.viewer]
    assert "expected one of" in found.wrong[foreign.viewer]
    assert set(found.missing) - {foreign.viewer} == {without.viewer}, "the other one's may say less"
    told = [int(problem.partition(" ")[0]) for problem in found.problems()]
    assert told == [3, len(found.missing)]
    await Segment.objects.filter(pk=segment.pk).aupdate(phase=Phase.CLOSING)  # on air, for the conductor
    await sync_to_async(certify_gateways)()
    assert (await checked(crowd)).certified == PHONES - 1


def with_stub(message: Any, **fields: Any) -> dict[str, Any]:
    return {**message, "stub": {**message["stub"], **fields}}
