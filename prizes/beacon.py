"""Where beacon values come from (docs/draw.md, section 5)."""

import secrets

from prizes.core.digests import dice_value

MAX_DICE_THROWS = 400


def throw_local() -> bytes:
    """32 random bytes of this server: a rehearsal, and labelled as one wherever it is shown."""
    return secrets.token_bytes(32)


def read_dice(typed: str) -> str:
    """The digits of the throws as typed, without spaces; raises ValueError unless there are 50 or more of 1 to 6."""
    digits = "".join(typed.split())
    dice_value(digits)
    if len(digits) > MAX_DICE_THROWS:
        raise ValueError(f"expected at most {MAX_DICE_THROWS} throws, got {len(digits)}")
    return digits
