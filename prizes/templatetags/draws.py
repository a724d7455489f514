"""What templates say of draws."""

from django.template import Library

from prizes.models import Draw
from prizes.phrases import STEPS

register = Library()


@register.filter
def step_text(step: str) -> str:
    """`{{ draw.step|step_text }}`: where the draw is."""
    return str(STEPS[Draw.Step(step)])
