"""The pages of a show's ledger, and its export."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from engagement.clock import from_ms
from engagement.ledger import witnessed
from engagement.ledger.audit import Findings, Walk
from engagement.ledger.checkpoints import keys_of, newest_checkpoint
from engagement.ledger.core.checkpoints import format_vkey
from engagement.ledger.export import export_checkpoint, export_entry
from engagement.ledger.reading import Moment, moment_of, read_checkpoints, read_entries
from engagement.ledger.statements import is_public
from engagement.models import LedgerCheckpoint, Show
from engagement.paging import read_number
from engagement.qr import qr_code

LEDGER_PAGE = 200
LINES_AT_ONCE = 500
VERIFIER = Path(__file__).with_name("verify_ledger.py")


def _for_auditors(view: Callable[..., Any]) -> Callable[..., HttpResponseBase]:
    """Who may read all entries, and who did what."""
    allowed = permission_required("engagement.view_ledgerentry", raise_exception=True)(view)
    return require_safe(login_required(allowed))


@_for_auditors
def ledger(request: HttpRequest, slug: str) -> HttpResponse:
    """What was done to a show, newest first, a page at a time; whether that part of the ledger is whole, and what to
    keep as a proof of all of it.
    """
    show = get_object_or_404(Show, slug=slug)
    moment, before = moment_of(show), read_number(request, "before")
    end = moment.entries if before is None else min(before, moment.entries)
    start = max(0, end - LEDGER_PAGE)
    findings, rows = check_part(show, start, end, moment)
    checks, witnessing = findings.checks(), witnessed.describe_witnesses(show)
    context = {
        "show": show,
        "start": start,
        "end": end,
        "newer": end + LEDGER_PAGE,
        "entries": moment.entries,
        "rows": rows[::-1],
        "checks": checks,
        "failed": [check for check in checks if not check.ok],
        "latest": newest_checkpoint(show),
        "witnesses": [
            {"state": row, "at": None if row.at_ms is None else from_ms(row.at_ms)}
            for row in witnessing.witnesses
        ],
        "cosigned": witnessing.summary(),
        "stampers": [
            {"state": row, "at": None if row.at_ms is None else from_ms(row.at_ms)}
            for row in witnessed.describe_stampers(show)
        ],
        "key": format_vkey(keys_of(show)[0]),
        "verifier_sha256": hashlib.sha256(VERIFIER.read_bytes()).hexdigest(),
    }
    return render(request, "engagement/ledger.html", context)


def check_part(show: Show, start: int, end: int, moment: Moment) -> tuple[Findings, list[dict[str, Any]]]:
    """What is wrong with the entries start .. end - 1, and a row of the table for each."""
    findings = Findings(start)
    rows: dict[int, dict[str, Any]] = {}  # by the size that the ledger had with the entry
    # Of the newest part, those are looked at, too, that were signed of more entries than there are.
    signed = moment.signed if end == moment.entries else min(moment.signed, end)
    for step in Walk(show, start).go(Moment(end, signed)):
        findings.take(step)
        if step.entry is not None:
            at, size = from_ms(step.entry.at_ms), step.entry.position + 1
            rows[size] = {"entry": step.entry, "at": at, "signed": None, "public": is_public(step.entry)}
        elif step.row is not None and step.row.size in rows:
            rows[step.row.size]["signed"] = step
    return findings, list(rows.values())


@_for_auditors
async def ledger_entries(request: HttpRequest, slug: str) -> HttpResponseBase:
    """All entries as lines of JSON, for the check without this server."""
    show, moment = await _find(slug)
    lines = (export_entry(entry) for entry in read_entries(show, 0, moment.entries))
    return _stream(f"{slug}-entries.jsonl", lines)


@_for_auditors
async def ledger_checkpoints(request: HttpRequest, slug: str) -> HttpResponseBase:
    """All checkpoints as lines of JSON, for the check without this server."""
    show, moment = await _find(slug)
    lines = (export_checkpoint(row) for row in read_checkpoints(show, 0, moment.signed + 1))
    return _stream(f"{slug}-checkpoints.jsonl", lines)


@sync_to_async
def _find(slug: str) -> tuple[Show, Moment]:
    show = get_object_or_404(Show, slug=slug)
    return show, moment_of(show)


def _stream(name: str, lines: Iterator[bytes]) -> StreamingHttpResponse:
    """A file of any length: read from the database while it is sent, in bounded memory."""

    async def parts() -> AsyncIterator[bytes]:
        while part := await sync_to_async(_take)(lines):
            yield part

    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(parts(), content_type="application/x-ndjson", headers=headers)


def _take(lines: Iterator[bytes]) -> bytes:
    return b"".join(islice(lines, LINES_AT_ONCE))


@require_safe
def checkpoint_qr(request: HttpRequest, slug: str, size: int) -> HttpResponse:
    """A checkpoint to photograph: the whole signed note."""
    return qr_code(get_object_or_404(LedgerCheckpoint, show__slug=slug, size=size).note)


@require_safe
def ledger_verifier(request: HttpRequest) -> HttpResponse:
    """The program that checks a ledger without this server."""
    headers = {"Content-Disposition": 'attachment; filename="verify_ledger.py"'}
    return HttpResponse(VERIFIER.read_bytes(), content_type="text/x-python; charset=utf-8", headers=headers)
