"""Has a picture decoded and made anew by a process of its own (decoder.py), one at a time in each gateway process.

A decoder takes seconds of a core and hundreds of megabytes, and is the likeliest part of all to be attacked by what
comes. In a thread it would stop every phone of the gateway for as long as it keeps the interpreter; here it can only
end. See docs/decisions/0056-pictures-are-made-anew-in-a-process.md.
"""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

from engagement.pictures.core.kinds import BEGINNING_BYTES, BadPicture, kind_of
from engagement.pictures.core.sizes import MAX_BYTES, Size
from engagement.pictures.decoder import TOO_MUCH

ROOT = Path(__file__).resolve().parent.parent.parent
# -E, -s, and an empty environment: no secret of a gateway is there, and no code of somebody else.
COMMAND = [sys.executable, "-E", "-s", "-B", "-m", "engagement.pictures.decoder"]
TIMEOUT_S = 60.0  # it steps back behind all others; docker/nginx.conf waits longer for this answer
PATIENCE_S = 5.0
SLOW = "This machine has no time to make the picture at the moment: try again when it has less to do."
BUSY = "Another picture is being made at the moment: try again in a few seconds."

_one = threading.Lock()


class Made(NamedTuple):
    """A picture in all its sizes: `files` by their names (core/names.py)."""

    sizes: list[Size]
    files: dict[str, bytes]


class Busy(Exception):
    """Now is not the time: the text says why."""


def make_picture(content: bytes) -> Made:
    """Raises BadPicture for what is none that we take, and Busy."""
    if len(content) > MAX_BYTES:
        raise BadPicture(f"Expected at most {MAX_BYTES // 1_000_000} MB, got {len(content) / 1e6:.1f}.")
    kind_of(content[:BEGINNING_BYTES])  # most of what is wrong needs no process
    if not _one.acquire(timeout=PATIENCE_S):
        raise Busy(BUSY)
    try:
        return _read(_run(content))
    finally:
        _one.release()


def _run(content: bytes) -> bytes:
    try:
        done = subprocess.run(
            COMMAND, input=content, capture_output=True, timeout=TIMEOUT_S, check=False, cwd=ROOT, env={}
        )
    except subprocess.TimeoutExpired:
        raise Busy(SLOW) from None
    if done.returncode != 0:  # it crashed, or the system has ended it at one of its bounds
        raise BadPicture(TOO_MUCH)
    return done.stdout


def _read(said: bytes) -> Made:
    line, _, rest = said.partition(b"\n")
    answer = json.loads(line)
    if "refused" in answer:
        raise BadPicture(answer["refused"])
    files, at = {}, 0
    for name, length in answer["files"]:
        files[name] = rest[at : at + length]
        at += length
    return Made([(width, height) for width, height in answer["sizes"]], files)
