"""Names for the stage: made from the pseudonym and a moderated list, so nothing that a viewer typed is ever shown.

A host can say them: two words and a number. The scripts of the pages make the same names (`stageName`); both are held
to tests/vectors/names.json.
"""

COLOURS = ("Amber", "Azure", "Brave", "Bright", "Calm", "Clever", "Coral", "Crimson", "Gentle", "Golden", "Happy",
           "Indigo", "Ivory", "Jade", "Kind", "Lucky", "Merry", "Noble", "Pearl", "Proud", "Quick", "Quiet", "Rose",
           "Royal", "Ruby", "Sapphire", "Scarlet", "Silver", "Sunny", "Swift", "Teal", "Violet")  # fmt: skip
THINGS = ("Anchor", "Aurora", "Bamboo", "Breeze", "Bridge", "Butterfly", "Camellia", "Cedar", "Cherry", "Cloud",
          "Comet", "Compass", "Crane", "Crystal", "Deer", "Dolphin", "Dragon", "Eagle", "Falcon", "Feather", "Firefly",
          "Fountain", "Fox", "Garden", "Harbour", "Heron", "Island", "Jasmine", "Kite", "Koala", "Lake", "Lantern",
          "Lark", "Lemon", "Lily", "Lion", "Lotus", "Magpie", "Maple", "Meadow", "Melody", "Moon", "Mountain", "Orchid",
          "Otter", "Owl", "Panda", "Peach", "Penguin", "Peony", "Phoenix", "Pine", "Rainbow", "River", "Robin", "Sail",
          "Shell", "Spring", "Star", "Sunrise", "Swallow", "Tiger", "Tulip", "Willow")  # fmt: skip
LOWEST, NUMBERS = 10, 90  # 10 to 99: two digits, said in a breath


def stage_name(pseudonym: bytes) -> str:
    """The name of a viewer on screen: two moderated words and a number, from the pseudonym (14 bytes).

    Viewers see their own on their phone, so they recognise themselves; nobody else can. There are 184,320 of them.

    >>> stage_name(bytes.fromhex("7d2b9ad16a51a6099939d32fb499"))
    'Scarlet Eagle 47'
    """
    colour, thing = COLOURS[pseudonym[2] % len(COLOURS)], THINGS[pseudonym[3] % len(THINGS)]
    return f"{colour} {thing} {LOWEST + int.from_bytes(pseudonym[4:6]) % NUMBERS}"


def name_winners(pseudonyms: list[bytes], taken: dict[str, int]) -> list[str]:
    """The names of these winners, in order, each once in a show: a second one of a name is its (2).

    `taken` says how many earlier winners of the show have a name, without that number.

    >>> viewer = bytes.fromhex("7d2b9ad16a51a6099939d32fb499")
    >>> name_winners([viewer, viewer[:6] + bytes(8)], {}), name_winners([viewer], {"Scarlet Eagle 47": 2})
    (['Scarlet Eagle 47', 'Scarlet Eagle 47 (2)'], ['Scarlet Eagle 47 (3)'])
    """
    counts, names = dict(taken), []
    for pseudonym in pseudonyms:
        name = stage_name(pseudonym)
        counts[name] = counts.get(name, 0) + 1
        names.append(name if counts[name] == 1 else f"{name} ({counts[name]})")
    return names
