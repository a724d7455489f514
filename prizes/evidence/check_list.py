"""The notary's check list of a pack: what to do and to note before, during and after the show, on paper.

Both languages stand side by side, since who fills it in and who reads it later need not speak the same one.
"""

import base64
import hashlib
from collections.abc import Iterable
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override
from django_stubs_ext import StrOrPromise

from engagement.languages import fill
from engagement.ledger.checkpoints import origin_of
from prizes.evidence.content import checkpoint_address, show_utc
from prizes.evidence.state import State
from prizes.software import SHOW_VERIFIER

# Each with what is to be written down: how many lines, and of which kind.
BEFORE = (
    (
        _(
            "I have these three programs from the site, or from somebody whom I trust, and have "
            "written down the SHA-256 of each."
        ),
        "digests",
    ),
    (
        _("I have noted the organiser’s public key, as it stands on the site and in print, and keep it."),
        "key",
    ),
    (
        _(
            "I have committed a secret of my own on the page for parties and keep it, so that nobody "
            "can choose a result alone."
        ),
        "",
    ),
    (_("My witness is running, and the rules of each draw name its key."), "key"),
    (
        _(
            "I have taken passes of my own as any viewer does, and have committed to them before the "
            "freeze; nobody else knows which they are."
        ),
        "",
    ),
    (
        _(
            "Once the first segment was armed I saved the checkpoint of the ledger as noted.txt, "
            "from this address on the site, and copied its second line and its third:"
        ),
        "checkpoint",
    ),
    (_("I have compared my clock with one that is not the organiser’s."), ""),
)
AFTER = (
    (_("I have the evidence pack. The SHA-256 of its SHA256SUMS is the one on the signed report:"), "digest"),
    (
        _(
            "On a computer of mine I have run this, with what I noted and with the stubs that "
            "viewers gave me:"
        ),
        "command",
    ),
    (_("Its last line says OK. It has not checked:"), "line"),
    (
        _(
            "The seals in report.html are those that I noted. Each checkpoint that I copied by hand "
            "is in ledger/checkpoints.jsonl, with its entries and its root. The throws are those of "
            "the broadcast."
        ),
        "",
    ),
    (
        _(
            "Of each draw that was called off or spoiled I know the reason, and it is the one that "
            "was told on the night."
        ),
        "",
    ),
    (_("My passes are in the rolls, with at least the shakes that my phones were told."), ""),
    (_("I was shown who stands behind the viewers of the auditor’s sample, and they are people."), ""),
)
# What is no box to tick.
WORDS = {
    "title": _("Check list for the notary"),
    "lead": _(
        "Fill it in by hand and keep it. What you have noted yourself proves what was there "
        "before the show and during it; what is printed here was made by the organiser’s program "
        "and proves nothing."
    ),
    "before": _("Before the show"),
    "during": _("During the show"),
    "during_note": _(
        "For each draw, as soon as its seal is on the stage and on phones, and before the random "
        "number is there. A photograph that shows all of the seal, and one of the checkpoint, is "
        "better than what is copied."
    ),
    "after": _("After the show"),
    "draw": _("Draw"),
    "first_digits": _("Seal: first 8 digits"),
    "last_digits": _("Seal: last 8 digits"),
    "seen_at": _("Seen at, UTC"),
    "entries": _("Checkpoint: entries"),
    "root": _("root"),
    "photo": _("Photo"),
    "name": _("Name"),
    "office": _("Office"),
    "remarks": _("What does not hold, and remarks"),
    "failed": _(
        "Where a line says FAIL: change nothing. Keep the pack, this sheet and your photographs, "
        "write the line down, and have somebody else run the program, too."
    ),
    "made": _("Printed from the ledger as of entry"),
}
PROGRAMS = ("verify_show.py", "verify_draw.py", "verify_ledger.py")
SPARE_ROWS = 2  # for what is armed after the list was printed
ROW_OF_THROWS = 25


def both(text: StrOrPromise, **values: Any) -> dict[str, str]:
    """A text in English and in Simplified Chinese."""
    return {name: _in(language, text, values) for name, language in (("en", "en"), ("zh", "zh-hans"))}


def _in(language: str, text: StrOrPromise, values: dict[str, Any]) -> str:
    with override(language):
        return fill(str(text), **values)


def check_list(state: State) -> str:
    """The page, as HTML that needs nothing else."""
    css = render_to_string("prizes/check_list.css")
    context = {
        "show": state.show,
        "origin": origin_of(state.show),
        "at": show_utc(state.at_ms),
        "last": state.entries[-1].position,
        "words": {name: both(text) for name, text in WORDS.items()},
        "place": both(_("Place and date")),
        "sign": both(_("Signature, seal")),
        "before": _rows(BEFORE),
        "after": _rows(AFTER),
        "programs": PROGRAMS,
        "program": SHOW_VERIFIER.name,
        "checkpoint": checkpoint_address(state.show.slug),
        "draws": [*(now.draw.draw_id for now in state.draws), *[""] * SPARE_ROWS],
        "thrown": [_throws(now.draw.draw_id, now.draw.promised) for now in state.draws if _is_thrown(now)],
        "css": mark_safe(css),  # a template of ours, without any value in it
        "css_hash": base64.b64encode(hashlib.sha256(css.encode()).digest()).decode(),
    }
    return render_to_string("prizes/check_list.html", context)


def _rows(items: Iterable[tuple[StrOrPromise, str]]) -> list[dict[str, Any]]:
    return [{"text": both(text), "kind": kind} for text, kind in items]


def _is_thrown(now: Any) -> bool:
    return bool(now.draw.promised["beacon"]["kind"] == "dice")


def _throws(draw_id: str, rules: dict[str, Any]) -> dict[str, Any]:
    """A grid to write the throws into; the first version has promised no number of them, but at least 50."""
    count = rules["beacon"].get("throws", 50)
    rows = [min(ROW_OF_THROWS, count - start) for start in range(0, count, ROW_OF_THROWS)]
    return {
        "text": both(
            _("The {count} throws for {draw}, one in each field, in their order, after the seal was shown:"),
            draw=draw_id,
            count=count,
        ),
        "rows": [range(row) for row in rows],
    }
