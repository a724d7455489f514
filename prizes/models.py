"""PrizeList, Prize, Draw and Win: what can be won, and who won it."""

import json
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from engagement.models import EDITABLE, Segment, Show, play_key
from engagement.pictures.models import Picture
from prizes.approval_models import Approval as Approval
from prizes.core.digests import HOUSE, MAX_DICE_THROWS, MIN_DICE_THROWS, MIN_SEAL_MARGIN_S
from prizes.core.record import Prior
from prizes.core.rules import MAX_CLAIM_S, MAX_PUBLISH_S, MIN_PUBLISH_S
from prizes.core.tickets import TicketTable
from prizes.crew_models import BreakGlass as BreakGlass
from prizes.crew_models import CrewSession as CrewSession
from prizes.crew_models import FailedLogin as FailedLogin
from prizes.repeat_models import Repeat as Repeat
from prizes.stamp_models import Stamp as Stamp
from prizes.stamp_models import Stamper as Stamper
from prizes.witness_models import Cosignature as Cosignature
from prizes.witness_models import Quorum as Quorum
from prizes.witness_models import Witness as Witness

ELIGIBILITY = (
    "Everybody who shook during the segment, once per show; staff of the show and their families excepted."
)


# So often is a step of a draw tried that fails for a reason of its own; then it waits for a person.
MAX_ATTEMPTS = 3
# Between the last secret and the round: a silent party and a relay that hangs must leave the time to seal.
MIN_REVEAL_S = 10


def default_tickets() -> list[list[int]]:
    return [[1, 1], [20, 2], [50, 3], [100, 5], [150, 10]]


def check_tickets(rows: Any) -> None:
    """A field validator: the ticket table as [[shakes, tickets], ...]."""
    try:
        TicketTable(rows)
    except ValueError as error:
        raise ValidationError(str(error)) from None


class Beacon(models.TextChoices):
    """Where the public randomness comes from (docs/draw.md, section 5)."""

    DRAND = "drand", "drand: a round of the public network, some seconds after the seal"
    LOCAL = "local", "local: random bytes of this server (rehearsal)"
    DICE = "dice", "dice: thrown on air, typed in by two operators"


class PrizeList(models.Model):
    """What is drawn in one go in a segment, and by which rules."""

    segment = models.ForeignKey(Segment, models.CASCADE, related_name="prize_lists")
    number = models.PositiveSmallIntegerField(
        default=1, help_text="Drawn in this order; part of the draw's id."
    )
    tickets = models.JSONField(
        default=default_tickets,
        validators=[check_tickets],
        help_text="Shakes and the tickets they earn, as [[1, 1], [20, 2], …]; the first row is the minimum.",
    )
    reserves = models.PositiveSmallIntegerField(
        default=2, help_text="At most five more than there are prizes."
    )
    beacon = models.CharField(max_length=8, choices=Beacon.choices, default=Beacon.DRAND)
    throws = models.PositiveSmallIntegerField(
        default=MIN_DICE_THROWS,
        validators=[MinValueValidator(MIN_DICE_THROWS), MaxValueValidator(MAX_DICE_THROWS)],
        help_text="Dice only: how often they are thrown on air, exactly; in the promised rules.",
    )
    seal_margin_s = models.PositiveIntegerField(
        "seal margin",
        default=60,
        validators=[MinValueValidator(MIN_SEAL_MARGIN_S), MaxValueValidator(86_400)],
        help_text="Seconds from the freeze to drand's round; the time in which parties reveal their secrets.",
    )
    reveal_deadline_s = models.PositiveIntegerField(
        "reveal deadline",
        default=15,
        validators=[MinValueValidator(MIN_REVEAL_S), MaxValueValidator(86_400)],
        help_text=(
            "Parties reveal their secrets until this many seconds before the end of the margin; in them the relays are "
            "asked, and the seal is made."
        ),
    )
    claim_s = models.PositiveIntegerField(
        "time to claim",
        default=3 * 24 * 3600,
        validators=[MinValueValidator(10), MaxValueValidator(MAX_CLAIM_S)],
        help_text="Seconds; a prize that is not claimed by then goes to the next reserve.",
    )
    publish_by_s = models.PositiveIntegerField(
        "time to publish",
        default=24 * 3600,
        validators=[MinValueValidator(MIN_PUBLISH_S), MaxValueValidator(MAX_PUBLISH_S)],
        help_text="Seconds after the seal; a result that nobody has published by then is published by itself.",
    )
    draw_at_once = models.BooleanField(
        default=True, help_text="Draw as soon as it may be, without an operator."
    )
    eligibility = models.TextField(default=ELIGIBILITY)
    # The id of the spoiled draw whose prizes these are (prizes/steps/repeat.py).
    repeats = models.CharField(max_length=120, blank=True, editable=False)

    class Meta:
        ordering = ("segment", "number")
        constraints = (
            models.UniqueConstraint(fields=["segment", "number"], name="one_prize_list_of_a_number"),
        )

    def __str__(self) -> str:
        return f"{self.segment} / list {self.number}"

    def clean(self) -> None:
        if (self.reveal_deadline_s or 0) >= (self.seal_margin_s or 0):
            raise ValidationError("The reveal deadline lies within the seal margin: it has to be shorter.")
        if (self.publish_by_s or 0) < (self.seal_margin_s or 0) + MIN_PUBLISH_S:
            raise ValidationError(
                f"The time to publish has to be {MIN_PUBLISH_S} s longer than the seal margin, at least."
            )
        if self.segment_id is not None:
            refuse_when_armed(self.segment)

    def validate_constraints(self, exclude: Any = None) -> None:
        # A number that is taken is no error: the list that has it moves (engagement/positions.py).
        super().validate_constraints({*(exclude or ()), "number"})


