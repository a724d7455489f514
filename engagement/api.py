"""HTTP API of the live side: passes for guests, and for the users of host apps."""

import hmac
from typing import Annotated, Any

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from ninja import Field, Router, Schema
from redis.exceptions import RedisError

from engagement.clock import now_ms
from engagement.core.errors import PhoneFault, WireError
from engagement.core.show_state import ShowState
from engagement.gateway.hub import get_hub
from engagement.passes import GUEST_BIT, issue_guest_pass, issue_pass

router = Router(tags=["passes"])
RETRY_S = 2


class PassOut(Schema):
    """A pass for `hello`, and where to say it."""

    pass_: str = Field(alias="pass", serialization_alias="pass")
    expires_at: int
    url: str
    feeds: list[str]


class PassIn(Schema, extra="forbid"):
    """The host app's internal id of a user: an integer, never a phone number."""

    uid: Annotated[int, Field(ge=0, lt=GUEST_BIT, strict=True)]


class Refusal(Schema):
    code: str
    message: str


Answers: Any = {200: PassOut, 401: Refusal, 403: Refusal, 404: Refusal, 429: Refusal, 503: Refusal}


@router.post(
    "/shows/{slug}/passes",
    response=Answers,
    summary="A guest pass, where the show allows guests",
    by_alias=True,
)
async def create_guest_pass(request: HttpRequest, response: HttpResponse, slug: str) -> Any:
    refusal, state = await _admit(request, response, slug)
    if refusal or state is None:
        return refusal
    if not state.guests:
        return _refuse(403, "no_guests", "this show takes viewers of its apps only")
    return _answer(request, slug, state, issue_guest_pass(slug))


@router.post(
    "/shows/{slug}/users/passes",
    response=Answers,
    summary="A pass for a host app's own user; with `Authorization: Bearer <one of HOST_API_KEYS>`",
    by_alias=True,
)
async def create_user_pass(request: HttpRequest, response: HttpResponse, slug: str, body: PassIn) -> Any:
    if not _is_host(request):
        return _refuse(401, "bad_key", "expected a bearer token that is one of HOST_API_KEYS")
    refusal, state = await _admit(None, response, slug)
    if refusal or state is None:
        return refusal
    return _answer(request, slug, state, issue_pass(slug, body.uid))


async def _admit(
    request: HttpRequest | None, response: HttpResponse, slug: str
) -> tuple[Any, ShowState | None]:
    """The state of the show, or the refusal; admission happens here, where a browser can read the answer."""
    if request is not None and await _too_many(client_address(request)):
        response["Retry-After"] = "60"
        return _refuse(429, "too_many", "too many passes for this address, try again in a minute"), None
    hub = await get_hub()
    try:
        state = (await hub.audience(slug)).state
    except PhoneFault as fault:
        if fault.error is WireError.NO_SUCH_SHOW:
            return _refuse(404, "no_such_show", fault.message), None
        response["Retry-After"] = str(RETRY_S)
        return _refuse(503, "overloaded", fault.message), None
    if hub.connections >= hub.max_connections:
        response["Retry-After"] = str(RETRY_S)
        return _refuse(503, "overloaded", "this server is full, try again in a moment"), None
    return None, state


def _refuse(status: int, code: str, message: str) -> tuple[int, dict[str, str]]:
    return status, {"code": code, "message": message}


def _answer(request: HttpRequest, slug: str, state: ShowState, token: str) -> dict[str, Any]:
    scheme = "wss" if request.is_secure() else "ws"
    return {
        "pass": token,
        "expires_at": now_ms() + settings.PASS_LIFETIME_S * 1000,
        "url": f"{scheme}://{request.get_host()}/ws/shows/{slug}/",
        "feeds": list(state.feeds),
    }


def _is_host(request: HttpRequest) -> bool:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    matches = [hmac.compare_digest(key.encode(), known.encode()) for known in settings.HOST_API_KEYS if known]
    return scheme.lower() == "bearer" and any(matches)


async def _too_many(address: str) -> bool:
    """A loose limit per address. Without Redis nobody is kept out: the limit is for the odd machine gone wild."""
    key = f"passes:{address}:{now_ms() // 60_000}"
    try:
        await cache.aadd(key, 0, timeout=120)
        count: int = await cache.aincr(key)
        return count > settings.PASSES_PER_ADDRESS_PER_MINUTE
    except (RedisError, OSError, ValueError):
        return False


def client_address(request: HttpRequest) -> str:
    """The viewer's address: the front proxy's own header where there is one, else the peer's."""
    if settings.TRUST_REAL_IP_HEADER and "X-Real-IP" in request.headers:
        return request.headers["X-Real-IP"]
    return str(request.META.get("REMOTE_ADDR", ""))
