"""The administration of the draw side: prize lists, prizes, parties and exclusions; draws and wins to read.

That of those outside who watch a show is in prizes/outside_admin.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.forms import ModelChoiceField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from engagement.actions import ActionRefused
from engagement.admin import (
    AnnouncingAdmin,
    NewestShows,
    PagedAdmin,
    PlainFields,
    ReadOnlyAdmin,
    lock_show,
    name_choice,
    refuse_unless_draft,
)
from engagement.core.phases import Phase
from engagement.models import EDITABLE, Segment, Show
from engagement.positions import OrderedFormSet, give_place
from prizes import outside_admin as outside_admin  # it is registered, too
from prizes.approvals import VALID_MS, ask_exclusion, viewers_need_two
from prizes.core.rules import MAX_EXTRA_RESERVES
from prizes.exclusions import exclude_viewer, include_viewer
from prizes.logins import session_of
from prizes.models import (
    DiceEntry,
    Disposition,
    Disqualification,
    Draw,
    Exclusion,
    Freeze,
    FrozenShard,
    Party,
    Prize,
    PrizeList,
    Win,
)
from prizes.parties import commitments_of

COMMITTED = (
    "Rules that are committed to contain the list of exclusions of this show: it cannot change any more."
)


WINS_SHOWN = 100


class PrizeFormSet(OrderedFormSet):
    """All prizes of a list together."""

    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        kept = [
            form.cleaned_data
            for form in self.forms
            if form.cleaned_data and not form.cleaned_data.get("DELETE")
        ]
        most = sum(row["quantity"] for row in kept) + MAX_EXTRA_RESERVES
        if kept and self.instance.reserves is not None and self.instance.reserves > most:
            raise ValidationError(
                f"Reserves: expected at most {most} for these prizes, got {self.instance.reserves}."
            )


class PrizeInline(PlainFields, admin.StackedInline[Prize, PrizeList]):
    model = Prize
    formset = PrizeFormSet
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_draft(obj) and super().has_add_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_draft(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_draft(obj) and super().has_delete_permission(request, obj)


class SegmentChoice(ModelChoiceField[Segment]):
    def label_from_instance(self, obj: Segment) -> str:
        return name_choice(obj)


@admin.register(PrizeList)
class PrizeListAdmin(AnnouncingAdmin):
    list_display = ("__str__", "segment__show", "beacon", "reserves", "draw_at_once")
    list_filter = (("segment__show", NewestShows),)
    list_select_related = ("segment__show",)
    autocomplete_fields = ("segment",)
    inlines = (PrizeInline,)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if "segment" in form.base_fields:
            # Disabled, not read-only: so that the form still sees that a number is taken in this segment.
            form.base_fields["segment"].disabled = obj is not None
        return form

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "segment":
            drafts = Segment.objects.filter(phase__in=EDITABLE).select_related("show")
            kwargs |= {"form_class": SegmentChoice, "queryset": drafts}
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_draft(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_draft(obj) and super().has_delete_permission(request, obj)

    def show_of(self, obj: PrizeList) -> Show:
        return obj.segment.show

    def check_still_editable(self, obj: PrizeList) -> None:
        refuse_unless_draft(obj.segment)
        give_place(obj, obj.segment.prize_lists.all(), "number")


def _is_draft(prize_list: PrizeList | None) -> bool:
    return prize_list is None or prize_list.segment.phase in EDITABLE


@admin.register(Exclusion)
class ExclusionAdmin(PagedAdmin):
    """Added or removed, never edited. Draws that are armed keep the list as it was then.

    Once a segment of the show was armed, a form only asks: a second person agrees in the control room.
    """

    list_display = ("pseudonym", "show", "note")
    list_filter = (("show", NewestShows),)
    autocomplete_fields = ("show",)
    list_select_related = ("show",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Exclusion, form: Any, change: bool) -> None:
        with denied():
            if viewers_need_two(lock_show(obj.show)):  # from here on nobody arms
                self._ask(request, obj, "exclude", obj.note or "excluded")
            else:
                exclude_viewer(obj, actor=request.user.get_username())

    def delete_model(self, request: HttpRequest, obj: Exclusion) -> None:
        with denied():
            if viewers_need_two(lock_show(obj.show)):
                self._ask(request, obj, "include", "not excluded any more")
            else:
                include_viewer(obj, actor=request.user.get_username())

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        with transaction.atomic():
            for row in queryset.select_related("show"):
                self.delete_model(request, row)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Several at once only where one person may do it."""
        several = isinstance(objs, QuerySet)
        if several and any(
            viewers_need_two(show) for show in {row.show for row in objs.select_related("show")}
        ):
            return [], {}, set(), ["Delete them one by one: a second person has to agree to each."]
        return super().get_deleted_objects(objs, request)

    def _ask(self, request: HttpRequest, obj: Exclusion, action: str, reason: str) -> None:
        by = {"actor": request.user.get_username(), "session": session_of(request)}
        ask_exclusion(obj, action, **by, reason=reason)

    def log_addition(self, request: HttpRequest, obj: Exclusion, message: Any) -> Any:
        return super().log_addition(request, obj, message) if obj.pk else None

    def response_add(
        self, request: HttpRequest, obj: Exclusion, post_url_continue: Any = None
    ) -> HttpResponse:
        return (
            super().response_add(request, obj, post_url_continue)
            if obj.pk
            else self._answer(request, obj.show)
        )

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        row = Exclusion.objects.filter(pk=obj_id).select_related("show").first()
        return (
            super().response_delete(request, obj_display, obj_id)
            if row is None
            else self._answer(request, row.show)
        )

    def _answer(self, request: HttpRequest, show: Show) -> HttpResponse:
        minutes = VALID_MS // 60_000
        messages.warning(
            request, f"Asked for: a second person has to agree in the control room within {minutes} min."
        )
        return redirect("control_room", slug=show.slug)


