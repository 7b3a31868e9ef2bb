"""What a run compiles, ahead of time and once."""

import functools
import os
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxq import platforms
from jaxq.errors import InputError, require
from jaxq.runs.devices import placed
from jaxq.runs.population import Assembly, Renumbering
from jaxq.training import Spread, Training, TrainState
from jaxq.training.turns import leaves_of_numbers, renumbered, turned
from jaxq.types import PyTree

COUNT = jax.ShapeDtypeStruct((), np.int32)


class Programs(NamedTuple):
    """The beginning of a run; the beginning, a part and the end of a chunk, and those of an evaluation.

    Of a chunk under way also the shapes. A part of it also gives how much is done, which can be waited for when all the
    rest was given on. Of a run that goes on `init` and `warm_up` are None.
    """

    init: Any
    warm_up: Any
    chunk_shape: PyTree
    begin_chunk: Any
    advance_chunk: Any
    end_chunk: Any
    begin_evaluation: Any
    evaluate: Any
    evaluated: Any


def compilers(processors: int = 4) -> ThreadPoolExecutor:
    """Threads to compile in: one for so many processors, about as many as one compilation keeps busy."""
    return ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // processors))


def compiled(
    assembly: Assembly,
    iterations: int,
    shape: TrainState,
    keys: jax.Array | None = None,
    deterministic: bool = True,
) -> Programs:
    """The programs of a run, compiled beside each other where there are processors for it.

    Args:
      assembly: what is trained.
      iterations: of a chunk.
      shape: of the whole state, with the place of every leaf.
      keys: of the members, where the run begins; None where it goes on.
      deterministic: as of `compiler_options`.

    Raises:
      InputError: if members differ in a number that is not read from their states: the program would have the first
        member's for all. Two trainings that are the same but for their numbers must be the same program.
    """
    training, places = assembly.training, jax.tree.map(lambda leaf: leaf.sharding, shape)
    # Hosts that compile one program together must all have begun it: they all begin in the same order.
    with compilers() as threads:

        def start(lowered: Any) -> Future[Any]:
            return threads.submit(lowered.compile, compiler_options(deterministic))

        # Where a chunk under way lies is known when what begins it is compiled. What takes longest is begun first.
        chunk = jax.jit(lambda state: training.begin_chunk(state, iterations)).lower(shape)
        begin_chunk = start(chunk)
        chunk_shape = jax.tree.map(placed, chunk.out_info, begin_chunk.result().output_shardings)
        part = _part(training, shape, chunk_shape)
        for other in assembly.others:
            if _part(other, shape, chunk_shape).as_text() != part.as_text():
                differing = [path for path, values in assembly.numbers.items() if (values != values[0]).any()]
                raise InputError(
                    f"members differ in {', '.join(differing)}, of which the agent reads some from itself and not from "
                    "its state, so that all would have the first member's"
                )
        advance_chunk = start(part)
        evaluation = jax.jit(training.begin_evaluation).lower(shape)
        begin_evaluation = start(evaluation)
        init = warm_up = None
        if keys is not None:
            warm_up = start(jax.jit(training.warm_up, donate_argnums=0, out_shardings=places).lower(shape))
            init = start(jax.jit(training.init, out_shardings=places).lower(keys, assembly.numbers))
        lies = begin_evaluation.result().output_shardings
        evaluation_shape = jax.tree.map(placed, evaluation.out_info, lies)
        a_part = jax.jit(training.evaluate, donate_argnums=1, out_shardings=(lies, None))
        evaluate = start(a_part.lower(shape, evaluation_shape, COUNT))
        evaluated = start(jax.jit(training.evaluated).lower(evaluation_shape))
        end = jax.jit(training.end_chunk, donate_argnums=0, out_shardings=(places, None))
        end_chunk = start(end.lower(shape, chunk_shape))
        return Programs(
            init and init.result(),
            warm_up and warm_up.result(),
            chunk_shape,
            begin_chunk.result(),
            advance_chunk.result(),
            end_chunk.result(),
            begin_evaluation.result(),
            evaluate.result(),
            evaluated.result(),
        )


def compiler_options(deterministic: bool) -> dict[str, Any] | None:
    """What XLA is told of a run's programs.

    Args:
      deterministic: whether a GPU is to add in one order, and to choose how by rule and not by timing, which gives
        other bits with every compilation. Of a PQN compiled three times no two had the same parameters without it, and
        it ran a third faster (docs/results.md, *On a GPU*).
    """
    return {"xla_gpu_deterministic_ops": True} if deterministic and platforms.current() == "gpu" else None


def turn_program(
    assembly: Assembly, shape: TrainState, renumbering: Renumbering, controller: str, deterministic: bool = True
) -> Any:
    """`(state, source, numbers) -> state`: what a controller of this name has decided, done.

    Raises:
      InputError: if members differ in a number that is not found in their states.
    """
    whole, places, unseen = _places(assembly, shape)
    differing = {path for path, values in assembly.numbers.items() if (values != values[0]).any()}
    if hidden := differing & unseen:
        fields = ", ".join(renumbering.fields_of(hidden))
        raise InputError(
            f"controller is {controller!r}, but must be left out: numbers of {fields} cannot be changed in a run"
        )
    lies = jax.tree.map(lambda leaf: leaf.sharding, shape)
    turn, options = functools.partial(turned, whole, places), compiler_options(deterministic)
    return jax.jit(turn, donate_argnums=0, out_shardings=lies, compiler_options=options)


def renumbering_program(assembly: Assembly, shape: TrainState, paths: Collection[str]) -> Any:
    """`(state, numbers) -> state`: the same with the numbers of these paths, [N] each, in place of those it has.

    Raises:
      InputError: if one of them is not found in the members' states.
    """
    lies = jax.tree.map(lambda leaf: leaf.sharding, shape)
    _, places, unseen = _places(assembly, shape)
    hidden = sorted(unseen.intersection(paths))
    require(not hidden, "total_steps", ", ".join(hidden), "left as it was: these numbers cannot be changed in a run")
    renumber = functools.partial(renumbered, places)
    return jax.jit(renumber, donate_argnums=0, out_shardings=lies)


def _places(assembly: Assembly, shape: TrainState) -> tuple[Any, PyTree, set[str]]:
    """The training of all members as on one device, and of `leaves_of_numbers` of it."""
    training: Any = assembly.training
    whole = training.whole if isinstance(training, Spread) else training
    return whole, *leaves_of_numbers(whole, shape.key, assembly.numbers)


def _part(training: Training, shape: TrainState, chunk_shape: PyTree) -> Any:
    def part(state: TrainState, chunk: PyTree, count: jax.Array) -> tuple[TrainState, PyTree, jax.Array]:
        state, chunk = training.advance_chunk(state, chunk, count)
        return state, chunk, chunk.done

    places = jax.tree.map(lambda leaf: leaf.sharding, (shape, chunk_shape))
    return jax.jit(part, donate_argnums=(0, 1), out_shardings=(*places, None)).lower(shape, chunk_shape, COUNT)
