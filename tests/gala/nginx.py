"""A real nginx with docker/nginx.conf in front of gateways; only addresses, paths and account are this machine's."""

import contextlib
import os
import pwd
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from gala.listener import listen
from gala.processes import spawn, stop_all
from tests.gala.compose import DOCKER

PATHS = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
START_S = 20.0


class Proxy:
    """A running nginx: `plain` and `tls` are its ports on localhost."""

    def __init__(self, folder: Path, gateways: list[str], *, ipv6: bool = False) -> None:
        self.folder, self.log, self._ipv6 = folder, folder / "log", ipv6
        self.plain, self.tls = free_port(), free_port()
        make_certificate(folder)
        (folder / "nginx.conf").write_text(self._configuration(gateways))
        nginx = shutil.which("nginx", path=PATHS)
        assert nginx is not None, "nginx is not installed (Debian: apt install nginx)"
        self._command = [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
        self._command += ["-g", f"daemon off; pid {folder}/pid;"]

    def _configuration(self, gateways: list[str]) -> str:
        text = (DOCKER / "nginx.conf").read_text()
        account = f"user {pwd.getpwuid(0).pw_name};" if os.getuid() == 0 else ""
        servers = "".join(f"server {address} max_fails=0;\n" for address in gateways)
        temporary = "".join(
            f"{kind}_temp_path {self.folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        for pattern, replacement in (
            (r"user nginx;", account),
            (r"\$\{SITE_HOST\}", "gala.example.com"),
            (r"resolver .*\n\s+server gateway:8000 resolve max_fails=0;", servers),
            (r"listen 80 ", f"listen 127.0.0.1:{self.plain} "),
            (r"listen 443 ", f"listen 127.0.0.1:{self.tls} "),
            (r"listen \[::\]:80 ", f"listen [::]:{self.plain} "),
            (r"listen \[::\]:443 ", f"listen [::]:{self.tls} "),
            *(() if self._ipv6 else ((r"listen \[::\]:.*\n", ""),)),
            (r"/etc/nginx/certificates", str(self.folder)),
            (r"http \{\n", f"http {{\n{temporary}"),
        ):
            text, count = re.subn(pattern, replacement, text)
            assert count, pattern
        return text

    def start(self) -> subprocess.Popen[bytes]:
        process = spawn(self._command, env=os.environ, log=self.log)
        deadline = time.monotonic() + START_S
        while not (self.folder / "pid").exists() or not (self.folder / "pid").read_text():
            assert process.poll() is None and time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        return process


@contextlib.contextmanager
def running_nginx(folder: Path, gateways: list[str], *, ipv6: bool = False) -> Iterator[Proxy]:
    """For IPv6, too, only where nobody else has its ports: there it listens on every address."""
    proxy = Proxy(folder, gateways, ipv6=ipv6)
    process = proxy.start()
    try:
        yield proxy
    finally:
        stop_all([process], 5)


def make_certificate(folder: Path) -> None:
    """With the command of docker/README.md."""
    [command] = re.findall(
        r"^(openssl req -x509 (?:.*\\\n)*.*)$", (DOCKER / "README.md").read_text(), re.MULTILINE
    )
    (folder / "certificates").mkdir(parents=True)
    subprocess.run(["sh", "-ec", command], cwd=folder, check=True, capture_output=True)
    for file in (folder / "certificates").iterdir():
        file.rename(folder / file.name)


def trusting(folder: Path) -> ssl.SSLContext:
    """Trusts the certificate of this proxy and no other."""
    return ssl.create_default_context(cafile=str(folder / "fullchain.pem"))


def free_port() -> int:
    listener = listen("127.0.0.1", 0)
    port: int = listener.getsockname()[1]
    listener.close()
    return port
