"""What a run compiles, ahead of time and once."""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxq.errors import InputError, require
from jaxq.runs.population import Assembly
from jaxq.training import Spread, Training, TrainState
from jaxq.training.turns import leaves_of_numbers, turned
from jaxq.types import PyTree

COUNT = jax.ShapeDtypeStruct((), np.int32)


class Programs(NamedTuple):
    """The beginning of a run; the beginning, a part and the end of a chunk, and those of an evaluation.

    Of a chunk under way also the shapes. A part of it also gives how much is done, which can be waited for when all the
    rest was given on.
    """

    start: Any
    chunk_shape: PyTree
    begin_chunk: Any
    advance_chunk: Any
    end_chunk: Any
    begin_evaluation: Any
    evaluate: Any
    evaluated: Any


def compiled(assembly: Assembly, iterations: int, shape: TrainState) -> Programs:
    """The programs of a run; the beginning is compiled when it is called, as a run that goes on has none.

    Args:
      assembly: what is trained.
      iterations: of a chunk.
      shape: of the whole state, with the place of every leaf.

    Raises:
      InputError: if members differ in a number that is not read from their states: the program would have the first
        member's for all. Two trainings that are the same but for their numbers must be the same program.
    """
    training, places = assembly.training, jax.tree.map(lambda leaf: leaf.sharding, shape)
    lowered = jax.jit(lambda state: training.begin_chunk(state, iterations)).lower(shape)
    begin_chunk = lowered.compile()
    chunk_shape = jax.tree.map(_placed, lowered.out_info, begin_chunk.output_shardings)
    part = _part(training, shape, chunk_shape)
    for other in assembly.others:
        if _part(other, shape, chunk_shape).as_text() != part.as_text():
            differing = [path for path, values in assembly.numbers.items() if (values != values[0]).any()]
            raise InputError(
                f"members differ in {', '.join(differing)}, of which the agent reads some from itself and not from its "
                "state, so that all would have the first member's"
            )
    init = jax.jit(training.init, out_shardings=places)
    warm_up = jax.jit(training.warm_up, donate_argnums=0, out_shardings=places)
    end_chunk = jax.jit(training.end_chunk, donate_argnums=0, out_shardings=(places, None))
    begin = jax.jit(training.begin_evaluation).lower(shape).compile()
    evaluation = jax.tree.map(_placed, jax.eval_shape(training.begin_evaluation, shape), begin.output_shardings)
    evaluate = jax.jit(training.evaluate, donate_argnums=1, out_shardings=(begin.output_shardings, None))
    return Programs(
        lambda keys, change: warm_up(change(init(keys, assembly.numbers))),
        chunk_shape,
        begin_chunk,
        part.compile(),
        end_chunk.lower(shape, chunk_shape).compile(),
        begin,
        evaluate.lower(shape, evaluation, COUNT).compile(),
        jax.jit(training.evaluated).lower(evaluation).compile(),
    )


def turn_program(assembly: Assembly, shape: TrainState) -> Any:
    """`(state, source, numbers) -> state`: what a controller has decided, done.

    Raises:
      InputError: if members differ in a number that is not found in their states.
    """
    training: Any = assembly.training
    whole = training.whole if isinstance(training, Spread) else training
    places, unseen = leaves_of_numbers(whole, shape.key, assembly.numbers)
    differing = {path for path, values in assembly.numbers.items() if (values != values[0]).any()}
    hidden = sorted(differing & unseen)
    require(not hidden, "controller", ", ".join(hidden), "left out: these numbers cannot be changed in a run")
    lies = jax.tree.map(lambda leaf: leaf.sharding, shape)
    return jax.jit(functools.partial(turned, whole, places), donate_argnums=0, out_shardings=lies)


def _part(training: Training, shape: TrainState, chunk_shape: PyTree) -> Any:
    def part(state: TrainState, chunk: PyTree, count: jax.Array) -> tuple[TrainState, PyTree, jax.Array]:
        state, chunk = training.advance_chunk(state, chunk, count)
        return state, chunk, chunk.done

    places = jax.tree.map(lambda leaf: leaf.sharding, (shape, chunk_shape))
    return jax.jit(part, donate_argnums=(0, 1), out_shardings=(*places, None)).lower(shape, chunk_shape, COUNT)


def _placed(leaf: Any, place: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)
