"""The API of a real gateway, asked with everything that its own description allows, and with much that it does not."""

import os
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance

from gala.urls import api
from tests.prizes import nights
from tests.servers import running_gateway

pytestmark = pytest.mark.django_db(transaction=True)
CHECKS = [not_a_server_error, content_type_conformance]
EXAMPLES = 10  # of each endpoint and mode


def test_whatever_is_asked_of_the_api_is_answered_as_it_promises(tmp_path: Path) -> None:
    nights.show(slug="gala")
    schema = schemathesis.openapi.from_dict(api.get_openapi_schema())
    operations = [found.ok() for found in schema.get_all_operations()]  # type: ignore[union-attr]
    assert len(operations) > 15
    server = os.environ.get("DATABASE_URL", "sqlite:///").rpartition("/")[0]
    database = f"{server}/{connection.settings_dict['NAME']}"
    with running_gateway(tmp_path / "log", DATABASE_URL=database) as (address, _):
        for operation in operations:
            for mode in GenerationMode:
                _ask(operation, mode, f"http://{address}")
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log, log[-3000:]


def _ask(operation: Any, mode: GenerationMode, base: str) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any) -> None:
        answer = case.call(base_url=base, timeout=10)
        case.validate_response(answer, checks=CHECKS)
        if answer.status_code >= 400:
            told = answer.json()
            assert told["code"] and told["message"], (operation.label, told)

    try:
        ask()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE  # nothing in this address can be wrong
