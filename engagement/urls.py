"""Pages and sockets of the live side."""

from django.urls import path

from engagement import views
from engagement.gateway.consumer import ShakeConsumer

urlpatterns = [
    path("play/<slug:slug>/", views.play, name="play"),
    path("stage/<slug:slug>/", views.stage, name="stage"),
]

websocket_urlpatterns = [path("ws/shows/<slug:slug>/", ShakeConsumer.as_asgi())]
