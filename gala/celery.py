"""The Celery application: conductor, freeze, seal, draw, publish."""

import os
from typing import Any

from celery import Celery
from celery.bootsteps import StartStopStep
from celery.signals import task_success

from gala.alive import MARK_S, MARKS, mark

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gala.settings")

app = Celery("gala")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


class MarkWorker(StartStopStep):
    """Marks that this worker listens: begun with each connection to the broker, and ended when it is lost."""

    requires = ("celery.worker.consumer:Tasks",)

    def start(self, parent: Any) -> None:
        mark("worker")
        self.marking = parent.timer.call_repeatedly(MARK_S, mark, ("worker",))

    def stop(self, parent: Any) -> None:
        self.marking.cancel()


app.steps["consumer"].add(MarkWorker)


@task_success.connect
def mark_conductor(sender: Any, **_: Any) -> None:
    """The conductor works as long as each of its tasks succeeds."""
    name = sender.name.rpartition(".")[2]
    if name in MARKS["conductor"]:
        mark(name)
