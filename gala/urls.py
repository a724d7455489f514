"""Every address of the site, but for those that are answered in front of Django (gala/asgi.py)."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView
from ninja import NinjaAPI

from engagement.admin import Choices
from engagement.ledger.api import router as ledger_router
from engagement.refusals import Refused, answer_refusal
from prizes.api.claims import add_error_handlers as add_claim_errors
from prizes.api.claims import router as claim_router
from prizes.api.draws import add_error_handlers as add_draw_errors
from prizes.api.draws import router as draw_router
from prizes.views.accounts import administration_log_in

DESCRIPTION = "What anybody can fetch of a draw to check it. The formats are specified in docs/draw.md."
api = NinjaAPI(
    title="Shake to win", version="1", description=DESCRIPTION, docs_url=None, urls_namespace="api"
)
add_draw_errors(api)
add_claim_errors(api)
api.add_exception_handler(Refused, answer_refusal)
api.add_router("", draw_router)
api.add_router("", claim_router)
api.add_router("", ledger_router)

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/login/", administration_log_in),
    path("admin/password_change/", RedirectView.as_view(pattern_name="password")),
    path("admin/autocomplete/", admin.site.admin_view(Choices.as_view(admin_site=admin.site))),
    path("admin/", admin.site.urls),
    path("api/", api.urls),
    path("", include("engagement.urls")),
    path("", include("prizes.urls")),
]

handler403 = "gala.refusals.not_yours"
handler404 = "gala.refusals.not_here"
handler500 = "gala.refusals.fail"
