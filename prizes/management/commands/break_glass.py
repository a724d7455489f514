"""`manage.py break_glass`: the sheet of the account on paper, for when nobody of the crew can log in."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from engagement.clock import from_ms, now_ms
from prizes.accounts import BadAccount
from prizes.crew.glass import Sheet, renew

# No wider than a printer sets plain text: a line that it breaks could break a password.
SHEET = """\
SHAKE TO WIN: BREAK GLASS            made {made}

For when nobody of the crew can log in. It is a director, for one login;
whoever uses it is heard: the log, the control room and the ledger of
every show on air tell of it.

  1. Open the login page of the console:
     https://______________________________/login/
  2. Account:   {name}
     Password:  {password}
  3. The page then asks for a code. Any one of these:
{codes}
  4. The sheet is spent now, and the session ends after twelve hours.
     Get the others in:
     manage.py create_account NAME --role ROLE --invite
     Then have another sheet made:
     manage.py break_glass

Fold it, seal it, sign over the seal, and lock it up where two people
have to be to open it. Before you fold it, write the address into 1.
"""


class Command(BaseCommand):
    help = (
        "Makes the account break-glass, or makes it anew, and prints its sheet: a password and codes, for one login. "
        "An earlier sheet is worth nothing any more. Print it and seal it: it is shown this once."
    )

    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--yes", action="store_true", help="print it although this is a terminal")

    def handle(self, *args: Any, **options: Any) -> None:
        if sys.stdout.isatty() and not options["yes"]:
            raise CommandError("this would stay on the screen: pipe it to a printer (| lp), or say --yes")
        try:
            self.stdout.write(sheet_text(renew()))
        except BadAccount as reason:
            raise CommandError(str(reason)) from None


def sheet_text(sheet: Sheet) -> str:
    codes = "\n".join(f"     {code}" for code in sheet.codes)
    made = f"{from_ms(now_ms()):%Y-%m-%d %H:%M} UTC"
    return SHEET.format(made=made, name=sheet.name, password=sheet.password, codes=codes)
