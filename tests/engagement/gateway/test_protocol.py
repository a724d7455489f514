"""`shake.v1` over real sockets, under uvicorn with and without the fast path, and under Daphne."""

import asyncio
import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings

from engagement import tally
from engagement.actions import announce_later
from engagement.clock import from_ms, now_ms
from engagement.core.digests import derive_pseudonym
from engagement.core.phases import Phase
from engagement.cues import set_cue
from engagement.fair_play.core.origins import Origin, block_of, read_address
from engagement.healing import heal_states
from engagement.keys import own
from engagement.models import Segment, Show
from engagement.passes import issue_guest_pass, issue_pass
from engagement.vault import open_secret
from tests.cast import armed_segment, gateways_were_here, make_show, put_on_air, totals_in_tally
from tests.client import TestPhone

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def show() -> Show:
    return make_show()


# --- hello ---


@pytest.mark.every_server
async def test_a_phone_is_welcomed_with_its_name_its_salt_and_the_whole_state(
    gateway: str, on_air: Segment
) -> None:
    slug = on_air.show.slug
    async with TestPhone(gateway, slug) as phone:
        welcome = await phone.hello(issue_pass(slug, 77), feed="tv")
        assert phone.socket.subprotocol == "shake.v1"
    viewer = derive_pseudonym(slug, 77, bytes.fromhex(welcome["salt"]))
    assert welcome["viewer"] == viewer.hex()
    assert welcome["total"] == 0
    assert welcome["max_hz"] == 8
    assert abs(welcome["now"] - now_ms()) < 5_000
    assert welcome["report_every_ms"] == 1000
    assert welcome["spread_ms"] >= 5000
    segment = welcome["state"]["segment"]
    assert segment["id"] == on_air.pk
    assert segment["phase"] == "open"
    assert len(segment["prizes"]) == 2
    assert welcome["seq"] == welcome["state"]["seq"]
    assert welcome["epoch"] == welcome["state"]["epoch"]


async def test_what_a_guests_pass_says_of_where_it_came_from_is_kept_with_the_total(
    gateway: str, on_air: Segment
) -> None:
    slug, origin = on_air.show.slug, Origin("work", 0, b"a block!").pack()
    viewers = []
    for token in (issue_guest_pass(slug, origin=origin), issue_guest_pass(slug), issue_pass(slug, 7)):
        async with TestPhone(gateway, slug) as phone:
            viewers.append(bytes.fromhex((await phone.hello(token))["viewer"]))
            await phone.shake(on_air.pk, 3)
            await phone.hear("ack")
    redis = tally.connect()
    kept: dict[Any, Any] = {}
    for shard in range(settings.TALLY_SHARDS):
        kept |= redis.hgetall(own(f"origins:{on_air.key}:{shard}"))
    here = Origin("guest", 0, block_of(open_secret(on_air.show.k_show), read_address("127.0.0.1")))
    assert kept == {viewers[0]: origin, viewers[1]: here.pack()}


async def test_each_feed_sees_the_window_after_its_delay(gateway: str, on_air: Segment) -> None:
    opens_at = {}
    for feed in ("app", "tv"):
        async with TestPhone(gateway, on_air.show.slug) as phone:
            welcome = await phone.hello(issue_guest_pass(on_air.show.slug), feed=feed)
            opens_at[feed] = welcome["state"]["segment"]["opens_at"]
    assert opens_at["tv"] - opens_at["app"] == 400


async def test_a_screen_needs_no_pass_and_may_not_shake(gateway: str, on_air: Segment) -> None:
    async with TestPhone(gateway, on_air.show.slug) as screen:
        welcome = await screen.hello(role="screen")
        assert welcome["viewer"] == ""
        assert welcome["salt"] == ""
        await screen.shake(on_air.pk, 3)
        assert (await screen.hear("error"))["code"] == "bad_message"


@pytest.mark.every_server
@pytest.mark.parametrize(
    ("token", "why"),
    [
        (lambda slug: issue_pass(slug, 1, lifetime_s=-120), "expired"),
        (lambda slug: issue_pass("another-show", 1), "another show"),
        (lambda slug: issue_pass(slug, 1)[:-2] + "xx", "not one of ours"),
        (lambda slug: "nonsense", "not one of ours"),
        (lambda slug: None, "needs a pass"),
    ],
)
async def test_a_bad_pass_closes_4401_and_says_why(gateway: str, show: Show, token, why: str) -> None:
    await sync_to_async(announce_later)(show.pk)
    async with TestPhone(gateway, show.slug) as phone:
        made = token(show.slug)
        await phone.say({"type": "hello", **({"pass": made} if made else {})})
        assert (await phone.closed())[0] == 4401
    assert phone.heard[-1]["code"] == "bad_pass"
    assert why in phone.heard[-1]["message"]


