"""What templates say of draws."""

from django.template import Library

from prizes import phrases
from prizes.garments import say_prizes
from prizes.models import Draw
from prizes.phrases import STEPS

register = Library()
for say_word in (phrases.beacon_text, phrases.status_text, phrases.reason_text):
    register.filter(say_word.__name__, say_word)
register.filter("prizes_text", say_prizes)


@register.filter
def step_text(step: str) -> str:
    """`{{ draw.step|step_text }}`: where the draw is."""
    return str(STEPS[Draw.Step(step)])
