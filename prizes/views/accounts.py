"""Log in, in one or two steps, log out, and choose a password: one page each for the crew and for parties."""

from typing import Any

from django.contrib import messages
from django.contrib.auth import authenticate, get_user_model, login
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, LogoutView, PasswordResetConfirmView
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from engagement.clock import now_ms
from engagement.languages import fill, say
from engagement.roles import CONSOLE
from prizes.crew import factors, sessions, throttle
from prizes.crew.browsers import remember_browser
from prizes.logins import remember_login, remember_second_factor
from prizes.views.second_step import read_step, step_context

HALF = "half_login"  # in the session: the password was right
HALF_MS = 5 * 60_000
WRONG = _("Account and password are not correct together. Capital letters matter in both.")


class LogInForm(AuthenticationForm):
    """What is wrong is counted; who is held off costs no hash."""

    error_messages = {**AuthenticationForm.error_messages, "invalid_login": WRONG}

    def clean(self) -> dict[str, Any]:
        assert self.request is not None
        name = self.cleaned_data.get("username") or ""
        where = throttle.place_of(self.request, name)
        refuse_held_off(name, where, throttle.PASSWORD)
        try:
            return super().clean()
        except ValidationError:
            throttle.note_failure(name, where, throttle.PASSWORD)
            raise


def refuse_held_off(name: str, where: str, what: str) -> None:
    if seconds := throttle.held_off_s(name, where, what):
        held_off = gettext(
            "Too many wrong logins of this account from where you are: try again in {minutes} minutes."
        )
        raise ValidationError(fill(held_off, minutes=-(-seconds // 60)))


class LogIn(LoginView):
    """Goes on to the page that was asked for, else to the console or, without a role, to that of parties."""

    template_name = "prizes/login.html"
    authentication_form = LogInForm

    def get_default_redirect_url(self) -> str:
        return home_of(self.request.user)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        user = form.get_user()
        if not factors.has_factor(user):
            answer = super().form_valid(form)
            remember_browser(self.request, answer, user.get_username())
            return answer
        self.request.session.cycle_key()
        # The seal changes with the password: who has lost it meanwhile does not go on with the old one.
        self.request.session[HALF] = {
            "user": user.pk,
            "seal": user.get_session_auth_hash(),
            "at": now_ms(),
            "next": self.get_redirect_url(),
        }
        return redirect("second_step")


def home_of(user: Any) -> str:
    return reverse("console" if user.has_perm(CONSOLE) else "parties")


def administration_log_in(request: HttpRequest) -> HttpResponseBase:
    """The administration has no login page of its own."""
    return redirect(f"{reverse('login')}?{urlencode({'next': safe_next(request) or reverse('admin:index')})}")


def safe_next(request: HttpRequest) -> str:
    """A page of ours that was asked for; empty where there is none."""
    asked = request.POST.get("next") or request.GET.get("next") or ""
    ours = url_has_allowed_host_and_scheme(asked, {request.get_host()}, request.is_secure())
    return asked if ours else ""


# --- the second step ---


@never_cache
@require_http_methods(["GET", "POST"])
def second_step(request: HttpRequest) -> HttpResponseBase:
    """After the right password: a code or a passkey. Only then is anybody logged in."""
    half = request.session.get(HALF) or {}
    user = _half_logged_in(half)
    if user is None:
        request.session.pop(HALF, None)
        return redirect("login")
    error = check_step(request, user) if request.method == "POST" else ""
    if request.method == "POST" and not error:
        del request.session[HALF]
        login(request, user, "django.contrib.auth.backends.ModelBackend")
        remember_second_factor(request)
        answer = redirect(half["next"] or home_of(user))
        remember_browser(request, answer, user.get_username())
        return answer
    return render(request, "prizes/second_step.html", step_context(user) | {"error": error})


def _half_logged_in(half: dict[str, Any]) -> User | None:
    if now_ms() - half.get("at", 0) > HALF_MS:
        return None
    user = User.objects.filter(pk=half["user"], is_active=True).first()
    return user if user is not None and user.get_session_auth_hash() == half["seal"] else None


@transaction.atomic
def check_step(request: HttpRequest, user: User) -> str:
    """What is wrong with a code or passkey that was sent; empty where it is right.

    Tries of one account line up: of many at once each sees those before it counted. Nobody guesses what a passkey
    signs, so it is never held off.
    """
    factors.line_up(user)
    name = user.get_username()
    where = throttle.place_of(request, name)
    try:
        if not request.POST.get("credential"):
            refuse_held_off(name, where, throttle.SECOND_FACTOR)
        read_step(request, user)
    except ValidationError as error:
        return str(error.message)
    except factors.WrongFactor:
        throttle.note_failure(name, where, throttle.SECOND_FACTOR)
        return gettext("That was not right. A code is good once, and for half a minute.")
    return ""


# --- confirming that it is still the same person ---


@never_cache
@require_http_methods(["GET", "POST"])
def confirm(request: HttpRequest) -> HttpResponseBase:
    """For what asks for a recent login: the second factor where there is one, else the password."""
    user = request.user
    if not isinstance(user, get_user_model()):
        return redirect(f"{reverse('login')}?{urlencode({'next': request.get_full_path()})}")
    has_factor = factors.has_factor(user)
    error = ""
    if request.method == "POST":
        error = check_step(request, user) if has_factor else _check_password(request, user)
        if not error:
            remember_login(request)
            if has_factor:
                remember_second_factor(request)
            return redirect(safe_next(request) or "account")
    context = {"error": error, "next": safe_next(request), "has_factor": has_factor}
    return render(request, "prizes/confirm.html", context | (step_context(user) if has_factor else {}))


def _check_password(request: HttpRequest, user: User) -> str:
    name = user.get_username()
    where = throttle.place_of(request, name)
    try:
        refuse_held_off(name, where, throttle.PASSWORD)
    except ValidationError as error:
        return str(error.message)
    if authenticate(request, username=name, password=request.POST.get("password", "")) == user:
        return ""
    throttle.note_failure(name, where, throttle.PASSWORD)
    return say("That is not the password.")


# --- the end, and the beginning ---


class LogOut(LogoutView):
    next_page = "login"


class Invitation(PasswordResetConfirmView):
    """Whoever has the link chooses the password of the account, once (prizes/accounts.py)."""

    template_name = "prizes/invitation.html"
    success_url = reverse_lazy("login")

    def form_valid(self, form: Any) -> HttpResponse:
        answer = super().form_valid(form)
        sessions.end_all(form.user)
        messages.success(
            self.request, say("The password of {user} is kept. Log in with it now.", user=form.user)
        )
        return answer
