from django.apps import AppConfig


class GalaConfig(AppConfig):
    name = "gala"
    verbose_name = "Shake to win"
