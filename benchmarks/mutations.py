"""Defects planted one by one, and which of them the tests catch.

    python -m benchmarks.mutations [--count 100] [--seed 0] [--room replay]

Draws places at random from all where a defect can be planted in the rooms below, plants each in a copy of the checkout,
and runs tests until one fails: those first that name what the file defines, then all of the room. A defect under which
they all pass survives. Writes benchmarks/results/mutations.json after each, and goes on from there. Survivors are read
by hand; what was found is written beside them as `reason`, and those without one are tried again.
"""

import argparse
import ast
import copy
import dataclasses
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxq.runs.directory import provenance, write_json

ROOT = Path(__file__).parent.parent
OUT = ROOT / "benchmarks" / "results" / "mutations.json"

# The rooms, and the test files that hold each.
ROOMS = {
    "bellman": ("bellman", "representations", "tabular", "family", "agents"),
    "replay": ("replay", "prioritized", "training", "family"),
    "agents": (
        *("agents", "iterated", "family", "tabular", "keys", "training", "actor_critic", "actor_critic_axes"),
        *("discretized", "model_based_critics", "on_policy_control", "massive"),
    ),
    "training": ("training", "keys", "agents", "family", "runs", "populations", "controllers", "meshes"),
    "envs/base.py": ("environments", "training", "keys"),
}
# A test run that takes this long has met a defect that keeps it from ending.
LONGEST_SECONDS = 900.0


@dataclasses.dataclass(frozen=True)
class Mutation:
    """One defect.

    Attributes:
      file: relative to the root.
      line: where it is, counted from 1.
      before, after: the expression as it was and as it is planted.
      source: the whole file with the defect.
    """

    file: str
    line: int
    before: str
    after: str
    source: str


COMPARISONS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
OPERATIONS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.BitAnd: ast.BitOr,
              ast.BitOr: ast.BitAnd, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv}  # fmt: skip
NAMES = [
    ("minimum", "maximum"), ("argmin", "argmax"), ("min", "max"), ("sum", "mean"), ("zeros", "ones"), ("any", "all"),
    ("zeros_like", "ones_like"), ("params", "target_params"), ("observation", "next_observation"),
    ("terminated", "truncated"), ("first", "last"), ("cumsum", "cumprod"), ("initial", "final"), ("floor", "ceil"),
]  # fmt: skip
RENAMED = {a: b for pair in NAMES for a, b in (pair, pair[::-1])}


