"""The documentation against the code: what a page names exists, and what the code has is on the page."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import get_commands, load_command_class

from engagement.core import messages
from engagement.core.errors import WireError
from engagement.core.messages import Inbound, Leader, Outbound, Prize, Result, Segment, Winner
from prizes.audit import STEPS
from prizes.verify_draw import NAMES, make_parser
from prizes.witness import make_parser as make_witness_parser
from tests.bench.contenders import CONTENDERS
from tests.bench.gateway import make_parser as make_bench_parser

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "docker/README.md",
        ROOT / ".ci/tools/README.md",
    ]
)
OUR_COMMANDS = (
    "show",
    "segment",
    "commit",
    "reveal",
    "mock_phones",
    "verify_ledger",
    "audit_draw",
    "evidence",
    "confirm_restore",
    "create_account",
    "break_glass",
    "reset_second_factor",
    "canaries",
    "revoke_passes",
)
# Options of other programs that the pages name.
FOREIGN = {
    *("--build", "--detach", "--wait", "--scale", "--follow", "--rm", "--entrypoint"),  # docker compose
    "--format",  # docker buildx
    "--require-hashes",  # pip
    "--key",  # engagement/ledger/verify_ledger.py
}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
FOLDERS = ("gala", "engagement", "prizes", "tests", "docs", "docker", "tools")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


# --- reading pages and code ---


def read(path: str) -> str:
    return (ROOT / path).read_text()


def code_of(page: Path) -> list[str]:
    """The lines of code blocks, and what stands in backticks."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [*lines, *re.findall(r"`([^`]+)`", prose)]


def tables(path: str, *headings: str) -> list[list[str]]:
    """The rows of all tables with these first headings, as cells."""
    text, rows = read(path), []
    for found in re.finditer(
        rf"^\| {re.escape(' | '.join(headings))} .*\n\|[ |-]+\n((?:\|.*\n)+)", text, re.MULTILINE
    ):
        rows += [[cell.strip() for cell in line.strip("|").split(" | ")] for line in found[1].splitlines()]
    assert rows, f"{path} has no table that begins with {headings}"
    return rows


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def options_of(command: str) -> set[str]:
    parser = load_command_class(get_commands()[command], command).create_parser("manage.py", command)
    return {option for action in parser._actions for option in action.option_strings}


def options_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


# --- settings ---


def asks_for_a_variable(function: str) -> bool:
    return function == "seeds" or (function.startswith("env.") and function != "env.has")


def calls_on_the_environment() -> Iterator[tuple[str, ast.Call]]:
    """Every variable that settings and entry points ask for, with the call that asks."""
    for path in ("gala/settings.py", "gala/entrypoints.py"):
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.Call) and asks_for_a_variable(ast.unparse(node.func)):
                for argument in node.args[:2]:
                    value = getattr(argument, "value", None)
                    if isinstance(value, str) and re.fullmatch(r"[A-Z][A-Z_]+", value):
                        yield value, node
                        break


def variables_of_the_containers() -> set[str]:
    return set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", read("docker/compose.yaml")))


def test_settings_are_those_that_the_code_and_the_containers_read() -> None:
    listed = [name for row in tables("docs/settings.md", "variable", "default") for name in named(row[0])]
    read_by_code = {name for name, _ in calls_on_the_environment()}
    assert len(read_by_code) > 20
    assert len(listed) == len(set(listed))
    assert set(listed) == read_by_code | variables_of_the_containers()


def test_defaults_of_settings_are_those_of_the_code() -> None:
    rows = {named(row[0])[0]: row[1] for row in tables("docs/settings.md", "variable", "default")}
    checked = []
    for name, call in calls_on_the_environment():
        after_the_name = call.args[[getattr(word, "value", None) for word in call.args].index(name) + 1 :]
        defaults = [word.value for word in call.keywords if word.arg == "default"] or after_the_name
        if not defaults and getattr(call.func, "attr", "") == "switch":
            defaults = [ast.parse("False", mode="eval").body]
        try:
            value: Any = eval(compile(ast.Expression(defaults[0]), "default", "eval"), {"__builtins__": {}})
        except (IndexError, NameError):
            continue  # none, or made from other settings; the page says in words how
        text = ",".join(value) if isinstance(value, list) else str(value)
        text = text.lower() if isinstance(value, bool) else text
        if text and text != name:
            assert f"`{text}`" in rows[name], f"{name}: the default is {text}"
            checked.append(name)
    assert {"TALLY_SHARDS", "DEBUG", "ALLOWED_HOSTS", "GATEWAY_HOST", "WORKER_CONCURRENCY"} <= set(checked)


# --- commands, options, targets ---


@each_page
def test_every_command_of_manage_py_exists_with_its_options(page: Path) -> None:
    for line in code_of(page):
        for command, rest in re.findall(r"manage\.py ([a-z]\w*)([^&|;]*)", line):
            assert command in get_commands(), f"manage.py {command}"
            unknown = options_in(rest) - options_of(command)
            assert not unknown, f"manage.py {command} {unknown}"


@each_page
def test_every_option_of_make_show_exists(page: Path) -> None:
    for line in code_of(page):
        if "make show" in line:
            assert options_in(line) <= options_of("show")


@each_page
def test_every_other_option_belongs_to_one_of_our_commands(page: Path) -> None:
    ours = set().union(*(options_of(command) for command in OUR_COMMANDS))
    parsers = [make_parser(), make_bench_parser(CONTENDERS)]
    for action in make_witness_parser()._actions:
        parsers += action.choices.values() if isinstance(action.choices, dict) else ()
    ours |= {option for parser in parsers for action in parser._actions for option in action.option_strings}
    for line in code_of(page):
        if not re.search(r"manage\.py|make \w", line):
            assert options_in(line) <= ours | FOREIGN, line


def test_a_page_tells_of_every_command_of_ours() -> None:
    lines = [line for page in PAGES for line in code_of(page)]
    for command in OUR_COMMANDS:
        assert any(f"manage.py {command}" in line for line in lines), command


@each_page
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    for line in code_of(page):
        for target in re.findall(r"(?:^|\s)make ([a-z][a-z-]*)", line):
            assert target in targets, f"make {target}"


def test_every_action_of_the_segment_command_is_named_in_the_readme() -> None:
    parser = load_command_class(get_commands()["segment"], "segment").create_parser("manage.py", "segment")
    actions = next(action.choices for action in parser._actions if action.dest == "action")
    for name in set(actions or ()) - {"void"}:
        assert f"`{name}`" in read("README.md") or f"segment {name} " in read("README.md"), name


# --- the protocol ---


def test_messages_of_the_phone_are_those_of_the_core() -> None:
    rows = {
        named(row[0])[0]: set(named(row[1]))
        for row in tables("docs/protocol.md", "type", "fields", "meaning")
    }
    messages = {
        kind.__struct_config__.tag: {field.encode_name for field in msgspec.structs.fields(kind)}
        for kind in Inbound.__subclasses__()
    }
    assert rows == messages


def outbound_rows() -> dict[str, str]:
    rows = tables("docs/protocol.md", "type", "fields")
    return {named(row[0])[0]: row[1] for row in rows if len(row) == 2}


def test_messages_of_the_server_are_those_that_it_sends() -> None:
    messages = {str(kind.__struct_config__.tag): kind for kind in Outbound.__subclasses__()}
    assert set(outbound_rows()) == set(messages)
    for tag, kind in messages.items():
        assert set(kind.__struct_fields__) <= set(named(outbound_rows()[tag])), tag


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("**`segment`** in a state is", Segment),
        ("**A prize** is", Prize),
        ("**A result** in `results` is", Result),
        ("A winner is", Winner),
        ("**`show`** is", messages.Show),
        ("**`leaders`** are up to five", Leader),
    ],
)
def test_the_fields_of_what_is_in_a_message_are_on_the_page(words: str, kind: type[msgspec.Struct]) -> None:
    page = re.sub(r"\s+", " ", read("docs/protocol.md"))
    sentence = re.search(re.escape(words) + r" `\{(.*?)\}`", page)
    assert sentence is not None
    assert {name.strip(" ?") for name in sentence[1].split(",")} == set(kind.__struct_fields__)


def test_the_table_of_errors_is_that_of_the_core() -> None:
    on_the_page = {(row[0], *named(row[1])) for row in tables("docs/protocol.md", "close", "code")}
    by_the_code = {("–" if error.close is None else str(error.close), error.code) for error in WireError}
    assert on_the_page - {("1012",)} == by_the_code


# --- the other pages ---


def test_keys_in_redis_are_those_of_the_code() -> None:
    sources = (
        "engagement/tally.py",
        "engagement/wins.py",
        "engagement/broadcast.py",
        "engagement/gateway/earning.py",
        "engagement/marks.py",
    )
    code = "".join(re.sub(r'"""(.*?)"""', "", read(path), flags=re.DOTALL) for path in sources)
    keys = re.findall(r'f"([a-z]+:\{[^"]+)"', code) + re.findall(
        r'"(tally:life|gateways|shows:[a-z]+|marks|marks:newest)"', code
    )
    listed = [named(row[0])[0] for row in tables("docs/redis.md", "key", "type", "content")]
    blank = [re.sub(r"\{[^}]*\}", "{}", key) for key in listed]
    assert {"{}:" + re.sub(r"\{[^}]*\}", "{}", key) for key in keys} == set(blank)


def test_every_check_of_an_audit_is_explained() -> None:
    rows = tables("docs/audit-a-draw.md", "check", "it holds when", "when it fails")
    listed = [name for row in rows for name in named(row[0]) if not name.startswith("file ")]
    code = "".join(map(read, ("prizes/audit.py", "prizes/kept_rows.py", "prizes/on_air.py")))
    own = re.findall(r'(?:Check\(\s*|\n    name = )"([^"]+)"', code)
    own += [f"{step} in the ledger" for step in STEPS]
    assert len(own) >= 10
    assert len(listed) == len(set(listed))
    assert set(listed) == {*NAMES, *own}


def test_every_threat_names_tests_that_exist_and_what_stays_open() -> None:
    page = read("docs/threats.md")
    rows = tables(
        "docs/threats.md", "no.", "who, and what they want", "what stops it, or shows it", "proved by"
    )
    assert len(rows) > 25 and all(len(row) == 5 and all(row) for row in rows)
    assert [row[0] for row in rows] == [str(number) for number in range(1, len(rows) + 1)]
    for row in rows:
        assert re.fullmatch(r"(`tests/[\w/]+\.py::test_\w+`(, )?)+", row[3]), row[0]
    assert not missing_tests(page)


def missing_tests(page: str) -> list[str]:
    """Tests that a page names and that are not there."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    trees = {path: ast.walk(ast.parse(read(path))) for path, _ in named}
    there = {
        path: {node.name for node in tree if isinstance(node, FUNCTIONS)} for path, tree in trees.items()
    }
    return [f"{path}::{name}" for path, name in named if name not in there[path]]


def test_what_the_page_of_security_says_is_shown_by_tests_that_exist() -> None:
    page = read("docs/security.md")
    rows = tables(
        "docs/security.md", "who, and what they want", "what stops them", "shown by", "what remains"
    )
    assert len(rows) > 12 and all(len(row) == 4 and all(row) for row in rows)
    assert all("`tests/" in row[2] for row in rows)
    listed = tables("docs/security.md", "no.", "what", "state")
    assert [row[0] for row in listed] == [str(number) for number in range(1, len(listed) + 1)] and len(
        listed
    ) == 20
    assert not missing_tests(page)
    chapters = tables("docs/security.md", "chapter", "here")
    assert [row[0].split()[0] for row in chapters] == [f"V{number}" for number in range(1, 18)]


