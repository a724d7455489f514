"""What every answer has, whoever gives it: asked of a real gateway, at every address, and for every kind of refusal."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from engagement.broadcast import mark_complete
from engagement.headers import security_headers
from gala.answers import answer_safely
from gala.doors import LARGEST_BODY
from gala.limiter import Limiter
from gala.logins import OF_ONE, LoginDoor
from tests.cast import armed_segment, gateways_were_here, make_show, put_on_air
from tests.client import TestPhone
from tests.servers import running_gateway

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("show")]

NAMES = {name.decode() for name, _ in security_headers("/")}
SAMPLES = {
    "slug": "gala", "action": "arm", "seal": "0" * 64, "pseudonym": "0" * 28, "uidb64": "MQ", "token": "x-1",
    "gateway": "gate-1", "app_label": "engagement", "object_id": "1", "url": "nowhere", "content_type_id": "1",
}  # fmt: skip
Answer = tuple[int, dict[str, str], str]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("answers")
    (folder / "static").mkdir()
    origins: dict[str, Any] = {
        "SOCKET_ORIGINS": "https://app.example.com",
        "CSRF_TRUSTED_ORIGINS": "https://forms.example.com",
    }
    with running_gateway(folder / "log", BEHIND_TLS_PROXY="true", **origins) as (address, _):
        yield address


@pytest.fixture
def show(transactional_db: None) -> None:
    """A show called "gala", which gateways know."""
    gateways_were_here()
    mark_complete()
    put_on_air(armed_segment(make_show(slug="gala")))


async def ask(address: str, request: str, *headers: str, body: str = "") -> Answer:
    """Status, headers by name, and body; with no other Host, that of the address."""
    host = [] if any(row.startswith("Host:") for row in headers) else [f"Host: {address}"]
    rows = [f"{request} HTTP/1.1", *host, "Connection: close", *headers]
    reader, writer = await asyncio.open_connection(*address.split(":"))
    async with asyncio.timeout(20):
        writer.write("\r\n".join([*rows, "", body]).encode("latin-1"))
        said = (await reader.read()).decode("latin-1")
    writer.close()
    head, _, rest = said.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    return (
        int(first.split()[1]),
        {name.lower(): value for name, value in (row.split(": ", 1) for row in lines)},
        rest,
    )


def addresses(resolver: URLResolver, before: str = "/") -> Iterator[str]:
    """Every address that Django knows, with something in place of its parameters."""
    for found in resolver.url_patterns:
        path = before + _fill(str(found.pattern))
        if isinstance(found, URLResolver):
            yield from addresses(found, path)
        elif isinstance(found, URLPattern):
            yield path


def _fill(pattern: str) -> str:
    text = re.sub(
        r"\(\?P<(\w+)>(?:\[[^]]*\](?:\{\d+\})?|[^()])*\)", lambda found: SAMPLES.get(found[1], "1"), pattern
    )
    text = re.sub(r"<(?:(\w+):)?(\w+)>", lambda found: SAMPLES.get(found[2], "1"), text)
    return text.strip("^$").replace("\\", "")


async def test_every_address_of_the_site_answers_with_all_of_them(gateway: str) -> None:
    paths = sorted(
        {*addresses(get_resolver()), "/healthz", "/readyz", "/api/shows/gala/passes", "/nothing/here"}
    )
    assert len(paths) > 90
    for path in paths:
        for request in (f"GET {path}", f"POST {path}"):
            status, headers, _ = await ask(gateway, request, "Content-Length: 0")
            assert headers.keys() >= NAMES, (request, status, NAMES - headers.keys())
            assert "strict-transport-security" not in headers, "not over http"


@pytest.mark.parametrize(
    ("request_", "headers", "status"),
    [
        ("GET /", ["Host: evil.example"], 400),
        ("POST /stub/", [f"Content-Length: {LARGEST_BODY + 1}"], 413),
        ("DELETE /api/draws/1/record", [], 405),
        ("POST /login/", ["Content-Length: 0"], 403),
        ("POST /api/shows/none/passes", ["Content-Length: 1"], 422),
        ("POST /api/shows/gala/passes", ["Host: evil.example"], 400),
        ("POST /api/shows/gala/users/passes", [], 401),
        ("PROPFIND /", [], 403),
        ("GET /%00", [], 404),
        ("GET /static/nothing.js", [], 404),
        ("OPTIONS /api/draws/1/record", ["Access-Control-Request-Method: GET"], 204),
    ],
)
async def test_every_kind_of_refusal_has_them(
    gateway: str, request_: str, headers: list[str], status: int
) -> None:
    found, said, _ = await ask(gateway, request_, "X-Forwarded-Proto: https", *headers, body="x")
    assert found == status
    assert said.keys() >= {*NAMES, "strict-transport-security"}
    assert said["strict-transport-security"] == f"max-age={365 * 24 * 3600}; includeSubDomains"


async def _fails(scope: Any, receive: Any, send: Any) -> None:
    raise RuntimeError("of ours")


async def _waits(scope: Any, receive: Any, send: Any) -> None:
    if (await receive())["type"] == "http.request":
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("make", "busy", "status"),
    [
        (lambda: _fails, 0, 500),
        (lambda: Limiter(_waits, 1, 0), 1, 503),
        (lambda: LoginDoor(_waits), OF_ONE, 503),
    ],
)
async def test_whoever_is_full_or_fails_answers_with_them(
    make: Callable[[], Any], busy: int, status: int
) -> None:
    scope = {"type": "http", "method": "GET", "path": "/login/", "headers": [], "scheme": "http"}
    told: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    app = make()
    inside = [asyncio.create_task(answer_safely(app, scope, receive, send)) for _ in range(busy)]
    await asyncio.sleep(0.01)
    try:
        await answer_safely(app, scope, receive, send)
    except RuntimeError:
        assert status == 500
    for task in inside:
        task.cancel()
    assert told[0]["status"] == status
    assert {name.decode() for name, _ in told[0]["headers"]} >= NAMES


# --- what they say ---


async def test_a_page_runs_nothing_but_our_own_files_and_the_phone_may_feel_how_it_is_moved(
    gateway: str,
) -> None:
    pages = {
        path: (await ask(gateway, f"GET {path}"))[1] for path in ("/", "/play/gala/", "/api/draws/1/record")
    }
    policy = pages["/"]["content-security-policy"]
    assert "script-src 'self';" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert f"connect-src 'self' ws://{gateway};" in policy
    assert "connect-src" not in pages["/api/draws/1/record"]["content-security-policy"]
    motion = {path: "gyroscope=(self)" in found["permissions-policy"] for path, found in pages.items()}
    assert motion == {"/": False, "/play/gala/": True, "/api/draws/1/record": False}


async def test_nothing_is_said_to_a_name_that_is_not_ours(gateway: str) -> None:
    for request in (
        "GET /",
        "GET /play/gala",
        "GET /stage/gala/",
        "POST /api/shows/gala/passes",
        "GET /healthz",
    ):
        for host in (
            "evil.example",
            "localhost:80@evil.example",
            "evil.example:8000",
            "127.0.0.1.evil.example",
        ):
            _, headers, body = await ask(gateway, request, f"Host: {host}", "Content-Length: 0")
            assert "evil" not in body + str(headers), (request, host)
    twice = await ask(gateway, "POST /api/shows/gala/passes", f"Host: {gateway}", "Host: evil.example")
    assert twice[0] == 400 and "evil" not in str(twice)


async def test_a_pass_names_the_host_that_was_asked(gateway: str) -> None:
    _, _, body = await ask(gateway, "POST /api/shows/gala/passes", "Host: localhost:81", "Content-Length: 0")
    assert json.loads(body).get("url") == "ws://localhost:81/ws/shows/gala/"


# --- who may read it from elsewhere ---

PUBLIC = [
    "/api/draws/1/record", "/api/draws/1/roll", f"/api/draws/1/receipt/{'0' * 28}", "/api/draws/1/precommitment",
    "/api/draws/1/winners", "/api/shows/gala/draws", "/api/shows/gala/ledger", "/api/shows/gala/ledger/checkpoint",
    "/api/shows/gala/ledger/statements/1", "/api/shows/gala/ledger/gateway-keys/gate-1",
]  # fmt: skip
OURS = [
    "/", "/play/gala/", "/draws/1/", "/draws/1/claim/", "/api/shows/gala/passes", "/api/shows/gala/users/passes",
    "/api/draws/1/totals", "/api/draws/1/claims", "/api/draws/1/claims/look", "/console/gala/ledger/", "/healthz",
    "/api/draws/1/record/", "/api/draws/1/recordx", "/console/gala/ledger/entries.jsonl",
]  # fmt: skip
PREFLIGHT = ("Origin: https://elsewhere.example", "Access-Control-Request-Method: GET")


@pytest.mark.parametrize("path", PUBLIC)
async def test_pages_of_other_sites_may_read_what_is_public(gateway: str, path: str) -> None:
    _, headers, _ = await ask(gateway, f"GET {path}", "Origin: https://elsewhere.example")
    assert (
        headers["access-control-allow-origin"] == "*" and "etag" in headers["access-control-expose-headers"]
    )
    assert "access-control-allow-credentials" not in headers
    status, headers, _ = await ask(
        gateway, f"OPTIONS {path}", *PREFLIGHT, "Access-Control-Request-Headers: range"
    )
    assert (status, headers["access-control-allow-methods"]) == (204, "GET, HEAD")
    assert "range" in headers["access-control-allow-headers"]
    _, headers, _ = await ask(gateway, f"POST {path}", "Content-Length: 0")
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("path", OURS)
async def test_and_nothing_else(gateway: str, path: str) -> None:
    for request in (f"GET {path}", f"OPTIONS {path}", f"POST {path}"):
        _, headers, _ = await ask(gateway, request, *PREFLIGHT, "Content-Length: 0")
        assert not [name for name in headers if name.startswith("access-control")], request


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:81", 101),
        ("https://app.example.com", 101),
        ("https://forms.example.com", 403),
        ("https://elsewhere.example", 403),
    ],
)
async def test_sockets_have_a_setting_of_their_own_for_foreign_pages(
    gateway: str, origin: str, status: int
) -> None:
    handshake = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
    rows = (
        *handshake,
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"Origin: {origin}",
        "Host: localhost:81",
    )
    request = "\r\n".join(["GET /ws/shows/gala/ HTTP/1.1", *rows, "", ""])
    reader, writer = await asyncio.open_connection(*gateway.split(":"))
    writer.write(request.encode())
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode()
    writer.transport.abort()
    assert head.startswith(f"HTTP/1.1 {status} ")
    if status == 403:
        assert {row.partition(":")[0].lower() for row in head.split("\r\n")} >= NAMES


async def test_a_page_under_a_foreign_name_opens_no_socket_by_calling_us_that(gateway: str) -> None:
    with pytest.raises(Exception, match="403"):
        async with TestPhone(
            gateway, "gala", additional_headers={"Host": "evil.example"}, origin="https://evil.example"
        ):
            pass
