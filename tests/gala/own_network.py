"""A network namespace of the tests' own, with any addresses on its loopback: nothing leaves it, nothing comes in."""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def may_have_one() -> bool:
    """Root may, where the system lets it."""
    return (
        os.geteuid() == 0
        and subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode == 0
    )


@contextlib.contextmanager
def own_network(addresses: Sequence[str]) -> Iterator[None]:
    """This thread, and every process and socket that it makes meanwhile, in a namespace with these addresses."""
    with Path("/proc/thread-self/ns/net").open() as before:
        _call("unshare", CLONE_NEWNET)
        try:
            for command in ("link set lo up", *(f"addr add {address} dev lo nodad" for address in addresses)):
                subprocess.run(["ip", *command.split()], check=True)
            yield
        finally:
            _call("setns", before.fileno(), CLONE_NEWNET)
