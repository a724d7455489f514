"""QR codes: addresses, seals and checkpoints that a camera shall read."""

import io

import segno
from django.http import HttpResponse


def qr_code(content: str) -> HttpResponse:
    """The code as an SVG picture."""
    image = io.BytesIO()
    segno.make(content, error="m", micro=False).save(image, kind="svg", border=3, omitsize=True)
    return HttpResponse(image.getvalue(), content_type="image/svg+xml")
