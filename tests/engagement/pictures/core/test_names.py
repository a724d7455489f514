"""Addresses of pictures name files of pictures and nothing else."""

import pytest

from engagement.pictures.core.names import base_of, digest_of, file_name, read_path

DIGEST = "5f" * 32


def test_an_address_leads_to_its_file() -> None:
    assert read_path(base_of(DIGEST) + file_name(1920, "webp")) == (f"{DIGEST}/1920.webp", "image/webp")
    assert read_path(base_of(DIGEST) + file_name(720, "jpg")) == (f"{DIGEST}/720.jpg", "image/jpeg")


@pytest.mark.parametrize(
    "path",
    [
        "/pictures/",
        base_of(DIGEST),
        f"/pictures/{DIGEST}/0720.webp",
        f"/pictures/{DIGEST}/720.svg",
        f"/pictures/{DIGEST}/720.webp/",
        f"/pictures/{DIGEST}/720.webp\n",
        f"/pictures/{DIGEST.upper()}/720.webp",
        f"/pictures/{DIGEST[2:]}/720.webp",
        f"/pictures/../{DIGEST}/720.webp",
        f"/pictures/{DIGEST}/..%2f720.webp",
        f"/pictures/{DIGEST}/７２０.webp",
        f"/pictures/{DIGEST}/999999.webp",
        f"/static/pictures/{DIGEST}/720.webp",
    ],
)
def test_every_other_address_names_nothing(path: str) -> None:
    assert read_path(path) is None


def test_another_content_has_another_name() -> None:
    files = {"720.webp": b"one", "720.jpg": b"two"}
    assert digest_of(files) == digest_of(dict(reversed(files.items())))
    assert (
        len({digest_of(files), digest_of({**files, "720.jpg": b"three"}), digest_of({"720.webp": b"one"})})
        == 3
    )
