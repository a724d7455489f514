"""Admission: passes for guests and for the users of host apps, over HTTP, where a browser can
read the answer.

    POST /api/shows/<slug>/passes          a guest pass, where the show allows guests: free within the budget of the
                                           neighbourhood, past it for {"work": …}, {"code": …} or
                                           {"attestation": …}; with {"pass": …, "salt": …} a new one for the same guest
    POST /api/shows/<slug>/users/passes    {"uid": 42} with `Authorization: Bearer <one of HOST_API_KEYS>`

Plain ASGI in front of Django: when a segment is announced, everybody comes at once, and Django's middleware would let
in a tenth as many per second.
"""

import hmac
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import msgspec
from django.conf import settings
from msgspec import Meta, Struct, field

from engagement.clock import now_ms
from engagement.core.digests import derive_pseudonym, derive_salt
from engagement.core.errors import PhoneFault, WireError
from engagement.core.show_state import ShowState
from engagement.fair_play.core.origins import ATTESTED, CODE, GUEST, WORK
from engagement.gateway.audience import Audience
from engagement.gateway.earning import Earning, NotEarned, services
from engagement.gateway.hub import RETRY_MS, Hub, get_hub
from engagement.gateway.work import Solution
from engagement.hosts import host_of
from engagement.passes import (
    ANY_TIME,
    GUEST_BIT,
    BadPass,
    check_pass,
    issue_guest_pass,
    issue_pass,
    renew_guest_pass,
)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

PATHS = re.compile(r"/api/shows/(?P<slug>[^/]+)/(?P<user>users/)?passes")
MAX_BODY_BYTES = 4096
MAX_ATTESTED_BYTES = 12_288  # where apps attest themselves: Apple sends 7 KiB
EXPECTED = '{}, {"work": …}, {"code": …}, {"attestation": …} or {"pass": …, "salt": …}'


Body = TypeVar("Body", bound=Struct)


class UserIn(Struct, forbid_unknown_fields=True):
    """The host app's internal id of a user: an integer, never a phone number."""

    uid: Annotated[int, Meta(ge=0, le=GUEST_BIT - 1)]


class Attestation(Struct, forbid_unknown_fields=True):
    """What a service has given to the device, and the challenge of ours that it is over."""

    service: Annotated[str, Meta(max_length=64)]
    token: Annotated[str, Meta(max_length=11_000)]
    challenge: Annotated[str, Meta(max_length=512)] = ""


class GuestIn(Struct, forbid_unknown_fields=True):
    """Nothing for a new guest, or what earns a pass.

    For one who was here before the old pass, and the salt (hex) that a welcome told.
    """

    pass_: str | None = field(default=None, name="pass")
    salt: str | None = None
    work: Solution | None = None
    code: Annotated[str, Meta(max_length=16)] | None = None
    attestation: Attestation | None = None

    @property
    def is_clear(self) -> bool:
        """Whether it is one of these at most."""
        return [self.pass_, self.work, self.code, self.attestation].count(None) >= 3


