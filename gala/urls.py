"""Every address of the site."""

from django.contrib import admin
from django.urls import include, path
from ninja import NinjaAPI

from gala.health import healthy, ready
from prizes.api import router as draw_router

api = NinjaAPI(title="Shake to win", version="1", docs_url=None, urls_namespace="api")
api.add_router("", draw_router)

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", api.urls),
    path("healthz", healthy),
    path("readyz", ready),
    path("", include("engagement.urls")),
    path("", include("prizes.urls")),
]
