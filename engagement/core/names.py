"""Names for the stage: made from the pseudonym and a moderated list, so nothing that a viewer typed is ever shown."""

_COLOURS = ("Amber", "Azure", "Coral", "Crimson", "Golden", "Indigo", "Ivory", "Jade", "Pearl", "Rose", "Ruby",
            "Sapphire", "Scarlet", "Silver", "Teal", "Violet")  # fmt: skip
_THINGS = ("Bamboo", "Comet", "Crane", "Dolphin", "Firefly", "Harbour", "Lantern", "Lotus", "Magpie", "Moon", "Orchid",
           "Panda", "Peony", "River", "Swallow", "Willow")  # fmt: skip


def stage_name(pseudonym: bytes) -> str:
    """The name of a viewer on screen: two moderated words and four digits of the pseudonym (14 bytes).

    Viewers see their own on their phone, so they recognise themselves; nobody else can.

    >>> stage_name(bytes.fromhex("7d2b9ad16a51a6099939d32fb499"))
    'Ruby Comet 7d2b'
    """
    return f"{_COLOURS[pseudonym[2] % 16]} {_THINGS[pseudonym[3] % 16]} {pseudonym[:2].hex()}"
