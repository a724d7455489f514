"""The public test vectors of Merkle proofs (tests/vectors/merkle_*.json say where they are from): for core, both
verifiers and the page of a draw.
"""

import json
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parent / "vectors"


def _load(name: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((VECTORS / f"merkle_{name}.json").read_text())["cases"]
    return cases


MERKLE_INCLUSION, MERKLE_CONSISTENCY = _load("inclusion"), _load("consistency")


def is_strict(case: dict[str, Any]) -> bool:
    """Whether the proof holds where every hash has to have 32 bytes: one of the vectors accepts two shorter roots."""
    hashes = [case[name] for name in ("root", "leaf", "first_root", "second_root") if name in case]
    return case["holds"] and all(len(node) == 64 for node in [*hashes, *case["proof"]])
