"""The socket that gateways accept phones from, taken by the process that starts them and inherited by them."""

import socket

BACKLOG = 4096  # connections that wait to be accepted; the kernel cuts it to net.core.somaxconn


class CannotListen(Exception):
    """This address cannot be used; the text says why."""


def listen(host: str, port: int) -> socket.socket:
    """Listens on an address of either family, or on all of them with 0.0.0.0 or ::; port 0 is any free one."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise CannotListen(f"{host} is no address of this machine: {error}") from None
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Inherited by what it accepts; uvicorn takes an inherited socket for one that has no such option.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotListen(f"port {port} on {host} cannot be used: {error.strerror}") from None
    return listener
