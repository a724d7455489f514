"""The process that makes password hashes for another one (gala/hashing.py); run by its path, without Django.

A line asks: password and salt in hex, and the iterations. A line answers: the hash in hex. It ends when nobody can ask.
"""

import hashlib
import os
import sys

NICE = (
    10  # a tenth of what a gateway gets where both want the core; at 19 no login would end on a full machine
)


def main() -> None:
    os.nice(NICE)
    for line in sys.stdin:
        password, salt, iterations = line.split(",")
        made = hashlib.pbkdf2_hmac("sha256", bytes.fromhex(password), bytes.fromhex(salt), int(iterations))
        sys.stdout.write(f"{made.hex()}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
