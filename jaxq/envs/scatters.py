"""Scatters to places that are known, cut into such as write every place once and say so.

`x.at[index].add(y)` does not say whether the places differ, also where the index is a constant that anyone can read, as
nearly all are in MuJoCo's physics in JAX. A GPU then adds by atomics, in any order, and a program that must give the
same bits every time writes one row after the other, each by kernels of its own: hundreds a step of a robot.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

# Larger index arrays are left as they are: they are computed here, and their rows compared by pairs.
LARGEST = 1024


def distinct(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose scatters of known rows carry `unique_indices`.

    A scatter that meets a place several times becomes as many, each with rows that differ, in the rows' order.

    Args:
      function: of pytrees of arrays, traceable.
    """

    def told(*args: Any) -> Any:
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
        results = _interpreted(closed, jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return told


def _interpreted(closed: Any, inputs: Sequence[Any]) -> list[Any]:
    """A jaxpr's results. What is known while tracing stays a NumPy array from one equation to the next."""
    jaxpr = closed.jaxpr
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, map(_known_if_small, closed.consts), strict=True))
    values |= dict(zip(jaxpr.invars, inputs, strict=True))

    def read(atom: Any) -> Any:
        return _known_if_small(atom.val) if isinstance(atom, core.Literal) else values[atom]

    for equation in jaxpr.eqns:
        with jax.named_scope(str(equation.source_info.name_stack)):
            results = _bound(equation, [read(atom) for atom in equation.invars])
        values |= dict(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _bound(equation: Any, given: list[Any]) -> Sequence[Any]:
    """The results of one equation."""
    name, params = equation.primitive.name, dict(equation.params)
    constants = [value if _known(value) else None for value in given]
    if name in ("jit", "pjit"):
        return _interpreted(params["jaxpr"], given)
    if name == "scan":
        count = _constants_of_scan(params)
        params["jaxpr"] = _inside(params["jaxpr"], constants[:count])
    elif name == "while":
        before, count = params["cond_nconsts"], params["body_nconsts"]
        params["body_jaxpr"] = _inside(params["body_jaxpr"], constants[before : before + count])
    elif name == "cond":
        params["branches"] = tuple(_inside(branch, constants[1:]) for branch in params["branches"])
    elif _computable(equation, given):
        with jax.ensure_compile_time_eval():
            found = equation.primitive.bind(*given, **params)
        return [np.asarray(value) for value in (found if equation.primitive.multiple_results else [found])]
    elif name.startswith("scatter"):
        return [_scattered(equation.primitive, params, *given)]
    found = equation.primitive.bind(*given, **equation.primitive.get_bind_params(params))
    return found if equation.primitive.multiple_results else [found]


def _computable(equation: Any, given: Sequence[Any]) -> bool:
    """Whether its results are known as well, and may lead to an index. What takes nothing may be anything, but iota."""
    if not given and equation.primitive.name != "iota":
        return False
    return all(map(_known, given)) and all(_small(variable.aval) for variable in equation.outvars)


def _inside(closed: Any, constants: Sequence[np.ndarray | None]) -> Any:
    """A jaxpr of another equation, of whose first inputs some are known; its inputs stay what they are."""

    def interpreted(*inputs: Any) -> list[Any]:
        known = [value if constant is None else constant for constant, value in zip(constants, inputs, strict=False)]
        return _interpreted(closed, [*known, *inputs[len(constants) :]])

    return jax.make_jaxpr(interpreted)(*closed.in_avals)


def _scattered(primitive: Any, params: Mapping[str, Any], operand: Any, indices: Any, updates: Any) -> Any:
    """A scatter, or several that write every place once."""
    numbers, rounds = params["dimension_numbers"], None
    if np.prod(np.shape(indices)[:-1]) <= 1:
        rounds = [np.arange(1)]
    elif _known(indices) and params["mode"] != jax.lax.GatherScatterMode.CLIP:
        rounds = _rounds(*_windows(indices, np.shape(operand), np.shape(updates), numbers))
        if len(rounds) > 1 and np.ndim(indices) != 2:  # which nothing does that is known
            rounds = None
    if rounds is None:
        return primitive.bind(operand, indices, updates, **params)
    params = {**params, "unique_indices": True}
    if len(rounds) == 1:
        return primitive.bind(operand, indices, updates, **params)
    (by_row,) = set(range(np.ndim(updates))) - set(numbers.update_window_dims)
    for rows in rounds:
        some = jax.numpy.take(updates, rows, axis=by_row, unique_indices=True)
        operand = primitive.bind(operand, indices[rows], some, **params)
    return operand


def _windows(
    indices: np.ndarray, operand: Sequence[int], updates: Sequence[int], numbers: Any
) -> tuple[np.ndarray, np.ndarray]:
    """[rows, dimensions], where each row of updates begins, and [dimensions], how far it reaches."""
    window = dict.fromkeys((*numbers.inserted_window_dims, *numbers.operand_batching_dims), 1)
    kept = [dimension for dimension in range(len(operand)) if dimension not in window]
    window |= {dimension: updates[axis] for dimension, axis in zip(kept, numbers.update_window_dims, strict=True)}
    # Of what is batched, each element writes to a part of its own.
    batched = [np.indices(indices.shape[:-1])[axis] for axis in numbers.scatter_indices_batching_dims]
    begin = np.stack([*np.moveaxis(indices, -1, 0), *batched], axis=-1)
    reach = [window[dimension] for dimension in numbers.scatter_dims_to_operand_dims] + [1] * len(batched)
    return begin.reshape(-1, begin.shape[-1]), np.array(reach, int)


def _rounds(begin: np.ndarray, reach: np.ndarray) -> list[np.ndarray]:
    """Rows in groups that keep apart those that share a place, each place in its rows' order; see `_windows`."""
    shared = (np.abs(begin[:, None] - begin[None]) < reach).all(axis=-1)
    turn = np.zeros(len(begin), int)
    for row in range(1, len(begin)):
        turn[row] = 1 + max((turn[other] for other in range(row) if shared[row, other]), default=-1)
    return [np.flatnonzero(turn == one) for one in range(turn.max() + 1)]


def _constants_of_scan(params: Mapping[str, Any]) -> int:
    """How many of a scan's inputs are constants; 0 where JAX has yet another name for it."""
    if "num_consts" in params:
        return int(params["num_consts"])
    return len(params["ft_in"].unpack()[0]) if "ft_in" in params else 0


def _known(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def _known_if_small(value: Any) -> Any:
    """As an array of NumPy's, if it may be an index; else as it is."""
    concrete = not isinstance(value, jax.core.Tracer) and _small(value)
    return np.asarray(value) if concrete else value


def _small(value: Any) -> bool:
    """Whether it is of integers, or says which, and not too large."""
    kind = getattr(value, "dtype", None) or np.result_type(value)
    integers = jax.numpy.issubdtype(kind, np.integer) or kind == np.bool_
    return bool(integers and np.prod(np.shape(value)) <= LARGEST)
