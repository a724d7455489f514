"""Wiring only: settings, entry points, the embedded server and the supervisor behind `make show`."""
