"""What people type in Simplified Chinese, as it is written in Taiwan and in Hong Kong."""

from functools import cache, lru_cache
from typing import Any

# Language -> the configuration of OpenCC: with the words of Taiwan (軟體), with the letters of Hong Kong (裏).
CONVERSIONS = {"zh-hant": "s2twp", "zh-hk": "s2hk"}


@lru_cache(maxsize=4096)  # titles and garments of some shows
def to_traditional(text: str, language: str) -> str:
    """The same text for a reader of this language; any other text, and any other language, stays as it is.

    >>> [to_traditional("银色礼服外套", language) for language in ("zh-hant", "zh-hk", "zh-hans", "en")]
    ['銀色禮服外套', '銀色禮服外套', '银色礼服外套', '银色礼服外套']
    """
    config = CONVERSIONS.get(language)
    return str(_converter(config).convert(text)) if config else text


@cache  # 75 ms and some megabytes, in processes that need it
def _converter(config: str) -> Any:
    from opencc import OpenCC

    return OpenCC(config)
