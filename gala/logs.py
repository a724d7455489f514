"""How log lines look, and what stands in none of them."""

import logging
import re
import time

# Until an invitation is used, whoever has its address may choose the password (prizes/accounts.py).
INVITATION = re.compile(r"(/invitations/)[\w/=-]+")


class LineFormatter(logging.Formatter):
    """Times in UTC and marked so, as in the ledger and in the console; addresses of invitations are cut short."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%d %H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        return INVITATION.sub(r"\1…", super().format(record))