class Prize(models.Model):
    """A garment that a celebrity wears on stage; one winner for each of its pieces."""

    prize_list = models.ForeignKey(PrizeList, models.CASCADE, related_name="prizes")
    position = models.PositiveSmallIntegerField(default=1, help_text="Drawn in this order.")
    celebrity = models.CharField(max_length=80)
    celebrity_zh = models.CharField("celebrity (Chinese)", max_length=80, blank=True)
    brand = models.CharField(max_length=80)
    garment = models.CharField(max_length=80)
    garment_zh = models.CharField("garment (Chinese)", max_length=80, blank=True)
    size = models.CharField(max_length=20)
    quantity = models.PositiveSmallIntegerField(
        default=1, validators=[MinValueValidator(1), MaxValueValidator(1000)]
    )
    value_minor = models.PositiveBigIntegerField(
        "value", help_text="Of one piece, in minor units (fen, cents)."
    )
    currency = models.CharField(
        max_length=3,
        default="CNY",
        validators=[RegexValidator("^[A-Z]{3}$", "Three capital letters, as in CNY.")],
    )
    # Brought on a page of the console (prizes/views/pictures.py); announced with the prize.
    picture = models.ForeignKey(
        Picture, models.PROTECT, related_name="prizes", null=True, blank=True, editable=False
    )
    picture_alt = models.CharField(max_length=80, blank=True, editable=False)
    picture_alt_zh = models.CharField(max_length=80, blank=True, editable=False)

    class Meta:
        ordering = ("prize_list", "position", "id")
        constraints = (
            models.UniqueConstraint(fields=["prize_list", "position"], name="one_prize_at_a_position"),
        )

    def __str__(self) -> str:
        return f"{self.garment} worn by {self.celebrity}"

    def clean(self) -> None:
        if self.prize_list_id is not None and self.prize_list.segment_id is not None:
            refuse_when_armed(self.prize_list.segment)


def refuse_when_armed(segment: Segment) -> None:
    """Prizes and rules are committed to when the segment is armed; nothing in them can change after that."""
    if segment.phase not in EDITABLE:
        raise ValidationError(
            f"The segment is {segment.phase}: its prizes and rules cannot be edited any more."
        )


class Exclusion(models.Model):
    """Somebody who may not win in a show (staff): only the pseudonym is kept."""

    show = models.ForeignKey(Show, models.CASCADE, related_name="exclusions")
    pseudonym = models.CharField(
        max_length=28, validators=[RegexValidator("^[0-9a-f]{28}$", "28 hex digits.")]
    )
    note = models.CharField(max_length=120, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["show", "pseudonym"], name="one_exclusion_per_viewer"),
        )

    def __str__(self) -> str:
        return self.pseudonym


class Party(models.Model):
    """Somebody beside the house who adds a secret to every draw of a show: a notary, a broadcaster, a charity."""

    show = models.ForeignKey(Show, models.CASCADE, related_name="parties")
    name = models.SlugField(max_length=40, help_text="In the rules of every draw; cannot change later.")
    title = models.CharField(max_length=120)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="parties",
        null=True,
        blank=True,
        help_text="The account that commits and reveals on the party's own page; without one, on the command line.",
    )

    class Meta:
        ordering = ("show", "name")
        verbose_name_plural = "parties"
        constraints = (
            models.UniqueConstraint(fields=["show", "name"], name="one_party_of_a_name"),
            models.CheckConstraint(condition=~Q(name=HOUSE), name="the_house_is_no_party_row"),
        )

    def __str__(self) -> str:
        return self.title


