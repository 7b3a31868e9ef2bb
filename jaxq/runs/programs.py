"""What a run compiles, ahead of time and once."""

from typing import Any, NamedTuple

import jax

from jaxq.errors import InputError
from jaxq.runs.population import Assembly
from jaxq.training import Training
from jaxq.types import PyTree


class Programs(NamedTuple):
    """A chunk, the beginning of an evaluation, and a part of one."""

    chunk: Any
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
    chunk = _chunk(training, iterations, state_shape)
    for other in assembly.others:
        if _chunk(other, iterations, state_shape).as_text() != chunk.as_text():
            differing = [path for path, values in assembly.numbers.items() if (values != values[0]).any()]
            raise InputError(
                f"members differ in {', '.join(differing)}, of which the agent reads some from itself and not from its "
                "state, so that all would have the first member's"
            )
    begin = jax.jit(training.begin_evaluation)
    part = jax.jit(training.evaluate, donate_argnums=1)
    evaluation_shape = jax.eval_shape(training.begin_evaluation, state_shape)
    return Programs(
        chunk.compile(), begin.lower(state_shape).compile(), part.lower(state_shape, evaluation_shape).compile()
    )


def _chunk(training: Training, iterations: int, state_shape: PyTree) -> Any:
    return jax.jit(lambda state: training.train_chunk(state, iterations), donate_argnums=0).lower(state_shape)