@contextmanager
def denied() -> Iterator[None]:
    """What an action refuses is refused in the administration as well."""
    try:
        yield
    except ActionRefused as refusal:
        raise PermissionDenied(str(refusal)) from None


@admin.register(Party)
class PartyAdmin(PagedAdmin):
    """Who watches over the draws of a show. Draws that are armed keep the parties that they have."""

    list_display = ("name", "title", "show", "user")
    list_filter = (("show", NewestShows),)
    autocomplete_fields = ("show",)
    list_select_related = ("show", "user")
    fields = ("show", "name", "title", "user")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None:
            return ()
        # A party that an armed draw waits for keeps its page: nobody locks it out to have it absent.
        return ("show", "name", "user") if is_waited_for(obj) else ("show", "name")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return (obj is None or not is_waited_for(obj)) and super().has_delete_permission(request, obj)


def is_waited_for(party: Party) -> bool:
    """Whether the rules of a draw that is not sealed yet name the party."""
    armed = Draw.objects.filter(show=party.show_id, step=Draw.Step.COMMITTED).exclude(
        segment__phase=Phase.VOID
    )
    return any(party.name in commitments_of(draw) for draw in armed)


class AccountAdmin(PlainFields, UserAdmin[User]):
    """Django's own, which would list all that an account stands for to say that it stays.

    Nobody types the password of somebody else: accounts and invitations come from `create_account`. Nor is anybody
    renamed: whoever has asked for something is known by that name, and would be a second person under another one.
    """

    readonly_fields = ("username",)

    fieldsets = ((None, {"fields": ("username",)}), *(UserAdmin.fieldsets or ())[1:])

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def user_change_password(self, request: HttpRequest, *_: Any, **__: Any) -> Any:
        raise PermissionDenied("an invitation (manage.py create_account) lets people choose their password")

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        own = Party.objects.filter(user=OuterRef("pk"))
        staying = User.objects.filter(Exists(own), pk__in=[user.pk for user in objs])
        if kept := [
            f"{user} stands for a party of a show: close the account instead" for user in staying[:100]
        ]:
            return [], {}, set(), kept
        return super().get_deleted_objects(objs, request)


