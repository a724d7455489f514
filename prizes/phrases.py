"""What the pages of draws say of one of a few values: sentences, chips and reasons, by the words of the record."""

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from prizes.core.dispositions import CLAIMED, DISQUALIFIED, FORFEITED, WON
from prizes.models import Beacon, Draw

# What the second argument of a void win or a disqualification may be (prizes/core/record.py).
REASONS = {
    "staff or family": _("staff or family"),
    "under age": _("under age"),
    "outside the territory": _("outside the territory"),
    "false identity": _("false identity"),
    "second account": _("second account"),
    "declined": _("declined"),
    "won in another draw": _("won in another draw"),
    "deadline passed": _("deadline passed"),
}
BECAME = {
    WON: _("moved up from the reserves"),
    CLAIMED: _("claimed"),
    FORFEITED: _("forfeited: {reason}"),
    DISQUALIFIED: _("disqualified: {reason}"),
}
STATUSES = {
    WON: pgettext_lazy("status of a win", "won"),
    CLAIMED: pgettext_lazy("status of a win", "claimed"),
    FORFEITED: pgettext_lazy("status of a win", "forfeited"),
    DISQUALIFIED: pgettext_lazy("status of a win", "disqualified"),
}
BEACONS = {
    Beacon.DRAND: pgettext_lazy("beacon", "drand"),
    Beacon.LOCAL: pgettext_lazy("beacon", "local"),
    Beacon.DICE: pgettext_lazy("beacon", "dice"),
}
STRENGTHS = {
    "public": _("public"),
    "rehearsal": _("rehearsal"),
}
STEPS = {
    Draw.Step.COMMITTED: _("committed"),
    Draw.Step.SEALED: _("sealed"),
    Draw.Step.DRAWING: _("drawing"),
    Draw.Step.DRAWN: _("drawn"),
    Draw.Step.SPOILED: _("spoiled: no seal in time"),
    Draw.Step.PUBLISHED: _("published"),
}

# The sentences of verdicts (prizes/verdict.py).
SENTENCES = {
    "armed": _("Rules and prizes are fixed and public, and nothing is drawn yet."),
    "open": _("Viewers are shaking now; the rules are fixed, and nothing is drawn yet."),
    "closing": _("The window is over and the roll is being completed; nothing is drawn yet."),
    "sealed": _(
        "Sealed: nobody can change the entries or the rules any more without being found "
        "out; the winners are not drawn yet."
    ),
    "drawn": _(
        "The winners are drawn, and this server's second program has come to the same "
        "ones; they are not published yet."
    ),
    "published": _(
        "This server's two programs agree on the winners, and {count} of {named} named "
        "witnesses signed the seal before the random number was known."
    ),
    "unwitnessed": _(
        "This server's two programs agree on the winners, but the draw is NOT WITNESSED: "
        "{count} of {quorum} promised signatures from outside came before the random "
        "number was known."
    ),
    "unkept": _(
        "This server's two programs agree on the winners, but a promise is BROKEN: the "
        "rules let the draw wait for {quorum} signatures from outside, and {count} came "
        "before the random number was known."
    ),
    "unnamed": _(
        "This server's two programs agree on the winners, but the draw is NOT WITNESSED: "
        "nobody outside was named as a witness of the seal."
    ),
    "rehearsal": _(
        "This server's two programs agree on the winners, but the random numbers are its "
        "own, so that nobody outside can verify this draw."
    ),
    "stopped": _("Stopped: the second program does not confirm the result, and nobody has won anything."),
    "lost": _(
        "The winners were published, but this server has lost the record, so that nobody can check them here."
    ),
    "void": _("This segment was called off before the freeze; nothing is drawn."),
    "spoiled": _(
        "This draw got no seal in time. Nothing is drawn from its roll, which stays "
        "public, and so do its receipts."
    ),
}

