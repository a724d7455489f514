"""The page of one's own account: second factor, password, and where one is logged in."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from engagement.clock import from_ms
from engagement.core.plain_text import check_plain
from engagement.languages import mark, say
from engagement.phrases import unseen_text
from prizes.crew import factors, sessions
from prizes.crew.guard import RUNS
from prizes.logins import is_recent, remember_second_factor, used_second_factor
from prizes.models import CrewSession
from prizes.views.second_step import read_credential

WRONG = mark("That was not right. Look at the clock of the phone, and type the newest code.")


@never_cache
@login_required
def account(request: HttpRequest) -> HttpResponseBase:
    user: Any = request.user
    rows = CrewSession.objects.filter(user=user).order_by("-begun_ms")[: sessions.SHOWN]
    found = factors.factors_of(user)
    context = {
        "factors": [row for row in found if row.type != factors.Kind.RECOVERY_CODES],
        "has_codes": any(row.type == factors.Kind.RECOVERY_CODES for row in found),
        "must": settings.CREW_SECOND_FACTOR and user.has_perm(RUNS) and not used_second_factor(request),
        "sessions": [describe(row, request) for row in rows],
    }
    return render(request, "prizes/account.html", context)


def describe(row: CrewSession, request: HttpRequest) -> dict[str, Any]:
    is_this = row.key == request.session.session_key
    return {"row": row, "begun_at": from_ms(row.begun_ms), "is_this": is_this}


# --- what only somebody may do who is there ---


def confirmed(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """A view that asks for a recent login; of an account with a second factor, that this login has used it."""

    @never_cache
    @login_required
    @wraps(view)
    def asked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        user: Any = request.user
        if is_recent(request) and (used_second_factor(request) or not factors.has_factor(user)):
            return view(request, *args, **kwargs)
        page = request.path if request.method == "GET" else reverse("account")
        return redirect(f"{reverse('confirm')}?{urlencode({'next': page})}")

    return asked


def _set_up(request: HttpRequest) -> HttpResponseBase:
    """A factor was added: this session has shown it, and all others have to log in with it."""
    remember_second_factor(request)
    sessions.end_all(request.user, but=request.session.session_key)  # type: ignore[arg-type]
    messages.success(request, say("It is set up. Keep the recovery codes on paper, away from this device."))
    return redirect("recovery_codes")


@confirmed
@require_http_methods(["GET", "POST"])
def app(request: HttpRequest) -> HttpResponseBase:
    """An authenticator app: the code to scan, and the first of its codes."""
    error = ""
    if request.method == "POST":
        try:
            factors.finish_app(request, request.user, request.POST.get("code", ""))  # type: ignore[arg-type]
            return _set_up(request)
        except factors.WrongFactor:
            error = say(WRONG)
    secret, address, picture = factors.begin_app(request)
    context = {"secret": secret, "address": address, "picture": picture, "error": error}
    return render(request, "prizes/app.html", context)


@confirmed
@require_http_methods(["GET", "POST"])
def passkey(request: HttpRequest) -> HttpResponseBase:
    user: Any = request.user
    error = ""
    if request.method == "POST":
        try:
            name = check_plain(say("name"), request.POST.get("name", ""))
            credential = read_credential(request.POST.get("credential", ""))
            factors.finish_passkey(user, name, credential)
            return _set_up(request)
        except factors.WrongFactor:
            error = say("This passkey cannot be taken. Try again, or another one.")
        except ValueError as unseen:
            error = unseen_text(unseen)
    context = {"options": factors.begin_passkey(user), "error": error}
    return render(request, "prizes/passkey.html", context)


@confirmed
@require_http_methods(["GET", "POST"])
def recovery_codes(request: HttpRequest) -> HttpResponseBase:
    """Those that are left; with a press, new ones."""
    user: Any = request.user
    if not factors.has_factor(user):
        return redirect("account")
    if request.method == "POST":
        codes = factors.renew_codes(user)
        messages.success(
            request, say("These are new. What you have on paper of the earlier ones opens nothing any more.")
        )
    else:
        codes = factors.codes_of(user)
    return render(request, "prizes/recovery_codes.html", {"codes": codes})


@confirmed
@require_POST
def remove_factor(request: HttpRequest, number: int) -> HttpResponseBase:
    user: Any = request.user
    rows = [row for row in factors.factors_of(user) if row.type != factors.Kind.RECOVERY_CODES]
    if settings.CREW_SECOND_FACTOR and user.has_perm(RUNS) and len(rows) < 2:
        messages.error(request, say("Your role needs a second factor: set up another one first."))
    else:
        factors.remove(user, number)
        messages.success(request, say("It is removed."))
    return redirect("account")


class Password(PasswordChangeView):
    """Another password; all other sessions end."""

    template_name = "prizes/password.html"
    success_url = reverse_lazy("account")

    def form_valid(self, form: Any) -> HttpResponse:
        before = self.request.session.session_key
        answer = super().form_valid(form)
        sessions.renamed(self.request, before)
        sessions.end_all(form.user, but=self.request.session.session_key)
        messages.success(self.request, say("The password is changed, and every other session has ended."))
        return answer


password = confirmed(Password.as_view())


@never_cache
@login_required
@require_POST
def end_session(request: HttpRequest, number: int) -> HttpResponseBase:
    """One of one's own."""
    sessions.end(get_object_or_404(CrewSession, pk=number, user=request.user))
    messages.success(request, say("The session has ended."))
    return redirect("account")
