"""What the crew's pages call phases, kinds of passes and the like: words of the machine, said to people."""

from django.utils.translation import pgettext_lazy

from engagement.core.phases import Phase

PHASES = {
    Phase.DRAFT: pgettext_lazy("phase", "draft"),
    Phase.ARMED: pgettext_lazy("phase", "armed"),
    Phase.OPEN: pgettext_lazy("phase", "open"),
    Phase.CLOSING: pgettext_lazy("phase", "closing"),
    Phase.SEALED: pgettext_lazy("phase", "sealed"),
    Phase.DRAWN: pgettext_lazy("phase", "drawn"),
    Phase.PUBLISHED: pgettext_lazy("phase", "published"),
    Phase.VOID: pgettext_lazy("phase", "void"),
    Phase.SPOILED: pgettext_lazy("phase", "spoiled"),
}
KINDS = {
    "app": pgettext_lazy("kind of pass", "app"),
    "attested": pgettext_lazy("kind of pass", "attested"),
    "code": pgettext_lazy("kind of pass", "code"),
    "guest": pgettext_lazy("kind of pass", "guest"),
    "work": pgettext_lazy("kind of pass", "work"),
}


ACTIONS = {
    "void": pgettext_lazy("asks to do it", "void"),
    "spoil": pgettext_lazy("asks to do it", "spoil"),
    "publish": pgettext_lazy("asks to do it", "publish"),
    "name": pgettext_lazy("asks to do it", "name"),
    "open": pgettext_lazy("asks to do it", "open"),
    "exclude": pgettext_lazy("asks to do it", "exclude"),
    "include": pgettext_lazy("asks to do it", "include"),
    "revoke": pgettext_lazy("asks to do it", "revoke"),
    "forget": pgettext_lazy("asks to do it", "forget"),
}

CHECKS = {
    "guards": pgettext_lazy("check of a ledger", "guards"),
    "chain": pgettext_lazy("check of a ledger", "chain"),
    "tree": pgettext_lazy("check of a ledger", "tree"),
    "signatures": pgettext_lazy("check of a ledger", "signatures"),
    "roots": pgettext_lazy("check of a ledger", "roots"),
    "consistency": pgettext_lazy("check of a ledger", "consistency"),
    "latest": pgettext_lazy("check of a ledger", "latest"),
}


def phase_text(phase: str) -> str:
    """A phase for people, in the language of the page."""
    return str(PHASES[Phase(phase)])


def action_text(action: str) -> str:
    """What somebody asks to do, for people."""
    return str(ACTIONS.get(action, action))


def kind_text(kind: str) -> str:
    """A kind of pass for people; one that this version does not know stands there as it is."""
    return str(KINDS.get(kind, kind))


def check_text(name: str) -> str:
    """What a check of the ledger is called on pages; one of a file stands there as it is."""
    return str(CHECKS.get(name, name))
