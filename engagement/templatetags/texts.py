"""What templates say of numbers, and of fields that people type, in the language of the page."""

from typing import Any

from django import template
from django.templatetags.static import static
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from engagement import languages, phrases

register = template.Library()
register.filter("grouped", languages.group)
register.filter("name_text", languages.name_text)
register.filter("phase_text", phrases.phase_text)
register.filter("kind_text", phrases.kind_text)
register.filter("check_text", phrases.check_text)


@register.simple_tag
def catalogues(*apps: str) -> SafeString:
    """`{% catalogues "engagement" "prizes" %}`: what their scripts say, in files; English has none."""
    language = languages.page_language()
    files = [f"{app}/texts/{language}.js" for app in apps if language != "en"]
    return format_html_join(
        "\n  ", '<script type="module" src="{}"></script>', ((static(file),) for file in files)
    )


@register.simple_tag
def localized(row: Any, field: str) -> str:
    """`{% localized show "title" %}`: the field in this language, where the row has it."""
    return languages.localize(getattr(row, field), getattr(row, f"{field}_zh"))
