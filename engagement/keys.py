"""Names in Redis. Other installations may use the same server, and its channels know no numbers of databases."""

from django.conf import settings


def own(name: str) -> str:
    """A key of this installation: `name` behind what nobody else's keys begin with (docs/redis.md)."""
    return f"{settings.REDIS_PREFIX}{name}"
