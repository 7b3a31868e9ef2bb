"""What a run compiles, ahead of time and once."""

import functools
from typing import Any, NamedTuple

import jax

from jaxq.errors import InputError, require
from jaxq.runs.population import Assembly
from jaxq.training import Spread, Training, TrainState
from jaxq.training.turns import leaves_of_numbers, turned


class Programs(NamedTuple):
    """The beginning of a run, a chunk, the beginning of an evaluation, a part of one and its end."""

    start: Any
    chunk: Any
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
    chunk = _chunk(training, iterations, shape)
    for other in assembly.others:
        if _chunk(other, iterations, shape).as_text() != chunk.as_text():
            differing = [path for path, values in assembly.numbers.items() if (values != values[0]).any()]
            raise InputError(
                f"members differ in {', '.join(differing)}, of which the agent reads some from itself and not from its "
                "state, so that all would have the first member's"
            )
    init = jax.jit(training.init, out_shardings=places)
    warm_up = jax.jit(training.warm_up, donate_argnums=0, out_shardings=places)
    begin = jax.jit(training.begin_evaluation).lower(shape).compile()
    evaluation = jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
        jax.eval_shape(training.begin_evaluation, shape),
        begin.output_shardings,
    )
    part = jax.jit(training.evaluate, donate_argnums=1, out_shardings=(begin.output_shardings, None))
    return Programs(
        lambda keys, change: warm_up(change(init(keys, assembly.numbers))),
        chunk.compile(),
        begin,
        part.lower(shape, evaluation).compile(),
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


def _chunk(training: Training, iterations: int, shape: TrainState) -> Any:
    places = jax.tree.map(lambda leaf: leaf.sharding, shape)
    program = jax.jit(
        lambda state: training.train_chunk(state, iterations), donate_argnums=0, out_shardings=(places, None)
    )
    return program.lower(shape)
