"""Settings, all of them from the environment; without any, one machine runs the whole gala by itself.

Every variable is described in docs/settings.md.
"""

import base64
import contextlib
import hashlib
import os
import re
import secrets
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import available_timezones

import django_stubs_ext
import environ
from django.core.exceptions import ImproperlyConfigured

from gala.embedded import socket_path
from gala.environment import BadVariable, Environment, strong
from gala.installation import name_of
from gala.strength import weakness_of

django_stubs_ext.monkeypatch()  # Django's generic classes take their types at run time, too

env = Environment()
BASE_DIR = Path(__file__).resolve().parent.parent


def seeds(name: str, otherwise: list[str]) -> list[bytes]:
    """Signing keys, 32 bytes each, in base64; where none is set, those made from `otherwise`."""
    made = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in otherwise]
    texts = env.secrets(name, made)
    try:
        keys = [base64.b64decode(text, validate=True) for text in texts]
    except ValueError:
        keys = [b""]
    if any(len(key) != 32 for key in keys) or any(map(weakness_of, texts)):
        raise BadVariable(name, "32 random bytes in base64 (openssl rand -base64 32)", "something else")
    return keys


def purposes_of_their_own(**keys: list[str]) -> None:
    """Refuses a key that serves two purposes: whoever gets to know it for one has the other, too."""
    owner: dict[str, str] = {}
    for name, key in ((name, key) for name, row in keys.items() for key in row):
        if owner.setdefault(key, name) != name:
            raise BadVariable(name, "keys of its own", f"one of {owner[key]}")


# --- where things are kept ---

DATA_DIR = env.path("GALA_DATA", BASE_DIR / "var")
DATABASE_URL = env.address(
    "DATABASE_URL", f"sqlite:///{DATA_DIR / 'gala.sqlite3'}", ("postgres", "postgresql", "psql", "sqlite")
)
REDIS_URL = env.address("REDIS_URL", f"unix://{socket_path(DATA_DIR)}?db=0", ("redis", "rediss", "unix"))
if not re.fullmatch(r"/?[0-9]*/?", urlsplit(REDIS_URL).path) and not REDIS_URL.startswith("unix:"):
    raise BadVariable("REDIS_URL", "the number of a database at its end, such as /0", "another word")
# Embedded: nothing outside this machine is involved, so that a key made here and kept in a file is enough.
EMBEDDED = not env.has("DATABASE_URL")
DEBUG = env.switch("DEBUG")
HEALTH_DIR = env.text("HEALTH_DIR", "")  # gala/alive.py


def kept_secret(name: str) -> str:
    """The content of DATA_DIR/name; made at the first use, readable by the owner only."""
    path = DATA_DIR / name
    try:
        DATA_DIR.mkdir(parents=True, exist_ok=True)
        with open(path, "x", encoding="utf-8", opener=_private) as file:
            file.write(secrets.token_urlsafe(48))
    except FileExistsError:
        pass
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()  # on a full disk it is there, and empty
        raise ImproperlyConfigured(f"GALA_DATA: cannot write {path}: {error.strerror}") from error
    return path.read_text(encoding="utf-8").strip()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


SECRET_KEY = env.text("SECRET_KEY", "")
if not SECRET_KEY and EMBEDDED:
    SECRET_KEY = kept_secret("secret_key")
strong("SECRET_KEY", SECRET_KEY)
# Earlier ones: what they signed, and what was made from them, is accepted, too.
SECRET_KEY_FALLBACKS = env.more_keys("SECRET_KEY_FALLBACKS")


def made_for(purpose: str) -> list[str]:
    """Keys for a purpose that has none of its own."""
    return [f"{key}:{purpose}" for key in (SECRET_KEY, *SECRET_KEY_FALLBACKS)]


# The first key signs passes, all of them are accepted: put a new one in front to rotate.
PASS_KEYS = env.keys("PASS_KEYS", made_for("passes"))
# The first key encrypts secrets at rest (show keys, party secrets), all of them decrypt.
STORAGE_KEYS = env.keys("STORAGE_KEYS", made_for("storage"))
# The first key signs checkpoints of ledgers, those of all are accepted.
LEDGER_KEYS = seeds("LEDGER_KEYS", made_for("ledger"))
# Stands before the show's slug in checkpoints: which ledger of the world this is. It must not change.
LEDGER_NAME = env.text("LEDGER_NAME", "localhost")
if not re.fullmatch(r"[A-Za-z0-9._:/-]+", LEDGER_NAME):
    raise BadVariable("LEDGER_NAME", "an address without https://", repr(LEDGER_NAME))
# Keys with which the backends of host apps ask for passes for their own users.
HOST_API_KEYS = env.more_keys("HOST_API_KEYS")
purposes_of_their_own(
    SECRET_KEY=[SECRET_KEY, *SECRET_KEY_FALLBACKS],
    PASS_KEYS=PASS_KEYS,
    STORAGE_KEYS=STORAGE_KEYS,
    LEDGER_KEYS=[base64.b64encode(key).decode() for key in LEDGER_KEYS],
    HOST_API_KEYS=HOST_API_KEYS,
)

