"""What carries a session's frames: uvicorn's transport directly, or any ASGI server."""
