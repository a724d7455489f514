"""`/healthz`: this process answers. `/readyz`: and so do the database and Redis."""

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from redis.exceptions import RedisError

from engagement.tally import connect


def healthy(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ok": True})


def ready(request: HttpRequest) -> JsonResponse:
    """503 with the name of what is missing."""
    missing = [name for name, works in (("database", _database), ("redis", _redis)) if not works()]
    return JsonResponse({"ok": not missing, "missing": missing}, status=503 if missing else 200)


def _database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return True
    except DatabaseError:
        return False


def _redis() -> bool:
    try:
        return bool(connect().ping())
    except (RedisError, OSError):
        return False
