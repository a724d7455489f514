"""What the crew's pages call phases, kinds of passes and the like: words of the machine, said to people."""

from django.utils.translation import pgettext_lazy

from engagement.core.phases import Phase
from engagement.languages import mark, retell, say

PHASES = {
    Phase.DRAFT: pgettext_lazy("phase", "draft"),
    Phase.ARMED: pgettext_lazy("phase", "armed"),
    Phase.OPEN: pgettext_lazy("phase", "open"),
    Phase.CLOSING: pgettext_lazy("phase", "closing"),
    Phase.SEALED: pgettext_lazy("phase", "sealed"),
    Phase.DRAWN: pgettext_lazy("phase", "drawn"),
    Phase.PUBLISHED: pgettext_lazy("phase", "published"),
    Phase.VOID: pgettext_lazy("phase", "void"),
    Phase.SPOILED: pgettext_lazy("phase", "spoiled"),
}
KINDS = {
    "app": pgettext_lazy("kind of pass", "app"),
    "attested": pgettext_lazy("kind of pass", "attested"),
    "code": pgettext_lazy("kind of pass", "code"),
    "guest": pgettext_lazy("kind of pass", "guest"),
    "work": pgettext_lazy("kind of pass", "work"),
}


ACTIONS = {
    "void": pgettext_lazy("asks to do it", "void"),
    "spoil": pgettext_lazy("asks to do it", "spoil"),
    "publish": pgettext_lazy("asks to do it", "publish"),
    "name": pgettext_lazy("asks to do it", "name"),
    "open": pgettext_lazy("asks to do it", "open"),
    "exclude": pgettext_lazy("asks to do it", "exclude"),
    "include": pgettext_lazy("asks to do it", "include"),
    "revoke": pgettext_lazy("asks to do it", "revoke"),
    "forget": pgettext_lazy("asks to do it", "forget"),
}

CHECKS = {
    "guards": pgettext_lazy("check of a ledger", "guards"),
    "chain": pgettext_lazy("check of a ledger", "chain"),
    "tree": pgettext_lazy("check of a ledger", "tree"),
    "signatures": pgettext_lazy("check of a ledger", "signatures"),
    "roots": pgettext_lazy("check of a ledger", "roots"),
    "consistency": pgettext_lazy("check of a ledger", "consistency"),
    "latest": pgettext_lazy("check of a ledger", "latest"),
}

# What is refused where no language is known: in the core, and in the process that decodes pictures.
UNSEEN = mark("{field}: expected characters that can be seen, got {letter}")
NOT_TAKEN = mark("Expected a JPEG, PNG, WebP or AVIF picture, got {what}.")
WHAT_CAME = (
    mark("a GIF picture"),
    mark("a BMP picture"),
    mark("a TIFF picture"),
    mark("a Photoshop file"),
    mark("a PDF document"),
    mark("a zip file"),
    mark("an icon"),
    mark("an empty file"),
    mark("a HEIC picture, which its camera or phone can export as JPEG"),
    mark("an SVG drawing"),
    mark("a page of text"),
    mark("something else"),
)
PICTURES = (
    mark("Expected at most {most} MB, got {size}."),
    mark("Expected at most {most} megapixels, got {size} ({width} x {height})."),
    mark("Expected at most {most} megapixels."),
    mark("Expected at least {least} pixels on each side, got {width} x {height}."),
    mark(
        "Expected a picture at most four times as wide as high, or as high as wide, got {width} x {height}."
    ),
    mark("The picture cannot be read to its end: it is damaged, or not whole. Export it anew and try again."),
    mark("The picture needs too much memory or time to be read. Export it anew, as a JPEG."),
    mark("This machine has no time to make the picture at the moment: try again when it has less to do."),
    mark("Another picture is being made at the moment: try again in a few seconds."),
)


def phase_text(phase: str) -> str:
    """A phase for people, in the language of the page."""
    return str(PHASES[Phase(phase)])


def action_text(action: str) -> str:
    """What somebody asks to do, for people."""
    return str(ACTIONS.get(action, action))


def kind_text(kind: str) -> str:
    """A kind of pass for people; one that this version does not know stands there as it is."""
    return str(KINDS.get(kind, kind))


def check_text(name: str) -> str:
    """What a check of the ledger is called on pages; one of a file stands there as it is."""
    return str(CHECKS.get(name, name))


def unseen_text(fault: ValueError) -> str:
    """Why a text that somebody has typed is refused (core/plain_text.py); the field is named as it was given there."""
    return retell(str(fault), (UNSEEN,))


def picture_text(fault: Exception) -> str:
    """Why a picture is refused (pictures/decoding.py), in the language of whoever has sent it."""
    for what in WHAT_CAME:
        if str(fault) == NOT_TAKEN.format(what=what):
            return say(NOT_TAKEN, what=say(what))
    return retell(str(fault), PICTURES)