# After the last thing that happened in a show its key may be destroyed (docs/privacy.md).
RETENTION_DAYS = env.number("RETENTION_DAYS", 180, 1, 3650)

# --- the live side ---

TALLY_SHARDS = env.number("TALLY_SHARDS", 16, 1, 256)
PASS_LIFETIME_S = env.number("PASS_LIFETIME_S", 6 * 3600, 10, 7 * 24 * 3600)
# Services that vouch for devices: the words of each (engagement/fair_play/attestation/reading.py).
PASS_ATTESTATION = [tuple(service.split()) for service in env.words("PASS_ATTESTATION")]
if PASS_ATTESTATION:  # what reads them takes long to load
    from engagement.fair_play.attestation.reading import BadService, read_services

    try:
        read_services(tuple(PASS_ATTESTATION))
    except BadService as error:
        raise BadVariable("PASS_ATTESTATION", error.expected, error.came) from None
# Per gateway process; 0: as many as it may have file descriptors.
MAX_CONNECTIONS = env.number("MAX_CONNECTIONS", 0, 0, 10**6)
# Per gateway process, of one IPv4 address or one IPv6 /48, times the factor of its carrier; 0: no limit.
SOCKETS_PER_BLOCK = env.number("SOCKETS_PER_BLOCK", 20_000, 0, 10**6)
# Sustained rate per connection; bursts of 10 are fine.
FRAMES_PER_SECOND = env.number("FRAMES_PER_SECOND", 4, 1, 10**6)
# Per gateway process, inside Django: a thread each, and a connection to the database (gala/limiter.py).
HTTP_AT_ONCE = env.number("HTTP_AT_ONCE", 8, 1, 1000)

# --- the beacon drand ---

