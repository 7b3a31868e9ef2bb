"""What a run compiles, ahead of time and once."""

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxq.errors import InputError
from jaxq.runs.population import Assembly
from jaxq.training import Training
from jaxq.types import PyTree

COUNT = jax.ShapeDtypeStruct((), np.int32)


class Programs(NamedTuple):
    """The beginning of a chunk, a part and the end of one; the beginning of an evaluation, and a part of one.

    Of a chunk under way also the shapes. A part of it also gives how much is done, which can be waited for when all the
    rest was given on.
    """

    chunk_shape: PyTree
    begin_chunk: Any
    advance_chunk: Any
    end_chunk: Any
    begin_evaluation: Any
    evaluate: Any


def compiled(assembly: Assembly, iterations: int, state_shape: PyTree) -> Programs:
    """The programs of a run.

    Args:
      assembly: what is trained.
      iterations: of a chunk.
      state_shape: of the whole state.

    Raises:
      InputError: if members differ in a number that is not read from their states: the program would have the first
        member's for all. Two trainings that are the same but for their numbers must be the same program.
    """
    training = assembly.training
    begin = jax.jit(lambda state: training.begin_chunk(state, iterations))
    chunk_shape = begin.eval_shape(state_shape)
    part = _part(training, state_shape, chunk_shape)
    for other in assembly.others:
        if _part(other, state_shape, chunk_shape).as_text() != part.as_text():
            differing = [path for path, values in assembly.numbers.items() if (values != values[0]).any()]
            raise InputError(
                f"members differ in {', '.join(differing)}, of which the agent reads some from itself and not from its "
                "state, so that all would have the first member's"
            )
    evaluation_shape = jax.eval_shape(training.begin_evaluation, state_shape)
    return Programs(
        chunk_shape,
        begin.lower(state_shape).compile(),
        part.compile(),
        jax.jit(training.end_chunk, donate_argnums=0).lower(state_shape, chunk_shape).compile(),
        jax.jit(training.begin_evaluation).lower(state_shape).compile(),
        jax.jit(training.evaluate, donate_argnums=1).lower(state_shape, evaluation_shape, COUNT).compile(),
    )


def _part(training: Training, state_shape: PyTree, chunk_shape: PyTree) -> Any:
    def part(state: PyTree, chunk: PyTree, count: jax.Array) -> tuple[PyTree, PyTree, jax.Array]:
        state, chunk = training.advance_chunk(state, chunk, count)
        return state, chunk, chunk.done

    return jax.jit(part, donate_argnums=(0, 1)).lower(state_shape, chunk_shape, COUNT)
