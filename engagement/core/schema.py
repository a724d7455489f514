"""The JSON Schema of the wire, made from the classes of the messages; `make schema` writes docs/wire.schema.json."""

import json
import sys
from typing import Any

import msgspec

from engagement.core.messages import FROM_PHONES, FROM_SERVER, SUBPROTOCOL

DIALECT = "https://json-schema.org/draft/2020-12/schema"
DIRECTIONS = {
    "from_phones": (FROM_PHONES, "What phones and screens say. Anything that is not in here is refused."),
    "from_server": (
        FROM_SERVER,
        "What the server says. Types and fields that are not in here are passed over.",
    ),
}


def wire_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of every message: `from_phones` and `from_server` under `$defs`.

    >>> wire_schema()["$defs"]["Ack"]["required"]
    ['type', 'segment', 'total']
    """
    kinds = [kind for kind, _ in DIRECTIONS.values()]
    schemas, defs = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    for schema, (name, (_, about)) in zip(schemas, DIRECTIONS.items(), strict=True):
        defs[name] = {"description": about, **schema}
    return {
        "$schema": DIALECT,
        "title": SUBPROTOCOL,
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in DIRECTIONS],
        "$defs": defs,
    }


def pack_schema() -> str:
    """The text of docs/wire.schema.json.

    >>> json.loads(pack_schema()) == wire_schema()
    True
    """
    return json.dumps(wire_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(pack_schema())
