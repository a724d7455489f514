"""What templates say: texts of the catalogue, and fields of objects, in the language of the page."""

from typing import Any

from django import template
from django.template.context import Context

from engagement import languages

register = template.Library()


@register.simple_tag(takes_context=True)
def say(context: Context, key: str, **values: Any) -> str:
    """`{% say "key" name=value %}`."""
    return languages.say(context["language"], key, **values)


@register.simple_tag(takes_context=True)
def say_of(context: Context, family: str, value: str) -> str:
    """`{% say_of "strength" value %}`: the text that stands for one of a few values."""
    return languages.say_of(context["language"], family, value)


@register.simple_tag(takes_context=True)
def localized(context: Context, row: Any, field: str) -> str:
    """`{% localized show "title" %}`: the field in this language, where the row has it."""
    return languages.localize(context["language"], getattr(row, field), getattr(row, f"{field}_zh"))
