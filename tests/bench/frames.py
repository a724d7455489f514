"""WebSocket frames (RFC 6455) as raw bytes: what a load generator needs of them, and no more."""

from typing import Any

TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A  # first bytes of whole frames
SMALL, LARGE = 126, 127  # lengths up to 125 stand in the header; these two say that 2 or 8 bytes follow
# The one of the examples in RFC 6455, 5.7; the same for all, so that frames can be shared.
MASK = bytes.fromhex("37fa213d")


def client_frame(payload: bytes, first: int = TEXT) -> bytes:
    """One masked frame, as a client has to send it."""
    size = len(payload)
    if size < SMALL:
        header = bytes((first, 0x80 | size))
    elif size < 1 << 16:
        header = bytes((first, 0x80 | SMALL)) + size.to_bytes(2, "big")
    else:
        header = bytes((first, 0x80 | LARGE)) + size.to_bytes(8, "big")
    mask = (MASK * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")
    return header + MASK + masked.to_bytes(size, "big")


def split_frames(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The whole frames of a server at the start of `data` as (first byte, payload), and what is left.

    >>> split_frames(b"\\x81\\x02hi\\x81\\x05wor")
    ([(129, b'hi')], b'\\x81\\x05wor')
    """
    frames, start = [], 0
    while len(data) - start >= 2:
        first, size, body = data[start], data[start + 1], start + 2
        if size >= SMALL:
            body += 2 if size == SMALL else 8
            size = int.from_bytes(data[start + 2 : body], "big")
        if len(data) < body + size:
            break
        frames.append((first, data[body : body + size]))
        start = body + size
    return frames, data[start:]


def is_one_text(data: bytes) -> bool:
    """Whether the data is exactly one text frame: nearly always so, and then nothing needs to be split."""
    size = len(data)
    if size < 4 or data[0] != TEXT:
        return False
    if data[1] < SMALL:
        return data[1] + 2 == size
    return data[1] == SMALL and (data[2] << 8 | data[3]) + 4 == size


def close_code(payload: bytes) -> int:
    """The code in a close frame; 1005 where there is none (RFC 6455, 7.1.5)."""
    return int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005


def upgrade_request(address: tuple[str, int], target: str, subprotocol: str | None) -> bytes:
    """The HTTP request that opens a WebSocket; the key is that of RFC 6455, 1.3."""
    headers: dict[str, Any] = {
        "Host": "{}:{}".format(*address),
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    if subprotocol:
        headers["Sec-WebSocket-Protocol"] = subprotocol
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
