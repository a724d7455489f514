"""The verifiers, run on the files of a pack as its receiver will run them."""

import os
import subprocess
import sys
from typing import NamedTuple

from engagement.ledger.audit import Check
from prizes.audit import check_drawn, check_prior_wins
from prizes.evidence.content import format_sums
from prizes.evidence.staging import CHECKPOINTS, ENTRIES, LEDGER_VERIFIER, SUMS, Staging, public_keys
from prizes.evidence.state import DrawNow, State
from prizes.software import SHOW_VERIFIER, VERIFIER

HERE = "On the organiser's server: files, database and ledger of the draw compared. This cannot be repeated elsewhere."
TIMEOUT_S = 900.0  # for a slow machine; 35 million entries take 20 s


class Verdict(NamedTuple):
    """What a verifier said: its name, the command as a stranger types it (none for what only this server can check),
    whether it said OK, and its output."""

    name: str
    command: str
    ok: bool
    output: str

    @property
    def path(self) -> str:
        return f"verification/{self.name}.txt"

    @property
    def is_draw(self) -> bool:
        """Whether it is of a draw, and can be repeated from the pack."""
        return self.command.startswith(f"python3 {VERIFIER.name}")

    @property
    def heading(self) -> str:
        """The first line of what is kept of it."""
        return f"$ {self.command}" if self.command else HERE

    @property
    def last_line(self) -> str:
        return (self.output.strip().splitlines() or ["it said nothing"])[-1]


def verify(staging: Staging, state: State) -> list[Verdict]:
    """Runs the packed verifiers on the packed files, each in a process of its own, as a stranger will."""
    verdicts = [_run(staging, "ledger", ledger_command(state))]
    for now in state.draws:
        if f"{now.folder}/record.json" in staging.packed:
            verdicts.append(_run(staging, now.folder, draw_command(staging, now, state)))
            verdicts.append(
                _check_here(now, (staging.folder / f"{now.folder}/record-as-drawn.json").read_bytes())
            )
    for verdict in verdicts:
        _keep(staging, verdict)
    whole = _run_on_all(staging, state)
    _keep(staging, whole)
    return [whole, *verdicts]


def _keep(staging: Staging, verdict: Verdict) -> None:
    content = f"{verdict.heading}\n{verdict.output}"
    staging.write(verdict.path, content, "what was checked, and what was found")


def _run_on_all(staging: Staging, state: State) -> Verdict:
    """The whole pack, as far as it is: what is written later is for people, and no check reads it.

    The list of files is the one so far; the receiver's has more lines, and its check says the same.
    """
    (staging.folder / SUMS).write_text(format_sums(staging.packed.values()), encoding="utf-8")
    return _run(staging, "show", show_command(state), "--links")  # large files are only linked to


def show_command(state: State) -> list[str]:
    """All of the pack at once, with the keys in it, and with those of witnesses whom the rules of a draw name."""
    named = {row["key"] for now in state.draws for row in now.draw.promised.get("witnesses", [])}
    known = [word for key in public_keys(state) for word in ("--key", key)]
    seen = [word for key in state.witnesses if key in named for word in ("--witness", key)]
    return [SHOW_VERIFIER.name, ".", *known, *seen]


def ledger_command(state: State) -> list[str]:
    """With the keys in it: a key that comes with the ledger is to be compared with one that was noted before."""
    keys = [word for key in public_keys(state) for word in ("--key", key)]
    return [LEDGER_VERIFIER.name, *keys, ENTRIES, CHECKPOINTS]


def draw_command(staging: Staging, now: DrawNow, state: State) -> list[str]:
    """The record with all that there is beside it: the roll unless it is missing, the totals if they are packed."""
    beside = (
        f"{now.folder}/roll.bin",
        f"segment-{now.draw.segment_id}/totals.bin",
        f"{now.folder}/excluded.txt",
    )
    command = [VERIFIER.name, f"{now.folder}/record.json"]
    for path in beside:
        if path not in staging.packed:
            break  # they are told apart by their order
        command.append(path)
    more = {"origins": f"segment-{now.draw.segment_id}/origins.bin", "shared": f"{now.folder}/shared.bin"}
    command += [word for name, path in more.items() if path in staging.packed for word in (f"--{name}", path)]
    signed = public_keys(state) if now.draw.published_ledger is not None else []
    return [*command, *(word for key in signed for word in ("--key", key))]


def _run(staging: Staging, name: str, command: list[str], *more: str) -> Verdict:
    """Neither the environment nor the working directory adds code of somebody else (-I)."""
    staging.tell(f"checking {name}", 0, 0)
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            [sys.executable, "-I", *command, *more],
            cwd=staging.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_S,
            check=False,
        )
        ok, output = done.returncode == 0, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired:
        ok, output = False, f"it did not end within {TIMEOUT_S:.0f} s\n"
    return Verdict(name, f"python3 {' '.join(command)}", ok, output)


def _check_here(now: DrawNow, record: bytes) -> Verdict:
    """What only this server can compare: files, database and ledger of the draw."""
    try:
        checks = [*check_drawn(now.draw), check_prior_wins(now.draw, record)]
    except (ValueError, KeyError, TypeError) as error:
        checks = [Check("ledger", False, f"an entry is not what it should be: {error!r}")]
    failed = [check.name for check in checks if not check.ok]
    lines = [f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.detail}" for check in checks]
    last = f"NOT OK: {', '.join(failed)}" if failed else f"OK: all {len(checks)} checks hold"
    return Verdict(f"{now.folder}-on-the-server", "", not failed, "\n".join([*lines, last]) + "\n")
