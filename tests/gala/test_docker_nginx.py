"""docker/nginx.conf in front of real gateways, with the settings that docker/compose.yaml gives them."""

import contextlib
import http.client
import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from websockets.exceptions import InvalidStatus

from engagement.fair_play.models import FairPlay
from engagement.models import Segment
from tests.cast import armed_segment, gateways_were_here, make_show, put_on_air
from tests.client import TestPhone
from tests.gala.compose import SERVICES, environment_of, example
from tests.gala.nginx import Proxy, running_nginx, trusting
from tests.servers import running_gateway

OF_THE_PROXY = ("BEHIND_TLS_PROXY", "TRUST_REAL_IP_HEADER")
PASSES = 20


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    gateways_were_here()
    folder = tmp_path_factory.mktemp("nginx")
    told = environment_of("gateway", example(SITE_HOST="localhost"))
    names = (*OF_THE_PROXY, "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "SOCKET_ORIGINS")
    environment: dict[str, Any] = {name: told[name] for name in names}
    with contextlib.ExitStack() as stack:
        gateways = [
            stack.enter_context(running_gateway(folder / f"gateway-{number}", **environment))[0]
            for number in (1, 2)
        ]
        yield stack.enter_context(running_nginx(folder / "proxy", gateways))


@pytest.fixture
def on_air(transactional_db: None) -> Segment:
    show = make_show()
    FairPlay.objects.filter(show=show).update(passes_ipv4=PASSES, carriers="", ways=[])
    return put_on_air(armed_segment(show))


def ask(proxy: Proxy, path: str, method: str = "GET", body: str | None = None, **headers: str) -> Answer:
    connection = http.client.HTTPSConnection(
        "localhost", proxy.tls, timeout=20, context=trusting(proxy.folder)
    )
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    with contextlib.closing(connection):
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        return Answer(
            answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        )


def phone(proxy: Proxy, segment: Segment, **options: Any) -> TestPhone:
    phone = TestPhone(f"localhost:{proxy.tls}", segment.show.slug, ssl=trusting(proxy.folder), **options)
    phone.url = phone.url.replace("ws://", "wss://")
    return phone


def test_plain_http_is_sent_to_https(proxy: Proxy) -> None:
    connection = http.client.HTTPConnection("localhost", proxy.plain, timeout=20)
    with contextlib.closing(connection):
        connection.request("GET", "/draws/?page=2", headers={"Host": "gala.example.com"})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Location"]) == (308, "https://gala.example.com/draws/?page=2")


def test_whoever_calls_us_by_another_name_is_sent_to_ours(proxy: Proxy) -> None:
    connection = http.client.HTTPConnection("localhost", proxy.plain, timeout=20)
    with contextlib.closing(connection):
        connection.request("GET", "/draws/", headers={"Host": "evil.example"})
        assert connection.getresponse().headers["Location"] == "https://gala.example.com/draws/"


def test_probes_for_the_inside_stay_inside(proxy: Proxy) -> None:
    answers = {path: ask(proxy, path).status for path in ("/healthz", "/readyz", "/metrics")}
    assert answers == {"/healthz": 200, "/readyz": 404, "/metrics": 404}


@pytest.mark.parametrize(
    ("path", "body", "status"), [("/metrics", None, 404), ("/login/", "x" * 70_000, 413), ("/", "", 403)]
)
def test_what_nginx_answers_itself_may_load_nothing_and_the_gateways_answers_keep_their_headers(
    proxy: Proxy, path: str, body: str | None, status: int
) -> None:
    answer = ask(proxy, path, "GET" if body is None else "POST", body)
    assert answer.status == status
    policy = answer.headers["content-security-policy"]
    assert (policy == "default-src 'none'; frame-ancestors 'none'") is (status != 403), policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_its_own_health_check_is_true(proxy: Proxy) -> None:
    kind, *command = SERVICES["nginx"]["healthcheck"]["test"]
    assert (kind, command[-1]) == ("CMD", "https://localhost/healthz")
    for port, status in ((proxy.tls, 0), (proxy.plain, 35)):  # 35: no TLS there
        url = f"https://localhost:{port}/healthz"
        assert subprocess.run([*command[:-1], url], capture_output=True, timeout=20).returncode == status


def test_pages_are_https_for_django_whatever_the_viewer_says(proxy: Proxy) -> None:
    for claim in ({}, {"X_Forwarded_Proto": "http"}, {"X_Forwarded_Proto": "http,http"}):
        answer = ask(proxy, "/api/openapi.json", **claim)
        promise = answer.headers["strict-transport-security"]
        assert (answer.status, promise) == (200, "max-age=31536000; includeSubDomains")


async def test_a_phone_gets_a_pass_and_shakes_through_it(proxy: Proxy, on_air: Segment) -> None:
    answer = ask(proxy, f"/api/shows/{on_air.show.slug}/passes", "POST", X_Forwarded_Proto="http")
    told = json.loads(answer.body)
    assert answer.status == 200, told
    assert (answer.status, told["url"]) == (200, f"wss://localhost/ws/shows/{on_air.show.slug}/")
    async with phone(proxy, on_air) as viewer:
        await viewer.hello(told["pass"], feed="app")
        await viewer.shake(on_air.pk, 12)
        assert (await viewer.hear("ack", total=12))["segment"] == on_air.pk


async def test_our_pages_may_open_sockets_and_others_may_not(proxy: Proxy, on_air: Segment) -> None:
    async with phone(proxy, on_air, origin="https://localhost"):
        pass
    with pytest.raises(InvalidStatus) as refusal:
        async with phone(proxy, on_air, origin="https://elsewhere.example"):
            pass
    assert refusal.value.response.status_code == 403


def test_nobody_can_pretend_to_come_from_elsewhere(proxy: Proxy, on_air: Segment) -> None:
    path = f"/api/shows/{on_air.show.slug}/passes"
    statuses = [
        ask(proxy, path, "POST", X_Real_IP=f"192.0.2.{number}", X_Forwarded_For=f"192.0.2.{number}").status
        for number in range(2 * PASSES + 2)  # the hour may turn meanwhile
    ]
    assert statuses[0] in (200, 429) and 429 in statuses


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("/api/x", 60_000, 404),
        ("/api/x", 70_000, 413),
        ("/admin/login/", 70_000, 403),
        ("/admin/login/", 9_000_000, 413),
        ("/console/x/pictures/keep/", 10_500_000, 403),
        ("/console/x/pictures/keep/", 13_000_000, 413),
        ("/console/x/pictures/", 70_000, 413),
    ],
)
def test_bodies_are_bounded_and_larger_only_where_they_have_to_be(
    proxy: Proxy, path: str, size: int, status: int
) -> None:
    assert ask(proxy, path, "POST", "x" * size).status == status


