"""How log lines look."""

import logging
import time


class UtcFormatter(logging.Formatter):
    """Times in UTC and marked so, as in the ledger and in the console."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%d %H:%M:%S"
    default_msec_format = "%s.%03dZ"
