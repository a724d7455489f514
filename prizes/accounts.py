"""Accounts of people: those of the crew, with one role each, and those of parties, with none."""

import secrets

from django.contrib.auth.models import Group, User
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from engagement.roles import ROLES

PARTY = "party"
CHOICES = (*ROLES, PARTY)


class BadAccount(ValueError):
    """This account cannot be made, or used; the text says what was expected and what came."""


@transaction.atomic
def ensure_account(name: str, role: str) -> tuple[User, bool]:
    """The account of that name with exactly that role, and whether it is new. A new one has no password yet."""
    try:
        User(username=name).clean_fields(exclude=["password"])
    except ValidationError as error:
        raise BadAccount(f"the name {name!r}: {' '.join(error.messages)}") from None
    user, is_new = User.objects.get_or_create(username=name)
    if is_new:
        user.set_unusable_password()
    if not user.is_active:
        raise BadAccount(f"the account {name} was deactivated")
    # In Django's administration, where shows are prepared, everybody may do what the group may.
    user.is_staff = user.is_superuser or role != PARTY
    user.save()
    user.groups.set(Group.objects.filter(name=role))
    return user, is_new


def give_password(user: User) -> str:
    """A new random password, which is kept nowhere; for the accounts of a demo."""
    password = secrets.token_urlsafe(12)
    user.set_password(password)
    user.save(update_fields=["password"])
    return password


def invitation(user: User) -> str:
    """The path of a page where this person chooses a password: signed, for PASSWORD_RESET_TIMEOUT and one use."""
    number = urlsafe_base64_encode(force_bytes(user.pk))
    return reverse("invitation", args=[number, default_token_generator.make_token(user)])
