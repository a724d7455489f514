"""Picture: what is shown of a prize or a show. Its files are in the storage (store.py), and their sizes here."""

from typing import Any

from django.db import models

from engagement.chinese import written_elsewhere
from engagement.pictures.core.names import base_of, file_name

# Of what a picture shows, in words, for those who cannot see it. The columns take more, the largest state does not.
ALT_LENGTH = 60


class Picture(models.Model):
    """A picture by the digest of its content; the same one twice is one row. Shows and prizes point to it."""

    digest = models.CharField(max_length=64, unique=True)
    sizes = models.JSONField()  # [[width, height], ...], the smallest first
    kept_at = models.DateTimeField()  # when it was last brought here; what is new is not pruned

    class Meta:
        # Asked for by `manage.py pictures`: the oldest ones.
        indexes = (models.Index(fields=["kept_at"], name="pictures_by_age"),)

    def __str__(self) -> str:
        width, height = self.sizes[-1]
        return f"picture {self.digest[:8]} ({width} x {height})"

    @property
    def preview(self) -> str:
        """The address of the smallest size, as a JPEG."""
        return base_of(self.digest) + file_name(self.sizes[0][0], "jpg")


def describe_picture(picture: Picture | None, alt: str = "", alt_zh: str = "") -> dict[str, Any] | None:
    """A picture as it is announced (docs/protocol.md, "Pictures"); None where there is none."""
    if picture is None:
        return None
    texts = {name: text for name, text in (("alt", alt), ("alt_zh", alt_zh)) if text}
    told = {**texts, **written_elsewhere("alt", alt_zh)}
    return {"base": base_of(picture.digest), "sizes": picture.sizes, **told}
