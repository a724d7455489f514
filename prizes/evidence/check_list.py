"""The notary's check list of a pack: what to do and to note before, during and after the show, on paper.

Both languages stand side by side, since who fills it in and who reads it later need not speak the same one.
"""

import base64
import hashlib
from collections.abc import Iterable
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from engagement.languages import say
from engagement.ledger.checkpoints import origin_of
from prizes.evidence.content import checkpoint_address, show_utc
from prizes.evidence.state import State
from prizes.software import SHOW_VERIFIER

# Each with what is to be written down: how many lines, and of which kind.
BEFORE = (
    ("list_programs", "digests"),
    ("list_key", "key"),
    ("list_secret", ""),
    ("list_witness", "key"),
    ("list_passes", ""),
    ("list_armed", "checkpoint"),
    ("list_clock", ""),
)
AFTER = (
    ("list_pack", "digest"),
    ("list_run", "command"),
    ("list_verdict", "line"),
    ("list_seals", ""),
    ("list_ended", ""),
    ("list_found", ""),
    ("list_sample", ""),
)
# What is no box to tick.
WORDS = (
    "list_title", "list_lead", "list_before", "list_during", "list_during_note", "list_after", "list_draw",
    "list_first_digits", "list_last_digits", "list_seen_at", "list_entries", "list_root", "list_photo",
    "list_name", "list_office", "list_remarks", "list_failed", "list_made",
)  # fmt: skip
PROGRAMS = ("verify_show.py", "verify_draw.py", "verify_ledger.py")
SPARE_ROWS = 2  # for what is armed after the list was printed
ROW_OF_THROWS = 25


def both(key: str, **values: Any) -> dict[str, str]:
    """A text in each language."""
    return {language: say(language, key, **values) for language in ("en", "zh")}


def check_list(state: State) -> str:
    """The page, as HTML that needs nothing else."""
    css = render_to_string("prizes/check_list.css")
    context = {
        "show": state.show,
        "origin": origin_of(state.show),
        "at": show_utc(state.at_ms),
        "last": state.entries[-1].position,
        "words": {key.removeprefix("list_"): both(key) for key in WORDS},
        "place": both("cert_place"),
        "sign": both("cert_sign"),
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


def _rows(items: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    return [{"text": both(key), "kind": kind} for key, kind in items]


def _is_thrown(now: Any) -> bool:
    return bool(now.draw.promised["beacon"]["kind"] == "dice")


def _throws(draw_id: str, rules: dict[str, Any]) -> dict[str, Any]:
    """A grid to write the throws into; the first version has promised no number of them, but at least 50."""
    count = rules["beacon"].get("throws", 50)
    rows = [min(ROW_OF_THROWS, count - start) for start in range(0, count, ROW_OF_THROWS)]
    return {"text": both("list_throws", draw=draw_id, count=count), "rows": [range(row) for row in rows]}