async def test_a_pass_signed_with_a_key_that_the_gateway_does_not_know_is_refused(
    gateway: str, on_air: Segment, settings
) -> None:
    slug = on_air.show.slug
    settings.PASS_KEYS = ["a-new-key-in-front-of-the-old-one-123", *settings.PASS_KEYS]
    async with TestPhone(gateway, slug) as phone:
        await phone.say({"type": "hello", "pass": issue_pass(slug, 5)})
        assert (await phone.closed())[0] == 4401  # the gateway does not know the new key


@pytest.mark.every_server
@pytest.mark.parametrize("slug", ["no-such-show", "Ünïcode", "a/b", "%00", "x" * 2000])
async def test_an_unknown_show_closes_4404(gateway: str, slug: str) -> None:
    await sync_to_async(heal_states)()
    async with TestPhone(gateway, slug) as phone:
        assert (await phone.closed())[0] == 4404
    assert phone.heard[-1]["code"] == "no_such_show"


async def test_a_redis_that_was_emptied_is_no_reason_to_send_phones_away_for_good(gateway: str) -> None:
    await sync_to_async(tally.connect().delete)(own("shows:complete"))
    async with TestPhone(gateway, "no-such-show") as phone:
        code, reason = await phone.closed()
    assert code == 4503 and (reason.startswith("retry=") or reason == "")  # Daphne sends no reason


@pytest.mark.every_server
async def test_silence_closes_4408_after_five_seconds(gateway: str, on_air: Segment) -> None:
    async with TestPhone(gateway, on_air.show.slug) as phone:
        assert (await phone.closed(8))[0] == 4408
    assert phone.heard[-1]["code"] == "hello_timeout"


@pytest.mark.every_server
@pytest.mark.parametrize(
    "first",
    ['{"type":"shakes","segment":1,"total":1}', "not json", b"\x00\x01", '{"type":"hello","pass":"x","token":1}',
     '{"type":"hello","feed":"radio"}', '{"type":"hello","role":"host"}', "[" * 900, '{"type":"hello","pass":NaN}'],
)  # fmt: skip
async def test_any_other_first_message_closes_4400(gateway: str, on_air: Segment, first: str | bytes) -> None:
    async with TestPhone(gateway, on_air.show.slug) as phone:
        await phone.say(first)
        assert (await phone.closed())[0] == 4400
    assert phone.heard[-1]["code"] == "bad_message"


# --- reports ---


@pytest.mark.every_server
async def test_an_ack_comes_after_the_total_is_in_the_tally(gateway: str, on_air: Segment) -> None:
    async with TestPhone(gateway, on_air.show.slug) as phone:
        welcome = await phone.hello(issue_guest_pass(on_air.show.slug))
        await phone.shake(on_air.pk, 12)
        assert (await phone.hear("ack")) == {"type": "ack", "segment": on_air.pk, "total": 12}
        assert totals_in_tally(on_air) == {welcome["viewer"]: 12}


async def test_the_tally_keeps_the_largest_total_whatever_the_order(gateway: str, on_air: Segment) -> None:
    async with TestPhone(gateway, on_air.show.slug) as phone:
        welcome = await phone.hello(issue_guest_pass(on_air.show.slug))
        for total in (7, 15, 3, 15, 9):
            await phone.shake(on_air.pk, total)
        await phone.hear("ack", total=15)
        assert totals_in_tally(on_air) == {welcome["viewer"]: 15}


async def test_an_impossible_total_is_clamped_to_the_window_so_far(gateway: str, on_air: Segment) -> None:
    async with TestPhone(gateway, on_air.show.slug) as phone:
        await phone.hello(issue_guest_pass(on_air.show.slug))
        await phone.shake(on_air.pk, 1_000_000)
        accepted = (await phone.hear("ack"))["total"]
    assert 10 + 8 * 5 <= accepted <= 10 + 8 * 10


async def test_a_phone_that_comes_back_goes_on_from_its_total(gateway: str, on_air: Segment) -> None:
    token = issue_guest_pass(on_air.show.slug)
    async with TestPhone(gateway, on_air.show.slug) as phone:
        await phone.hello(token)
        await phone.shake(on_air.pk, 21)
        await phone.hear("ack")
    async with TestPhone(gateway, on_air.show.slug) as phone:
        assert (await phone.hello(token))["total"] == 21
        await phone.shake(on_air.pk, 4)  # it forgot: nothing is lost
        assert (await phone.hear("ack"))["total"] == 21


