"""nginx with the module nchan, written in C: subscribers over WebSocket, messages by POST. Fan-out only."""

import contextlib
import os
import pwd
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from string import Template

from tests.bench.contenders.base import (
    BACKLOG,
    HOST,
    Contender,
    Controlled,
    Dialect,
    Running,
    running_server,
)

MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")  # Debian's libnginx-mod-nchan
PATHS = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
CONFIGURATION = Template("""\
load_module $module;
$user
daemon off;
worker_processes 1;
pid $folder/nginx.pid;
error_log stderr warn;
events {
    worker_connections $connections;
    multi_accept on;
}
http {
    access_log off;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    server {
        listen $host:$port backlog=$backlog;
        location = / { return 200; }
        location = /subscribe {
            nchan_pubsub websocket;
            nchan_channel_id show;
            nchan_subscriber_first_message newest;
            nchan_websocket_client_heartbeat sync synced;
        }
        location = /publish {
            nchan_publisher http;
            nchan_channel_id show;
            nchan_message_buffer_length 1;
            nchan_message_timeout 5s;
        }
    }
}
""")

# A subscriber has nothing to say but its heartbeat, whose answer also says that it is subscribed.
DIALECT = Dialect(
    target=lambda client: "/subscribe",
    subprotocol=None,
    hello=lambda client: [b"sync"],
    welcomed=b"synced",
    report=lambda total: b"%d" % total,
    sync=b"sync",
    synced=b"synced",
    ack=None,
)


class Nchan(Contender):
    def __init__(self) -> None:
        super().__init__("nchan", "nchan")

    def missing(self) -> str | None:
        if shutil.which("nginx", path=PATHS) is None:
            return "nginx"
        return None if MODULE.exists() else "nginx's module nchan"

    def can(self, measure: str) -> bool:
        return measure == "fanout"

    @contextlib.contextmanager
    def start(self, folder: Path, *, core: int, processes: int = 1) -> Iterator[Running]:
        def command(port: int) -> list[str]:
            file = folder / "nginx.conf"
            file.write_text(_configuration(folder, port))
            nginx = shutil.which("nginx", path=PATHS) or "nginx"
            return [nginx, "-p", str(folder), "-c", str(file), "-e", "stderr"]

        log = folder / "nchan.log"
        server = running_server(command, path="/", env=dict(os.environ), log=log, core=core)
        with server as (address, process):
            running = RunningNchan(address, _worker_of(process.pid), DIALECT, path="/publish", envelope="")
            with contextlib.closing(running):
                yield running


class RunningNchan(Controlled):
    def accepted(self) -> None:
        """It takes no reports."""


def _configuration(folder: Path, port: int) -> str:
    # Only root's workers would become somebody else, who could not write to the folder.
    user = f"user {pwd.getpwuid(0).pw_name};" if os.getuid() == 0 else ""
    connections = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 65_536)
    return CONFIGURATION.substitute(
        module=MODULE,
        user=user,
        folder=folder,
        connections=connections,
        host=HOST,
        port=port,
        backlog=BACKLOG,
    )


def _worker_of(master: int) -> int:
    """The process that serves; it has answered already, so it is there."""
    return int(Path(f"/proc/{master}/task/{master}/children").read_text().split()[0])
