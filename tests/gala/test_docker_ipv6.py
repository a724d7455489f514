"""docker/nginx.conf in front of gateways, and viewers who come by IPv6 from many networks."""

import contextlib
import http.client
import json
import secrets
import shutil
import socket
import sqlite3
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from engagement.actions import announce
from engagement.clock import now_ms
from engagement.fair_play.core.origins import Origin, block_of, parse_origin, read_address
from engagement.fair_play.models import FairPlay
from engagement.models import Show
from engagement.passes import check_pass, issue_pass
from engagement.vault import open_secret
from prizes.crew.throttle import TRIES
from tests.cast import gateways_were_here, make_show
from tests.gala.compose import COMPOSE, DOCKER, environment_of, example
from tests.gala.nginx import Proxy, running_nginx, trusting
from tests.gala.own_network import may_have_one, own_network
from tests.servers import running_gateway

OUR_NAMES = ("BEHIND_TLS_PROXY", "TRUST_REAL_IP_HEADER", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS")
HOME, SAME_HOME, NEXT_DOOR = "2001:db8:1:1::1", "2001:db8:1:1:ffff::2", "2001:db8:1:2::1"
ELSEWHERE, OVER_IPV4 = "2001:db8:2::1", "127.0.0.9"
FREE_64, FREE_48, SOCKETS = 2, 3, 2


def test_the_containers_have_ipv6_so_that_viewers_keep_their_addresses() -> None:
    """Else the engine passes IPv6 on from its own address, and half of all viewers are one neighbour."""
    assert COMPOSE["networks"]["default"]["enable_ipv6"] is True
    assert environment_of("gateway", example(SITE_HOST="localhost"))["GATEWAY_HOST"] == "0.0.0.0"
    assert "valid=5s ipv6=off;" in (DOCKER / "nginx.conf").read_text()  # gateways listen on IPv4


@pytest.fixture(scope="module")
def proxy(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    if not may_have_one() or not settings.REDIS_URL.startswith("unix"):
        pytest.skip("needs a network of its own (root), and a Redis that is reached from there")
    gateways_were_here()
    folder = tmp_path_factory.mktemp("ipv6")
    told = environment_of("gateway", example(SITE_HOST="localhost"))
    environment: dict[str, Any] = {name: told[name] for name in OUR_NAMES}
    data = shutil.copytree(migrated, folder / "data")
    environment |= {"GALA_DATA": str(data), "DATABASE_URL": f"sqlite:///{data}/gala.sqlite3"}
    environment |= {"SOCKETS_PER_BLOCK": str(SOCKETS)}
    addresses = [f"{address}/128" for address in (HOME, SAME_HOME, NEXT_DOOR, ELSEWHERE)]
    with own_network(addresses), contextlib.ExitStack() as stack:
        gateway, _ = stack.enter_context(running_gateway(folder / "gateway", **environment))
        yield stack.enter_context(running_nginx(folder / "proxy", [gateway], ipv6=True))


@pytest.fixture
def show(transactional_db: None) -> Show:
    show = make_show(slug=f"v6-{secrets.token_hex(4)}")
    FairPlay.objects.filter(show=show).update(
        passes_ipv4=1, passes_ipv6_64=FREE_64, passes_ipv6_48=FREE_48, carriers="", ways=[]
    )
    Show.objects.filter(pk=show.pk).update(stale=True)
    announce(show.pk)
    return show


def open_tls(proxy: Proxy, address: str) -> ssl.SSLSocket:
    """A connection from this address to the proxy, by the family of the address."""
    here = "::1" if ":" in address else "127.0.0.1"
    plain = socket.create_connection((here, proxy.tls), 10, source_address=(address, 0))
    return trusting(proxy.folder).wrap_socket(plain, server_hostname="localhost")


def ask(
    proxy: Proxy, path: str, address: str, body: str = "", headers: dict[str, str] | None = None
) -> tuple[int, bytes, list[str]]:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = open_tls(proxy, address)
    with contextlib.closing(connection):
        connection.request("POST" if body else "GET", path, body or None, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers.get_all("Set-Cookie", [])


def origin_from(proxy: Proxy, show: Show, address: str, **headers: str) -> Origin | int:
    """Where the pass says that this address is; the status where there is none."""
    path = f"/api/shows/{show.slug}/passes"
    status, body, _ = ask(proxy, path, address, "{}", {k.replace("_", "-"): v for k, v in headers.items()})
    if status != 200:
        return status
    return parse_origin(check_pass(json.loads(body)["pass"], show.slug, now_ms()).origin)


FORGED = [
    {},
    {"X_Real_IP": ELSEWHERE},
    {"X_Forwarded_For": f"{ELSEWHERE}, 192.0.2.1"},
    {"Forwarded": f'for="[{ELSEWHERE}]"'},
    {"x_real_ip": f"{ELSEWHERE}, 192.0.2.1", "X_Client_IP": ELSEWHERE, "True_Client_IP": ELSEWHERE},
    {"Connection": "close, X-Real-IP"},  # a hop would drop what it names
]


@pytest.mark.parametrize("headers", FORGED)
def test_a_pass_says_which_network_it_was_given_to_whatever_the_viewer_claims(
    proxy: Proxy, show: Show, headers: dict[str, str]
) -> None:
    key = open_secret(show.k_show)
    for address in (HOME, ELSEWHERE, OVER_IPV4):
        found = origin_from(proxy, show, address, **headers)
        assert found == Origin("guest", 0, block_of(key, read_address(address)))


def test_a_home_uses_up_its_own_budget_and_never_that_of_its_neighbours(proxy: Proxy, show: Show) -> None:
    order = [HOME, SAME_HOME, HOME, NEXT_DOOR, NEXT_DOOR, ELSEWHERE, OVER_IPV4, OVER_IPV4]
    given = [isinstance(origin_from(proxy, show, address), Origin) for address in order]
    assert given == [True, True, False, True, False, True, True, False]


def come(stack: contextlib.ExitStack, proxy: Proxy, show: Show, uid: int, address: str) -> ClientConnection:
    here = "::1" if ":" in address else "127.0.0.1"
    options: dict[str, Any] = {
        "sock": socket.create_connection((here, proxy.tls), 10, source_address=(address, 0)),
        "ssl": trusting(proxy.folder),
        "subprotocols": ["shake.v1"],
        "compression": None,
        "additional_headers": dict.fromkeys(("X-Real-IP", "X-Forwarded-For"), f"198.51.100.{uid}"),
    }
    phone = stack.enter_context(connect(f"wss://localhost/ws/shows/{show.slug}/", **options))
    with contextlib.suppress(ConnectionClosed):
        phone.send(json.dumps({"type": "hello", "pass": issue_pass(show.slug, uid)}))
    return phone


def heard(phone: ClientConnection) -> str:
    message = json.loads(phone.recv(10))
    return str(message.get("message", message["type"]))


def test_sockets_are_counted_by_the_network_around(proxy: Proxy, show: Show) -> None:
    order = [HOME, NEXT_DOOR, SAME_HOME, ELSEWHERE, OVER_IPV4]
    with contextlib.ExitStack() as stack:
        phones = [come(stack, proxy, show, uid, address) for uid, address in enumerate(order, 1)]
        crowded = "too many sockets of this network are open here"
        assert [heard(phone) for phone in phones] == ["welcome", "welcome", crowded, "welcome", "welcome"]


def log_in(proxy: Proxy, address: str) -> int:
    """With a wrong password."""
    token = "a" * 32
    headers = {
        "Cookie": f"csrftoken={token}",
        "Content-Type": "application/x-www-form-urlencoded",
        "Referer": "https://localhost/login/",
        "X-Real-IP": f"2001:db8:{secrets.randbelow(60_000):x}::1",
    }
    body = f"csrfmiddlewaretoken={token}&username=nobody&password=wrong-{secrets.token_hex(4)}"
    return ask(proxy, "/login/", address, body, headers)[0]


def test_wrong_logins_are_counted_at_the_home_that_they_come_from(proxy: Proxy) -> None:
    order = [(HOME, SAME_HOME)[number % 2] for number in range(TRIES + 1)] + [NEXT_DOOR]
    assert [log_in(proxy, address) for address in order] == [200] * len(order)
    database = sqlite3.connect(proxy.folder.parent / "data" / "gala.sqlite3")
    with contextlib.closing(database):
        rows = database.execute("SELECT neighbour, in_a_row FROM prizes_failedlogin").fetchall()
    assert dict(rows) == {"2001:db8:1:1::/64": TRIES, "2001:db8:1:2::/64": 1}