@pytest.mark.every_server
async def test_both_devices_of_a_viewer_count_as_one_and_hear_the_ack(gateway: str, on_air: Segment) -> None:
    token = issue_guest_pass(on_air.show.slug)
    async with TestPhone(gateway, on_air.show.slug) as one, TestPhone(gateway, on_air.show.slug) as two:
        await one.hello(token)
        await two.hello(token)
        await one.shake(on_air.pk, 9)
        assert (await two.hear("ack"))["total"] == 9
    assert len(await sync_to_async(totals_in_tally)(on_air)) == 1


async def test_a_report_for_another_segment_is_refused(gateway: str, on_air: Segment) -> None:
    async with TestPhone(gateway, on_air.show.slug) as phone:
        await phone.hello(issue_guest_pass(on_air.show.slug))
        await phone.shake(on_air.pk + 1000, 5)
        assert (await phone.hear("error"))["code"] == "not_open"
    assert await sync_to_async(totals_in_tally)(on_air) == {}


async def test_reports_are_refused_before_the_feeds_window(gateway: str, show: Show) -> None:
    segment = await sync_to_async(armed_segment)(show)
    await sync_to_async(put_on_air)(segment, opened_ms_ago=-60_000, left_ms=90_000, phase=Phase.ARMED)
    async with TestPhone(gateway, show.slug) as phone:
        await phone.hello(issue_guest_pass(show.slug))
        await phone.shake(segment.pk, 5)
        assert (await phone.hear("error"))["code"] == "not_open"


@pytest.mark.every_server
async def test_the_final_total_is_taken_during_the_grace_and_refused_after_it(gateway: str) -> None:
    show = await sync_to_async(make_show)(grace_ms=2_000)
    segment = await sync_to_async(armed_segment)(show)
    await sync_to_async(put_on_air)(segment, opened_ms_ago=5_000, left_ms=-400)
    async with TestPhone(gateway, show.slug) as phone:  # tv ends now, the grace of 2 s starts
        await phone.hello(issue_guest_pass(show.slug), feed="app")
        await phone.shake(segment.pk, 30)
        assert (await phone.hear("ack"))["total"] == 30
        await asyncio.sleep(2.2)
        await phone.shake(segment.pk, 31)
        assert (await phone.hear("error"))["code"] == "not_open"
    segment = await Segment.objects.aget(pk=segment.pk)
    assert list((await sync_to_async(totals_in_tally)(segment)).values()) == [30]


async def test_after_the_fence_nothing_is_acknowledged_however_early_the_clock_says_it_is(
    gateway: str, on_air: Segment
) -> None:
    async with TestPhone(gateway, on_air.show.slug) as phone:
        await phone.hello(issue_guest_pass(on_air.show.slug))
        await phone.shake(on_air.pk, 5)
        await phone.hear("ack")
        await sync_to_async(tally.close_tally)(on_air.key, on_air.shards)
        await phone.shake(on_air.pk, 6)
        await asyncio.sleep(1.2)  # several flushes
        await phone.shake(on_air.pk, 7)
        assert (await phone.hear("error"))["code"] == "not_open"
    assert [message for message in phone.heard if message["type"] == "ack"] == [
        {"type": "ack", "segment": on_air.pk, "total": 5}
    ]
    frozen = [row for shard in range(on_air.shards) for row in tally.read_frozen(on_air.key, shard)]
    assert [total for _, total in frozen] == [5]


@pytest.mark.every_server
async def test_a_redis_that_lost_an_acknowledged_total_gets_it_again(gateway: str, on_air: Segment) -> None:
    redis = tally.connect()
    async with TestPhone(gateway, on_air.show.slug) as phone:
        await phone.hello(issue_guest_pass(on_air.show.slug))
        await phone.shake(on_air.pk, 5)
        await phone.hear("ack")
        await phone.hear("pulse", shakes=5)  # of a beat: the gateway knows this Redis
        redis.delete(*(own(f"tally:{on_air.key}:{shard}") for shard in range(on_air.shards)))
        redis.set(own(tally.LIFE), f"{redis.info('server')['run_id']} {now_ms()}")
        assert (await phone.hear("ack"))["total"] == 5
        assert list((await sync_to_async(totals_in_tally)(on_air)).values()) == [5]
        await sync_to_async(gateways_were_here)()
        await phone.hear("ack")  # written again once more, so that no later test hears it


# --- other messages ---


