"""What the container files name exists, and is what the code uses. What they say is run in test_docker_*.py."""

import re
from pathlib import Path

import pytest
from django.conf import settings

from engagement.gateway.hub import SPARE_DESCRIPTORS
from gala import logins
from gala.entrypoints import ROOT, arguments_of, gateway
from gala.environment import Environment
from gala.health import is_probe
from gala.listener import BACKLOG
from tests.gala.compose import (
    COMPOSE,
    DOCKER,
    IMAGES,
    OURS,
    SERVICES,
    environment_of,
    example,
    interpolate,
    parse_env,
)

NGINX = (DOCKER / "nginx.conf").read_text()
DOCKERFILE = (DOCKER / "Dockerfile").read_text().replace("\\\n", "")
EXAMPLE = parse_env((DOCKER / ".env.example").read_text())


def words_of(page: Path) -> str:
    """Its text, wherever the lines end."""
    return " ".join(page.read_text().split())


def seconds(duration: str) -> int:
    return int(duration.removesuffix("s"))


def test_the_services_are_those_of_the_design() -> None:
    wanted = {"gateway", "worker", "conductor", "migrate", "postgres", "valkey", "nginx"}
    assert set(SERVICES) == wanted


@pytest.mark.parametrize("name", ["gateway", "worker", "conductor"])
def test_a_service_starts_the_entry_point_of_its_name(name: str) -> None:
    assert 'ENTRYPOINT ["python", "-m", "gala.entrypoints"]' in DOCKERFILE
    assert SERVICES[name]["command"] == [name]
    assert arguments_of(name, environment={})


def test_the_image_says_where_things_are_as_the_compose_file_does() -> None:
    [line] = re.findall(r"^ENV (.*)$", DOCKERFILE, re.MULTILINE)
    ours = dict(word.split("=") for word in line.split() if re.match("G|H", word))
    assert set(ours) == {"GALA_DATA", "GATEWAY_HOST", "HEALTH_DIR"}
    assert ours.items() <= SERVICES["gateway"]["environment"].items()


def test_the_example_lists_what_compose_asks_for_without_a_default() -> None:
    asked = re.findall(r"\$\{([A-Z_]+):\?", (DOCKER / "compose.yaml").read_text())
    assert set(asked) == {"SITE_HOST", "POSTGRES_PASSWORD", "VALKEY_PASSWORD"} <= set(EXAMPLE)


def test_the_example_holds_no_secret() -> None:
    filled = [name for name, value in EXAMPLE.items() if value]
    assert not [name for name in filled if name.endswith(("KEY", "KEYS", "PASSWORD"))]


def test_every_file_that_the_image_copies_exists_and_is_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, re.MULTILINE)
    assert {"manage.py", "requirements-s3.txt", "gala", "engagement", "prizes"} == set(copied)
    for name in copied:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in ignored


def test_the_image_has_its_texts_compiled_before_it_runs_as_somebody_who_cannot_write() -> None:
    compiled, user = DOCKERFILE.index("RUN python -m gala.catalogues"), DOCKERFILE.index("USER gala")
    assert DOCKERFILE.index("COPY gala") < compiled < user


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


def test_a_worker_gets_the_time_that_a_task_may_take() -> None:
    assert seconds(SERVICES["worker"]["stop_grace_period"]) > settings.CELERY_TASK_TIME_LIMIT


def test_the_address_that_is_asked_for_health_exists() -> None:
    assert SERVICES["nginx"]["healthcheck"]["test"][-1] == "https://localhost/healthz"
    assert is_probe({"path": "/healthz"})


class TestNginx:
    def test_it_replaces_the_address_that_a_client_claims_to_have(self) -> None:
        assert set(re.findall(r"X-Real-IP (\S+);", NGINX)) == {"$remote_addr"}
        assert set(re.findall(r"X-Forwarded-For (\S+);", NGINX)) == {"$remote_addr"}
        assert SERVICES["gateway"]["environment"]["TRUST_REAL_IP_HEADER"] == "true"

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


class TestArithmetic:
    """The numbers of docker/README.md, from the settings and files that they come from."""

    README = words_of(DOCKER / "README.md")

    def test_what_the_readme_scales_to_fits_into_the_connections_of_postgresql(self) -> None:
        [environment] = {
            str(environment_of(name, example())): environment_of(name, example()) for name in OURS
        }.values()
        pages = Environment(environment).number("HTTP_AT_ONCE", settings.HTTP_AT_ONCE, 1, 1000)
        per_process = pages + logins.PLACES + 1
        processes, concurrency = int(environment["GATEWAY_WORKERS"]), int(environment["WORKER_CONCURRENCY"])
        gateways, workers = (
            max(map(int, re.findall(rf"--scale {name}=(\d+)", self.README))) for name in ("gateway", "worker")
        )
        needed = gateways * processes * per_process + workers * concurrency + 1 + 10
        told = f"{gateways} x {processes} x {per_process} + {workers} x {concurrency} + 1 + 10 = {needed}"
        assert told in self.README and told in words_of(ROOT / "docs/operate.md")
        assert "command" not in SERVICES["postgres"], "it has the default of max_connections"
        assert needed <= 100 - 3

    def test_ports_and_descriptors_are_those_of_the_containers(self) -> None:
        low, high = map(int, SERVICES["nginx"]["sysctls"]["net.ipv4.ip_local_port_range"].split())
        ports = high - low + 1
        assert (
            f"{ports:,} for each gateway" in self.README and f"4 x {ports:,} = {4 * ports:,}" in self.README
        )
        descriptors = SERVICES["gateway"]["ulimits"]["nofile"] - SPARE_DESCRIPTORS
        assert f"{descriptors:,} for each of `GATEWAY_WORKERS`" in self.README
        found = re.search(r"worker_connections (\d+);", NGINX)
        assert found is not None and f"{int(found[1]) // 2:,} for each core" in self.README
        assert SERVICES["nginx"]["ulimits"]["nofile"] >= int(found[1])

    def test_no_listener_waits_for_more_than_its_container_allows(self) -> None:
        asked = {int(number) for number in re.findall(r"backlog=(\d+)", NGINX)} | {BACKLOG}
        for name in ("nginx", "gateway"):
            assert SERVICES[name]["sysctls"]["net.core.somaxconn"] == max(asked) == 4096


def test_each_image_can_be_named_by_its_digest() -> None:
    images = {name: f"{name.lower()}@sha256:{'0' * 64}" for name in IMAGES}
    used = [str(service["image"]) for service in SERVICES.values() if service["image"] != "gala"]
    used.append(SERVICES["gateway"]["build"]["args"]["PYTHON_IMAGE"])
    assert {interpolate(image, images) for image in used} == set(images.values())
    assert all(":" in interpolate(image, {}) for image in used)  # a version, else the newest there is
    [built_on] = re.findall(r"^ARG PYTHON_IMAGE=(.*)$", DOCKERFILE, re.MULTILINE)
    assert built_on == interpolate(SERVICES["gateway"]["build"]["args"]["PYTHON_IMAGE"], {})
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${PYTHON_IMAGE}"}
