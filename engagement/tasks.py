"""The conductor's half on the live side: once a second, it records what the clock has made true."""

from celery import shared_task

from engagement import actions


@shared_task
def conduct() -> None:
    """Opens and closes due segments, and repairs state documents. May run twice, or late, without harm."""
    actions.move_due_segments()
    actions.heal_states()
