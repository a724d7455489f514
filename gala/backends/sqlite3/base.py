from django.db.backends.sqlite3.base import DatabaseWrapper as Plain

from gala.backends import Noting


class DatabaseWrapper(Noting, Plain):
    """The connection that Django makes where ENGINE is gala.backends.sqlite3."""
