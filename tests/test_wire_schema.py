"""docs/wire.schema.json: made from the code, true of the examples on the pages, and strict enough to find mistakes."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from engagement.core.errors import PhoneFault
from engagement.core.messages import Hello, Resync, Shakes, Sync, decode, encode
from engagement.core.schema import pack_schema
from engagement.core.show_state import demo_state, state_message
from tests.cast import make_result, make_winner, make_won
from tests.wire import FROM_PHONES, FROM_SERVER, SCHEMA, fault_of, kinds, read_schema, validator

DOCS = SCHEMA.parent
VIEWER = "0123456789abcdef0123456789ab"


def test_the_file_is_what_the_code_makes_now() -> None:
    command = [sys.executable, "-m", "engagement.core.schema"]
    made = subprocess.run(command, cwd=DOCS.parent, capture_output=True, check=True).stdout.decode()
    assert made == pack_schema()
    assert SCHEMA.read_text() == made, "the messages have changed; run: make schema"


def test_it_is_a_json_schema() -> None:
    Draft202012Validator.check_schema(read_schema())


# --- the examples on the pages ---


def examples(page: Path) -> Iterator[dict[str, Any]]:
    """The messages in the JSON blocks of a page; other objects have no type."""
    for block in re.findall(r"^```json\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        while block := block.lstrip():
            message, end = json.JSONDecoder().raw_decode(block)
            block = block[end:]
            if "type" in message:
                yield message


def direction_of(message: dict[str, Any]) -> str:
    return FROM_PHONES if message["type"] in kinds(FROM_PHONES) else FROM_SERVER


@pytest.mark.parametrize("name", ["protocol.md", "connect-a-phone.md"])
def test_every_example_on_the_pages_is_a_message(name: str) -> None:
    found = list(examples(DOCS / name))
    assert found
    for message in found:
        assert fault_of(direction_of(message), message, closed=True) == "", message
        assert validator(direction_of(message)).is_valid(message)


def test_the_page_of_the_protocol_has_an_example_of_every_message() -> None:
    assert {message["type"] for message in examples(DOCS / "protocol.md")} == kinds(FROM_PHONES) | kinds(
        FROM_SERVER
    )


# --- what is wrong is found ---

WRONG_FROM_PHONES: list[Any] = [
    {"type": "hello", "pass": "x", "token": "y"},
    {"type": "hello", "role": "host"},
    {"type": "hello", "pass": "x" * 901},
    {"type": "shakes", "segment": 7},
    {"type": "shakes", "segment": 0, "total": 1},
    {"type": "shakes", "segment": 7, "total": -1},
    {"type": "shakes", "segment": 7, "total": 2**32},
    {"type": "shakes", "segment": 7, "total": "1"},
    {"type": "shakes", "segment": 7, "total": 1.5},
    {"type": "sync"},
    {"type": "resync", "seq": 1},
    {"type": "ack", "segment": 7, "total": 1},
    {"pass": "x"},
    [],
]


@pytest.mark.parametrize("message", WRONG_FROM_PHONES, ids=str)
def test_what_a_gateway_refuses_the_schema_refuses(message: Any) -> None:
    assert fault_of(FROM_PHONES, message)
    with pytest.raises(PhoneFault):
        decode(json.dumps(message))


FIELDS = st.dictionaries(
    st.sampled_from(["type", "pass", "feed", "role", "segment", "total", "t0", "x"]),
    st.none()
    | st.integers(-1, 5)
    | st.sampled_from(["", "screen", "tv", "hello", "shakes", "sync", "resync"]),
)


@given(FIELDS, st.sampled_from([*kinds(FROM_PHONES), None]))
def test_the_gateway_and_the_schema_take_the_same_messages(
    message: dict[str, Any], type_: str | None
) -> None:
    message = message if type_ is None else {**message, "type": type_}
    try:
        taken = isinstance(decode(json.dumps(message)), Hello | Shakes | Sync | Resync)
    except PhoneFault:
        taken = False
    assert taken is (fault_of(FROM_PHONES, message) == "")


def told() -> list[dict[str, Any]]:
    """What a server says, each of it right."""
    result = make_result(7, make_winner(VIEWER, status="claimed", moved_up=True, claim_by=9))
    state = state_message(msgspec.structs.replace(demo_state(), results=[result]), "tv")
    return [json.loads(encode(message)) for message in (state, make_won())] + list(
        examples(DOCS / "protocol.md")
    )


def paths(value: Any) -> Iterator[list[Any]]:
    """Where the fields of a message are, in its depth, too."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield [key]
            yield from ([key, *path] for path in paths(inner))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from ([place, *path] for path in paths(inner))


def changed(message: Any, path: list[Any], change: Any) -> Any:
    """A copy in which the field at this path is another, or gone."""
    wrong = json.loads(json.dumps(message))
    inner = wrong
    for step in path[:-1]:
        inner = inner[step]
    change(inner, path[-1])
    return wrong


def renamed(fields: dict[str, Any], name: str) -> None:
    fields[f"{name}_"] = fields.pop(name)


def retyped(fields: dict[str, Any], name: str) -> None:
    fields[name] = {"not": "this"}


def test_every_field_of_the_server_s_messages_matters() -> None:
    seen = 0
    for message in told():
        if direction_of(message) == FROM_SERVER:
            assert fault_of(FROM_SERVER, message, closed=True) == "", message
            for path in paths(message):
                for change in (renamed, retyped):
                    wrong = changed(message, path, change)
                    assert fault_of(FROM_SERVER, wrong, closed=True), (path, change)
                    seen += 1
    assert seen > 200


def test_a_phone_of_today_passes_over_what_a_server_of_tomorrow_adds() -> None:
    message = {"type": "ack", "segment": 7, "total": 1, "more": True}
    assert fault_of(FROM_SERVER, message) == ""
    assert fault_of(FROM_SERVER, message, closed=True)