class Refused(Exception):
    """The answer is no: an HTTP status, a code for the app, a text for its developer, and what else helps the app."""

    def __init__(
        self, status: int, code: str, message: str, retry_after_s: int | None = None, **more: Any
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.retry_after_s = status, code, message, retry_after_s
        self.more = more


def is_admission(scope: Scope) -> bool:
    """Whether a request is for admission."""
    return PATHS.fullmatch(scope["path"]) is not None


async def admission(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application."""
    try:
        status, answer, extra = 200, await _admit(scope, receive), []
    except Refused as refusal:
        status, answer = refusal.status, {"code": refusal.code, "message": refusal.message, **refusal.more}
        retry = refusal.retry_after_s
        extra = [] if retry is None else [(b"retry-after", str(retry).encode())]
    body = msgspec.json.encode(answer)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"cache-control", b"no-store"), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _admit(scope: Scope, receive: Receive) -> dict[str, Any]:
    found = PATHS.fullmatch(scope["path"])
    assert found is not None
    if scope["method"] != "POST":
        raise Refused(405, "post_only", f"expected POST, got {scope['method']}")
    if not host_of(scope["headers"]):
        raise Refused(400, "bad_request", "expected Host to be one of ALLOWED_HOSTS")
    slug, headers = found["slug"], dict(scope["headers"])
    hub = await get_hub()
    if found["user"]:
        _check_app(headers)
        uid = _decode(await _read_body(receive), UserIn, '{"uid": <integer>}').uid
        state = (await _open_show(hub, slug)).state
        hub.issued[slug]["app"] += 1
        return _answer(scope, state, issue_pass(slug, uid))
    asked = _decode(await _read_body(receive, _most_bytes()) or b"{}", GuestIn, EXPECTED)
    if not asked.is_clear:
        raise Refused(422, "bad_body", f"expected {EXPECTED}: more than one of them came")
    audience = await _open_show(hub, slug)
    if not audience.state.guests:
        raise Refused(403, "no_guests", "this show takes the users of its apps only")
    if asked.pass_ is not None:
        return _answer(scope, audience.state, _renew(audience, asked.pass_, asked.salt or ""))
    earning = Earning(hub.redis, audience, str((scope.get("client") or ("",))[0]))
    kind = await _earn(earning, asked)
    hub.issued[slug][kind] += 1
    token = issue_guest_pass(slug, origin=earning.origin(kind), carrier=earning.carrier)
    return _answer(scope, audience.state, token)


async def _earn(earning: Earning, asked: GuestIn) -> str:
    """The kind of the pass that this guest gets; raises Refused."""
    try:
        if asked.work is not None:
            await earning.by_work(asked.work)
            return WORK
        if asked.code is not None:
            await earning.by_code(asked.code)
            return CODE
        if asked.attestation is not None:
            said = asked.attestation
            await earning.by_attestation(said.service, said.token, said.challenge)
            return ATTESTED
    except NotEarned as refusal:
        raise Refused(403, refusal.code, str(refusal), **refusal.more) from None
    if await earning.is_free():
        return GUEST
    how = await earning.describe()
    if how is None:
        wait_s = earning.until_next_hour_s()
        raise Refused(429, "too_many", "too many passes for this network in this hour", wait_s)
    raise Refused(403, "earn_it", "this network has had its free passes of this hour", **how)


def _renew(audience: Audience, token: str, salt: str) -> str:
    """A pass for the guest who has this pass, expired or not.

    Its signature says who the guest is; the salt, which only a hello with a valid pass was told, that it is theirs.
    """
    slug = audience.state.slug
    try:
        old = check_pass(token, slug, ANY_TIME)
    except BadPass as error:
        raise Refused(401, "bad_pass", str(error)) from None
    if old.uid < GUEST_BIT:
        raise Refused(403, "not_a_guest", "the app that has given this pass gives its users new ones")
    derived = derive_salt(audience.k_show, slug, old.uid)
    if not hmac.compare_digest(derived.hex().encode(), salt.encode()):
        raise Refused(401, "wrong_salt", "the salt is not that of the viewer of this pass")
    if audience.revoked.has(derive_pseudonym(slug, old.uid, derived), old.kind, old.issued_at):
        raise Refused(403, "revoked", "the pass was revoked")
    return renew_guest_pass(old)


async def _open_show(hub: Hub, slug: str) -> Audience:
    """The show's audience, if it exists and this process has room for one more."""
    try:
        audience = await hub.audience(slug)
    except PhoneFault as fault:
        if fault.error is WireError.NO_SUCH_SHOW:
            raise Refused(404, "no_such_show", fault.message) from None
        raise Refused(503, "overloaded", fault.message, RETRY_MS // 1000) from None
    if not audience.k_show:
        raise Refused(404, "no_such_show", "this show is over: its key was destroyed")
    if hub.connections >= hub.max_connections:
        raise Refused(503, "overloaded", "this server is full, try again in a moment", RETRY_MS // 1000)
    return audience


def _check_app(headers: dict[bytes, bytes]) -> None:
    scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
    matches = [hmac.compare_digest(key, known.encode()) for known in settings.HOST_API_KEYS if known]
    if scheme.lower() != b"bearer" or not any(matches):
        raise Refused(401, "bad_key", "expected a bearer token that is one of HOST_API_KEYS")


def _most_bytes() -> int:
    is_attested = any(service.needs_challenge for service in services().values())
    return MAX_ATTESTED_BYTES if is_attested else MAX_BODY_BYTES


async def _read_body(receive: Receive, most: int = MAX_BODY_BYTES) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > most:
            raise Refused(413, "too_large", f"a body has at most {most} bytes")
    return body


def _decode(body: bytes, type_: type[Body], expected: str) -> Body:
    try:
        return msgspec.json.decode(body, type=type_)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refused(422, "bad_body", f"expected {expected}: {error}") from None


def _answer(scope: Scope, state: ShowState, token: str) -> dict[str, Any]:
    secure, host = scope.get("scheme") == "https", host_of(scope["headers"])
    return {
        "pass": token,
        "expires_at": now_ms() + settings.PASS_LIFETIME_S * 1000,
        "url": f"{'wss' if secure else 'ws'}://{host}/ws/shows/{state.slug}/",
        "feeds": list(state.feeds),
    }
