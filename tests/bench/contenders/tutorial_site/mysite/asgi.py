"""The tutorial's consumer, routing and application, and two views with which the benchmark asks for things."""

import json
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")

from django.core.asgi import get_asgi_application

django_asgi_app = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.layers import get_channel_layer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path, re_path  # noqa: E402

reports = 0


class ChatConsumer(AsyncWebsocketConsumer):
    async def connect(self):
        self.room_name = self.scope["url_route"]["kwargs"]["room_name"]
        self.room_group_name = f"chat_{self.room_name}"
        await self.channel_layer.group_add(self.room_group_name, self.channel_name)
        await self.accept()

    async def disconnect(self, close_code):
        await self.channel_layer.group_discard(self.room_group_name, self.channel_name)

    async def receive(self, text_data):
        global reports
        message = json.loads(text_data)
        if message["type"] == "shakes":
            reports += 1
        elif message["type"] == "hello":
            await self.send(text_data=json.dumps({"type": "welcome"}))
        elif message["type"] == "sync":
            await self.send(text_data=json.dumps({"type": "synced"}))

    async def chat_message(self, event):
        await self.send(text_data=json.dumps({"message": event["message"]}))


async def count(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(reports))


async def broadcast(request: HttpRequest, room: str) -> HttpResponse:
    message = {"type": "chat.message", "message": request.body.decode()}
    await get_channel_layer().group_send(f"chat_{room}", message)
    return HttpResponse()


urlpatterns = [path("count", count), path("broadcast/<room>", broadcast)]
websocket_urlpatterns = [re_path(r"ws/chat/(?P<room_name>\w+)/$", ChatConsumer.as_asgi())]

application = ProtocolTypeRouter(
    {
        "http": django_asgi_app,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)
