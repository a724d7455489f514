"""A signed total on paper: what a phone was told, with a code that holds all of it, and what the roll has of it.

It needs no script, and keeps nothing. The file is in the body of the request, so that no log has it.
"""

from typing import Any, NamedTuple
from urllib.parse import quote

import segno
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString, mark_safe
from django.utils.timezone import now
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from engagement.clock import from_ms
from engagement.core.digests import canonical_json, parse_canonical
from engagement.core.names import stage_name
from engagement.languages import fill
from engagement.ledger.core.stubs import check_stub, parse_stub
from engagement.ledger.statements import find_gateway_key
from engagement.models import LedgerEntry, Show
from engagement.views import render_page
from prizes.models import Draw
from prizes.on_air import fewest_tickets, is_left_out
from prizes.receipts import BrokenRoll, find_entry

KEPT = "shake-stub/v1/kept"  # the file of a phone, which has the ledger's statement of the key, too
LONGEST_FILE = 65_536  # bytes
# What this server finds of a signature -> the tone of the sheet, and the state of that ground.
HOLDS, WRONG, UNKNOWN = "holds", "wrong", "unknown"
LOOKS = {HOLDS: ("good", "holds"), WRONG: ("bad", "failed"), UNKNOWN: ("warn", "lacks")}
FOUND = {
    HOLDS: _(
        "The signature holds: it is that of this gateway, whose key is entry {entry} of the show's ledger."
    ),
    WRONG: _("THE SIGNATURE DOES NOT HOLD: somebody has changed this, or made it up."),
    UNKNOWN: _("This server cannot check the signature: no ledger of its shows has a key of this gateway."),
}
EQUAL = _("Draw {draw}: the roll gives you {tickets}; promised: {promised}. It is as it must be.")
TOO_FEW = _("Draw {draw}: your signed total is below the smallest that gets a ticket.")
SHARED = _(
    "Draw {draw}: your signed total is worth {promised}, but more guests of your "
    "neighbourhood in the network took part than the rules let count. You are on the public "
    "list of those who do not count."
)
LESS = _(
    "Draw {draw}: THE SERVER PROMISED MORE THAN THE ROLL HAS. Your signed total is worth "
    "{promised}, the roll gives you {tickets}. Save the file above and the receipt on the "
    "page of the draw, and complain to the organiser, the notary or the broadcaster: the two "
    "files prove it to anybody, unless you were excluded from the draw."
)
SEALED_OR_LATER = (
    Draw.Step.SEALED,
    Draw.Step.DRAWING,
    Draw.Step.DRAWN,
    Draw.Step.PUBLISHED,
    Draw.Step.SPOILED,
)


class Signed(NamedTuple):
    """What this server finds of a signature: one of holds, wrong, unknown; and where the ledger has the key."""

    state: str
    entry: int | None = None


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@csrf_exempt  # it changes nothing, and the page of a phone is the same for everybody
def stub_sheet(request: HttpRequest) -> HttpResponse:
    """Asks for the file of a phone; of one that it gets, the sheet."""
    data = _read_file(request)
    if not data:
        return _ask(request)
    try:
        stub = read_stub(data)
    except ValueError as error:
        return _ask(request, str(error), status=400)
    show = Show.objects.filter(slug=stub["show"]).first()
    api = request.build_absolute_uri("/api/")
    signed = Signed(UNKNOWN) if show is None else _check(show, stub)
    tone, ground = LOOKS[signed.state]
    context = {
        "stub": stub,
        "show": show,
        "name": stage_name(bytes.fromhex(stub["pseudonym"])),
        "at": from_ms(stub["at"]),
        "signed": fill(str(FOUND[signed.state]), entry=signed.entry),
        "tone": tone,
        "ground": ground,
        "code": _draw_code(canonical_json(stub)),
        "rows": [] if show is None else [_compare(draw, stub, api) for draw in _draws_of(show, stub)],
        "get_key": f"curl -o gateway.json {api}shows/{stub['show']}/ledger/gateway-keys/{quote(stub['gateway'], '')}",
        "printed_at": f"{now():%Y-%m-%d %H:%M:%S}",
    }
    return render_page(request, "prizes/stub_sheet.html", gettext("Your signed total"), "", **context)


