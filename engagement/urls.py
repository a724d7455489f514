"""Pages and sockets of the live side."""

from django.urls import path, re_path

from engagement import screens, views
from engagement.gateway.consumer import ShakeConsumer
from engagement.ledger import views as ledger

urlpatterns = [
    path("", views.home, name="home"),
    path("play/<slug:slug>/", views.play, name="play"),
    path("stage/<slug:slug>/", screens.stage, name="stage"),
    path("stage/<slug:slug>/join.svg", views.join_qr, name="join_qr"),
    re_path(r"^seals/(?P<seal>[0-9a-f]{64})\.svg$", views.seal_qr, name="seal_qr"),
    path("console/<slug:slug>/codes/", views.air_codes, name="air_codes"),
    path("console/<slug:slug>/ledger/", ledger.ledger, name="ledger"),
    path("console/<slug:slug>/ledger/entries.jsonl", ledger.ledger_entries, name="ledger_entries"),
    path(
        "console/<slug:slug>/ledger/checkpoints.jsonl", ledger.ledger_checkpoints, name="ledger_checkpoints"
    ),
    path("stage/<slug:slug>/checkpoints/<int:size>.svg", ledger.checkpoint_qr, name="checkpoint_qr"),
    path("verify_ledger.py", ledger.ledger_verifier, name="ledger_verifier"),
]

websocket_urlpatterns = [
    path("ws/shows/<slug:slug>/", ShakeConsumer.as_asgi()),
    # Any other address is a show that does not exist: a close code that can be read, not an error in the log.
    re_path("", ShakeConsumer.as_asgi()),
]
