"""The code that is shown on air: six digits for each feed, new every minute. Pure."""

import hashlib
import hmac
from collections.abc import Iterable

PERIOD_MS = 60_000
VALID_PERIODS = 3  # the current code and the two before it: pictures come late, and viewers type slowly
DIGITS = 6
PURPOSE = b"shake-gala/v1/air-code"


def code_of(k_show: bytes, feed: str, now: int) -> str:
    """Return the code of a feed at `now` (UTC ms): a truncated HMAC, as in RFC 4226, 5.3.

    >>> code_of(bytes(32), "tv", 0) == code_of(bytes(32), "tv", PERIOD_MS - 1) != code_of(bytes(32), "tv", PERIOD_MS)
    True
    """
    said = PURPOSE + (now // PERIOD_MS).to_bytes(8, "big") + feed.encode()
    digest = hmac.digest(k_show, said, hashlib.sha256)
    start = digest[-1] & 15
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def is_on_air(k_show: bytes, feeds: Iterable[str], code: str, now: int) -> bool:
    """Return whether a code is or was just shown on one of these feeds.

    >>> shown = code_of(bytes(32), "tv", 0)
    >>> [is_on_air(bytes(32), ["app", "tv"], shown, late * PERIOD_MS) for late in (0, 2, 3)]
    [True, True, False]
    """
    times = [now - late * PERIOD_MS for late in range(VALID_PERIODS)]
    codes = [code_of(k_show, feed, time) for feed in feeds for time in times if time >= 0]
    matches = [hmac.compare_digest(known.encode(), code.encode()) for known in codes]
    return any(matches)