class Commitment(models.Model):
    """What a party has promised for the draw of a prize list, before the segment is armed."""

    prize_list = models.ForeignKey(PrizeList, models.CASCADE, related_name="commitments")
    party = models.ForeignKey(Party, models.CASCADE, related_name="commitments")
    # What it is bound to: a draft that is renumbered later gets another id, and needs new commitments.
    draw_id = models.CharField(max_length=120)
    commitment = models.CharField(
        max_length=64, validators=[RegexValidator("^[0-9a-f]{64}$", "64 hex digits.")]
    )
    made_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["prize_list", "party"], name="one_commitment_of_a_party"),
        )

    def __str__(self) -> str:
        return f"{self.party} for {self.prize_list}"


@lru_cache(maxsize=8)
def _parse_rules(rules: str) -> dict[str, Any]:
    """The same text is asked for with every claim, and lists all pieces: 1,000 of them take 2 ms to parse."""
    parsed: dict[str, Any] = json.loads(rules)
    return parsed


class Draw(models.Model):
    """One draw: precommitted when its segment is armed, then frozen, sealed, drawn and published, each once."""

    class Step(models.TextChoices):
        COMMITTED = "committed"
        SEALED = "sealed"
        DRAWING = "drawing"
        DRAWN = "drawn"
        PUBLISHED = "published"
        SPOILED = "spoiled"  # no seal in time: nothing is drawn from its roll

    show = models.ForeignKey(Show, models.PROTECT, related_name="draws")
    segment = models.ForeignKey(Segment, models.PROTECT, related_name="draws")
    prize_list = models.ForeignKey(PrizeList, models.PROTECT, related_name="draws")
    draw_id = models.CharField(max_length=120, unique=True)
    step = models.CharField(max_length=10, choices=Step.choices, default=Step.COMMITTED)
    # Precommitment; canonical JSON text, so that the digest is of exactly what is stored.
    rules = models.TextField()
    excluded = models.JSONField(default=list)  # pseudonyms, as committed to
    house_secret = models.TextField()  # encrypted
    committed_at_ms = models.BigIntegerField()
    committed_ledger = models.PositiveIntegerField()
    # Freeze and seal
    roll_header = models.CharField(max_length=128, blank=True)
    roll_root = models.CharField(max_length=64, blank=True)
    roll_sha256 = models.CharField(max_length=64, blank=True)  # of the file, for whoever downloads it
    totals_digest = models.CharField(max_length=64, blank=True)
    entries = models.PositiveBigIntegerField(null=True)
    tickets = models.PositiveBigIntegerField(null=True)
    classes = models.JSONField(default=list)  # [[tickets, entries], ...]: how many have how many tickets
    # {"blocks", "entries", "kept", "sha256"}: what blocks had too many, and the file of those left out
    shared = models.JSONField(default=dict)
    seal = models.CharField(max_length=64, blank=True)
    sealed_at_ms = models.BigIntegerField(null=True)
    sealed_ledger = models.PositiveIntegerField(null=True)
    prior = models.TextField(blank=True)  # canonical JSON: who had won by the seal, and what was pending
    previous_seal = models.CharField(max_length=64, blank=True)
    publish_by_ms = models.BigIntegerField(null=True)  # as promised in the rules, from the seal on
    # Beacon and draw
    requested_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    started_ledger = models.PositiveIntegerField(null=True)
    beacon_value = models.CharField(max_length=64, blank=True)
    beacon_proof = models.JSONField(default=dict)
    beacon_ledger = models.PositiveIntegerField(null=True)
    record_digest = models.CharField(max_length=64, blank=True)
    drawn_at = models.DateTimeField(null=True)
    drawn_ledger = models.PositiveIntegerField(null=True)
    published_at = models.DateTimeField(null=True)
    published_ledger = models.PositiveIntegerField(null=True)
    # Where a reserve has to wait before it moves up: when to look again.
    settle_at_ms = models.BigIntegerField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    trouble = models.TextField(blank=True)  # why it does not go on; shown to the operator
    disagreement = models.TextField(
        blank=True
    )  # the second implementation does not confirm it: it is stopped

    class Meta:
        ordering = ("segment", "prize_list__number")
        permissions = (
            ("enter_dice", "Can enter the throws of the dice"),
            ("audit_draw", "Can read totals and rolls"),
            ("ask_disqualification", "Can ask for the disqualification of a winner"),
            ("approve_disqualification", "Can approve a disqualification that somebody else has asked for"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=["segment", "prize_list"], name="one_draw_per_segment_and_prize_list"
            ),
            models.UniqueConstraint(
                fields=["show"], condition=Q(step="drawing"), name="one_running_draw_per_show"
            ),
            models.CheckConstraint(
                condition=Q(step__in=["committed", "spoiled"]) | ~Q(seal=""),
                name="nothing_is_drawn_before_the_seal",
            ),
            models.CheckConstraint(
                condition=Q(step__in=["committed", "spoiled", "sealed", "drawing"]) | ~Q(record_digest=""),
                name="drawn_means_recorded",
            ),
        )
        # Asked for every second: what is under way, among all that is over.
        indexes = (
            models.Index(fields=["step", "id"], name="draws_by_step"),
            models.Index(fields=["settle_at_ms"], name="draws_to_settle"),
        )

    def __str__(self) -> str:
        return self.draw_id

    @property
    def key(self) -> str:
        """The name of its files: of this draw, in this play of its segment."""
        return play_key(self.pk, self.segment.play)

    @property
    def promised(self) -> dict[str, Any]:
        """The rules as they were committed to. Whether they still are those is a matter of digest and ledger."""
        return dict(_parse_rules(self.rules))

    @property
    def sealed_prior(self) -> Prior:
        """What the seal fixes of earlier draws."""
        if not self.prior:
            raise ValueError("it was sealed by an earlier version, and has to be drawn by that")
        told = json.loads(self.prior)
        wins = {bytes.fromhex(row["pseudonym"]): row["draw_id"] for row in told["wins"]}
        return Prior(wins, told["pending"], bytes.fromhex(self.previous_seal))

    @property
    def beacon_kind(self) -> str:
        """As promised in the rules; the prize list's row may have been changed since."""
        return str(self.promised["beacon"]["kind"])


