"""Log in, log out, and choose a password: one page each for the crew and for parties."""

from django.contrib.auth.views import LoginView, LogoutView, PasswordResetConfirmView
from django.urls import reverse, reverse_lazy

from engagement.roles import CONSOLE


class LogIn(LoginView):
    """Goes on to the page that was asked for, else to the console or, without a role, to that of parties."""

    template_name = "prizes/login.html"

    def get_default_redirect_url(self) -> str:
        return reverse("console" if self.request.user.has_perm(CONSOLE) else "parties")


class LogOut(LogoutView):
    next_page = "login"


class Invitation(PasswordResetConfirmView):
    """Whoever has the link chooses the password of the account, once (prizes/accounts.py)."""

    template_name = "prizes/invitation.html"
    success_url = reverse_lazy("login")
