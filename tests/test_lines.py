"""Lines of at most 120 characters everywhere, so that two files fit on a screen side by side."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 120
READ = {
    ".py", ".md", ".html", ".css", ".js", ".toml", ".yaml", ".yml", ".conf", ".sh", ".in", ".example",
}  # fmt: skip
READ_BY_NAME = {"Makefile", "Dockerfile", "run"}  # other names without a suffix may be a tool's: .coverage
# What a tool has written, and texts that cannot be broken: one text a line, so that two languages can be compared.
LEFT_OUT = (
    "LICENSE",
    "migrations/",
    "static/engagement/texts/",
    "static/prizes/texts/",
    "static/engagement/vendor/",
    "node_modules/",
    ".venv",
)


def sources() -> list[Path]:
    """Our files, whether or not this is a clone."""
    folders = [ROOT / name for name in ("gala", "engagement", "prizes", "tests", "docs", "docker")]
    paths = [*ROOT.glob("*"), ROOT / ".ci/run", *(path for folder in folders for path in folder.rglob("*"))]
    return [
        path
        for path in paths
        if path.is_file()
        and (path.suffix in READ or path.name in READ_BY_NAME)
        and not any(part in str(path.relative_to(ROOT)) for part in LEFT_OUT)
    ]


def test_no_line_is_longer_than_a_screen_is_wide() -> None:
    pages = sources()
    assert len(pages) > 300
    long = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in pages
        for number, line in enumerate(path.read_text().splitlines(), 1)
        # A row of a table in Markdown cannot be broken.
        if len(line) > LONGEST and not (path.suffix == ".md" and line.lstrip().startswith("|"))
    ]
    assert long == []
