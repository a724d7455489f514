from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks

NO_ADDRESSES = checks.Warning(
    "BEHIND_TLS_PROXY is on and TRUST_REAL_IP_HEADER is not: everybody comes from the proxy's address, so that all "
    "phones share the passes of one neighbour, and all logins are held off together.",
    hint="Have the proxy set X-Real-IP, replacing what the viewer sent, and set TRUST_REAL_IP_HEADER.",
    id="gala.W001",
)


NO_CATALOGUES = checks.Warning(
    "The catalogues of texts are not compiled: every page is English.",
    hint="Run: python -m gala.catalogues",
    id="gala.W002",
)


def check_catalogues(**_: Any) -> list[checks.CheckMessage]:
    [folder] = settings.LOCALE_PATHS
    sources = folder.glob("*/LC_MESSAGES/django.po")
    return [] if all(source.with_suffix(".mo").exists() for source in sources) else [NO_CATALOGUES]


def check_addresses(**_: Any) -> list[checks.CheckMessage]:
    """A check for production: whoever ends TLS in front of us hides where viewers come from."""
    return [NO_ADDRESSES] if settings.BEHIND_TLS_PROXY and not settings.TRUST_REAL_IP_HEADER else []


class GalaConfig(AppConfig):
    name = "gala"
    verbose_name = "Shake to win"

    def ready(self) -> None:
        checks.register(check_addresses, deploy=True)
        checks.register(check_catalogues)
