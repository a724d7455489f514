"""Settings, all of them from the environment; without any, one machine runs the whole gala by itself.

Every variable is described in docs/settings.md.
"""

import base64
import hashlib
import os
import re
import secrets
from collections.abc import Container
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import available_timezones

import environ
from django.core.exceptions import ImproperlyConfigured

from gala.embedded import socket_path

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent


def number(name: str, default: int, low: int, high: int) -> int:
    """An integer variable; bad configuration stops the start, with the variable's name."""
    text = env.str(name, default=str(default))
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise ImproperlyConfigured(f"{name}: expected a number from {low} to {high}, got {text!r}")
    return int(text)


def choice(name: str, default: str, allowed: Container[str]) -> str:
    """A variable that takes one of some words."""
    text = env.str(name, default=default)
    if text not in allowed:
        raise ImproperlyConfigured(f"{name}: {text!r} is not a known value")
    return text


def switch(name: str) -> bool:
    """A variable that is on or off; off when it is not set."""
    return choice(name, "false", ("true", "false", "1", "0", "on", "off", "yes", "no")) in (
        "true",
        "1",
        "on",
        "yes",
    )


def seeds(name: str, otherwise: str) -> list[bytes]:
    """Signing keys, 32 bytes each, in base64; where none is set, one made from `otherwise`."""
    texts = env.list(name, default=[])
    try:
        keys = [base64.b64decode(text, validate=True) for text in texts]
    except ValueError:
        keys = [b""]
    if any(len(key) != 32 for key in keys):
        raise ImproperlyConfigured(f"{name}: expected 32 bytes in base64 (openssl rand -base64 32)")
    return keys or [hashlib.sha256(otherwise.encode()).digest()]


# --- where things are kept ---

DATA_DIR = Path(env.str("GALA_DATA", default=str(BASE_DIR / "var"))).absolute()
DATABASE_URL = env.str("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'gala.sqlite3'}")
REDIS_URL = env.str("REDIS_URL", default=f"unix://{socket_path(DATA_DIR)}?db=0")
# Embedded: nothing outside this machine is involved, so that a key made here and kept in a file is enough.
EMBEDDED = "DATABASE_URL" not in env.ENVIRON
DEBUG = switch("DEBUG")


def kept_secret(name: str) -> str:
    """The content of DATA_DIR/name; made at the first use, readable by the owner only."""
    path = DATA_DIR / name
    try:
        DATA_DIR.mkdir(parents=True, exist_ok=True)
        with open(path, "x", opener=_private) as file:
            file.write(secrets.token_urlsafe(48))
    except FileExistsError:
        pass
    except OSError as error:
        raise ImproperlyConfigured(f"GALA_DATA: cannot write {path}: {error.strerror}") from error
    return path.read_text().strip()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY and EMBEDDED:
    SECRET_KEY = kept_secret("secret_key")
if len(SECRET_KEY) < 32 or len(set(SECRET_KEY)) < 5:
    raise ImproperlyConfigured("SECRET_KEY: at least 32 characters that nobody can guess, please.")

# The first key signs passes, all of them are accepted: put a new one in front to rotate.
PASS_KEYS = env.list("PASS_KEYS", default=[f"{SECRET_KEY}:passes"])
# The first key encrypts secrets at rest (show keys, party secrets), all of them decrypt.
STORAGE_KEYS = env.list("STORAGE_KEYS", default=[f"{SECRET_KEY}:storage"])
# The first key signs checkpoints of ledgers, those of all are accepted.
LEDGER_KEYS = seeds("LEDGER_KEYS", f"{SECRET_KEY}:ledger")
# Stands before the show's slug in checkpoints: which ledger of the world this is. It must not change.
LEDGER_NAME = env.str("LEDGER_NAME", default="localhost")
if not re.fullmatch(r"[A-Za-z0-9._:/-]+", LEDGER_NAME):
    raise ImproperlyConfigured(f"LEDGER_NAME: expected an address without https://, got {LEDGER_NAME!r}")
# Keys with which the backends of host apps ask for passes for their own users.
HOST_API_KEYS = env.list("HOST_API_KEYS", default=[])

# --- the live side ---

TALLY_SHARDS = number("TALLY_SHARDS", 16, 1, 256)
PASS_LIFETIME_S = number("PASS_LIFETIME_S", 6 * 3600, 60, 7 * 24 * 3600)
# Whole mobile networks share one address, so this only stops a single machine gone wild.
PASSES_PER_ADDRESS_PER_MINUTE = number("PASSES_PER_ADDRESS_PER_MINUTE", 60_000, 1, 10**9)
TRUST_REAL_IP_HEADER = switch("TRUST_REAL_IP_HEADER")
# Per gateway process; 0: as many as it may have file descriptors.
MAX_CONNECTIONS = number("MAX_CONNECTIONS", 0, 0, 10**6)
# Of a phone, for long; ten at once are fine.
FRAMES_PER_SECOND = number("FRAMES_PER_SECOND", 4, 1, 10**6)
# Per gateway process, inside Django: a thread each, and a connection to the database (gala/door.py).
HTTP_AT_ONCE = number("HTTP_AT_ONCE", 32, 1, 1000)

# --- the beacon drand ---

# Asked in this order, after the file; empty: none. None of them is trusted (prizes/beacon.py).
DRAND_RELAYS = env.list(
    "DRAND_RELAYS",
    default=[
        "https://api.drand.sh",
        "https://api2.drand.sh",
        "https://api3.drand.sh",
        "https://drand.cloudflare.com",
    ],
)
# More could not be asked within the time limit of a task, at two seconds each.
if len(DRAND_RELAYS) > 6 or not all(
    urlsplit(base).scheme in ("http", "https") and urlsplit(base).netloc for base in DRAND_RELAYS
):
    raise ImproperlyConfigured(
        f"DRAND_RELAYS: expected up to six addresses with http(s)://, got {DRAND_RELAYS}"
    )
