"""What nobody should have to expect, recorded: one list for forms, addresses, bodies, sockets and commands."""

from typing import Any

MARK = "s3cret-of-the-viewer"  # stands in every text, so that a log which repeats what came is found

TEXTS: dict[str, str] = {
    "empty": "",
    "blank": "   ",
    "huge": MARK + "x" * 50_000,
    "negative": "-1",
    "not a number": "NaN",
    "infinite": "Infinity",
    "a float": "1.5",
    "an exponent": "1e9",
    "full-width digits": "１２３",
    "beyond 64 bits": str(2**63),
    "400 digits": "9" * 400,
    "NUL": f"{MARK}\x00end",
    "control characters": f"{MARK}\x07\x1b[31m\x7f",
    "right to left": f"{MARK}‮gnp.exe",
    "invisible": f"{MARK}​﻿",
    "four bytes of UTF-8": "𝔊🎽👩‍👩‍👧",
    "line ends": f"{MARK}\r\nSet-Cookie: a=b",
    "markup": f"<script>{MARK}</script>'\"><b>",
    "SQL": f"{MARK}'; DROP TABLE prizes_draw; --",
    "a path": "../../../../etc/passwd",
    "a template": "{{ settings.SECRET_KEY }}{% debug %}",
    "deep JSON": "[" * 10_000,
    "a list": '["a"]',
    "an object": '{"a": {"b": null}}',
    "a key twice": '{"pass": "a", "pass": "b", "salt": "00"}',
    "true": "true",
    "null": "null",
}
"""For a field of a form, a part of an address, or an argument."""

BODIES: dict[str, bytes] = {
    **{name: text.encode() for name, text in TEXTS.items() if len(text) < 30_000},
    "no UTF-8": b'{"pass": "\xff\xfe", "salt": "00"}',
    "UTF-16": '{"pass": "a"}'.encode("utf-16"),
    "half an object": b'{"pass": "a", "salt"',
    "an unknown field": b'{"pass": "a", "salt": "' + b"0" * 64 + b'", "admin": true}',
    "wrong types": b'{"pass": 1, "salt": [], "uid": "7", "work": 1, "code": {}, "attestation": "x"}',
    "numbers beyond all": b'{"uid": 1e400, "pass": -0, "salt": NaN}',
    "a lone surrogate": b'{"pass": "\\ud800", "salt": "\\udfff"}',
    "deep inside": b'{"pass": ' + b"[" * 10_000,
    "deep objects": b'{"a":' * 5_000,
}
"""For an address that takes JSON."""

FRAMES: dict[str, Any] = {
    **TEXTS,
    "an unknown type": {"type": "admin"},
    "no type": {"segment": 1, "total": 1},
    "a negative total": {"type": "shakes", "segment": 1, "total": -1},
    "a float as a total": {"type": "shakes", "segment": 1, "total": 1.5},
    "a total beyond 32 bits": {"type": "shakes", "segment": 1, "total": 2**32},
    "a text as a total": {"type": "shakes", "segment": 1, "total": "7"},
    "true as a total": {"type": "shakes", "segment": 1, "total": True},
    "a segment of nobody": {"type": "shakes", "segment": 2**62, "total": 1},
    "an unknown field": {"type": "sync", "t0": 1, "admin": True},
    "a time beyond all": {"type": "sync", "t0": 2**60},
    "a deep hello": '{"type":"hello","pass":' + "[" * 900,
    "NaN as a total": '{"type":"shakes","segment":1,"total":NaN}',
    "a total twice": '{"type":"shakes","segment":1,"total":1,"total":2000000000}',
    "bytes": b'{"type":"resync"}',
    "no UTF-8": b"\xff\xfe\xfd",
}
"""For a socket, after hello: texts, objects, or bytes."""
