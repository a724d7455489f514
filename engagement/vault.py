"""Secrets at rest: encrypted with the first of STORAGE_KEYS, decrypted with any of them."""

import base64
import hashlib
from collections.abc import Callable
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

# What else is encrypted here: each encrypts all of its own anew, for `rotate_storage_keys`.
reencrypts: list[Callable[[], None]] = []


class VaultError(Exception):
    """A secret was encrypted with a key that is not in STORAGE_KEYS."""


@cache
def _vault(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet(
        [Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())) for key in keys]
    )


def lock_secret(secret: bytes) -> str:
    """The secret as text that may be stored."""
    return _vault(tuple(settings.STORAGE_KEYS)).encrypt(secret).decode()


def open_secret(locked: str) -> bytes:
    """The inverse of `lock_secret`; raises VaultError."""
    try:
        return _vault(tuple(settings.STORAGE_KEYS)).decrypt(locked.encode())
    except InvalidToken:
        raise VaultError("STORAGE_KEYS does not hold the key that this secret was encrypted with") from None
