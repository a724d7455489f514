"""The Celery application: conductor, freeze, seal, draw, publish."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gala.settings")

app = Celery("gala")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
