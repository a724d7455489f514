"""The conductor's half on the live side: once a second, it records what the clock has made true."""

from celery import shared_task

from engagement.actions import move_due_segments
from engagement.clock import now_ms
from engagement.counts import count_segments
from engagement.gateway_keys import certify_gateways
from engagement.healing import heal_states
from engagement.restores import watch


@shared_task
def conduct() -> None:
    """Opens and closes due segments, writes down keys of gateways and what they have counted, repairs state documents.

    May run twice, or late, without harm.
    """
    if not watch(now_ms()):  # else phases wait for a person
        certify_gateways()
        move_due_segments()
        count_segments()
    heal_states()
