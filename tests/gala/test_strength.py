"""Keys that can be guessed are refused before the start; random ones never are."""

import secrets

import pytest

from gala.environment import BadVariable, Environment
from gala.settings import purposes_of_their_own
from gala.strength import guess_bits, weakness_of


@pytest.mark.parametrize("make", [secrets.token_hex, secrets.token_urlsafe], ids=lambda make: make.__name__)
@pytest.mark.parametrize("size", [24, 32, 48])
def test_what_openssl_or_python_makes_is_never_refused(make, size: int) -> None:
    assert not any(weakness_of(make(size)) for _ in range(500))


@pytest.mark.parametrize(
    "key",
    [
        "",
        "Tr0ub4dor&3",
        "django-insecure-change-me-change-me-change-me",
        "changemechangemechangemechangemechangeme",
        "correct-horse-battery-staple-gala-2026",
        "0123456789abcdefghijklmnopqrstuvwxyz0123456789",
        "qwertyuiopasdfghjklzxcvbnm1234567890",
        "password" * 8,
        "a" * 200,
        "another-secret-0123456789-abcdefghijklm",
        "thisisaverylongsecretkeyforourgala",
        "my-super-secret-jwt-token-with-at-least-32-characters",
        "replace-this-with-a-random-string-of-32+",
        "the quick brown fox jumps over the lazy dog",
        "shake-gala-production-secret-key-2026!",
        "django-insecure-x7kQ2vT9mB4wZ1pL8cN5rJ0hG3sD6fY",
    ],
)
def test_words_rows_and_repetitions_can_be_guessed(key: str) -> None:
    weakness = weakness_of(key)
    assert weakness and (not key or key not in weakness)


def test_a_longer_text_of_the_same_kind_is_never_easier_to_guess() -> None:
    key = secrets.token_hex(32)
    assert [guess_bits(key[:size]) for size in (8, 16, 32, 64)] == sorted(
        guess_bits(key[:size]) for size in (8, 16, 32, 64)
    )


@pytest.mark.parametrize("name", ["PASS_KEYS", "HOST_API_KEYS"])
def test_every_key_of_a_list_is_looked_at(name: str) -> None:
    good = secrets.token_hex(32)
    assert Environment({name: good}).more_keys(name) == [good]
    with pytest.raises(
        BadVariable, match=f"^{name}: expected at least 32 characters that nobody can guess"
    ) as refused:
        Environment({name: f"{good},letmein-letmein-letmein-letmein-letmein"}).more_keys(name)
    assert "letmein" not in str(refused.value)
    assert Environment({name: ""}).more_keys(name) == Environment({}).more_keys(name) == []


def test_a_key_serves_one_purpose() -> None:
    one, two = secrets.token_hex(32), secrets.token_hex(32)
    purposes_of_their_own(PASS_KEYS=[one, one], STORAGE_KEYS=[two])
    with pytest.raises(BadVariable, match=r"^STORAGE_KEYS: expected keys of its own, got one of PASS_KEYS$"):
        purposes_of_their_own(PASS_KEYS=[one], STORAGE_KEYS=[two, one])