# Asked in this order, after the file; empty: none. None of them is trusted (prizes/drand.py).
DRAND_RELAYS = env.words(
    "DRAND_RELAYS",
    [
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
    raise BadVariable("DRAND_RELAYS", "up to six addresses with http(s)://", "something else")
DRAND_ROUNDS_FILE = env.text("DRAND_ROUNDS_FILE", "")

# --- Django ---

ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
# Django compares names only, and origins as a whole: anything else would never be found equal, without a word.
if not all(re.fullmatch(r"[^/:\[\]]+|\[[^/\]]+\]", host) for host in ALLOWED_HOSTS):
    raise BadVariable(
        "ALLOWED_HOSTS", "names of hosts, without https:// and port", repr(",".join(ALLOWED_HOSTS))
    )
if not all(re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/]+", origin) for origin in CSRF_TRUSTED_ORIGINS):
    raise BadVariable(
        "CSRF_TRUSTED_ORIGINS",
        "origins such as https://gala.example.com",
        repr(",".join(CSRF_TRUSTED_ORIGINS)),
    )
# Other sites whose pages may open sockets here; this is no leave to post forms.
SOCKET_ORIGINS = env.words("SOCKET_ORIGINS")
if not all(re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/]+", origin) for origin in SOCKET_ORIGINS):
    raise BadVariable(
        "SOCKET_ORIGINS", "origins such as https://app.example.com", repr(",".join(SOCKET_ORIGINS))
    )
# Both are obeyed in gala/proxy.py, so that Django's own SECURE_PROXY_SSL_HEADER is not needed.
BEHIND_TLS_PROXY = env.switch("BEHIND_TLS_PROXY")
TRUST_REAL_IP_HEADER = env.switch("TRUST_REAL_IP_HEADER")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS_PROXY
SECURE_HSTS_SECONDS = 31_536_000 if BEHIND_TLS_PROXY else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_SSL_REDIRECT = BEHIND_TLS_PROXY
# Whoever likes may enter a domain that says `preload` into the lists of browsers, for years: the owner decides that.
SILENCED_SYSTEM_CHECKS = ["security.W021"]
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "gala.refusals.stale_page"

ROOT_URLCONF = "gala.urls"
ASGI_APPLICATION = "gala.asgi.application"
INSTALLED_APPS = [
    # For `runserver` alone: it imports Twisted, a quarter of the time in which every other process starts.
    *(["daphne"] if "runserver" in sys.argv else []),
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    # Before our own, which keep their tables out of the administration.
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "engagement",
    "prizes",
    "gala",
]
MIDDLEWARE = [
    "engagement.languages.Languages",
    "gala.refusals.Refusals",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "prizes.crew.guard.SecondFactor",
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
                "engagement.languages.tell_language",
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# --- the crew's logins ---

# Whoever runs a show does so with a second factor (prizes/crew/guard.py).
CREW_SECOND_FACTOR = env.switch("CREW_SECOND_FACTOR")
# Of django-allauth the second factor is used; nobody signs up, and its pages have no address.
ACCOUNT_ADAPTER = "prizes.crew.adapters.CrewAccounts"
ACCOUNT_EMAIL_VERIFICATION = "none"
MFA_ADAPTER = "prizes.crew.adapters.CrewFactors"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_TOTP_TOLERANCE = 1  # a phone whose clock is half a minute off
PASSWORD_HASHERS = ["gala.hashing.QuietHasher"]
LOGIN_URL = "login"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
# Each in its own words, as the pages offer them (engagement/languages.py).
LANGUAGES = [
    ("en", "English"),
    ("zh-hans", "简体中文"),
    ("zh-hant", "繁體中文（台灣）"),
    ("zh-hk", "繁體中文（香港）"),
]
LOCALE_PATHS = [BASE_DIR / "gala" / "locale"]
USE_TZ = True
TIME_ZONE = env.choice(
    "TIME_ZONE", "Asia/Shanghai", available_timezones(), like="a time zone such as Asia/Shanghai"
)


def files_storage(address: str, folder: Path, variable: str) -> dict[str, Any]:
    """Files in `folder`, or s3://bucket/prefix?endpoint_url=… (needs requirements-s3.txt)."""
    if not address:
        return {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": folder}}
    parts = urlsplit(address)
    if parts.scheme != "s3" or not parts.netloc:
        raise BadVariable(variable, "s3://bucket/prefix", "another address")
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
    "staticfiles": {"BACKEND": "gala.hashed.HashedModules"},
}
# Frozen totals, rolls and records; with a storage elsewhere, local copies of them.
DRAWS_DIR = env.path("DRAWS_DIR", DATA_DIR / "draws")
STORAGES["draws"] = files_storage(env.text("DRAWS_STORAGE", ""), DRAWS_DIR, "DRAWS_STORAGE")
# Pictures of prizes and shows; with a storage elsewhere, local copies of them.
PICTURES_DIR = env.path("PICTURES_DIR", DATA_DIR / "pictures")
STORAGES["pictures"] = files_storage(env.text("PICTURES_STORAGE", ""), PICTURES_DIR, "PICTURES_STORAGE")

# --- database ---

DATABASES: dict[str, dict[str, Any]] = {"default": environ.Env.db_url_config(DATABASE_URL)}
_database = DATABASES["default"]
_database["ENGINE"] = _database["ENGINE"].replace("django.db.backends", "gala.backends")
if _database["ENGINE"].endswith("sqlite3"):
    _database["OPTIONS"] = {
        # Without IMMEDIATE two writers fail at once with "database is locked" instead of waiting for each other.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
        # REPLACE deletes rows; without this, no guard (engagement/ledger/guards.py) hears of it.
        " PRAGMA recursive_triggers=ON;",
    }
    # A file as in real life: a database in memory locks whole tables, and other processes cannot see it.
    _database["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
else:
    _database["OPTIONS"] = {
        "connect_timeout": 5,
        "options": "-c statement_timeout=5000 -c lock_timeout=3000 -c idle_in_transaction_session_timeout=10000",
    }

# --- who we are where others may be, too ---

# Stands in front of every key, channel and queue (docs/redis.md); the same in all processes of an installation.
INSTALLATION = env.text("INSTALLATION", "") or name_of(_database, REDIS_URL)
if not re.fullmatch(r"[A-Za-z0-9.-]{1,64}", INSTALLATION):
    raise BadVariable("INSTALLATION", "up to 64 letters, digits, dots and hyphens", repr(INSTALLATION))
_name = f"gala-{INSTALLATION}"
REDIS_PREFIX = f"{_name}:"
# A browser keeps the cookies of a host together, whatever the ports: a log-in to the rehearsal ended that to the gala.
SESSION_COOKIE_NAME = f"{_name}-session"
LANGUAGE_COOKIE_NAME = f"{_name}-language"  # the one that was asked for with ?lang=
LANGUAGE_COOKIE_AGE = 180 * 24 * 3600
LANGUAGE_COOKIE_SECURE = BEHIND_TLS_PROXY
LANGUAGE_COOKIE_HTTPONLY = True

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
            "prefix": f"{_name}_",  # no colon may stand in a channel's name, and no underscore in an installation's
        },
    }
}
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": _name,
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
    "global_keyprefix": REDIS_PREFIX,
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
    "prizes.tasks.conduct_witnesses": {"queue": "conductor"},
    "prizes.tasks.conduct_stampers": {"queue": "conductor"},
}
CELERY_BEAT_SCHEDULE = {
    # `expires`: when no worker lives, a second later the message is worth nothing.
    "conduct": {"task": "engagement.tasks.conduct", "schedule": 1.0, "options": {"expires": 2}},
    "conduct draws": {"task": "prizes.tasks.conduct_draws", "schedule": 1.0, "options": {"expires": 2}},
    "conduct witnesses": {
        "task": "prizes.tasks.conduct_witnesses",
        "schedule": 1.0,
        "options": {"expires": 2},
    },
    "conduct stampers": {"task": "prizes.tasks.conduct_stampers", "schedule": 1.0, "options": {"expires": 2}},
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"

# --- logs ---

LOG_LINE = "{asctime} {levelname} {name}: {message}"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "gala.logs.LineFormatter", "style": "{", "format": LOG_LINE}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {
        "handlers": ["console"],
        "level": env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
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
