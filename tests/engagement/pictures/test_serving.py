"""Pictures are answered in front of Django: for ever, as what they are, and nothing else below their address."""

from typing import Any

import pytest

from engagement.pictures.core.names import base_of
from engagement.pictures.decoding import Made
from engagement.pictures.keeping import keep_made
from engagement.pictures.serving import PIECE, Shelf, serve_pictures, shelf
from engagement.pictures.store import pictures
from gala.asgi import http

CONTENT = b"\xff\xd8\xff" + bytes(200_000)


@pytest.fixture
def address(transactional_db, settings, tmp_path) -> str:
    settings.PICTURES_DIR = tmp_path
    options = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path}}
    settings.STORAGES = {**settings.STORAGES, "pictures": options}
    picture = keep_made(Made([(720, 480)], {"720.webp": b"webp", "720.jpg": CONTENT}))
    return base_of(picture.digest)


async def ask(
    path: str, method: str = "GET", headers: Any = (), app: Any = http
) -> tuple[int, dict[str, str], list[bytes]]:
    said: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        said.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": list(headers), "scheme": "http",
             "query_string": b"", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)}  # fmt: skip
    await app(scope, receive, send)
    found = {name.decode(): value.decode() for name, value in said[0]["headers"]}
    return said[0]["status"], found, [row["body"] for row in said[1:]]


async def test_a_picture_is_answered_for_ever_and_as_what_it_is(address: str) -> None:
    status, headers, parts = await ask(f"{address}720.jpg")
    assert status == 200 and b"".join(parts) == CONTENT
    assert headers["content-type"] == "image/jpeg" and headers["content-length"] == str(len(CONTENT))
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert (await ask(f"{address}720.webp"))[1]["content-type"] == "image/webp"


async def test_it_goes_out_in_pieces_so_that_a_slow_reader_holds_little(address: str) -> None:
    _, _, parts = await ask(f"{address}720.jpg")
    assert max(map(len, parts)) == PIECE


async def test_head_tells_the_length_alone(address: str) -> None:
    status, headers, parts = await ask(f"{address}720.jpg", "HEAD")
    assert (status, headers["content-length"], b"".join(parts)) == (200, str(len(CONTENT)), b"")


async def test_who_has_it_is_told_so(address: str) -> None:
    tag = (await ask(f"{address}720.jpg"))[1]["etag"]
    status, _, parts = await ask(f"{address}720.jpg", headers=[(b"if-none-match", tag.encode())])
    assert (status, b"".join(parts)) == (304, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_nothing_can_be_done_but_to_read(address: str, method: str) -> None:
    status, headers, _ = await ask(f"{address}720.jpg", method)
    assert (status, headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("name", ["1920.jpg", "720.svg", "../secret_key", "", "%2e%2e/secret_key"])
async def test_what_is_not_there_is_said_so_and_not_kept(address: str, name: str) -> None:
    status, headers, _ = await ask(address + name)
    assert (status, headers["cache-control"]) == (404, "no-store")


async def test_the_database_is_not_asked(address: str, django_db_blocker: Any) -> None:
    with django_db_blocker.block():
        assert (await ask(f"{address}720.jpg", app=serve_pictures))[0] == 200


async def test_the_last_ones_stay_in_memory(address: str) -> None:
    await ask(f"{address}720.jpg")
    pictures.remove(f"{address.removeprefix('/pictures/')}720.jpg")
    assert (await ask(f"{address}720.jpg"))[0] == 200


async def test_the_memory_is_bounded(address: str) -> None:
    small = Shelf(most=len(CONTENT) + 1)
    name = address.removeprefix("/pictures/")
    assert await small.fetch(f"{name}720.jpg") == CONTENT
    await small.fetch(f"{name}720.webp")
    assert list(small._files) == [f"{name}720.webp"] and small._held == 4


@pytest.fixture(autouse=True)
def empty_shelf() -> None:
    shelf._files.clear()
    shelf._held = 0
