"""What the text of a compiled program says: which part of a training each operation is of, and its matrix products.

The compiled program and not what was traced: what the compiler leaves out or does once for several is not counted.
"""

import collections
import json
import math
import re
from collections.abc import Iterator

# The parts of a training as the loops name them (`jax.named_scope`), and all that is of none.
PARTS = ("environment", "acting", "replay", "learning")
OTHER = "other"

Product = tuple[int, int, int, int]  # so many of [m, k] @ [k, n]

_PART = re.compile(rf"(?:^|/)({'|'.join(PARTS)})(?:/|$)")
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.-]+) \(.*\{\s*$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = (\S+|\(.*?\)) ([\w-]+)\((.*)$")
_PATH = re.compile(r'op_name="([^"]*)"')
_CALLED = re.compile(r"(?:calls|to_apply|body)=%?([\w.-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}|(?:true|false)_computation=%?([\w.-]+)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_SHAPE = re.compile(r"\[([\d,]*)\]")


def part_of(path: str) -> str:
    """The part of an operation by its path of names: the outermost counts."""
    found = _PART.search(path)
    return found.group(1) if found else OTHER


def parts_of_operations(program: str) -> dict[str, str]:
    """The part that each operation of a compiled program belongs to, by the operation's name.

    A fusion belongs to where its result does.

    Args:
      program: the text of it, `compiled.as_text()`.
    """
    found = {}
    for line in program.splitlines():
        if instruction := _INSTRUCTION.match(line):
            path = _PATH.search(line)
            found[instruction.group(1)] = part_of(path.group(1)) if path else OTHER
    return found


def products_of(program: str) -> dict[Product, int]:
    """The matrix products of a compiled program, and how often it does each.

    A convolution counts as the product of its patches and its kernel. Those of environments are left out. What a loop
    does whose length is not known is counted once, and of a choice between branches the one with most.

    Args:
      program: as of `parts_of_operations`.
    """
    computations: dict[str, list[str]] = {}
    lines: list[str] = []
    entry = ""
    for line in program.splitlines():
        if head := _COMPUTATION.match(line):
            lines = computations[head.group(1)] = []
            entry = head.group(1) if line.startswith("ENTRY") else entry
        else:
            lines.append(line)
    found: collections.Counter[Product] = collections.Counter()
    for product, times in _products(computations, entry, 1):
        found[product] += times
    return dict(found)


def _products(computations: dict[str, list[str]], name: str, times: int) -> Iterator[tuple[Product, int]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for line in computations.get(name, ()):
        instruction = _INSTRUCTION.match(line)
        if instruction is None:
            continue
        own, shape, kind, rest = instruction.groups()
        dims = _SHAPE.search(shape)
        shapes[own] = tuple(int(d) for d in dims.group(1).split(",") if d) if dims else ()
        path = _PATH.search(line)
        if path and part_of(path.group(1)) == "environment":
            continue
        operands = [shapes.get(operand, ()) for operand in re.findall(r"%([\w.-]+)", rest.split(")")[0])]
        if kind == "dot" or "$gemm" in line or "$matmul" in line:
            yield _of_dot(line, *operands[:2]), times
        elif kind == "convolution":
            yield _of_convolution(line, shapes[own], operands[1]), times
        trips = _TRIPS.search(line)
        repeated = times * int(trips.group(1)) if trips and kind == "while" else times
        for called in _CALLED.findall(line):
            yield from _products(computations, called, repeated)
        branches = [b for several, one in _BRANCHES.findall(line) for b in re.findall(r"[\w.-]+", several or one)]
        if branches:
            yield from max((list(_products(computations, b, times)) for b in branches), key=_work)


def _work(products: list[tuple[Product, int]]) -> int:
    return sum(math.prod(product) * times for product, times in products)


def _of_dot(line: str, left: tuple[int, ...], right: tuple[int, ...]) -> Product:
    sides = {side: _dimensions(line, side, "contracting") for side in ("lhs", "rhs")}
    many = math.prod(left[i] for i in _dimensions(line, "lhs", "batch"))
    k = math.prod(left[i] for i in sides["lhs"])
    return many, math.prod(left) // max(many * k, 1), k, math.prod(right) // max(many * k, 1)


def _dimensions(line: str, side: str, kind: str) -> list[int]:
    """Of a product, as the compiler writes them of its own operations or of those of a library."""
    if found := re.search(rf"{side}_{kind}_dims=\{{([\d,]*)\}}", line):
        return [int(d) for d in found.group(1).split(",") if d]
    found = re.search(rf'"{side}_{kind}_dimensions":(\[[^\]]*\])', line)
    return [int(d) for d in json.loads(found.group(1))] if found else []


def _of_convolution(line: str, out: tuple[int, ...], kernel: tuple[int, ...]) -> Product:
    labels = re.search(r"dim_labels=\w+_(\w+)->(\w+)", line)
    assert labels is not None, line
    features = out[labels.group(2).index("f")]
    groups = int(found.group(1)) if (found := re.search(r"feature_group_count=(\d+)", line)) else 1
    return groups, math.prod(out) // features, math.prod(kernel) // features, features // groups