admin.site.unregister(User)
admin.site.register(User, AccountAdmin)
# Secrets of the second factor are nobody's to read; addresses for mail are not used.
admin.site.unregister(Authenticator)
admin.site.unregister(EmailAddress)


class WinInline(admin.TabularInline[Win, Draw]):
    """The first ones of the ranking; all of them are in the list of wins."""

    model = Win
    can_delete = False
    extra = 0
    fields = readonly_fields = ("rank", "pseudonym", "prize", "piece", "status", "claim_by")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(rank__lte=WINS_SHOWN).select_related("prize")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Draw)
class DrawAdmin(ReadOnlyAdmin):
    list_display = ("draw_id", "step", "entries", "attempts", "trouble")
    list_filter = (("show", NewestShows), "step")
    exclude = ("house_secret",)
    # With a beacon and the receipts of everybody, anybody computes the winners; a digest confirms a guess.
    untold = ("beacon_value", "beacon_proof", "record_digest")

    def get_inlines(self, request: HttpRequest, obj: Any) -> tuple[type[WinInline], ...]:
        """Winners are told on stage first; before that they are the auditor's to see."""
        return (WinInline,) if self._is_told(request, obj) else ()

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Nor is anything shown from which winners follow."""
        return self.exclude if self._is_told(request, obj) else (*self.exclude, *self.untold)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """`?beacon_value__startswith=12` would read it digit by digit."""
        hidden = lookup.startswith((*self.exclude, *self.untold))
        return not hidden and super().lookup_allowed(lookup, value, request)

    @staticmethod
    def _is_told(request: HttpRequest, draw: Any) -> bool:
        published = draw is not None and draw.step == Draw.Step.PUBLISHED
        return published or request.user.has_perm("prizes.audit_draw")


@admin.register(Win)
class WinAdmin(ReadOnlyAdmin):
    list_display = ("show", "draw", "rank", "pseudonym", "prize", "piece", "status", "claim_by")
    list_filter = (("show", NewestShows), "status")

    def get_queryset(self, request: HttpRequest) -> Any:
        wins = super().get_queryset(request).select_related("show", "draw", "prize")
        return (
            wins
            if request.user.has_perm("prizes.audit_draw")
            else wins.filter(draw__step=Draw.Step.PUBLISHED)
        )


@admin.register(Disposition)
class DispositionAdmin(ReadOnlyAdmin):
    """What became of the prizes, as it stands in the records."""

    list_display = ("draw", "pseudonym", "piece", "status", "reason", "ledger")
    list_filter = (("draw__show", NewestShows), "status")
    list_select_related = ("draw",)


@admin.register(Disqualification)
class DisqualificationAdmin(ReadOnlyAdmin):
    """Who has asked for what, and who has decided."""

    list_display = ("win", "reason", "asked_by", "asked_at", "approved", "decided_by", "decided_at")
    list_filter = (("win__show", NewestShows), "approved")
    list_select_related = ("win__prize",)


class FrozenShardInline(admin.TabularInline[FrozenShard, Freeze]):
    model = FrozenShard
    can_delete = False
    extra = 0
    fields = readonly_fields = ("number", "viewers", "shakes", "sha256")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Freeze)
class FreezeAdmin(ReadOnlyAdmin):
    list_display = ("segment", "segment__show", "viewers", "shakes", "missing_gateways")
    list_select_related = ("segment__show",)
    inlines = (FrozenShardInline,)


@admin.register(DiceEntry)
class DiceEntryAdmin(ReadOnlyAdmin):
    """Who has typed, not what: the second operator has to look at the dice, not at the first one's digits."""

    list_display = ("draw", "operator", "entered_at")
    fields = ("draw", "operator", "entered_at")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """`?digits__startswith=12` would read the first operator's digits one by one."""
        return not lookup.startswith("digits") and super().lookup_allowed(lookup, value, request)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.fields
