"""The entrance of a socket: a Channels consumer that hands its phone to the hub of the process.

The tutorial's way (a channel per socket, `await_many_dispatch`) costs ten times as much per report; here the hub does
for all sockets together what a consumer would do for itself. Where the server offers it, the consumer gives the
connection away and ends (fast_http.py); elsewhere it reads its own ASGI `receive`.
"""

from typing import Any

from channels.consumer import AsyncConsumer

from engagement.core.errors import PhoneFault
from engagement.core.messages import SUBPROTOCOL
from engagement.gateway.hub import Hub, get_hub
from engagement.gateway.transport.asgi import AsgiSocket
from engagement.gateway.transport.denial import deny
from engagement.gateway.transport.direct import DirectSocket
from engagement.gateway.transport.handshake import EXTENSION
from engagement.gateway.transport.socket import dismiss

UNKNOWN_SUBPROTOCOL = {
    "code": "bad_subprotocol",
    "message": f"expected {SUBPROTOCOL} among the subprotocols, or none",
    "supported": [SUBPROTOCOL],
}


class ShakeConsumer(AsyncConsumer):  # type: ignore[misc]  # channels has no types
    """`/ws/shows/<slug>/`"""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        offered = scope.get("subprotocols", [])
        if offered and SUBPROTOCOL not in offered:
            return await deny(scope, receive, send, 400, **UNKNOWN_SUBPROTOCOL)
        address = str((scope.get("client") or ("",))[0])
        hub = await get_hub()
        try:
            audience = await hub.audience(scope["url_route"]["kwargs"].get("slug", ""))
            hub.check_room(audience, address)
        except PhoneFault as fault:
            # In here: a name of the fault that outlives this would be a cycle.
            await _refuse(fault, hub, scope, receive, send)
            return
        socket = await _accept(hub, scope, receive, send)
        socket.listen(hub.admit(audience, socket, address))
        if isinstance(socket, AsgiSocket):
            await socket.read(receive)


async def _refuse(fault: PhoneFault, hub: Hub, scope: Any, receive: Any, send: Any) -> None:
    if not hub.may_explain():
        return await deny(scope, receive, send)
    socket = await _accept(hub, scope, receive, send)
    dismiss(socket, fault)
    if isinstance(socket, AsgiSocket):
        await socket.read(receive)


async def _accept(hub: Hub, scope: Any, receive: Any, send: Any) -> AsgiSocket | DirectSocket:
    chosen = SUBPROTOCOL if SUBPROTOCOL in scope.get("subprotocols", []) else None
    direct = scope.get("extensions", {}).get(EXTENSION)
    if direct is not None:
        socket: DirectSocket = direct["take_over"](chosen, hub.intake)
        return socket
    await receive()  # websocket.connect
    await send({"type": "websocket.accept", "subprotocol": chosen})
    return AsgiSocket(send)
