"""Every address of the site."""

from django.contrib import admin
from django.urls import include, path
from ninja import NinjaAPI

from engagement.api import add_error_handlers as add_ledger_errors
from engagement.api import router as ledger_router
from gala.health import healthy, ready
from prizes.api.claims import add_error_handlers as add_claim_errors
from prizes.api.claims import router as claim_router
from prizes.api.draws import add_error_handlers
from prizes.api.draws import router as draw_router

DESCRIPTION = "What anybody can fetch of a draw to check it. The formats are specified in docs/draw.md."
api = NinjaAPI(
    title="Shake to win", version="1", description=DESCRIPTION, docs_url=None, urls_namespace="api"
)
add_error_handlers(api)
add_claim_errors(api)
add_ledger_errors(api)
api.add_router("", draw_router)
api.add_router("", claim_router)
api.add_router("", ledger_router)

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", api.urls),
    path("healthz", healthy),
    path("readyz", ready),
    path("", include("engagement.urls")),
    path("", include("prizes.urls")),
]