@pytest.mark.every_server
async def test_the_clock_is_answered_with_three_times(gateway: str, on_air: Segment) -> None:
    async with TestPhone(gateway, on_air.show.slug) as phone:
        await phone.hello(issue_guest_pass(on_air.show.slug))
        await phone.say({"type": "sync", "t0": 123})
        synced = await phone.hear("synced")
    assert synced["t0"] == 123
    assert synced["t1"] <= synced["t2"] <= now_ms()


@pytest.mark.every_server
async def test_a_change_reaches_everybody_and_resync_gives_the_whole_state_again(
    gateway: str, on_air: Segment
) -> None:
    async with TestPhone(gateway, on_air.show.slug) as phone, TestPhone(gateway, on_air.show.slug) as screen:
        welcome = await phone.hello(issue_guest_pass(on_air.show.slug))
        await screen.hello(role="screen")
        await Segment.objects.filter(pk=on_air.pk).aupdate(closes_at=from_ms(now_ms() + 99_000))
        await sync_to_async(announce_later)(on_air.show_id)
        state = await phone.hear("state", seq=welcome["seq"] + 1)
        assert state["segment"]["closes_at"] > welcome["state"]["segment"]["closes_at"]
        await screen.hear("state", seq=welcome["seq"] + 1)
        await phone.say({"type": "resync"})
        assert await phone.hear("state") == state


async def test_a_cue_is_told_alone_in_the_time_of_the_feed_and_whoever_comes_then_has_it_in_the_state(
    gateway: str, on_air: Segment
) -> None:
    show = on_air.show
    async with TestPhone(gateway, show.slug) as phone, TestPhone(gateway, show.slug) as screen:
        welcome = await phone.hello(issue_guest_pass(show.slug), feed="tv")
        await screen.hello(role="screen")
        now = now_ms()
        await sync_to_async(set_cue)(show.pk, "clear", actor="olga", now=now)
        told, seen = await phone.hear("cue"), await screen.hear("cue")
        delay_ms = await sync_to_async(lambda: show.feeds.get(name="tv").delay_ms)()
        assert told["seq"] == seen["seq"] == welcome["seq"] + 1
        assert (told["cue"]["at"], seen["cue"]["at"]) == (now + delay_ms, now)
        await phone.say({"type": "resync"})
        assert (await phone.hear("state"))["cue"] == told["cue"] == {"kind": "clear", "at": now + delay_ms}


async def test_a_pulse_on_air_counts_phones_and_shakes(gateway: str, on_air: Segment) -> None:
    slug = on_air.show.slug
    async with TestPhone(gateway, slug) as phone, TestPhone(gateway, slug) as screen:
        await screen.hello(role="screen")
        await phone.hello(issue_guest_pass(slug))
        await phone.shake(on_air.pk, 14)
        while not (pulse := await phone.hear("pulse", shakes=14))["leaders"]:
            pass  # they are of the heartbeat, which may have begun before the flush
        beats = await sync_to_async(tally.read_gateways)(now_ms())
    [counted] = [beat["shows"][slug] for beat in beats.values() if slug in beat["shows"]]
    assert (counted["phones"], counted["screens"]) == (1, 1)
    assert pulse["segment"] == on_air.pk
    assert pulse["phones"] == 1
    assert [leader["total"] for leader in pulse["leaders"]] == [14]


async def test_pulses_come_at_most_twice_a_second(gateway: str, on_air: Segment) -> None:
    async with TestPhone(gateway, on_air.show.slug) as phone:
        await phone.hello(issue_guest_pass(on_air.show.slug))
        loop = asyncio.get_running_loop()
        await phone.hear("pulse")
        started = loop.time()
        for _ in range(4):
            await phone.hear("pulse")
        assert loop.time() - started > 1.6


async def test_the_last_figures_of_a_segment_are_told_without_delay(
    gateway: str, nearly_over: Segment
) -> None:
    async with TestPhone(gateway, nearly_over.show.slug) as phone:
        token = issue_guest_pass(nearly_over.show.slug)
        welcome = await phone.hello(token, feed="tv")  # the last one to close
        await phone.shake(nearly_over.pk, 14)
        over_at = welcome["state"]["segment"]["closes_at"] + nearly_over.show.grace_ms
        pulse = await phone.hear("pulse", shakes=14)
        while now_ms() < over_at:
            pulse = await phone.hear("pulse", patience_s=6)  # off air, they come every 9 s
    assert pulse["shakes"] == pulse["leaders"][0]["total"] == 14


# --- what is refused ---


