"""The names under which this site answers: what a request says in `Host` is repeated to nobody unless it is one."""

import functools

from django.conf import settings
from django.http.request import split_domain_port, validate_host

Headers = list[tuple[bytes, bytes]]


def host_of(headers: Headers) -> str:
    """The `Host` of a request, with its port; "" where it is missing, comes twice, or is none of ALLOWED_HOSTS."""
    said = [value for name, value in headers if name == b"host"]
    host = said[0].decode("latin-1") if len(said) == 1 else ""
    return host if _is_ours(host, tuple(settings.ALLOWED_HOSTS)) else ""


@functools.lru_cache(maxsize=256)
def _is_ours(host: str, names: tuple[str, ...]) -> bool:
    """Kept, because phones all ask for the same few."""
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, names)
