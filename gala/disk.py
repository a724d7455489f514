"""Room on the disk: a show that does not fit says so before it starts, or in one sentence when it notices."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import OperationalError

FULL = (errno.ENOSPC, errno.EDQUOT)
MB = 1_000_000
A_NIGHT = (
    32 * MB
)  # twice what a night with 300 phones holds at most: static files, SQLite's log, Valkey's file
A_PHONE = 2_000  # bytes in Valkey's file, the totals, the roll and the records


class DiskFull(Exception):
    """A night does not fit on the disk; the text says where, what is there and what is needed."""


def require_room(data: Path, phones: int) -> None:
    """Raises DiskFull where a night with so many phones does not fit beside the data directory, which exists."""
    needed, free = A_NIGHT + phones * A_PHONE, shutil.disk_usage(data).free
    if free < needed:
        raise DiskFull(
            f"the disk of {data} has {free // MB} MB left, a night with {phones} phones needs {needed // MB} MB: "
            "make room there, or choose another directory with --data"
        )


@contextmanager
def telling_of_a_full_disk(data: Path) -> Iterator[None]:
    """The same for a write that fails all the same: by a quota, or because somebody else has filled the disk."""
    try:
        yield
    except (OSError, OperationalError) as error:
        if getattr(error, "errno", None) not in FULL and "disk is full" not in str(error):
            raise
        raise DiskFull(
            f"the disk of {data} is full ({error}), a night needs {A_NIGHT // MB} MB: make room there, or choose "
            "another directory with --data"
        ) from None