def _planted(node: ast.expr) -> Iterator[ast.expr]:
    """The defects that can be planted in one expression."""

    def changed(**fields: Any) -> ast.expr:
        other = copy.copy(node)
        for name, value in fields.items():
            setattr(other, name, value)
        return other

    match node:
        case ast.Compare(ops=[operation]) if type(operation) in COMPARISONS:
            yield changed(ops=[COMPARISONS[type(operation)]()])
        case ast.BinOp(op=operation) if type(operation) in OPERATIONS:
            yield changed(op=OPERATIONS[type(operation)]())
        case ast.BinOp(op=ast.Pow()):
            yield node.left
        case ast.BoolOp(op=operation):
            yield changed(op=ast.Or() if isinstance(operation, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert()):
            yield node.operand
        case ast.Constant(value=bool(value)):
            yield changed(value=not value)
        case ast.Constant(value=int(value)):
            yield changed(value=value + 1)
        case ast.Constant(value=float(value)) if np.isfinite(value):
            yield changed(value=2 * value if value else 1.0)
        case ast.Attribute(attr=name) if name in RENAMED:
            yield changed(attr=RENAMED[name])
        case ast.Call(func=ast.Attribute(attr="where"), args=[condition, one, other]):
            yield changed(args=[condition, other, one])
        case ast.Call(func=ast.Attribute(attr="stop_gradient" | "clip" | "flip" | "abs" | "square"), args=[one, *_]):
            yield one
        case ast.Call(func=ast.Name(id="stop"), args=[one]):
            yield one


def _skipped(node: ast.AST) -> bool:
    """What says nothing of behaviour: annotations are not visited, docstrings and the words of errors are."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "require"


def mutations(file: str, source: str) -> Iterator[Mutation]:
    """All defects that can be planted in a file.

    Args:
      file: its name.
      source: what is in it.
    """
    tree = ast.parse(source)

    def visit(parent: ast.AST) -> Iterator[Mutation]:
        for name, value in ast.iter_fields(parent):
            if name in ("annotation", "returns", "decorator_list", "type_params"):
                continue
            for index, child in enumerate(value if isinstance(value, list) else [value]):
                if not isinstance(child, ast.AST) or _skipped(child):
                    continue
                if isinstance(child, ast.expr):
                    for other in _planted(child):
                        _put(parent, name, index, other)
                        text = ast.unparse(ast.fix_missing_locations(tree))
                        _put(parent, name, index, child)
                        yield Mutation(file, child.lineno, ast.unparse(child), ast.unparse(other), text)
                yield from visit(child)

    return visit(tree)


def _put(parent: ast.AST, name: str, index: int, child: ast.expr) -> None:
    field = getattr(parent, name)
    if isinstance(field, list):
        field[index] = child
    else:
        setattr(parent, name, child)


def places_in(room: str) -> Iterator[Mutation]:
    """The defects of a room, file by file."""
    path = ROOT / "jaxq" / room
    for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
        yield from mutations(str(file.relative_to(ROOT)), file.read_text())


def places() -> list[Mutation]:
    """All defects of all rooms."""
    return [place for room in ROOMS for place in places_in(room)]


def room_of(file: str) -> str:
    """The room of a file."""
    return next(room for room in ROOMS if file.startswith(f"jaxq/{room}"))


@functools.cache
def tests_by_text(test_file: Path) -> list[tuple[str, str]]:
    """The tests of a file, each with its source."""
    source = test_file.read_text()
    nodes = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    return [(node.name, ast.get_source_segment(source, node) or "") for node in nodes if node.name.startswith("test_")]


def defined_in(source: str) -> set[str]:
    """What a file defines for others."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {node.name for node in ast.parse(source).body if isinstance(node, kinds) and not node.name.startswith("_")}


def likely_tests(file: str) -> list[str]:
    """Tests that name what the file defines, as pytest selects them."""
    names = re.compile(r"\b(" + "|".join(sorted(defined_in((ROOT / file).read_text())) or ["$^"]) + r")\b")
    chosen = []
    for path in sorted((ROOT / "tests").glob("test_*.py")):
        where = path.relative_to(ROOT)
        chosen += [f"{where}::{name}" for name, text in tests_by_text(path) if names.search(text)]
    return chosen


def first_failure(checkout: Path, tests: list[str]) -> str | None:
    """The first of these tests that fails there; None if all pass."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no", *tests]
    try:
        done = subprocess.run(command, **_there(checkout), timeout=LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        return "did not end"
    if done.returncode in (0, 5):  # all passed, or there was nothing to select
        return None
    if done.returncode < 0:
        return "crashed"
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    if not failed:  # which says nothing of the defect
        raise RuntimeError(f"pytest ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
    return failed[0]


def copy_to(checkout: Path) -> None:
    """The files of this checkout as they are now, without what is made by running them.

    Raises:
      RuntimeError: if a test there would import another checkout's modules.
    """
    listed = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():  # and was not taken away meanwhile
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, checkout / name)
    modules = [str(path.parent.relative_to(ROOT)).replace("/", ".") for path in ROOT.glob("jaxq/**/__init__.py")]
    program = f"import importlib as i\nfor name in {modules}: print(i.import_module(name).__file__)"
    told = subprocess.run([sys.executable, "-c", program], **_there(checkout), check=True)
    strangers = [line for line in told.stdout.splitlines() if not Path(line).is_relative_to(checkout)]
    if strangers:
        raise RuntimeError(f"imported from elsewhere: {strangers}")


def _there(checkout: Path) -> dict[str, Any]:
    """How a program is run in a checkout, and with its modules."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    return {"cwd": checkout, "env": environment, "capture_output": True, "text": True}


def caught_by(checkout: Path, mutation: Mutation) -> str | None:
    """The test that catches a mutation; None if it survives."""
    target = checkout / mutation.file
    sound = target.read_text()
    target.write_text(mutation.source)
    try:
        likely = likely_tests(mutation.file)
        everything = [f"tests/test_{stem}.py" for stem in ROOMS[room_of(mutation.file)]]
        return (first_failure(checkout, likely) if likely else None) or first_failure(checkout, everything)
    finally:
        target.write_text(sound)


def main() -> None:
    """Plant and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--room", choices=ROOMS, help="only this room; the results are printed and not written")
    args = parser.parse_args()
    found = [place for place in places() if args.room in (None, room_of(place.file))]
    order = np.random.default_rng(args.seed).permutation(len(found))[: args.count]
    earlier = json.loads(OUT.read_text()) if OUT.exists() and not args.room else {}
    settled = [row for row in earlier.get("planted", []) if row["caught_by"] or row.get("reason")]
    known = {(row["file"], row["line"], row["before"], row["after"]): row for row in settled}
    rows: list[dict[str, Any]] = []
    came_from = provenance()  # as the checkout is copied, whatever is committed meanwhile
    with tempfile.TemporaryDirectory() as directory:
        checkout = Path(directory) / "checkout"
        copy_to(checkout)
        for index in order:
            place = found[index]
            row = known.get((place.file, place.line, place.before, place.after))
            if row is None:
                start = time.perf_counter()
                catcher = caught_by(checkout, place)
                row = {"file": place.file, "line": place.line, "before": place.before, "after": place.after,
                       "caught_by": catcher, "seconds": round(time.perf_counter() - start, 1)}  # fmt: skip
            rows.append(row)
            caught = sum(one["caught_by"] is not None for one in rows)
            fate = row["caught_by"] or "SURVIVES"
            print(
                f"{caught}/{len(rows)}  {row['file']}:{row['line']}  {row['before']} -> {row['after']}  {fate}",
                flush=True,
            )
            if not args.room:
                write_json(OUT, {"provenance": came_from, "places": len(found), "seed": args.seed, "planted": rows})


if __name__ == "__main__":
    main()
