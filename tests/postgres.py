"""`python -m tests.postgres <command ...>`: run it on a PostgreSQL of its own; passes on its status.

Without a command it says whether PostgreSQL is installed: status 0, or 2 and what to do.
"""

import getpass
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gala.processes import spawn, stop_all

OLDEST = 15
START_SECONDS = 30.0
# Empty: the tests of pytest-django have others, but the gateways that they start ask whether it is there.
DATABASE = "gala"
SETTINGS = {
    "listen_addresses": "",  # the unix socket alone
    "max_connections": "200",
    "fsync": "off",  # the data lives for this one run
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


class PostgresError(Exception):
    """PostgreSQL is not installed or did not start; the text says what to do."""


def find_programs() -> Path:
    """The folder with the newest initdb and postgres of this machine."""
    on_path = shutil.which("initdb")
    folders = [
        *Path("/usr/lib/postgresql").glob("*/bin"),
        *([Path(on_path).resolve().parent] if on_path else []),
    ]
    versions = {_version(folder): folder for folder in folders if (folder / "initdb").exists()}
    newest = max(versions, default=0)
    if newest < OLDEST:
        found = f"only version {newest}" if newest else "none"
        raise PostgresError(
            f"PostgreSQL {OLDEST} or newer is needed, found {found}. "
            "Install it (Debian: apt install postgresql), or name one with DATABASE_URL."
        )
    return versions[newest]


def _version(folder: Path) -> int:
    said = subprocess.run(
        [folder / "postgres", "--version"], capture_output=True, text=True, check=True
    ).stdout
    return int(re.findall(r"\d+", said)[0])  # "postgres (PostgreSQL) 15.18", "17devel"


def server_user() -> str | None:
    """PostgreSQL refuses to run as root, so root lends it the account that Debian's package made."""
    return "postgres" if os.geteuid() == 0 else None


def start_postgres(folder: Path) -> subprocess.Popen[bytes]:
    """Start the cluster in `folder`, which is made at the first time; its socket is in `folder` too."""
    programs, user, data = find_programs(), server_user(), folder / "data"
    if not data.exists():
        _make_cluster(folder, programs, user, data)
    settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
    arguments = [str(programs / "postgres"), "-D", str(data), "-k", str(folder), *settings]
    server = spawn(arguments, env=os.environ, log=folder / "log", user=user)
    _wait_until_ready(server, programs, folder)
    return server


def _make_cluster(folder: Path, programs: Path, user: str | None, data: Path) -> None:
    if user is not None:
        shutil.chown(folder, user)
    options = f"-U {getpass.getuser()} --auth=trust --encoding=UTF8 --locale=C --no-sync".split()
    made = subprocess.run(
        [programs / "initdb", "-D", data, *options],
        user=user,
        group=user,
        extra_groups=[] if user else None,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    if made.returncode:
        raise PostgresError(f"initdb ended with status {made.returncode}:\n{made.stderr}")


def _wait_until_ready(server: subprocess.Popen[bytes], programs: Path, folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while subprocess.run([programs / "pg_isready", "-q", "-h", folder]).returncode:
        if server.poll() is not None or time.monotonic() > deadline:
            stop_postgres(server)
            raise PostgresError(f"PostgreSQL did not start:\n{(folder / 'log').read_text()[-2000:]}")
        time.sleep(0.05)


def stop_postgres(server: subprocess.Popen[bytes]) -> None:
    """SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for clients to leave."""
    server.send_signal(signal.SIGINT)
    stop_all([server], 10)


def say_whether_it_is_there() -> int:
    try:
        print(f"PostgreSQL of {find_programs()}.")
    except PostgresError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def main(command: list[str]) -> int:
    if not command:
        return say_whether_it_is_there()
    with tempfile.TemporaryDirectory(prefix="gala-postgres-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        try:
            server = start_postgres(folder)
            subprocess.run([find_programs() / "createdb", "-h", folder, DATABASE], check=True)
        except PostgresError as error:
            print(error, file=sys.stderr)
            return 2
        try:
            # Three slashes and an absolute path: the socket's folder.
            address = f"psql:///{folder}/{DATABASE}"
            return subprocess.run(command, env={**os.environ, "DATABASE_URL": address}).returncode
        finally:
            stop_postgres(server)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
