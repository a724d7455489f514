"""Members of the crew with a browser each, and what their authenticator apps show."""

import re
import time
from typing import Any

from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import User
from django.test import Client

from prizes.accounts import ensure_account
from tests.pages import page_of

PASSWORD = "a coat of silver thread"
STUDIO, ELSEWHERE = "203.0.113.7", "198.51.100.9"


class CountingHasher(MD5PasswordHasher):
    """How often a hash is made is how long a login takes."""

    hashes = 0

    def encode(self, password: str, salt: str) -> str:
        CountingHasher.hashes += 1
        return super().encode(password, salt)


def hire(name: str, role: str) -> User:
    user, _ = ensure_account(name, role)
    user.set_password(PASSWORD)
    user.save()
    return user


def try_login(name: str, password: str = PASSWORD, where: str = STUDIO, **fields: str) -> tuple[Client, Any]:
    """A browser of its own, somewhere, and the page that the login leads to."""
    client = Client(REMOTE_ADDR=where, HTTP_USER_AGENT="Studio browser")
    form = {"username": name, "password": password, **fields}
    return client, client.post("/login/", form, follow=True)


def code_of(secret: str, later: int = 0) -> str:
    """What an app shows now, or so many half minutes later."""
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30 + later)))


def set_up_app(client: Client) -> tuple[str, list[str]]:
    """An authenticator app, through the pages; its secret and the recovery codes."""
    page = page_of(client.get("/account/app/"))
    found = re.search(r'id="secret">(\w+)<', page)
    assert found is not None and "<svg" in page
    answer = client.post("/account/app/", {"code": code_of(found[1], -1)}, follow=True)
    assert answer.redirect_chain == [("/account/codes/", 302)], answer.text
    return found[1], re.findall(r"<li>(\d{8})</li>", answer.text)
