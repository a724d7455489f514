"""Pure: WebSocket framing, and the pace that follows the load."""
