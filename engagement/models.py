"""Show, Feed, Segment and the Ledger: the truth of the live side."""

import secrets
from typing import Any, NamedTuple, NoReturn

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from engagement.clock import to_ms
from engagement.core.digests import key_fingerprint
from engagement.core.phases import Phase
from engagement.core.windows import grace_end, segment_end
from engagement.vault import lock_secret, open_secret

# Phases in which nothing about a segment may be edited any more: its rules are committed to.
EDITABLE = frozenset({Phase.DRAFT})
LONGEST_ACTOR, LONGEST_REASON = 150, 500


def new_show_key() -> str:
    """A fresh show key (docs/draw.md, section 1), encrypted."""
    return lock_secret(secrets.token_bytes(32))


def auto_cue() -> dict[str, Any]:
    """The screens follow the phase."""
    return {"kind": "auto", "at": 0}


def new_epoch() -> int:
    return secrets.randbelow(2**31 - 1) + 1


def new_play(show: "Show") -> str:
    """A name for one arming of a segment that no other has, in this database or in a copy of it.

    The fingerprint of the show's key is a part of it: a gateway that has another key writes nothing under this name.
    """
    return f"{secrets.token_hex(8)}-{key_fingerprint(show.slug, open_secret(show.k_show))}"


def play_key(number: int, play: str) -> str:
    """The name of what belongs to one play: the segment's or draw's number, for people, and the play.

    What was armed before plays had names has its number alone.
    """
    return f"{number}-{play}" if play else str(number)


class RollVisibility(models.TextChoices):
    """Who may read whole rolls; receipts are everybody's."""

    PUBLIC = "public", "everybody"
    AUDITOR = "auditor", "auditors only"


class Show(models.Model):
    """One gala night; has feeds, segments and one show key."""

    slug = models.SlugField(
        unique=True, help_text="In addresses and in every pseudonym; cannot change later."
    )
    title = models.CharField(max_length=120)
    title_zh = models.CharField("title (Chinese)", max_length=120, blank=True)
    guests_allowed = models.BooleanField(
        default=False, help_text="Anybody may get a guest pass from this site."
    )
    max_hz = models.PositiveSmallIntegerField(
        default=8,
        validators=[MinValueValidator(1), MaxValueValidator(50)],
        help_text="Shakes per second that count.",
    )
    burst = models.PositiveSmallIntegerField(default=10, help_text="Shakes on top, for a quick start.")
    grace_ms = models.PositiveIntegerField(
        default=3000,
        validators=[MinValueValidator(500), MaxValueValidator(60_000)],
        help_text="How long after the last feed's window final totals are taken, in ms.",
    )
    draws_per_minute = models.PositiveSmallIntegerField(
        default=6,
        validators=[MinValueValidator(1), MaxValueValidator(60)],
        help_text="So that results reach the stage at a pace a host can read out.",
    )
    publish_by_two = models.BooleanField(
        "publish by two people",
        default=False,
        help_text="One person asks to publish, a second one agrees; nothing is published at once.",
    )
    max_prize_value = models.PositiveBigIntegerField(
        default=5_000_000,
        help_text="No prize is worth more, in minor units of its currency; 50,000 yuan is what Chinese law allows.",
    )
    roll_visibility = models.CharField(
        max_length=8,
        choices=RollVisibility.choices,
        default=RollVisibility.PUBLIC,
        help_text="Who may download the roll of a published draw: pseudonyms and tickets, nothing else.",
    )
    k_show = models.TextField(default=new_show_key, editable=False)
    revoked = models.JSONField(default=list, editable=False)  # passes: engagement/revoking.py
    epoch = models.PositiveIntegerField(default=new_epoch, editable=False)
    # What gateways were told of it: `seq` counts what everybody sees, `wins_step` what became of prizes since.
    seq = models.PositiveBigIntegerField(default=0, editable=False)
    wins_step = models.PositiveBigIntegerField(default=0, editable=False)
    announced = models.CharField(
        max_length=64, editable=False, default=""
    )  # the digest of what everybody sees
    stale = models.BooleanField(default=False, editable=False)  # something has changed since, perhaps
    # What screens show while nothing else is on, and what the cue `standby` shows; brought on a page of the console.
    picture = models.ForeignKey(
        "Picture", models.PROTECT, related_name="shows", null=True, blank=True, editable=False
    )
    picture_alt = models.CharField(max_length=80, blank=True, editable=False)
    picture_alt_zh = models.CharField(max_length=80, blank=True, editable=False)
    standby_picture = models.ForeignKey(
        "Picture", models.PROTECT, related_name="standby_shows", null=True, blank=True, editable=False
    )
    cue = models.JSONField(default=auto_cue, editable=False)  # what the crew has put on the screens: `Cue`
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-id",)
        # Asked for every second: what is to be announced, among all that is over.
        indexes = (models.Index(fields=["id"], condition=Q(stale=True), name="stale_shows"),)

    def __str__(self) -> str:
        return f"{self.title} ({self.slug})"  # two nights may have one title

    @property
    def last_delay_ms(self) -> int:
        """The delay of the feed that is furthest behind."""
        return max((feed.delay_ms for feed in self.feeds.all()), default=0)


