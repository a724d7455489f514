"""The key of a show is destroyed after its retention date, and what that makes impossible is impossible."""

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from engagement import tally
from engagement.actions import ActionRefused, number_state
from engagement.clock import now_ms
from engagement.core.errors import PhoneFault, WireError
from engagement.core.messages import Hello
from engagement.gateway.audience import Audience
from engagement.gateway.core.pace import SHORTEST_MS, make_pace
from engagement.gateway.session import _identify
from engagement.models import LedgerEntry, Show
from engagement.passes import issue_pass
from engagement.show_keys import open_show_key
from engagement.vault import open_secret
from prizes.models import Draw
from prizes.retention import destroy_show_key, kept_until
from prizes.steps.arm import arm_segment
from prizes.steps.claims import ClaimRefused, identify
from prizes.steps.publish import publish_segment
from tests.cast import OPERATOR, armed_segment, make_segment
from tests.prizes.pipeline import ended, run_all

pytestmark = pytest.mark.django_db(transaction=True)

DAY_MS = 86_400_000


@pytest.fixture
def draw(show: Show) -> Draw:
    """A night that is over."""
    run_all(segment := ended(armed_segment(show), {bytes([number]) * 14: 100 for number in range(1, 6)}))
    publish_segment(segment.pk, actor=OPERATOR)
    return Draw.objects.select_related("show").get(segment=segment)


def after_its_time(show: Show) -> int:
    return int(kept_until(show).timestamp() * 1000) + 1


def destroy(*words: str) -> str:
    out = StringIO()
    call_command("destroy_show_key", *words, stdout=out)
    return out.getvalue().strip()


def test_it_is_kept_until_everything_is_over_and_the_days_have_passed(draw: Draw) -> None:
    last = max(win.claim_by for win in draw.wins.all() if win.claim_by)
    assert kept_until(draw.show) == last + timedelta(days=settings.RETENTION_DAYS)
    with pytest.raises(CommandError, match=r"is kept until 20\d\d-\d\d-\d\d \d\d:\d\d UTC, 180 days after"):
        destroy(draw.show.slug, "--reason", "the season is over", "--yes")
    assert not LedgerEntry.objects.filter(action="destroy key").exists()


def test_after_that_it_is_gone_for_good_and_the_ledger_tells_of_it(draw: Draw, monkeypatch: Any) -> None:
    show = draw.show
    with pytest.raises(ActionRefused, match="needs a reason"):
        destroy_show_key(show.pk, actor=OPERATOR, reason=" ", now=after_its_time(show))
    monkeypatch.setattr("prizes.retention.now_ms", lambda: after_its_time(show))
    told = json.loads(destroy(show.slug, "--reason", "the season is over", "--yes", "--json"))
    assert told == {"show": show.slug, "destroyed": True, "is_new": True}
    assert json.loads(destroy(show.slug, "--yes", "--json"))["is_new"] is False  # once more does no harm
    show.refresh_from_db()
    assert show.k_show == ""
    assert LedgerEntry.objects.get(show=show, action="destroy key").reason == "the season is over"
    call_command("verify_ledger", show.slug, stdout=StringIO())
    call_command("audit_draw", str(draw.pk), stdout=StringIO())  # the draw can be checked as before


def test_nobody_can_play_claim_arm_or_look_behind_pseudonyms_any_more(draw: Draw) -> None:
    show = draw.show
    token = issue_pass(show.slug, 42)
    destroy_show_key(show.pk, actor=OPERATOR, reason="over", now=after_its_time(show))
    show.refresh_from_db()
    draw.refresh_from_db()
    with pytest.raises(ActionRefused, match="was destroyed"):
        open_show_key(show.pk, actor=OPERATOR, reason="curious")
    with pytest.raises(ActionRefused, match="nobody can play in it any more"):
        arm_segment(make_segment(show, position=9).pk, actor=OPERATOR)
    draw.show = show
    with pytest.raises(ClaimRefused, match="the show is over"):
        identify(draw, token, "00" * 32)
    Show.objects.filter(pk=show.pk).update(stale=True)
    state = number_state(show.pk)
    assert state is not None
    with pytest.raises(PhoneFault) as refused:
        _identify(Hello(pass_=token), Audience(state, make_pace(SHORTEST_MS, phones=0)))
    assert refused.value.error is WireError.NO_SUCH_SHOW


def everything_in_redis() -> Iterator[tuple[bytes, bytes]]:
    redis: Any = tally.connect()
    for key in redis.scan_iter(count=1_000):
        dumped = {
            b"string": lambda key=key: [redis.get(key)],
            b"hash": lambda key=key: [part for row in redis.hgetall(key).items() for part in row],
            b"zset": lambda key=key: redis.zrange(key, 0, -1),
            b"list": lambda key=key: redis.lrange(key, 0, -1),
            b"set": lambda key=key: redis.smembers(key),
        }[redis.type(key)]()
        yield key, b"\n".join(part for part in dumped if part)


def test_nothing_in_redis_has_the_key_any_more(draw: Draw) -> None:
    """Not even encrypted: states, messages on their way, results of tasks."""
    show = draw.show
    locked, key = show.k_show.encode(), open_secret(show.k_show)
    assert any(locked in content for _, content in everything_in_redis())
    destroy_show_key(show.pk, actor=OPERATOR, reason="over", now=after_its_time(show))
    signs = (locked, key, key.hex().encode(), base64.b64encode(key))
    assert [name for name, content in everything_in_redis() for sign in signs if sign in content] == []


def test_nothing_is_destroyed_while_something_is_under_way(show: Show) -> None:
    armed_segment(show)
    with pytest.raises(
        ActionRefused, match=r"is armed: the key of .* is destroyed once nothing is under way"
    ):
        destroy_show_key(show.pk, actor=OPERATOR, reason="over", now=now_ms() + 9_000 * DAY_MS)


def test_it_says_first_what_becomes_impossible_and_wants_the_name(
    draw: Draw, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("prizes.retention.now_ms", lambda: after_its_time(draw.show))
    monkeypatch.setattr("builtins.input", lambda: "yes")
    with pytest.raises(CommandError, match="nothing was destroyed"):
        destroy(draw.show.slug, "--reason", "over")
    assert "to tell who stands behind a pseudonym" in capsys.readouterr().err
    monkeypatch.setattr("builtins.input", lambda: draw.show.slug)
    assert destroy(draw.show.slug, "--reason", "over").endswith("is destroyed.")
