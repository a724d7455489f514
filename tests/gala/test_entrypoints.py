import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from celery.bin.celery import celery as celery_command
from uvicorn.importer import import_from_string
from uvicorn.main import main as uvicorn_command

from gala.entrypoints import BEAT_QUEUE, ROOT, STEP_QUEUE, arguments_of, conductor, gateway, worker
from gala.processes import spawn, stop_all
from tests.gala.test_processes import ps, until


def parsed(command: list[str]) -> tuple[str, dict[str, object]]:
    """What uvicorn's own parser makes of the arguments; it refuses any that it does not know."""
    assert command[:3] == [sys.executable, "-m", "uvicorn"]
    return "uvicorn", uvicorn_command.make_context("uvicorn", command[3:]).params


def parsed_celery(command: list[str]) -> tuple[str, dict[str, object]]:
    assert command[:3] == [sys.executable, "-m", "celery"]
    rest = command[command.index("--workdir") + 2 :]
    assert isinstance(celery_command, click.Group)
    subcommand = celery_command.commands[rest[0]]
    parser_context = click.Context(subcommand, info_name=rest[0])
    options, _, _ = subcommand.make_parser(parser_context).parse_args(rest[1:])
    return rest[0], options


def test_the_gateway_bounds_frames_and_finds_dead_phones() -> None:
    _, options = parsed(gateway("0.0.0.0", 8001))
    wanted = {
        "app": "gala.asgi:application",
        "host": "0.0.0.0",
        "port": 8001,
        "http": "engagement.gateway.transport.handshake:FastHttp",
        "ws": "websockets-sansio",
        "ws_max_size": 4096,
        "ws_ping_interval": 20.0,
        "ws_ping_timeout": 20.0,
        "ws_per_message_deflate": False,
        "backlog": 4096,
        "timeout_graceful_shutdown": 3,
        "access_log": False,
        "proxy_headers": False,
    }
    assert {name: options[name] for name in wanted} == wanted


def test_the_fast_path_can_be_switched_off() -> None:
    command = arguments_of("gateway", {"GATEWAY_FAST": "off"})
    assert command[command.index("--http") + 1] == "engagement.gateway.transport.bounded:BoundedHttp"
    assert arguments_of("gateway", {"GATEWAY_FAST": "true"}) == arguments_of("gateway", {})


def test_a_gateway_can_inherit_its_listening_socket() -> None:
    command = gateway(fd=7)
    assert command[command.index("--fd") + 1] == "7"
    assert "--port" not in command


def test_workers_take_the_steps_only() -> None:
    name, options = parsed_celery(worker(5))
    assert (name, options["concurrency"], options["queues"]) == ("worker", "5", STEP_QUEUE)
    assert not options.get("beat")


def test_no_phase_waits_behind_a_long_step_and_there_is_no_schedule_file() -> None:
    name, options = parsed_celery(conductor())
    assert (name, options["queues"], options["beat"]) == ("worker", BEAT_QUEUE, True)
    assert options["scheduler"] == "celery.beat:Scheduler"


def test_every_queue_that_the_settings_send_to_has_a_worker(settings) -> None:
    routes = {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()}
    assert (routes, settings.CELERY_TASK_DEFAULT_QUEUE) == ({BEAT_QUEUE}, STEP_QUEUE)


def test_both_applications_that_are_named_exist() -> None:
    assert callable(import_from_string("gala.asgi:application"))
    assert import_from_string("gala.celery:app").main == "gala"


def test_the_environment_sets_address_and_numbers() -> None:
    environment = {
        "GATEWAY_HOST": "::",
        "GATEWAY_PORT": "9000",
        "GATEWAY_WORKERS": "4",
        "WORKER_CONCURRENCY": "6",
    }
    assert arguments_of("gateway", environment) == gateway("::", 9000, 4)
    assert arguments_of("worker", environment) == worker(6)
    assert arguments_of("conductor", environment) == conductor()


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gala.entrypoints", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=30
    )


@pytest.mark.parametrize(
    ("name", "value"), [("GATEWAY_WORKERS", "none"), ("LOG_LEVEL", "loud"), ("DEBUG", "?")]
)
def test_a_variable_that_makes_no_sense_ends_the_start_in_one_line_with_its_name(
    name: str, value: str
) -> None:
    done = run("gateway", **{name: value})
    assert done.returncode == 1
    assert re.fullmatch(
        rf"python -m gala.entrypoints: {name}: expected .*, got '{re.escape(value)}'\n", done.stderr
    )


@pytest.mark.parametrize("arguments", [[], ["gatway"], ["gateway", "worker"]])
def test_an_unknown_entry_point_ends_with_one_line_that_names_the_known_ones(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 1
    assert "expected gateway, worker or conductor" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_entry_point_becomes_the_process_itself(tmp_path: Path) -> None:
    """No wrapper stays in between that would swallow the signals of a container engine."""
    process = spawn(
        [sys.executable, "-m", "gala.entrypoints", "conductor"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        log=tmp_path / "log",
    )
    try:
        assert until(lambda: ps("command", process.pid) == " ".join(conductor()))
    finally:
        stop_all([process], 5)
