"""The administration of the live side: shows, feeds, segments; the ledger to read.

What is committed to cannot be edited: a segment that left `draft`, and the feeds and limits of a show while one of its
segments may take reports. Every save announces the new state.
"""

import re
from collections.abc import Callable
from typing import Any, ClassVar, cast

from django.contrib import admin
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db import models, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.forms import (
    CharField,
    CheckboxSelectMultiple,
    JSONField,
    ModelForm,
    MultipleChoiceField,
    Textarea,
)
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html

from engagement.actions import ActionRefused, announce_later, lock_segment
from engagement.broadcast import forget_state
from engagement.core.phases import REPORTING, UNDER_WAY
from engagement.core.plain_text import check_plain
from engagement.fair_play.core.promise import WAYS
from engagement.fair_play.models import FairPlay
from engagement.fair_play.promised import BY_TWO, OF_SHOW, read_promised, tell_changes
from engagement.models import EDITABLE, Feed, LedgerCheckpoint, LedgerEntry, Segment, Show
from engagement.phrases import unseen_text
from engagement.positions import OrderedFormSet, give_place, rows_in_the_way
from engagement.restores import trouble_of

admin.site.site_header = admin.site.site_title = "Shake to win"
admin.site.index_title = "Administration"

LATE = "Somebody has armed the segment in the meantime: nothing was saved."


MOST_COUNTED = 2_000
SHOWS_TO_CHOOSE = 20


class FewPages(Paginator[Any]):
    """Counts the newest rows only, so that a list costs the same however long it is; filters find what is older."""

    @cached_property
    def count(self) -> int:
        rows = cast(QuerySet[Any], self.object_list)
        return rows.order_by()[:MOST_COUNTED].count()


class NewestShows(admin.RelatedFieldListFilter):
    """A filter by show, with the newest ones to choose from; an older one is found by its number in the address."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        shows = Show.objects.order_by("-pk").values_list("pk", "title", "slug")[:SHOWS_TO_CHOOSE]
        return [(str(number), f"{title} ({slug})") for number, title, slug in shows]


class Choices(AutocompleteJsonView):
    """What the boxes of the administration offer, by names that tell nights apart."""

    def serialize_result(self, obj: Any, to_field_name: str) -> dict[str, str]:
        return {"id": str(getattr(obj, to_field_name)), "text": name_choice(obj)}


def name_choice(row: Any) -> str:
    """Segments of different nights have the same numbers and titles."""
    return f"{row.show}: {row}" if isinstance(row, Segment) else str(row)


class Box(AutocompleteSelect):
    """Shows the form again also where no number came back; Django's own looks up whatever came."""

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        numbers = [one for one in value if re.fullmatch("[0-9]{1,18}", str(one))]
        return super().optgroups(name, numbers, attr)


class PlainFields:
    """What people type into a form of the administration has to be seen."""

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        found = super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]
        if isinstance(found, CharField) and not isinstance(found, JSONField):
            found.validators.append(
                _plain(str(db_field.verbose_name), lines=isinstance(found.widget, Textarea))
            )
        return found


def _plain(field: str, *, lines: bool) -> Callable[[str], None]:
    def check(text: str) -> None:
        try:
            check_plain(field, text, lines=lines)
        except ValueError as error:
            raise ValidationError(unseen_text(error), code="unseen") from None

    return check


