"""As in the tutorial; REDIS_URL says where Redis is, LAYER which channel layer is used."""

import os

SECRET_KEY = "a benchmark has no secrets"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "mysite.asgi"
INSTALLED_APPS = [
    "channels",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
]
USE_TZ = True
# The tutorial was written for an older redis-py. Since version 8 it gives up on a quiet socket after 5 s, upon which
# the layer ends its consumers, and on the hundredth connection, upon which a connect fails: both are set as they were.
REDIS = {
    "address": os.environ.get("REDIS_URL", ""),
    "socket_timeout": None,
    "max_connections": 8_000,  # below the server's own limit of 10,000
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": os.environ.get("LAYER", "channels_redis.core.RedisChannelLayer"),
        "CONFIG": {"hosts": [REDIS]},
    },
}
