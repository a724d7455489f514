"""What of django-allauth is ours: secrets at rest, and nobody signs up, writes mails or logs in by its pages."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.http import HttpRequest

from engagement.vault import lock_secret, open_secret


class CrewAccounts(DefaultAccountAdapter):
    """Accounts come from commands."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def send_mail(self, *_: Any, **__: Any) -> None:
        """There is no mail server on the night."""


class CrewFactors(DefaultMFAAdapter):
    def encrypt(self, text: str) -> str:
        return lock_secret(text.encode())

    def decrypt(self, encrypted_text: str) -> str:
        return open_secret(encrypted_text).decode()