@pytest.mark.every_server
@pytest.mark.parametrize(
    "bad",
    ["not json", "{", "[]", "null", '{"type":"dance"}', '{"total":1}', '{"type":"resync","why":1}',
     '{"type":"sync","t0":"now"}',
     '{"type":"shakes","segment":1,"total":-1}', '{"type":"shakes","segment":1,"total":NaN}',
     '{"type":"shakes","segment":1,"total":1e400}', '{"type":"shakes","segment":1,"total":1.5}',
     '{"type":"shakes","segment":1,"total":true}', '{"type":"shakes","segment":1,"total":4294967296}',
     '{"type":"shakes","segment":1}', '{"type":"hello"}', "[" * 1000, '{"type":' * 120, b"\xff\xfe binary", ""],
)  # fmt: skip
async def test_a_bad_message_is_an_error_and_the_third_closes_4400(
    gateway: str, on_air: Segment, bad: str | bytes
) -> None:
    async with TestPhone(gateway, on_air.show.slug) as phone:
        await phone.hello(issue_guest_pass(on_air.show.slug))
        await phone.say(bad)
        assert (await phone.hear("error"))["code"] == "bad_message"
        await phone.say({"type": "sync", "t0": 1})
        await phone.hear("synced")
        await phone.say(bad)
        await phone.say(bad)
        assert (await phone.closed())[0] == 4400


@pytest.mark.every_server
async def test_a_frame_over_one_kibibyte_closes_4413(gateway: str, on_air: Segment) -> None:
    async with TestPhone(gateway, on_air.show.slug) as phone:
        await phone.hello(issue_guest_pass(on_air.show.slug))
        await phone.say(json.dumps({"type": "resync", "padding": "é" * 600}, ensure_ascii=False))
        assert (await phone.closed())[0] == 4413


@pytest.mark.every_server
async def test_a_huge_frame_closes_the_socket(gateway: str, on_air: Segment) -> None:
    async with TestPhone(gateway, on_air.show.slug) as phone:
        await phone.hello(issue_guest_pass(on_air.show.slug))
        await phone.say("x" * 100_000)
        assert (await phone.closed())[0] in (1009, 4413, 4400)


@pytest.mark.every_server
async def test_a_flood_closes_4429_with_the_time_to_wait(gateway: str, on_air: Segment) -> None:
    async with TestPhone(gateway, on_air.show.slug) as phone:
        await phone.hello(issue_guest_pass(on_air.show.slug))
        for number in range(12):
            await phone.shake(on_air.pk, number)
        assert (await phone.closed())[0] == 4429
    error = [message for message in phone.heard if message["type"] == "error"][-1]
    assert error["code"] == "too_fast"
    assert error["retry_after_ms"] >= 1000


@pytest.mark.every_server
async def test_a_socket_that_idles_seven_seconds_still_gets_what_is_broadcast(
    gateway: str, on_air: Segment
) -> None:
    assert settings.REDIS_TIMEOUT_S < 7
    async with TestPhone(gateway, on_air.show.slug) as phone:
        welcome = await phone.hello(issue_guest_pass(on_air.show.slug))
        await asyncio.sleep(7)
        await Segment.objects.filter(pk=on_air.pk).aupdate(title="Another")
        await sync_to_async(announce_later)(on_air.show_id)
        await phone.hear("state", seq=welcome["seq"] + 1)


@pytest.mark.every_server
async def test_a_page_of_another_site_may_not_open_a_socket(gateway: str, on_air: Segment) -> None:
    from websockets.exceptions import InvalidStatus

    with pytest.raises(InvalidStatus):
        async with TestPhone(gateway, on_air.show.slug, origin="https://evil.example"):
            pass
    async with TestPhone(gateway, on_air.show.slug, origin=f"http://{gateway}") as phone:
        await phone.hello(role="screen")


@pytest.mark.every_server
async def test_a_phone_that_reports_gets_pulses_with_its_acks_and_a_silent_one_by_themselves(
    gateway: str, on_air: Segment
) -> None:
    slug = on_air.show.slug
    async with TestPhone(gateway, slug) as reporter, TestPhone(gateway, slug) as silent:
        await reporter.hello(issue_guest_pass(slug))
        await silent.hello(issue_guest_pass(slug))
        for total in range(1, 13):
            await reporter.shake(on_air.pk, total)
            await reporter.hear("ack", total=total)
            await asyncio.sleep(0.25)
        kinds = [message["type"] for message in reporter.heard]
        pulses = [number for number, kind in enumerate(kinds) if kind == "pulse"]
        assert len(pulses) >= 3
        assert (
            sum(kinds[number - 1] == "ack" for number in pulses) >= len(pulses) - 1
        )  # the first may come alone
        await silent.hear("pulse")
        await silent.hear("pulse")