def _ask(request: HttpRequest, trouble: str = "", status: int = 200) -> HttpResponse:
    title = gettext("Your signed total")
    answer = render_page(request, "prizes/stub_form.html", title, "", trouble=trouble)
    answer.status_code = status
    return answer


def _read_file(request: HttpRequest) -> bytes:
    """What was typed, else the file that was chosen; a byte more than is taken, where it is longer."""
    typed = request.POST.get("stub", "").strip().encode(errors="replace")
    upload = request.FILES.get("file")
    return typed or (upload.read(LONGEST_FILE + 1).strip() if upload is not None else b"")


def read_stub(data: bytes) -> dict[str, Any]:
    """The stub in the file of a phone, or a stub alone; ValueError says what else came."""
    if len(data) > LONGEST_FILE:
        raise ValueError(f"expected at most {LONGEST_FILE} bytes")
    found = parse_canonical(data)
    if isinstance(found, dict) and found.get("$format") == KEPT:
        return parse_stub(canonical_json(found.get("stub")))
    return parse_stub(data)


def _check(show: Show, stub: dict[str, Any]) -> Signed:
    """With the key that the ledger has of this gateway."""
    position = find_gateway_key(show, stub["gateway"])
    if position is None:
        return Signed(UNKNOWN)
    details = parse_canonical(LedgerEntry.objects.get(show=show, position=position).details.encode())
    try:
        check_stub(stub, bytes.fromhex(details["key"]))
    except ValueError:
        return Signed(WRONG, position)
    return Signed(HOLDS, position)


def _draws_of(show: Show, stub: dict[str, Any]) -> list[Draw]:
    """The draws of this play of the segment that have a sealed roll; of another play it says nothing."""
    number = stub["segment"].partition("-")[0]
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        return []
    draws = Draw.objects.filter(show=show, segment=int(number), step__in=SEALED_OR_LATER)
    listed = draws.select_related("segment", "show").order_by("pk")
    return [draw for draw in listed if draw.segment.key == stub["segment"]]


def _compare(draw: Draw, stub: dict[str, Any], api: str) -> dict[str, Any]:
    """What a sealed roll makes of a signed total, in a sentence; and how to check it elsewhere."""
    text, less = _hold_against(draw, stub)
    shared = f"shared-{draw.pk}.bin" if draw.shared.get("entries", 0) > draw.shared.get("kept", 0) else ""
    commands = (
        f"curl -o receipt-{draw.pk}.json {api}draws/{draw.pk}/receipt/{stub['pseudonym']}\n"
        f"curl -o record-{draw.pk}.json {api}draws/{draw.pk}/record\n"
        f'python3 verify_draw.py record-{draw.pk}.json --key "$KEY" --receipt receipt-{draw.pk}.json '
        "--stub stub.json --gateway-key gateway.json"
    )
    if shared:
        commands = f"curl -o {shared} {api}draws/{draw.pk}/shared\n{commands} --shared {shared}"
    return {"text": text, "less": less, "commands": commands, "draw": draw}


def _hold_against(draw: Draw, stub: dict[str, Any]) -> tuple[str, bool]:
    promised = fewest_tickets(draw, stub["total"])
    try:
        entry = find_entry(draw, bytes.fromhex(stub["pseudonym"]))
    except (FileNotFoundError, BrokenRoll):
        return fill(
            gettext("Draw {draw}: its roll is not on this server any more."), draw=str(draw.pk)
        ), False
    tickets = 0 if entry is None else entry.tickets
    values = {
        "promised": fill(ngettext("1 ticket", "{count} tickets", promised), count=promised),
        "tickets": fill(ngettext("1 ticket", "{count} tickets", tickets), count=tickets),
    }
    shared = tickets == 0 < promised and is_left_out(draw, bytes.fromhex(stub["pseudonym"]))
    less = tickets < promised and not shared
    held = LESS if less else EQUAL if tickets else TOO_FEW
    return fill(str(SHARED if shared else held), draw=str(draw.pk), **values), less


def _draw_code(content: bytes) -> SafeString:
    """The stub as it came: some hundred bytes, so that the least correction makes the largest squares; "" where no code
    is large enough.
    """
    try:
        code = segno.make(content.decode(), error="l", boost_error=False, micro=False, encoding="utf-8")
    except segno.DataOverflowError:
        return mark_safe("")
    return mark_safe(code.svg_inline(border=2, omitsize=True))  # of numbers alone