def test_huge_headers_are_refused(proxy: Proxy) -> None:
    assert ask(proxy, "/healthz", Cookie="x" * 9_000).status == 400


def test_who_sends_headers_slowly_is_out_after_ten_seconds(proxy: Proxy) -> None:
    plain = socket.create_connection(("localhost", proxy.tls), 20)
    with trusting(proxy.folder).wrap_socket(plain, server_hostname="localhost") as connection:
        assert connection.version() in ("TLSv1.2", "TLSv1.3")
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: local")
        begun = time.monotonic()
        assert b"200" not in connection.recv(1000)
        assert 8 < time.monotonic() - begun < 14


def test_the_log_holds_neither_queries_nor_addresses_nor_invitations(proxy: Proxy) -> None:
    ask(proxy, "/invitations/MQ/hunter2/")
    ask(proxy, "/healthz?pass=hunter2", User_Agent="spy", Referer="https://hunter2.example/")
    lines = [json.loads(line) for line in proxy.log.read_text().splitlines() if line.startswith("{")]
    assert any((line["path"], line["status"]) == ("/healthz", 200) for line in lines)
    assert not re.search(r"hunter2|127\.0\.0\.1|spy", "".join(map(str, lines)))


def test_both_listeners_have_the_backlog_that_they_ask_for(proxy: Proxy) -> None:
    listening = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout
    most = int(Path("/proc/sys/net/core/somaxconn").read_text())
    for port in (proxy.plain, proxy.tls):
        [backlog] = re.findall(rf"LISTEN\s+\d+\s+(\d+)\s+127.0.0.1:{port} ", listening)
        assert int(backlog) == min(4096, most)
