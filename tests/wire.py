"""Frames against docs/wire.schema.json, as somebody checks them who has nothing else of the project."""

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

SCHEMA = Path(__file__).resolve().parent.parent / "docs" / "wire.schema.json"
FROM_PHONES, FROM_SERVER = "from_phones", "from_server"


def read_schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(SCHEMA.read_text())
    return found


@cache
def validator(direction: str, *, closed: bool = False) -> Draft202012Validator:
    """Of one direction; `closed` refuses fields that the schema does not know, in the server's messages, too."""
    schema = read_schema()
    if closed:
        for described in schema["$defs"].values():
            if "properties" in described:
                described["additionalProperties"] = False
    del schema["anyOf"]
    return Draft202012Validator({**copy.deepcopy(schema), "$ref": f"#/$defs/{direction}"})


def fault_of(direction: str, message: Any, *, closed: bool = False) -> str:
    """Why a message is none of this direction; empty where it is one."""
    error = best_match(validator(direction, closed=closed).iter_errors(message))
    return "" if error is None else f"{error.json_path}: {error.message}"


def kinds(direction: str) -> set[str]:
    """The types of all messages of this direction."""
    return set(read_schema()["$defs"][direction]["discriminator"]["mapping"])
