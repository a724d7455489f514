from importlib import import_module

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class EngagementConfig(AppConfig):
    name = "engagement"
    verbose_name = "Live side"

    def import_models(self) -> None:
        super().import_models()
        for room in ("fair_play", "pictures"):  # they stand above engagement/models.py
            import_module(f"engagement.{room}.models")

    def ready(self) -> None:
        from engagement.ledger import guards
        from engagement.roles import create_roles

        guards.register(
            guards.append_only("engagement_ledgerentry"),
            guards.append_only("engagement_ledgercheckpoint"),
            guards.keep_rows("engagement_restore"),
            guards.keep_rows("engagement_installation"),
            guards.promised("engagement_show", "id", ("guests_allowed", "max_hz", "burst", "grace_ms")),
            guards.promised("engagement_feed", "show_id"),
            guards.promised("engagement_fairplay", "show_id"),
        )
        pre_migrate.connect(guards.make_way, sender=self, dispatch_uid="engagement.ledger.guards")
        # Once per migrate, after all tables of all apps.
        post_migrate.connect(guards.install_guards, sender=self, dispatch_uid="engagement.ledger.guards")

        # Without a sender: once per app, so that the permissions of every app exist by the last time.
        post_migrate.connect(create_roles, dispatch_uid="engagement.roles")
