"""A picture of 40 megapixels is made beside phones that shake: their acks come as if nothing were."""

import asyncio
import http.client
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from PIL import Image

from engagement.models import Segment
from engagement.passes import issue_guest_pass
from gala.entrypoints import ROOT
from tests.cast import armed_segment, make_show, put_on_air
from tests.client import TestPhone
from tests.engagement.pictures.drawn import saved
from tests.servers import running_gateway

EVERY_S = 0.05
# The write that an ack waits for comes every 250 ms. In the gateway itself a picture would take the interpreter for
# most of the time; where this machine is busy with other tests, both take longer.
LATEST_S = 1.5
BOUNDARY = "picture"
OTHER = "wardrobe"  # a show that the gateway's own database knows; the one on air is in Redis alone


@pytest.fixture
def on_air(transactional_db: None) -> Segment:
    return put_on_air(armed_segment(make_show()), left_ms=60_000)


LOG_IN = """
import django; django.setup()
from django.contrib.auth.models import User
from django.test import Client
from engagement.models import Show
Show.objects.create(slug={slug!r}, title="Gala")
chief = Client()
chief.force_login(User.objects.create_superuser("chief"))
print(*(cookie.value for cookie in chief.cookies.values()))
"""


def log_in(own: dict[str, str]) -> str:
    """The session of somebody who may bring pictures of this show."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "gala.settings",
        "INSTALLATION": settings.INSTALLATION,
        **own,
    }
    command = [sys.executable, "-c", LOG_IN.format(slug=OTHER)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True, text=True)
    return done.stdout.split()[-1]


def largest() -> bytes:
    """40 megapixels with something to see in each, as a file below 10 MB."""
    noise = Image.effect_noise((1000, 650), 40)
    return saved(Image.merge("RGB", (noise, noise, noise)).resize((7720, 5180)), "JPEG", quality=70)


def upload(address: str, cookie: str) -> tuple[str, float]:
    """The answer to a real upload, and how many seconds it took."""
    token = "a" * 32
    parts = [("of", b"show"), ("csrfmiddlewaretoken", token.encode())]
    body = b"".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value + b"\r\n"
        for name, value in parts
    )
    body += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'.encode()
    body += largest() + f"\r\n--{BOUNDARY}--\r\n".encode()
    headers = {
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Cookie": f"csrftoken={token}; {settings.SESSION_COOKIE_NAME}={cookie}",
        "Accept": "application/json",
    }
    begun = time.monotonic()
    connection = http.client.HTTPConnection(address, timeout=60)
    connection.request("POST", f"/console/{OTHER}/pictures/keep/", body, headers)
    answer = connection.getresponse()
    said = answer.read().decode()
    connection.close()
    return said, time.monotonic() - begun


async def test_acks_come_while_forty_megapixels_are_made(
    on_air: Segment, migrated: Path, tmp_path: Path
) -> None:
    slug, data = on_air.show.slug, shutil.copytree(migrated, tmp_path / "data")
    own: dict[str, Any] = {
        "GALA_DATA": str(data),
        "DATABASE_URL": f"sqlite:///{data}/gala.sqlite3",
        "FRAMES_PER_SECOND": "1000",
    }
    cookie = await asyncio.to_thread(log_in, own)
    with running_gateway(tmp_path / "log", **own) as (address, _):
        async with TestPhone(address, slug) as phone:
            await phone.hello(issue_guest_pass(slug))
            uploading = asyncio.create_task(asyncio.to_thread(upload, address, cookie))
            total, waits = 0, list[float]()
            while not uploading.done() or len(waits) < 5:
                total += 1
                sent = time.monotonic()
                await phone.shake(on_air.pk, total)
                await phone.hear("ack", total=total, patience_s=10)
                waits.append(time.monotonic() - sent)
                await asyncio.sleep(EVERY_S)
    said, took = await uploading
    waits.sort()
    figures = f"{len(waits)} acks in {took:.1f} s: p50 {waits[len(waits) // 2]:.3f}, latest {waits[-1]:.3f}"
    print(figures)
    assert "The picture is kept." in said, said
    assert waits[-1] < max(LATEST_S, took / 3), figures
    assert len(list((data / "pictures").rglob("*.webp"))) == 4
