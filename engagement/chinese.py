"""What people type in Simplified Chinese, as it is written in Taiwan and in Hong Kong."""

from functools import cache, lru_cache
from typing import Any

# Language -> the configuration of OpenCC: with the words of Taiwan (軟體), with the letters of Hong Kong (裏).
LONGEST_TWICE = (
    40  # letters: what is longer is told as in Taiwan alone, so that states stay as small as they must be
)
CONVERSIONS = {"zh-hant": "s2twp", "zh-hk": "s2hk"}


@lru_cache(maxsize=4096)  # titles and garments of some shows
def to_traditional(text: str, language: str) -> str:
    """The same text for a reader of this language; any other text, and any other language, stays as it is.

    >>> [to_traditional("银色礼服外套", language) for language in ("zh-hant", "zh-hk", "zh-hans", "en")]
    ['銀色禮服外套', '銀色禮服外套', '银色礼服外套', '银色礼服外套']
    """
    config = CONVERSIONS.get(language)
    return str(_converter(config).convert(text)) if config else text


def written_elsewhere(name: str, text: str) -> dict[str, str]:
    """What goes beside a field `name`_zh, only where it differs: `name`_hant for Taiwan, and `name`_hk for Hong Kong
    where it is not written as in Taiwan.

    >>> written_elsewhere("garment", "银色礼服外套"), written_elsewhere("garment", "上衣")
    ({'garment_hant': '銀色禮服外套'}, {})
    >>> written_elsewhere("title", "网络之夜")
    {'title_hant': '網路之夜', 'title_hk': '網絡之夜'}
    """
    taiwan, hong_kong = to_traditional(text, "zh-hant"), to_traditional(text, "zh-hk")
    told = {f"{name}_hant": taiwan} if taiwan != text else {}
    twice = hong_kong != taiwan and len(hong_kong) <= LONGEST_TWICE
    return told | ({f"{name}_hk": hong_kong} if twice else {})


@cache  # 75 ms and some megabytes, in processes that need it
def _converter(config: str) -> Any:
    from opencc import OpenCC

    return OpenCC(config)