class Feed(models.Model):
    """One way the show reaches viewers, with a delay behind the studio."""

    show = models.ForeignKey(Show, models.CASCADE, related_name="feeds")
    name = models.SlugField(max_length=32, help_text="What a phone says in `hello`.")
    title = models.CharField(max_length=80)
    delay_ms = models.PositiveIntegerField(
        default=0, validators=[MaxValueValidator(300_000)], help_text="Behind the studio, in ms."
    )
    position = models.PositiveSmallIntegerField(default=0, help_text="The first one is the default.")
    language = models.CharField(
        max_length=8, blank=True, choices=settings.LANGUAGES, help_text="Of who prefers none of the site's."
    )

    class Meta:
        ordering = ("position", "id")
        constraints = (models.UniqueConstraint(fields=["show", "name"], name="one_feed_of_a_name"),)

    def __str__(self) -> str:
        return f"{self.title} (+{self.delay_ms} ms)"


class AirTime(NamedTuple):
    """A scheduled segment in ms: studio time, the end of the last feed's window, and the end of the grace."""

    opens_at: int
    closes_at: int
    ends_at: int
    grace_ends_at: int


class Segment(models.Model):
    """One interactive slot in the rundown; the unit that is opened, closed and drawn."""

    show = models.ForeignKey(Show, models.CASCADE, related_name="segments")
    position = models.PositiveSmallIntegerField(help_text="In the rundown.")
    title = models.CharField(max_length=120)
    title_zh = models.CharField("title (Chinese)", max_length=120, blank=True)
    phase = models.CharField(
        max_length=10,
        choices=[(phase.value, phase.value) for phase in Phase],
        default=Phase.DRAFT,
        editable=False,
    )
    window_s = models.PositiveSmallIntegerField(
        "window",
        default=30,
        validators=[MinValueValidator(1), MaxValueValidator(3600)],
        help_text="Seconds of shaking.",
    )
    publish_at_once = models.BooleanField(
        default=False, help_text="Publish without an operator, as soon as it is drawn."
    )
    opens_at = models.DateTimeField(null=True, blank=True, editable=False)
    closes_at = models.DateTimeField(null=True, blank=True, editable=False)
    phase_at = models.DateTimeField(null=True, editable=False)  # since when it is in its phase
    shards = models.PositiveSmallIntegerField(default=0, editable=False)
    play = models.CharField(max_length=33, default="", editable=False)  # `new_play`, when it is armed
    # What phones are told: written when the segment is armed, sealed and published; winners again with every claim.
    announced_prizes = models.JSONField(default=list, editable=False)
    announced_seals = models.JSONField(default=list, editable=False)
    announced_checkpoint = models.TextField(
        default="", editable=False
    )  # signed over the seals, as they were made
    announced_results = models.JSONField(default=list, editable=False)
    announced_facts = models.JSONField(default=dict, editable=False)  # `Facts` of its draws
    announced_naming = models.JSONField(
        default=dict, editable=False
    )  # `Naming`, once the first winner is named
    published_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ("position", "id")
        permissions = (
            ("run_segment", "Can arm, open, close, draw and publish"),
            ("void_segment", "Can void a segment"),
        )
        constraints = (
            models.UniqueConstraint(fields=["show", "position"], name="one_segment_at_a_position"),
            models.UniqueConstraint(
                fields=["show"], condition=Q(phase=Phase.OPEN), name="one_open_segment_per_show"
            ),
            models.UniqueConstraint(fields=["play"], condition=~Q(play=""), name="one_segment_of_a_play"),
            models.CheckConstraint(
                condition=Q(opens_at=None, closes_at=None) | Q(closes_at__gte=F("opens_at")),
                name="closes_after_it_opens",
            ),
            models.CheckConstraint(
                condition=Q(phase__in=[Phase.DRAFT, Phase.ARMED, Phase.VOID]) | Q(opens_at__isnull=False),
                name="on_air_means_scheduled",
            ),
        )
        # Asked for every second: what is under way, among all that is over.
        indexes = (models.Index(fields=["phase", "opens_at"], name="segments_by_phase"),)

    def __str__(self) -> str:
        return f"{self.position}. {self.title}"

    def clean(self) -> None:
        if self.pk and self.phase not in EDITABLE:
            raise ValidationError(
                f"A segment that is {self.phase} cannot be edited: its rules are committed to."
            )

    def validate_constraints(self, exclude: Any = None) -> None:
        # A position that is taken is no error: drafts that are in the way move (engagement/positions.py).
        super().validate_constraints({*(exclude or ()), "position"})

    @property
    def key(self) -> str:
        """The name of this play of the segment, in Redis and of its files: no other arming has the same."""
        return play_key(self.pk, self.play)

    @property
    def air_time(self) -> AirTime:
        """When it is on air; ValueError while it is not scheduled."""
        if self.opens_at is None or self.closes_at is None:
            raise ValueError(f"{self} is not scheduled")
        opens_at, closes_at, delay = to_ms(self.opens_at), to_ms(self.closes_at), self.show.last_delay_ms
        return AirTime(
            opens_at,
            closes_at,
            segment_end(closes_at, delay),
            grace_end(closes_at, delay, self.show.grace_ms),
        )


