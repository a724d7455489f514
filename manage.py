#!/usr/bin/env python
"""Django's command line for the gala: `python manage.py help` lists what there is."""

import io
import os
import sys

CANNOT_START = 2


def main() -> None:
    escape_what_cannot_be_shown()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gala.settings")
    take_data_option(sys.argv)
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
    except ImportError:
        sys.exit(
            "Django is not installed in this Python: run `make show`, or use .venv/bin/python manage.py …"
        )
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.stderr.write(f"settings: {error}\n")
        sys.exit(CANNOT_START)


def escape_what_cannot_be_shown() -> None:
    """Terminals differ in the letters they know; a command that has done its work must not fail to say so."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def take_data_option(arguments: list[str]) -> None:
    """`show --data DIR` is the variable GALA_DATA: it has to be there before the settings are read."""
    if "show" not in arguments[1:2]:
        return
    for position, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == "--data" and (equals or position + 1 < len(arguments)):
            os.environ["GALA_DATA"] = os.path.abspath(value if equals else arguments[position + 1])


if __name__ == "__main__":
    main()
