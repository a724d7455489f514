"""Pictures are kept once they are made anew, and forgotten once nothing shows them any more."""

from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, ProtectedError, QuerySet

from engagement.clock import from_ms, now_ms
from engagement.pictures.core.names import digest_of
from engagement.pictures.decoding import Made, make_picture
from engagement.pictures.models import Picture
from engagement.pictures.store import remove_picture, write_picture

# Longer than anybody leaves a form open, and than a state with the picture is kept anywhere.
UNUSED_FOR = timedelta(days=7)
AT_ONCE = 500


def keep_picture(content: bytes) -> Picture:
    """Makes a picture anew, keeps its files, and returns its row; BadPicture or Busy where that cannot be.

    Outside of any transaction: it takes seconds.
    """
    return keep_made(make_picture(content))


def keep_made(made: Made) -> Picture:
    """Keeps what was made: the row first, so that nobody prunes the files that come behind it."""
    digest = digest_of(made.files)
    fields = {"sizes": [list(size) for size in made.sizes], "kept_at": from_ms(now_ms())}
    picture, _ = Picture.objects.update_or_create(digest=digest, defaults=fields)
    write_picture(digest, made.files)
    return picture


def unused_pictures() -> QuerySet[Picture]:
    """Those that no row shows any more, and that are not new; the oldest first."""
    old = Picture.objects.filter(kept_at__lt=from_ms(now_ms()) - UNUSED_FOR).order_by("kept_at")
    for relation in Picture._meta.related_objects:
        shown = relation.related_model._base_manager.filter(**{relation.field.name: OuterRef("pk")})
        old = old.exclude(Exists(shown))
    return old


def prune_pictures() -> list[Picture]:
    """Forgets up to 500 pictures that nothing shows; returns them."""
    return [picture for picture in unused_pictures()[:AT_ONCE] if _prune(picture)]


def _prune(picture: Picture) -> bool:
    """False where somebody has brought it again, or shows it by now."""
    try:
        with transaction.atomic():
            found = Picture.objects.select_for_update().filter(pk=picture.pk, kept_at=picture.kept_at)
            if not found.delete()[0]:
                return False
            # Before the commit: whoever brings the same picture now waits for it, and then writes its files.
            remove_picture(picture.digest, [(width, height) for width, height in picture.sizes])
            return True
    except ProtectedError:
        return False
