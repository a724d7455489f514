"""Every pinned package has a user, and the Pythons that we promise are those that are tested."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
RUNTIME, DEVELOPMENT, S3 = "requirements.in", "requirements-dev.in", "requirements-s3.in"
MODULES = {
    "django-allauth": "allauth",
    "django-environ": "environ",
    "django-ninja": "ninja",
    "django-storages": "storages",
    "cyclonedx-bom": "cyclonedx_py",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "zxing-cpp": "zxingcpp",
}
# What others load by themselves: nothing of ours names it.
LOADED_BY = {
    "psycopg": "Django, for a DATABASE_URL of PostgreSQL",
    "boto3": "django-storages",
    "pytest-django": "pytest",
    "pytest-asyncio": "pytest",
    "pytest-xdist": "pytest",
    "pytest-cov": "pytest",
    "celery-types": "mypy",
}
# Programs, by what the Makefile or mypy's configuration calls them.
PROGRAMS = {
    "ruff": "/ruff ",
    "mypy": "/mypy ",
    "import-linter": "/lint-imports ",
    "uv": "/uv ",
    "django-stubs": '"mypy_django_plugin.main"',
}


def pins(name: str) -> list[Requirement]:
    """The packages of a requirements*.in."""
    lines = [line.strip() for line in (ROOT / name).read_text().splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


@cache
def modules_named_in(*folders: str) -> set[str]:
    """The packages whose modules the code imports, or names in a string, as settings and command lines do."""
    found: set[str] = set()
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py") if path != Path(__file__)]
    for node in (node for path in paths for node in ast.walk(ast.parse(path.read_text()))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value.partition(".")[0])
    return found


def is_used(pin: Requirement, folders: tuple[str, ...]) -> bool:
    """Whether the code, or a tool, has a use for a package."""
    if pin.name in LOADED_BY:
        return True
    if pin.name in PROGRAMS:
        return PROGRAMS[pin.name] in (ROOT / "Makefile").read_text() + (ROOT / "pyproject.toml").read_text()
    return MODULES.get(pin.name, pin.name.replace("-", "_")) in modules_named_in(*folders)


@pytest.mark.parametrize("pin", pins(RUNTIME) + pins(S3), ids=lambda pin: pin.name)
def test_every_package_of_production_is_used_there(pin: Requirement) -> None:
    assert is_used(pin, ("gala", "engagement", "prizes")), f"{pin.name} is pinned and nobody uses it"


@pytest.mark.parametrize("pin", pins(DEVELOPMENT), ids=lambda pin: pin.name)
def test_every_package_for_the_tests_is_used_there(pin: Requirement) -> None:
    assert is_used(pin, ("tests",)), f"{pin.name} is pinned and nobody uses it"


def test_a_package_that_nobody_uses_is_found() -> None:
    assert not is_used(Requirement("structlog==26.1.0"), ("gala", "engagement", "prizes"))
    assert not is_used(Requirement("django-compressor"), ("gala", "engagement", "prizes"))


@pytest.mark.parametrize("name", [RUNTIME, DEVELOPMENT, S3])
def test_every_pin_is_exact_and_locked_with_hashes_and_no_address(name: str) -> None:
    locked = (ROOT / name.replace(".in", ".txt")).read_text()
    for pin in pins(name):
        assert re.fullmatch(r"==[\w.]+", str(pin.specifier)), f"{pin} is not exact"
        assert re.search(
            rf"^{pin.name}(\[\w+\])?{pin.specifier} .*\\\n    --hash=sha256:", locked, re.MULTILINE
        ), pin
    assert not re.search(r"://|--(extra-)?index|--find-links", locked)


def test_the_pythons_of_the_pages_are_those_of_the_makefile_and_of_the_integration() -> None:
    makefile = (ROOT / "Makefile").read_text()
    minors = dict(re.findall(r"^(OLDEST|NEWEST) := 3\.(\d+)$", makefile, re.MULTILINE))
    oldest, newest = minors["OLDEST"], minors["NEWEST"]
    for page in ("README.md", "CONTRIBUTING.md"):
        assert f"Python 3.{oldest} to 3.{newest}" in (ROOT / page).read_text()
    assert (
        f"for minor in {' '.join(map(str, range(int(oldest), int(newest) + 1)))};"
        in (ROOT / ".ci/run").read_text()
    )
