"""The digests of the programs that draw and verify, as they stand in the precommitment."""

import hashlib
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
VERIFIER = HERE / "verify_draw.py"
SHOW_VERIFIER = HERE / "verify_show.py"
WITNESS = HERE / "witness.py"


@cache
def software_digests() -> dict[str, str]:
    """{"software": …, "verifier": …}: SHA-256 of the engine with everything it uses, and of the verifier."""
    sources = sorted(
        [
            *(HERE / "engine").glob("*.py"),
            *(HERE / "core").glob("*.py"),
            *(HERE.parent / "engagement/core").glob("*.py"),
            *(HERE.parent / "engagement/ledger/core").glob("*.py"),
        ]
    )
    digest = hashlib.sha256()
    for source in sources:
        content = source.read_bytes()
        digest.update(f"{source.relative_to(HERE.parent)} {len(content)}\n".encode() + content)
    return {"software": digest.hexdigest(), "verifier": hashlib.sha256(VERIFIER.read_bytes()).hexdigest()}
