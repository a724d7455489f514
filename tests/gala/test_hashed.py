"""Scripts are modules that import each other under names that tell their content."""

import re
from pathlib import Path

HASHED = re.compile(r"\.[0-9a-f]{12}\.js$")
IMPORTED = re.compile(r'^(?:import|\} from)\b[^"]*"(\.[^"]+)";$', re.MULTILINE)
OURS = ("engagement", "prizes")


def test_every_module_imports_the_others_by_their_hashed_names(migrated: Path) -> None:
    static = migrated / "static"
    modules = [path for app in OURS for path in (static / app).rglob("*.js") if HASHED.search(path.name)]
    found = {path: IMPORTED.findall(path.read_text(encoding="utf-8")) for path in modules}
    imported = [(path.parent / name).resolve() for path, names in found.items() for name in names]
    assert len(imported) > 20
    assert all(HASHED.search(path.name) and path.is_file() for path in imported), imported
    # One name each: under two, a module would be there twice.
    assert len({HASHED.sub("", str(path)) for path in modules}) == len(modules)


def test_no_script_of_ours_adds_a_name_to_its_page() -> None:
    root = Path(__file__).parents[2]
    pages = [page for app in (*OURS, "gala") for page in (root / app).rglob("*.html")]
    scripts = [
        tag for page in pages for tag in re.findall(r"<script\b[^>]*>", page.read_text(encoding="utf-8"))
    ]
    ours = [tag for tag in scripts if "'mfa/" not in tag]  # a package's own
    assert len(ours) > 10
    assert all('type="module"' in tag and "src=" in tag for tag in ours), ours
