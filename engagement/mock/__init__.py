"""Mock phones: `phone.py` is the reference client to port to an app, the rest runs thousands of it over sockets."""