def known(value: int | None) -> int:
    """A column that an earlier step has filled; that it has not is our own bug."""
    if value is None:
        raise RuntimeError("a step ran before the step that it builds on")
    return value


class Freeze(models.Model):
    """The tally of a segment as it stood when it was closed: made once, never changed."""

    segment = models.OneToOneField(Segment, models.PROTECT, related_name="freeze")
    shards = models.PositiveSmallIntegerField()
    fenced_at_ms = models.BigIntegerField()
    missing_gateways = models.JSONField(default=list)  # those that never confirmed their flush
    frozen_at_ms = models.BigIntegerField(null=True)
    viewers = models.PositiveBigIntegerField(null=True)
    shakes = models.PositiveBigIntegerField(null=True)
    kinds = models.JSONField(default=dict)  # kind of pass -> viewers
    review = models.JSONField(default=dict)  # what the crew is shown of blocks (prizes/steps/hints.py)
    origins_sha256 = models.CharField(max_length=64, blank=True)
    ledger = models.PositiveIntegerField(null=True)

    def __str__(self) -> str:
        return f"freeze of {self.segment}"


class FrozenShard(models.Model):
    """One shard of a freeze, written to a file."""

    freeze = models.ForeignKey(Freeze, models.PROTECT, related_name="frozen_shards")
    number = models.PositiveSmallIntegerField()
    viewers = models.PositiveBigIntegerField()
    shakes = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    origins_sha256 = models.CharField(max_length=64, blank=True)
    parts = models.JSONField(default=dict)  # draw id -> SHA-256 of this shard's part of its roll

    class Meta:
        ordering = ("freeze", "number")
        constraints = (models.UniqueConstraint(fields=["freeze", "number"], name="one_freeze_of_a_shard"),)

    def __str__(self) -> str:
        return f"shard {self.number} of {self.freeze}"


class Reveal(models.Model):
    """The secret of a party, revealed after the window and before the seal; never changed."""

    draw = models.ForeignKey(Draw, models.PROTECT, related_name="revealed")
    party = models.CharField(max_length=40)
    secret = models.TextField()  # encrypted like all secrets, though the ledger tells it from now on
    at_ms = models.BigIntegerField()
    ledger = models.PositiveIntegerField()

    class Meta:
        ordering = ("draw", "ledger")
        constraints = (models.UniqueConstraint(fields=["draw", "party"], name="one_reveal_of_a_party"),)

    def __str__(self) -> str:
        return f"secret of {self.party}"


