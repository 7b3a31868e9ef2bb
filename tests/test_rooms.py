"""The rooms: what `docs/architecture.md` says of imports is so, and nothing stands about that nobody uses."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
TABLE = (ROOT / "docs" / "architecture.md").read_text().split("## The rooms")[1].split("\n\n## ")[0]
FOLDERS = ("jaxq", "experiments", "benchmarks", "examples")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def rooms():
    """Every room of the table, by the beginning of its modules' names, and how far down it stands."""
    found = {}
    for depth, row in enumerate(line for line in TABLE.splitlines() if line.startswith("| `")):
        for name in re.findall(r"`([^`]+)`", row.split("|")[1]):
            path = name if "/" in name or name.count(".") == 0 else f"jaxq/{name}"
            path = path if (ROOT / path).exists() else f"experiments/{path}"
            assert (ROOT / path).exists(), f"{name} is no room"
            found[path.removesuffix(".py").strip("/").replace("/", ".")] = depth
    return found


ROOMS = rooms()


def room_of(module):
    """The room that a module is in; none of what is outside, and of the package's own page, which imports lazily."""
    return max((room for room in ROOMS if f"{module}.".startswith(f"{room}.")), key=len, default=None)


def module_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path):
    """The modules, or the names in them, that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports by place and not by name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_import_points_up():
    pairs = [(module_of(path), name) for path in SOURCES for name in imported(path)]
    known = [(module, name) for module, name in pairs if room_of(module) and room_of(name)]
    assert len(known) > 500
    assert [pair for pair in known if ROOMS[room_of(pair[1])] < ROOMS[room_of(pair[0])]] == []


def test_every_room_is_in_the_table():
    for path in (ROOT / "jaxq").iterdir():
        if path.suffix == ".py" or (path / "__init__.py").exists():
            assert path.stem.startswith("__") or f"jaxq.{path.stem}" in ROOMS, path


def test_every_module_is_imported_by_another():
    """What nobody imports is what a move has left behind."""
    used = {name for path in SOURCES for name in imported(path)}
    used |= set(re.findall(r"jaxq(?:\.\w+)+", (ROOT / "pyproject.toml").read_text()))
    own = [path for path in SOURCES if path.parts[len(ROOT.parts)] == "jaxq" and not path.stem.startswith("__")]
    modules = [module_of(path) for path in own]
    assert [module for module in modules if not any(f"{name}.".startswith(f"{module}.") for name in used)] == []
