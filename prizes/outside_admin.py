"""The administration of those outside who watch a show: witnesses and time stampers; what they have signed, to read."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from engagement.admin import LATE, NewestShows, PagedAdmin, ReadOnlyAdmin, lock_show
from prizes.models import Cosignature, Quorum, Stamp, Stamper, Witness
from prizes.witness_models import was_armed


class FixedWhenArmedAdmin(PagedAdmin):
    """Stands in the rules of every draw of a show: nothing of it changes once a segment of the show was armed."""

    list_filter = (("show", NewestShows),)
    autocomplete_fields = ("show",)
    list_select_related = ("show",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not (obj and was_armed(obj.show)) and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        fixed = set(form.changed_data) - self.always
        if fixed and was_armed(lock_show(obj.show)):
            raise PermissionDenied(LATE)
        super().save_model(request, obj, form, change)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        if was_armed(lock_show(obj.show)):
            raise PermissionDenied(LATE)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for obj in queryset:
            self.delete_model(request, obj)

    always: frozenset[str] = frozenset()  # fields that may change all the same


@admin.register(Witness)
class WitnessAdmin(FixedWhenArmedAdmin):
    """Who cosigns the checkpoints of a show. One that moves keeps its key: its address may always change."""

    list_display = ("name", "show", "url", "known", "trouble")
    fields = ("show", "key", "url", "known", "trouble")
    always = frozenset({"url"})

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        said = ("known", "trouble")
        return (*said, "show", "key") if obj is not None else said


@admin.register(Quorum)
class QuorumAdmin(FixedWhenArmedAdmin):
    """How many of them have to have cosigned a seal, and what the draw does without them."""

    list_display = ("show", "needed", "unwitnessed")
    fields = ("show", "needed", "unwitnessed")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None:
            return ()
        return self.fields if was_armed(obj.show) else ("show",)


@admin.register(Stamper)
class StamperAdmin(FixedWhenArmedAdmin):
    """Who stamps the seals of a show with the time. Its address may always change."""

    list_display = ("name", "show", "url", "trouble")
    fields = ("show", "name", "url", "certificate", "trouble")
    always = frozenset({"url"})

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("trouble", "show", "name", "certificate") if obj is not None else ("trouble",)


@admin.register(Stamp)
class StampAdmin(ReadOnlyAdmin):
    list_display = ("draw", "stamper", "at_ms")
    list_filter = (("draw__show", NewestShows),)
    list_select_related = ("draw",)


@admin.register(Cosignature)
class CosignatureAdmin(ReadOnlyAdmin):
    list_display = ("show", "size", "witness", "at_ms")
    list_filter = (("show", NewestShows),)
    list_select_related = ("show",)
