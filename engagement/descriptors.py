"""File descriptors: every socket takes one, and how many a process may have decides how many phones it can hold."""

import resource

UNLIMITED = 1_000_000


class TooFewDescriptors(Exception):
    """The hard limit of this process is too low; the text says what was needed and what there is."""


def allowed_descriptors() -> int:
    """How many this process may have, after its soft limit was lifted to the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError):
            pass  # macOS says unlimited and does not mean it; then the soft limit is what there is
    return UNLIMITED if soft == resource.RLIM_INFINITY else soft


def require_descriptors(phones: int, spare: int) -> None:
    """Raises TooFewDescriptors where so many phones and what else the process opens do not fit."""
    allowed = allowed_descriptors()
    if allowed < phones + spare:
        raise TooFewDescriptors(
            f"{phones} phones need {phones + spare} file descriptors, this process may have {allowed}: "
            "use fewer phones, or raise the limit (ulimit -Hn)"
        )