DRAND_ROUNDS_FILE = env.str("DRAND_ROUNDS_FILE", default="")

# --- Django ---

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if switch("BEHIND_TLS_PROXY") else None
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_PROXY_SSL_HEADER is not None
SECURE_HSTS_SECONDS = 31_536_000 if SECURE_PROXY_SSL_HEADER else 0
X_FRAME_OPTIONS = "DENY"

ROOT_URLCONF = "gala.urls"
ASGI_APPLICATION = "gala.asgi.application"
INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "engagement",
    "prizes",
    "gala",
]
MIDDLEWARE = [
    "gala.refusals.refusals_as_json",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
USE_TZ = True
TIME_ZONE = choice("TIME_ZONE", "Asia/Shanghai", available_timezones())


def draws_storage(address: str, folder: Path) -> dict[str, Any]:
    """Files in `folder`, or s3://bucket/prefix?endpoint_url=… (needs requirements-s3.txt)."""
    if not address:
        return {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": folder}}
    parts = urlsplit(address)
    if parts.scheme != "s3" or not parts.netloc:
        raise ImproperlyConfigured(f"DRAWS_STORAGE: expected s3://bucket/prefix, got {address!r}")
    options = {"bucket_name": parts.netloc, "location": parts.path.strip("/"), "file_overwrite": True}
    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {**options, **dict(parse_qsl(parts.query))},
    }


STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STORAGES: dict[str, Any] = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": DATA_DIR / "media"},
    },
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
# Frozen totals, rolls and records; with a storage elsewhere, local copies of them.
DRAWS_DIR = Path(env.str("DRAWS_DIR", default=str(DATA_DIR / "draws"))).absolute()
STORAGES["draws"] = draws_storage(env.str("DRAWS_STORAGE", default=""), DRAWS_DIR)

# --- database ---

DATABASES: dict[str, dict[str, Any]] = {"default": env.db_url_config(DATABASE_URL)}
_database = DATABASES["default"]
if _database["ENGINE"] == "django.db.backends.sqlite3":
    _database["OPTIONS"] = {
        # Without IMMEDIATE two writers fail at once with "database is locked" instead of waiting for each other.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
        # REPLACE deletes rows; without this, no guard (engagement/guards.py) hears of it.
        " PRAGMA recursive_triggers=ON;",
    }
    # A file as in real life: a database in memory locks whole tables, and other processes cannot see it.
    _database["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
else:
    _database["OPTIONS"] = {
        "connect_timeout": 5,
        "options": "-c statement_timeout=5000 -c lock_timeout=3000 -c idle_in_transaction_session_timeout=10000",
    }

# --- Redis: the tally, the channel layer, the cache and Celery's broker ---

REDIS_TIMEOUT_S = 0.5  # no request and no socket waits longer for Redis
REDIS_OPTIONS: dict[str, Any] = {
    "socket_timeout": REDIS_TIMEOUT_S,
    "socket_connect_timeout": REDIS_TIMEOUT_S,
    "health_check_interval": 5,
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {
            "hosts": [{"address": REDIS_URL, "max_connections": 64, **REDIS_OPTIONS}],
            "prefix": "gala",
        },
    }
}
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "gala",
        "OPTIONS": {
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",  # pickle nowhere
            "SOCKET_TIMEOUT": REDIS_TIMEOUT_S,
            "SOCKET_CONNECT_TIMEOUT": REDIS_TIMEOUT_S,
            "CONNECTION_POOL_CLASS": "redis.connection.BlockingConnectionPool",
            "CONNECTION_POOL_KWARGS": {"max_connections": 32, "timeout": REDIS_TIMEOUT_S},
        },
    }
}


def broker_url(redis_url: str) -> str:
    """Celery's spelling of a redis-py address: only that of a unix socket differs."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    database = parts.query.removeprefix("db=") or "0"
    return f"redis+socket://{parts.path}?virtual_host={database}"


CELERY_BROKER_URL = broker_url(REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# A step over 35 million entries takes up to half a minute. Below visibility_timeout: a task that still runs is never
# delivered again. What a killed worker has left behind is not waited for that long: the conductor queues it again.
CELERY_TASK_TIME_LIMIT = 150
CELERY_TASK_SOFT_TIME_LIMIT = 140
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 180,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
    "health_check_interval": 5,
}
CELERY_TASK_DEFAULT_QUEUE = "steps"
CELERY_TASK_ROUTES = {
    "engagement.tasks.conduct": {"queue": "conductor"},
    "prizes.tasks.conduct_draws": {"queue": "conductor"},
}
CELERY_BEAT_SCHEDULE = {
    # `expires`: when no worker lives, a second later the message is worth nothing.
    "conduct": {"task": "engagement.tasks.conduct", "schedule": 1.0, "options": {"expires": 2}},
    "conduct draws": {"task": "prizes.tasks.conduct_draws", "schedule": 1.0, "options": {"expires": 2}},
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"

# --- logs ---

LOG_LINE = "{asctime} {levelname} {name}: {message}"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "gala.logs.UtcFormatter", "style": "{", "format": LOG_LINE}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {
        "handlers": ["console"],
        "level": choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
    },
    "loggers": {
        # Its receiver writes a stack once a second while Redis is away; the hub says it once, in a line.
        "channels_redis": {"level": "CRITICAL"},
        # Anybody can send a wrong Host, and is answered with 400.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "celery.beat": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
    },
}