class AppendOnly(models.QuerySet[Any]):
    """What stands in the ledger is written once."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("the ledger is append-only: write a new entry with engagement.ledger.append_entry")

    update = delete = bulk_create = bulk_update = _refuse


class LedgerRow(models.Model):
    """A row of the ledger; triggers hold the same for SQL (engagement/ledger/guards.py)."""

    objects = AppendOnly.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError(
                "the ledger is append-only: write a new entry with engagement.ledger.append_entry"
            )
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("the ledger is append-only")


class LedgerEntry(LedgerRow):
    """One line of a show's ledger: what an operator or the system did. Written by engagement.ledger only."""

    show = models.ForeignKey(Show, models.PROTECT, related_name="ledger")
    position = models.PositiveIntegerField()
    at_ms = models.BigIntegerField()
    actor = models.CharField(max_length=LONGEST_ACTOR)
    action = models.CharField(max_length=40)
    reason = models.CharField(max_length=LONGEST_REASON, blank=True)
    details = models.TextField()  # canonical JSON, so that the digest can be recomputed from what is stored
    previous = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)
    # What opens the digests that stand for people in the public form of the entry: 16 bytes in hex, and the names in
    # `details` as canonical JSON. Without a salt it is an entry of the first version, which names its actor.
    salt = models.CharField(max_length=32, blank=True)
    people = models.TextField(blank=True)
    # The hashes of the Merkle tree that are complete with this entry, in hex, from its leaf upwards: two on average.
    nodes = models.TextField(blank=True)

    class Meta:
        ordering = ("show", "position")
        verbose_name_plural = "ledger entries"
        constraints = (
            models.UniqueConstraint(fields=["show", "position"], name="one_ledger_entry_at_a_position"),
        )

    def __str__(self) -> str:
        return f"{self.position} {self.action}"


class Installation(models.Model):
    """The one row that tells under which name the things of this database lie in Redis (engagement/keys.py)."""

    name = models.CharField(max_length=64)

    class Meta:
        constraints = (models.CheckConstraint(condition=Q(id=1), name="one_installation"),)

    def __str__(self) -> str:
        return self.name


class Restore(models.Model):
    """The database was found to be older than what was announced from it; everything waits until a person confirms."""

    noticed_at_ms = models.BigIntegerField()
    lost = models.JSONField()  # [{"show", "told", "held"}, ...]: where its ledger was, and where it is
    confirmed_at_ms = models.BigIntegerField(null=True)
    confirmed_by = models.CharField(max_length=LONGEST_ACTOR, blank=True)

    class Meta:
        ordering = ("noticed_at_ms",)
        permissions = (("confirm_restore", "Can confirm that the database was restored"),)
        constraints = (
            models.CheckConstraint(
                condition=Q(confirmed_at_ms=None) | ~Q(confirmed_by=""), name="a_person_confirms_a_restore"
            ),
        )

    def __str__(self) -> str:
        return f"restore of {', '.join(row['show'] for row in self.lost)}"


class LedgerCheckpoint(LedgerRow):
    """The root over the first `size` entries of a show's ledger, signed (docs/ledger.md)."""

    show = models.ForeignKey(Show, models.PROTECT, related_name="checkpoints")
    size = models.PositiveIntegerField()
    root = models.CharField(max_length=64)
    note = models.TextField()
    at_ms = models.BigIntegerField()

    class Meta:
        ordering = ("show", "size")
        constraints = (models.UniqueConstraint(fields=["show", "size"], name="one_checkpoint_of_a_size"),)

    def __str__(self) -> str:
        return f"checkpoint of {self.size} entries"
