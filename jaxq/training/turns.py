"""What a controller has decided, done to the whole state on the device."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxq import platforms
from jaxq.envs.base import select
from jaxq.lanes import by_axes, over_lanes
from jaxq.training.controllers import NEW
from jaxq.training.loop import TrainState, counted_streams
from jaxq.training.numbers import with_numbers
from jaxq.types import PyTree


def leaves_of_numbers(training: Any, keys: jax.Array, numbers: Mapping[str, Any]) -> tuple[PyTree, set[str]]:
    """Which leaves of an agent's and a replay's state are numbers: found by following these through `init`.

    Args:
      training: of all members, on one device.
      keys, numbers: as of `Training.init`, or their shapes.

    Returns:
      A tree as `(state.agent, state.replay)`, the path of the number that a leaf is, or an empty one; and the numbers
      that have an effect on the state but are no leaf of it.
    """
    # Where members begin side by side, a number that becomes a leaf stays the variable that it was.
    with platforms.assume("gpu"):
        program, shape = jax.make_jaxpr(training.init, return_shape=True)(keys, dict(numbers))
    named = {id(variable): path for variable, path in zip(program.jaxpr.invars[1:], sorted(numbers), strict=True)}
    found = jax.tree.unflatten(jax.tree.structure(shape), [named.get(id(leaf), "") for leaf in program.jaxpr.outvars])
    used = {named[id(v)] for equation in program.jaxpr.eqns for v in equation.invars if id(v) in named}
    places = found.agent, found.replay
    return places, used - set(jax.tree.leaves(places))


def renumbered(places: PyTree, state: TrainState, numbers: Mapping[str, jax.Array]) -> TrainState:
    """The state with these numbers in place of those that it has.

    Args:
      places: of numbers in the state, of `leaves_of_numbers`.
      state: of everything.
      numbers: by path, [N] each; those that are not named stay.
    """

    def numbered(path: str, leaf: jax.Array) -> jax.Array:
        return numbers[path].astype(leaf.dtype) if path in numbers else leaf

    agent, replay = jax.tree.map(numbered, places, (state.agent, state.replay))
    return state.replace(agent=agent, replay=replay)


def turned(
    training: Any, places: PyTree, state: TrainState, source: jax.Array, numbers: Mapping[str, jax.Array]
) -> TrainState:
    """The state with which the lanes go on.

    A copy has the agent, the memory and the replay of its source; keys and environments are the lane's own, whose
    episodes go on, so the replay that it takes over is sealed. A new member has an agent and a memory that know
    nothing, and begins with what its lane's replay holds in place of a warm-up.

    Args:
      training: of all members.
      places: of numbers in the state, of `leaves_of_numbers`.
      state: so far.
      source: [N] int32, as of `controllers.Turn`.
      numbers: by path, [N] each, all members' from now on.
    """
    lanes = jnp.arange(source.shape[0])
    copied, new = (source != lanes) & (source != NEW), source == NEW
    taken = jnp.where(copied, source, lanes)
    agent, memory = jax.tree.map(lambda leaf: leaf[taken], (state.agent, state.memory))

    def begun(key: jax.Array, numbers: Mapping[str, jax.Array]) -> tuple[PyTree, PyTree]:
        one = with_numbers(training, numbers).agent
        return one.init(key), one.init_memory(training.envs_per_member)

    begin = over_lanes(begun, training.num_members, heavy=True)
    fresh = begin(counted_streams(state.key, "new agent", state.iteration), dict(numbers))
    agent, memory = select(new, fresh, (agent, memory))
    replay = _copied_replay(training, state.replay, taken, copied)
    state = state.replace(agent=agent, memory=memory, replay=replay, frozen=state.frozen & ~copied & ~new)
    return renumbered(places, state, numbers)


def _copied_replay(training: Any, replay: PyTree, taken: jax.Array, copied: jax.Array) -> PyTree:
    """Replays written over one after the other where they lie: a copy of all would take as much memory again."""
    if replay == ():
        return replay
    axes = training.replay.population_axes

    def part(index: jax.Array, axis: int | None, tree: PyTree) -> PyTree:
        return tree if axis is None else jax.tree.map(lambda leaf: leaf[index], tree)

    def turn(replay: PyTree, lane: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[PyTree, None]:
        index, source, copies = lane
        own = by_axes(functools.partial(part, source), axes, replay)
        sealed = training.replay.seal(own)
        own = jax.tree.map(lambda a, b: jnp.where(copies, a, b), sealed, own)

        def put(axis: int | None, whole: PyTree, one: PyTree) -> PyTree:
            return whole if axis is None else jax.tree.map(lambda x, y: x.at[index].set(y), whole, one)

        return by_axes(put, axes, replay, own), None

    return jax.lax.scan(turn, replay, (jnp.arange(taken.shape[0]), taken, copied))[0]
