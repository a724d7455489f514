"""What `migrate` and `collectstatic` make, once for all processes of a run of the tests: they take seconds."""

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from gala.entrypoints import ROOT


def make_once(folder: Path) -> Path:
    """The data directory there, which the first who asks makes, and for whom the others wait."""
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = Path(tempfile.mkdtemp(dir=folder.parent))
            environment = {**os.environ, "GALA_DATA": str(unfinished)}
            environment.pop("DATABASE_URL", None)  # a file of SQLite, whatever the suite runs on
            for command in (["migrate"], ["collectstatic", "--noinput"]):
                words = [sys.executable, str(ROOT / "manage.py"), *command, "--verbosity", "0"]
                subprocess.run(words, env=environment, check=True)
            unfinished.rename(folder)
    return folder