class PagedAdmin(PlainFields, admin.ModelAdmin[Any]):
    """Lists begin with the newest row, and read no more than what they show."""

    ordering: ClassVar[tuple[str, ...]] = ("-pk",)
    paginator = FewPages
    show_full_result_count = False

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if db_field.name in self.get_autocomplete_fields(request):
            kwargs["widget"] = Box(db_field, self.admin_site)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class ReadOnlyAdmin(PagedAdmin):
    """What the system writes and people only read."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False


class AnnouncingAdmin(PagedAdmin):
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
        announce_later(self.show_of(form.instance).pk)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        show = self.show_of(obj)
        super().delete_model(request, obj)
        announce_later(show.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        shows = {self.show_of(obj) for obj in queryset}
        super().delete_queryset(request, queryset)
        for show in shows:
            announce_later(show.pk)


def is_busy(show: Show | None) -> bool:
    """Whether a segment of the show has its rules committed to and may still take reports."""
    return show is not None and show.segments.filter(phase__in=REPORTING).exists()


def fixed_fields(show: Show) -> tuple[str, ...]:
    """What nobody changes now: what is promised, and that one person alone does not publish what is under way."""
    by_two = (BY_TWO,) if show.segments.filter(phase__in=UNDER_WAY).exists() else ()
    return (*OF_SHOW, *by_two) if is_busy(show) else by_two


def refuse_unless_draft(segment: Segment) -> None:
    """Locks the segment for the rest of the request; raises PermissionDenied where it was armed in the meantime."""
    try:
        locked = lock_segment(segment.pk)
    except ActionRefused as refusal:
        raise PermissionDenied(str(refusal)) from None
    if locked.phase not in EDITABLE:
        raise PermissionDenied(LATE)


def lock_show(show: Show) -> Show:
    """The show as it is now, locked for the rest of the request: arming locks its row, too."""
    return Show.objects.select_for_update().get(pk=show.pk)


class FeedFormSet(OrderedFormSet):
    unique = "name"


class FeedInline(PlainFields, admin.TabularInline[Feed, Show]):
    """Feeds stand in the rules of every armed segment, so they rest while one of them is under way."""

    model = Feed
    formset = FeedFormSet
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not is_busy(obj) and super().has_add_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not is_busy(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not is_busy(obj) and super().has_delete_permission(request, obj)


class FairPlayForm(ModelForm[FairPlay]):
    ways = MultipleChoiceField(
        choices=[(way, way) for way in WAYS],
        required=False,
        widget=CheckboxSelectMultiple,
        help_text=FairPlay._meta.get_field("ways").help_text,
    )


class FairPlayInline(PlainFields, admin.StackedInline[FairPlay, Show]):
    """The row that every show has; it stands in the rules, as feeds do."""

    model = FairPlay
    form = FairPlayForm
    can_delete = False
    extra = 0
    max_num = 1

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not is_busy(obj) and super().has_change_permission(request, obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not is_busy(obj) and super().has_add_permission(request, obj)


@admin.register(Show)
class ShowAdmin(AnnouncingAdmin):
    list_display = ("title", "slug", "control_room", "created_at")
    search_fields = ("title", "slug")
    fields = (
        "slug",
        "title",
        "title_zh",
        "guests_allowed",
        "max_hz",
        "burst",
        "grace_ms",
        "draws_per_minute",
        "publish_by_two",
        "max_prize_value",
        "roll_visibility",
        "control_room",
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fixed = ("control_room", *(("slug",) if obj else ()))
        if obj is not None and obj.segments.exclude(phase__in=EDITABLE).exists():
            fixed = (*fixed, "roll_visibility")  # what viewers were told when they took part
        return (*fixed, *fixed_fields(obj)) if obj is not None else fixed

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return (FeedInline,) if obj is None else (FeedInline, FairPlayInline)  # a new show makes its row

    @admin.display(description="control room")
    def control_room(self, show: Show) -> str:
        if show.pk is None:
            return "after saving"
        return format_html('<a href="{}">Control room</a>', reverse("control_room", args=[show.slug]))

    def show_of(self, obj: Show) -> Show:
        return obj

    @transaction.atomic
    def save_model(self, request: HttpRequest, obj: Show, form: Any, change: bool) -> None:
        if change:
            show = lock_show(obj)  # from here on the answer of fixed_fields stands
            if set(form.changed_data).intersection(fixed_fields(show)):
                raise PermissionDenied(LATE)
            form.promised = read_promised(obj.pk)
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        show = lock_show(form.instance)
        if is_busy(show) and any(formset.has_changed() for formset in formsets):
            raise PermissionDenied(LATE)
        super().save_related(request, form, formsets, change)
        if change:
            self.tell_changes(request, show, form.promised)

    def tell_changes(self, request: HttpRequest, show: Show, before: dict[str, Any]) -> None:
        """What is promised from the next arming on, in the ledger; PermissionDenied where nothing can be told."""
        if tell_changes(show, before, actor=request.user.get_username()) and (trouble := trouble_of(show)):
            raise PermissionDenied(trouble)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """A show with a ledger stays; the thousand things that stay with it are not listed one by one."""
        entries = LedgerEntry.objects.filter(show=OuterRef("pk"))
        staying = Show.objects.filter(Exists(entries), pk__in=[show.pk for show in objs])
        if kept := [f"{show} has a ledger, which nobody deletes" for show in staying[:SHOWS_TO_CHOOSE]]:
            return [], {}, set(), kept
        return super().get_deleted_objects(objs, request)

    def delete_model(self, request: HttpRequest, obj: Show) -> None:
        obj.delete()
        forget_state(obj.slug)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for show in queryset:
            self.delete_model(request, show)


class SegmentForm(ModelForm[Segment]):
    def clean(self) -> None:
        super().clean()
        show, position = self.cleaned_data.get("show"), self.cleaned_data.get("position")
        if show is None or position is None:
            return
        row = Segment(pk=self.instance.pk, position=position)
        for other in rows_in_the_way(row, show.segments.all(), "position"):
            if other.phase not in EDITABLE:
                message = f"{other} is {other.phase} and keeps its position: choose another one."
                raise ValidationError({"position": message})


@admin.register(Segment)
class SegmentAdmin(AnnouncingAdmin):
    form = SegmentForm
    list_display = ("title", "show", "position", "phase", "opens_at", "closes_at")
    list_filter = (("show", NewestShows), "phase")
    list_select_related = ("show",)
    ordering = ("-show_id", "-position")
    search_fields = ("title", "show__title", "show__slug")
    autocomplete_fields = ("show",)
    fields = ("show", "position", "title", "title_zh", "window_s", "publish_at_once", "phase")
    readonly_fields = ("phase",)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if obj is not None and "show" in form.base_fields:
            # Disabled, not read-only: so that the form still sees that a position is taken in this show.
            form.base_fields["show"].disabled = True
        return form

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> Any:
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        if request.GET.get("model_name") == "prizelist":  # the box of a prize list: only drafts get one
            found = found.filter(phase__in=EDITABLE).select_related("show")
        return found, may_repeat

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_draft(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_draft(obj) and super().has_delete_permission(request, obj)

    def check_still_editable(self, obj: Segment) -> None:
        if obj.pk:
            refuse_unless_draft(obj)
        lock_show(obj.show)
        rundown = obj.show.segments.all()
        if any(not _is_draft(other) for other in rows_in_the_way(obj, rundown, "position")):
            raise PermissionDenied(LATE)
        give_place(obj, rundown, "position")


def _is_draft(segment: Segment | None) -> bool:
    return segment is None or segment.phase in EDITABLE


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnlyAdmin):
    list_display = ("show", "position", "at_ms", "actor", "action", "reason")
    list_filter = (("show", NewestShows),)
    list_select_related = ("show",)


@admin.register(LedgerCheckpoint)
class LedgerCheckpointAdmin(ReadOnlyAdmin):
    list_display = ("show", "size", "root", "at_ms")
    list_filter = (("show", NewestShows),)
    list_select_related = ("show",)
