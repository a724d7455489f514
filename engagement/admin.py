"""The administration of the live side: shows, feeds, segments; the ledger to read.

What is committed to cannot be edited: a segment that left `draft`, and the feeds and limits of a show while one of its
segments may take reports. Every save announces the new state.
"""

from typing import Any, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from engagement.actions import lock_segment, touch_show
from engagement.broadcast import forget_state
from engagement.core.phases import REPORTING
from engagement.models import EDITABLE, Feed, LedgerCheckpoint, LedgerEntry, Segment, Show

admin.site.site_header = admin.site.site_title = "Shake to win"
admin.site.index_title = "Administration"

LATE = "Somebody has armed the segment in the meantime: nothing was saved."


class ReadOnlyAdmin(admin.ModelAdmin):
    """What the system writes and people only read."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False


class AnnouncingAdmin(admin.ModelAdmin):
    """Tells the gateways after every edit, and writes only what was edited.

    A whole row written back would undo what the conductor did while the form was open: the show's `seq`, a phase.
    """

    def show_of(self, obj: Any) -> Show:
        """The show whose gateways are told."""
        return cast(Show, obj.show)

    def check_still_editable(self, obj: Any) -> None:
        """Looks again, now that nobody else can change it; raises PermissionDenied."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        self.check_still_editable(obj)
        if change:
            obj.save(update_fields=form.changed_data)
        else:
            obj.save()

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        touch_show(self.show_of(form.instance))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        show = self.show_of(obj)
        super().delete_model(request, obj)
        touch_show(show)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        shows = {self.show_of(obj) for obj in queryset}
        super().delete_queryset(request, queryset)
        for show in shows:
            touch_show(show)


def is_busy(show: Show | None) -> bool:
    """Whether a segment of the show has its rules committed to and may still take reports."""
    return show is not None and show.segments.filter(phase__in=REPORTING).exists()


def refuse_unless_draft(segment: Segment) -> None:
    """Locks the segment for the rest of the request; raises PermissionDenied where it was armed in the meantime."""
    if lock_segment(segment.pk).phase not in EDITABLE:
        raise PermissionDenied(LATE)


class FeedInline(admin.TabularInline):
    """Feeds stand in the rules of every armed segment, so they rest while one of them is under way."""

    model = Feed
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not is_busy(obj) and super().has_add_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not is_busy(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not is_busy(obj) and super().has_delete_permission(request, obj)


@admin.register(Show)
class ShowAdmin(AnnouncingAdmin):
    list_display = ("title", "slug", "control_room", "created_at")
    inlines = (FeedInline,)
    fields = (
        "slug",
        "title",
        "title_zh",
        "guests_allowed",
        "max_hz",
        "burst",
        "grace_ms",
        "draws_per_minute",
        "max_prize_value",
        "roll_visibility",
        "control_room",
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fixed = ("control_room", *(("slug",) if obj else ()))
        if obj is not None and obj.segments.exclude(phase__in=EDITABLE).exists():
            fixed = (*fixed, "roll_visibility")  # what viewers were told when they took part
        return (*fixed, "max_hz", "burst", "grace_ms") if is_busy(obj) else fixed

    @admin.display(description="control room")
    def control_room(self, show: Show) -> str:
        if show.pk is None:
            return "after saving"
        return format_html('<a href="{}">Control room</a>', reverse("control_room", args=[show.slug]))

    def show_of(self, obj: Show) -> Show:
        return obj

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        # Arming locks the show's row too: from here on the answer of is_busy stands.
        show = Show.objects.select_for_update().get(pk=form.instance.pk)
        if is_busy(show) and any(formset.has_changed() for formset in formsets):
            raise PermissionDenied(LATE)
        super().save_related(request, form, formsets, change)

    def delete_model(self, request: HttpRequest, obj: Show) -> None:
        obj.delete()
        forget_state(obj.slug)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for show in queryset:
            self.delete_model(request, show)


@admin.register(Segment)
class SegmentAdmin(AnnouncingAdmin):
    list_display = ("title", "show", "position", "phase", "opens_at", "closes_at")
    list_filter = ("show", "phase")
    list_select_related = ("show",)
    ordering = ("show", "position")
    fields = ("show", "position", "title", "title_zh", "window_s", "publish_at_once", "phase")
    readonly_fields = ("phase",)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if obj is not None and "show" in form.base_fields:
            # Disabled, not read-only: so that the form still sees that a position is taken in this show.
            form.base_fields["show"].disabled = True
        return form

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_draft(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_draft(obj) and super().has_delete_permission(request, obj)

    def check_still_editable(self, obj: Segment) -> None:
        if obj.pk:
            refuse_unless_draft(obj)


def _is_draft(segment: Segment | None) -> bool:
    return segment is None or segment.phase in EDITABLE


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnlyAdmin):
    list_display = ("show", "position", "at_ms", "actor", "action", "reason")
    list_filter = ("show", "action", "actor")
    list_select_related = ("show",)


@admin.register(LedgerCheckpoint)
class LedgerCheckpointAdmin(ReadOnlyAdmin):
    list_display = ("show", "size", "root", "at_ms")
    list_filter = ("show",)
    list_select_related = ("show",)
