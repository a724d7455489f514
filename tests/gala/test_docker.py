"""No container engine runs here, so: what the container files name must exist, and be what the code uses."""

import re
from typing import Any

import pytest
import yaml
from django.urls import resolve

from gala.entrypoints import ROOT, arguments_of, gateway

DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "gala"}
NGINX = (DOCKER / "nginx.conf").read_text()
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
EXAMPLE = re.findall(r"^([A-Z_]+)=", (DOCKER / ".env.example").read_text(), re.MULTILINE)


def variables_read_by_the_code() -> set[str]:
    text = "".join((ROOT / "gala" / name).read_text() for name in ("settings.py", "entrypoints.py"))
    return set(re.findall(r'"([A-Z][A-Z_]+)"', text))


def variables_of_the_compose_file() -> set[str]:
    return set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", (DOCKER / "compose.yaml").read_text()))


def seconds(duration: str) -> int:
    return int(duration.removesuffix("s"))


def test_the_services_are_those_of_the_design() -> None:
    wanted = {"gateway", "worker", "conductor", "migrate", "postgres", "valkey", "nginx"}
    assert set(SERVICES) == wanted


@pytest.mark.parametrize("name", ["gateway", "worker", "conductor"])
def test_a_service_starts_the_entry_point_of_its_name(name: str) -> None:
    assert 'ENTRYPOINT ["python", "-m", "gala.entrypoints"]' in DOCKERFILE
    assert SERVICES[name]["command"] == [name]
    assert arguments_of(*SERVICES[name]["command"], environment={})


def test_every_variable_of_our_services_is_read_by_the_code() -> None:
    for service in OURS.values():
        assert set(service["environment"]) <= variables_read_by_the_code()
    in_the_image = re.findall(r"\b(G[A-Z_]+)=", DOCKERFILE)
    assert in_the_image
    assert set(in_the_image) <= variables_read_by_the_code()


def test_the_example_lists_exactly_the_variables_that_the_compose_file_asks_for() -> None:
    assert sorted(EXAMPLE) == sorted(variables_of_the_compose_file())


def test_the_example_holds_no_secret() -> None:
    filled = re.findall(r"^([A-Z_]+)=.+", (DOCKER / ".env.example").read_text(), re.MULTILINE)
    assert not [name for name in filled if name.endswith(("KEY", "KEYS", "PASSWORD"))]


def test_every_file_that_the_image_copies_exists_and_is_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, re.MULTILINE)
    assert {"manage.py", "requirements.txt", "gala", "engagement", "prizes"} == set(copied)
    for name in copied:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in ignored


def test_every_file_that_is_mounted_exists() -> None:
    mounted = [volume.split(":")[0] for volume in SERVICES["nginx"]["volumes"]]
    assert mounted == ["./nginx.conf", "./certificates"]
    assert (DOCKER / "nginx.conf").is_file()
    wanted = re.findall(r"/etc/nginx/certificates/(\S+);", NGINX)
    readme = (DOCKER / "README.md").read_text()
    assert len(wanted) == 2
    assert all(name in readme for name in wanted)


def test_every_named_volume_and_every_dependency_exists() -> None:
    for service in SERVICES.values():
        named = {volume.split(":")[0] for volume in service.get("volumes", []) if not volume.startswith(".")}
        assert named <= set(COMPOSE["volumes"])
        assert set(service.get("depends_on", {})) <= set(SERVICES)


def test_everything_that_stays_up_has_a_health_check() -> None:
    assert [name for name in SERVICES if "healthcheck" not in SERVICES[name]] == ["migrate"]


def test_only_nginx_is_reachable_from_outside() -> None:
    assert [name for name in SERVICES if "ports" in SERVICES[name]] == ["nginx"]


def test_a_gateway_gets_the_time_that_it_takes_to_stop() -> None:
    command = gateway()
    graceful = int(command[command.index("--timeout-graceful-shutdown") + 1])
    assert seconds(SERVICES["gateway"]["stop_grace_period"]) > graceful


def test_a_worker_gets_the_time_that_a_task_may_take(settings) -> None:
    assert seconds(SERVICES["worker"]["stop_grace_period"]) > settings.CELERY_TASK_TIME_LIMIT


def test_the_addresses_that_are_asked_for_health_exist() -> None:
    asked = re.findall(r"localhost(?::8000)?(/\w+)", (DOCKER / "compose.yaml").read_text())
    assert set(asked) == {"/healthz"}
    assert resolve("/healthz").func.__name__ == "healthy"


class TestNginx:
    def test_it_replaces_the_address_that_a_client_claims_to_have(self) -> None:
        assert set(re.findall(r"X-Real-IP (\S+);", NGINX)) == {"$remote_addr"}
        assert set(re.findall(r"X-Forwarded-For (\S+);", NGINX)) == {"$remote_addr"}
        assert OURS["gateway"]["environment"]["TRUST_REAL_IP_HEADER"] == "true"

    def test_every_place_with_headers_of_its_own_repeats_all_of_them(self) -> None:
        blocks = [block for block in re.split(r"[{}]", NGINX) if "proxy_set_header" in block]
        assert len(blocks) == 2
        for block in blocks:
            names = set(re.findall(r"proxy_set_header (\S+)", block))
            assert {"Host", "X-Real-IP", "X-Forwarded-For", "X-Forwarded-Proto", "Connection"} <= names

    def test_it_upgrades_sockets_and_outlasts_the_gateways_ping(self) -> None:
        [sockets] = re.findall(r"location /ws/ \{(.*?)\n    \}", NGINX, re.DOTALL)
        assert "Upgrade $http_upgrade" in sockets
        command = gateway()
        timeout = re.search(r"proxy_read_timeout (\d+)s", sockets)
        assert timeout is not None
        assert int(timeout[1]) > 2 * int(command[command.index("--ws-ping-interval") + 1])

    def test_it_logs_neither_query_strings_nor_addresses(self) -> None:
        [written] = re.findall(r"log_format short escape=json (.*?);", NGINX, re.DOTALL)
        assert set(re.findall(r"\$(\w+)", written)) == {
            "time_iso8601",
            "request_method",
            "uri",
            "status",
            "request_time",
            "body_bytes_sent",
        }
        assert "access_log /dev/stdout short;" in NGINX

    def test_slow_headers_end_after_ten_seconds(self) -> None:
        assert "client_header_timeout 10s;" in NGINX


def test_secrets_and_certificates_stay_out_of_git() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {".env", "/docker/certificates/"} <= set(ignored)