def test_the_summary_in_the_readme_has_the_keys_that_are_written() -> None:
    sentence = re.search(r"has these keys: (.*?`verified`)", read("README.md"), re.DOTALL)
    function = next(
        node
        for node in ast.walk(ast.parse(read("gala/rehearsal.py")))
        if isinstance(node, ast.FunctionDef) and node.name == "summarise"
    )
    answer = next(node.value for node in ast.walk(function) if isinstance(node, ast.Return))
    assert sentence is not None
    assert isinstance(answer, ast.Dict)
    assert named(sentence[1]) == [ast.literal_eval(key) for key in answer.keys if key is not None]


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" not in link:
            assert (page.parent / link.partition("#")[0]).exists(), link


@each_page
def test_every_path_that_is_named_exists(page: Path) -> None:
    for line in code_of(page):
        for path in re.findall(rf"(?<![\w./-])(?:{'|'.join(FOLDERS)})/[\w./-]*", line):
            assert (ROOT / path).exists(), path


def test_the_folders_in_the_readme_hold_what_it_says() -> None:
    listing = re.search(r"## Where to find what\n\n```text\n(.*?)```", read("README.md"), re.DOTALL)
    assert listing is not None
    folders: list[str] = []
    seen = 0
    for line in listing[1].splitlines():
        names = re.split(r"\s{2,}", line.strip())[0].split(", ")
        depth = (len(line) - len(line.lstrip())) // 2
        for name in names:
            path = "".join(folders[:depth]) + name
            assert (ROOT / path).exists(), path
            folders[depth:] = [name]
            seen += 1
    assert seen > 20


