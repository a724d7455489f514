from django.apps import AppConfig

PROMISED = (
    "show_id",
    "segment_id",
    "prize_list_id",
    "draw_id",
    "rules",
    "excluded",
    "house_secret",
    "committed_at_ms",
    "committed_ledger",
)
WRITTEN_ONCE = (
    "roll_header",
    "roll_root",
    "roll_sha256",
    "totals_digest",
    "entries",
    "tickets",
    "classes",
    "shared",
    "seal",
    "sealed_at_ms",
    "sealed_ledger",
    "prior",
    "previous_seal",
    "publish_by_ms",
    "beacon_value",
    "beacon_proof",
    "beacon_ledger",
    "record_digest",
    "drawn_at",
    "drawn_ledger",
    "published_at",
    "published_ledger",
)


WHO_WON = ("show_id", "draw_id", "prize_id", "piece", "rank", "pseudonym", "name")
ASKED = (
    "show_id", "segment_id", "action", "subject", "what", "reason", "asked_by", "asked_session", "asked_at_ms",
)  # fmt: skip
FROZEN = (
    "segment_id",
    "shards",
    "fenced_at_ms",
    "frozen_at_ms",
    "viewers",
    "shakes",
    "kinds",
    "origins_sha256",
    "ledger",
)


class PrizesConfig(AppConfig):
    name = "prizes"
    verbose_name = "Draw side"

    def ready(self) -> None:
        from django.contrib.auth.signals import user_logged_in, user_logged_out

        from engagement import vault, wins
        from engagement.ledger import guards, witnessed
        from prizes.cosignatures import describe_witnesses, read_below
        from prizes.crew import factors, sessions
        from prizes.crew.arrivals import welcome
        from prizes.results import describe_wins
        from prizes.stamps import describe_stampers

        wins.describe_wins = describe_wins
        witnessed.describe_witnesses, witnessed.read_below = describe_witnesses, read_below
        witnessed.describe_stampers = describe_stampers
        vault.reencrypts.append(factors.reencrypt)
        user_logged_in.connect(welcome)
        user_logged_out.connect(sessions.forget)
        guards.register(
            guards.frozen_columns("prizes_draw", PROMISED),
            guards.frozen_columns("prizes_draw", WRITTEN_ONCE, once_set=True),
            guards.keep_rows("prizes_draw"),
            guards.frozen_columns("prizes_freeze", FROZEN, once_set=True),
            guards.keep_rows("prizes_freeze"),
            guards.append_only("prizes_frozenshard"),
            guards.frozen_columns("prizes_win", WHO_WON),
            guards.frozen_columns("prizes_win", ["named_at_ms"], once_set=True),
            guards.keep_rows("prizes_win"),
            guards.keep_rows("prizes_disqualification"),
            guards.keep_rows("prizes_repeat"),
            guards.frozen_columns("prizes_repeat", ("segment_id", "reason", "asked_by")),
            guards.frozen_columns("prizes_repeat", ("agreed_by", "draft_id"), once_set=True),
            guards.keep_rows("prizes_approval"),
            guards.frozen_columns("prizes_approval", ASKED),
            guards.frozen_columns(
                "prizes_approval", ("decided_by", "decided_at_ms", "approved"), once_set=True
            ),
            guards.append_only("prizes_reveal"),
            guards.append_only("prizes_disposition"),
            guards.append_only("prizes_cosignature"),
            guards.append_only("prizes_stamp"),
        )