class DiceEntry(models.Model):
    """The throws of the dice as one operator has typed them; two must agree."""

    draw = models.ForeignKey(Draw, models.PROTECT, related_name="dice_entries")
    operator = models.CharField(max_length=150)
    digits = models.CharField(max_length=400)
    entered_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "dice entries"
        constraints = (
            models.UniqueConstraint(fields=["draw", "operator"], name="one_dice_entry_per_operator"),
        )

    def __str__(self) -> str:
        return f"dice as typed by {self.operator}"  # never the digits: the second operator must not see them


class Win(models.Model):
    """A viewer has won a piece, in the draw or later as a reserve. One win per viewer and show, one holder a piece."""

    class Status(models.TextChoices):
        WON = "won"
        CLAIMED = "claimed"
        FORFEITED = "forfeited"
        DISQUALIFIED = "disqualified"

    HELD = (Status.WON, Status.CLAIMED)

    show = models.ForeignKey(Show, models.PROTECT, related_name="wins")
    draw = models.ForeignKey(Draw, models.PROTECT, related_name="wins")
    prize = models.ForeignKey(Prize, models.PROTECT, related_name="wins")
    piece = models.PositiveSmallIntegerField()  # 1 .. the prize's quantity
    rank = models.PositiveIntegerField()  # in the draw's ranking
    pseudonym = models.CharField(max_length=28)
    name = models.CharField(max_length=60)  # by which a host calls the winner (prizes/names.py)
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.WON)
    claim_by = models.DateTimeField(null=True)  # since the winner was told
    named_at_ms = models.BigIntegerField(null=True)  # when the wall says the name, where a host names winners

    class Meta:
        ordering = ("draw", "rank")
        constraints = (
            models.UniqueConstraint(fields=["draw", "pseudonym"], name="one_win_per_viewer_per_draw"),
            models.UniqueConstraint(
                fields=["show", "pseudonym"],
                condition=Q(status__in=["won", "claimed"]),
                name="one_win_held_per_viewer_per_show",
            ),
            models.UniqueConstraint(
                fields=["prize", "piece"],
                condition=Q(status__in=["won", "claimed"]),
                name="one_holder_per_piece",
            ),
            models.UniqueConstraint(
                fields=["show", "name"],
                condition=Q(status__in=["won", "claimed"]),
                name="one_winner_of_a_name_per_show",
            ),
        )
        indexes = (
            models.Index(fields=["status", "claim_by"], name="wins_by_deadline"),
            models.Index(fields=["show", "draw", "rank"], name="wins_of_a_show"),
        )

    def __str__(self) -> str:
        return f"{self.pseudonym[:8]} won {self.prize}"

    @property
    def piece_id(self) -> str:
        """The id of the piece in the draw's rules."""
        return f"{self.prize_id}-{self.piece}"


class Disposition(models.Model):
    """What became of a prize after the draw (docs/draw.md, section 7): one line of the record, never changed."""

    draw = models.ForeignKey(Draw, models.PROTECT, related_name="dispositions")
    pseudonym = models.CharField(max_length=28)
    piece = models.CharField(
        max_length=24, blank=True
    )  # as in the rules; empty for a reserve that is passed over
    status = models.CharField(max_length=12)
    reason = models.CharField(max_length=40, blank=True)
    at_ms = models.BigIntegerField()
    ledger = models.PositiveIntegerField()

    class Meta:
        ordering = ("draw", "ledger")
        constraints = (models.UniqueConstraint(fields=["draw", "ledger"], name="one_disposition_per_entry"),)

    def __str__(self) -> str:
        return f"{self.pseudonym[:8]} {self.status}"


class Disqualification(models.Model):
    """One person asks, with a reason of the closed list; another one approves or refuses."""

    win = models.ForeignKey(Win, models.PROTECT, related_name="disqualifications")
    reason = models.CharField(max_length=40)
    asked_by = models.CharField(max_length=150)
    asked_session = models.CharField(max_length=64, blank=True)  # a fingerprint of the login
    asked_at = models.DateTimeField()
    decided_by = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True)
    approved = models.BooleanField(null=True)

    class Meta:
        ordering = ("asked_at",)
        constraints = (
            models.CheckConstraint(condition=~Q(decided_by=F("asked_by")), name="two_people_disqualify"),
            models.UniqueConstraint(
                fields=["win"], condition=Q(approved=None), name="one_open_disqualification_per_win"
            ),
        )

    def __str__(self) -> str:
        return f"disqualification of {self.win}"