def test_every_page_that_the_code_refers_to_exists() -> None:
    sources = [
        path
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.*")
        if path.suffix in (".py", ".js", ".html")
    ]
    assert len(sources) > 50
    for source in sources:
        for page in re.findall(r"\bdocs/[\w/-]+\.md", source.read_text()):
            assert (ROOT / page).is_file(), f"{source.name}: {page}"


def test_decisions_are_numbered_and_say_why() -> None:
    decisions = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [int(path.name[:4]) for path in decisions] == list(range(1, len(decisions) + 1))
    for number, path in enumerate(decisions, 1):
        text = path.read_text()
        assert text.startswith(f"# {number}. ")
        assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def test_pictures_are_small() -> None:
    """All that the documents show is as much as one page of a newspaper; nothing lies there that none shows."""
    sizes = {path: path.stat().st_size for path in (ROOT / "docs/img").iterdir()}
    assert {path.suffix for path in sizes} <= {".webp", ".svg"}
    assert sum(sizes.values()) < 1_500_000 and max(sizes.values()) < 200_000
    texts = [path.read_text() for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))]
    assert [path.name for path in sizes if not any(f"img/{path.name})" in text for text in texts)] == []
    for text in texts:
        assert {*re.findall(r"img/([\w.-]+)\)", text)} <= {path.name for path in sizes}