# A ground in a word, in a sentence, and how we know.
CHIPS = {
    "arithmetic_open": _("Not drawn yet"),
    "arithmetic_holds": _("Computed twice"),
    "arithmetic_stopped": _("Not confirmed"),
    "arithmetic_lost": _("Record missing"),
    "signature_open": _("To be signed"),
    "signature_holds": _("Signed"),
    "signature_none": _("Not signed"),
    "log_promised": _("In the ledger"),
    "log_sealed": _("In the ledger"),
    "log_void": _("In the ledger"),
    "log_holds": _("In the ledger"),
    "log_none": _("Without its log"),
    "log_lost": _("Ledger damaged"),
    "witnesses_open": _("Witnesses: {count} of {named}"),
    "witnesses_holds": _("Witnesses: {count} of {named}"),
    "witnesses_unnamed": _("Not witnessed"),
    "witnesses_lack": _("Not witnessed"),
    "witnesses_broken": _("Promise broken"),
    "stamps_open": _("Time stamps: {count} of {named}"),
    "stamps_holds": _("Time stamps: {count} of {named}"),
    "stamps_unnamed": _("No time stamp"),
    "stamps_lack": _("No time stamp"),
    "beacon_drand": _("Public randomness"),
    "beacon_dice": _("Dice on air"),
    "beacon_local": _("Own randomness"),
    "stub_open": _("Your own total"),
    "stub_holds": _("Your total is in"),
    "stub_lacks": _("Key not in the ledger"),
    "stub_failed": _("PROMISE BROKEN"),
}
TEXTS = {
    "arithmetic_open": _("Nobody has won yet, so there is nothing to compute."),
    "arithmetic_holds": _(
        "On this server two programs, written separately, have computed the winners from "
        "the sealed roll and have come to the same ones. That is this server's word "
        "until somebody computes them elsewhere."
    ),
    "arithmetic_stopped": _(
        "The two programs on this server do not agree. The draw waits until the cause is found."
    ),
    "arithmetic_lost": _(
        "This server has lost the record, or has another than was drawn. Whoever has "
        "kept a copy can still check it."
    ),
    "signature_open": _(
        "The organiser signs each receipt from the seal on, and the record when it is published."
    ),
    "signature_holds": _(
        "The record carries the organiser's signature. The organiser cannot deny it, and "
        "nobody else can have made it up."
    ),
    "signature_none": _(
        "Documents of the first version are not signed: they prove arithmetic, and not whose they are."
    ),
    "log_promised": _(
        "The promise is entry {entry} of the show's signed ledger, and stands there for everybody."
    ),
    "log_sealed": _("The promise is entry {entry} of the show's signed ledger, the seal is entry {seal}."),
    "log_void": _(
        "The promise is entry {entry} of the show's signed ledger. How it ended stands "
        "there, too, with the reason."
    ),
    "log_holds": _(
        "The record has {count} statements from the show's ledger, one for each step, "
        "and the signature under all {size} entries at that time."
    ),
    "log_none": _("The first version tells the positions in the ledger, and does not prove them."),
    "log_lost": _(
        "The ledger has lost what the proofs are made from, so that the record went out without them."
    ),
    "witnesses_open": _(
        "{named} outside are named; {quorum} of them have to sign the seal before the "
        "random number is known. So far: {count}."
    ),
    "witnesses_holds": _(
        "{count} of {named} named witnesses have signed the ledger with the seal in it, "
        "by their own clocks before the random number was known; {quorum} were promised."
    ),
    "witnesses_unnamed": _(
        "Nobody outside was named as a witness of the seal. That it was there before the "
        "random number, you know from phones, the stage, whoever has kept a checkpoint, "
        "and from time stamps where there are any."
    ),
    "witnesses_lack": _(
        "{quorum} of {named} named witnesses had to sign the ledger with the seal in it "
        "before the random number was known; only {count} did."
    ),
    "witnesses_broken": _(
        "{quorum} of {named} named witnesses had to sign the ledger with the seal in it "
        "before the random number was known, or the draw had to wait; {count} did, and "
        "it did not wait. The program that checks a draw refuses this one."
    ),
    "stamps_open": _(
        "{named} time stamping services are named, which are asked to stamp the seal. So "
        "far: {count}. The draw does not wait for them."
    ),
    "stamps_holds": _(
        "{count} of {named} named time stamping services have stamped the seal, by their "
        "own clocks before the random number was known."
    ),
    "stamps_unnamed": _("No time stamping service was named."),
    "stamps_lack": _(
        "{named} time stamping services were named, and none of them stamped the seal "
        "before the random number was known. The draw did not wait for them."
    ),
    "beacon_drand": _(
        "The random number is a round of drand: made by many organisations together, at "
        "a time that is fixed by the freeze. Nobody here can know or choose it."
    ),
    "beacon_dice": _(
        "The random number is thrown with dice on air, as often as the rules say, after the seal was shown."
    ),
    "beacon_local": _(
        "The random number is this server's own. Whoever runs the server can choose it, and so the winners."
    ),
    "stub_open": _(
        "Each phone that took part has its total signed by the server. On such a phone "
        "this line says what the roll has of it."
    ),
    "stub_holds": _(
        "This phone holds {total} shakes of yours, signed by the server. It has "
        "compared: the sealed roll has what they are worth."
    ),
    "stub_lacks": _(
        "This phone holds {total} shakes of yours, signed with a key that is not in the "
        "show's ledger. The sealed roll has what they are worth."
    ),
    "stub_failed": _(
        "This phone holds {total} shakes of yours, signed by the server, and the sealed "
        "roll has less than they are worth. The phone page says what to do."
    ),
}
WHYS = {
    "arithmetic": _(
        "The draw stops by itself where the two programs differ, and then names nobody. "
        "You need not believe that: with the files of this page, the second program says "
        "on your own computer whether each step holds."
    ),
    "signature": _(
        "Compare this public key with the one that you, a newspaper or a notary noted "
        "before the show. A file that it has not signed proves nothing for or against "
        "the organiser."
    ),
    "log": _(
        "Everything that is done to a draw becomes an entry, and after each entry the "
        "whole ledger is signed. Whoever has kept one such signature, a checkpoint, sees "
        "whether anything before it was changed later."
    ),
    "witnesses": _(
        "A witness runs a small program on its own machine. It signs each newer state of "
        "the ledger with the time on its own clock, and never two histories. Ask the "
        "witnesses for their keys: do not take them from here."
    ),
    "stamps": _(
        "A time stamping service signs, with the time on its own clock, that it was "
        "shown a digest; it knows nothing of the show. The rules name each by the digest "
        "of a file (PEM), which its stamps are checked with. Get that file from the "
        "service itself: do not take it from here."
    ),
    "beacon_drand": _(
        "drand signs each round, and the program that checks a draw knows drand's public "
        "key: it refuses any other number. Any relay of drand shows the same one."
    ),
    "beacon_dice": _(
        "Compare the throws on this page with the recording of the broadcast. That they "
        "give this number, the program that checks a draw computes."
    ),
    "beacon_local": _("There is nothing outside to compare with. Such a draw is for practice only."),
    "stub": _(
        "Once the window is over, the server signs for each phone how many of its shakes "
        "are counted. The phone keeps that and compares it with the roll by itself. A "
        "signed total that is worth more than the roll has, together with the signed "
        "receipt, proves to anybody that the organiser did not keep its word."
    ),
}


def beacon_text(kind: str) -> str:
    """Where the random number of a prize list comes from, in a word or two."""
    return str(BEACONS[Beacon(kind)])


def status_text(status: str) -> str:
    """How a win stands, in a word."""
    return str(STATUSES[status])


def reason_text(reason: str) -> str:
    """Why a prize was lost; what somebody has typed stands there as it was typed."""
    return str(REASONS.get(reason, reason))
