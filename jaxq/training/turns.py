"""What a controller has decided, done to the whole state on the device."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr

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
      A tree of the structure of `(state.agent, state.replay)` with that number's path at each leaf that holds a number,
      in whatever shape, and elsewhere an empty string; and the numbers that influence the first state but are stored
      in no leaf of it.
    """
    # Where members begin side by side, nothing is done to a number that becomes a leaf but to its shape.
    with platforms.assume("gpu"):
        program, shape = jax.make_jaxpr(training.init, return_shape=True)(keys, dict(numbers))
    named, used = _followed(program.jaxpr, ["", *sorted(numbers)])
    found = jax.tree.unflatten(jax.tree.structure(shape), named)
    places = found.agent, found.replay
    return places, used - set(jax.tree.leaves(places))


_SHAPES = ("squeeze", "reshape", "slice", "broadcast_in_dim", "convert_element_type")


def _followed(program: Jaxpr, names: Sequence[str]) -> tuple[list[str], set[str]]:
    """By the names of what goes into a program, those of what comes out of it, and those that it computes with.

    Names are empty where there are none; what is the same numbers in another shape keeps its name.
    """
    named = {id(variable): name for variable, name in zip(program.invars, names, strict=True) if name}
    used: set[str] = set()
    for equation in program.eqns:
        given = [named.get(id(variable), "") for variable in equation.invars]
        if not any(given):
            continue
        if equation.primitive.name in _SHAPES:
            named[id(equation.outvars[0])] = given[0]
        elif equation.primitive.name in ("jit", "pjit"):
            made, inside = _followed(equation.params["jaxpr"].jaxpr, given)
            named |= {id(variable): name for variable, name in zip(equation.outvars, made, strict=True) if name}
            used |= inside
        else:
            used |= set(filter(None, given))
    return [named.get(id(variable), "") for variable in program.outvars], used


def renumbered(places: PyTree, state: TrainState, numbers: Mapping[str, jax.Array]) -> TrainState:
    """The state with these numbers in place of those that it has.

    Args:
      places: of numbers in the state, of `leaves_of_numbers`.
      state: of everything.
      numbers: by path, [N] each; those that are not named stay.
    """

    def numbered(path: str, leaf: jax.Array) -> jax.Array:
        if path not in numbers:
            return leaf
        # Members' lanes come first; behind them a number may stand several times, as for each network of an ensemble.
        members = numbers[path].astype(leaf.dtype)
        return jnp.broadcast_to(members.reshape(-1, *(1,) * (leaf.ndim - 1)), leaf.shape)

    agent, replay = jax.tree.map(numbered, places, (state.agent, state.replay))
    return state.replace(agent=agent, replay=replay)


def turned(
    training: Any, places: PyTree, state: TrainState, source: jax.Array, numbers: Mapping[str, jax.Array]
) -> TrainState:
    """The state with which the lanes go on.

    A copy has the agent and the replay of its source, and what acting carries for all environments together, as how far
    a schedule is. Keys and environments are the lane's own, with what acting carries for each of them: their episodes
    go on, so the replay that is taken over is sealed, and a recurrent state or a held action is of the episode that it
    is used in, though another network made it. A new member has an agent and a memory that know nothing, and begins
    with what its lane's replay holds in place of a warm-up, but with none of the priorities that were given there.

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
    agent = jax.tree.map(lambda leaf: leaf[taken], state.agent)
    memory = jax.tree.map(lambda own, leaf: leaf if own else leaf[taken], _by_environment(training), state.memory)

    def begun(key: jax.Array, numbers: Mapping[str, jax.Array]) -> tuple[PyTree, PyTree]:
        one = with_numbers(training, numbers).agent
        return one.init(key), one.init_memory(training.envs_per_member)

    begin = over_lanes(begun, training.num_members, heavy=True)
    fresh = begin(counted_streams(state.key, "new agent", state.iteration), dict(numbers))
    agent, memory = select(new, fresh, (agent, memory))
    replay = _turned_replay(training, state.replay, taken, copied, new)
    state = state.replace(agent=agent, memory=memory, replay=replay, frozen=state.frozen & ~copied & ~new)
    return renumbered(places, state, numbers)


def _by_environment(training: Any) -> PyTree:
    """Which leaves of a member's memory have an axis of environments: those whose shapes follow their number."""
    fewer, more = (
        jax.eval_shape(functools.partial(training.agent.init_memory, training.envs_per_member + extra))
        for extra in (0, 1)
    )
    return jax.tree.map(lambda a, b: a.shape != b.shape, fewer, more)


def _turned_replay(training: Any, replay: PyTree, taken: jax.Array, copied: jax.Array, new: jax.Array) -> PyTree:
    """Replays written over one after the other where they lie: a copy of all would take as much memory again."""
    if replay == ():
        return replay
    axes = training.replay.population_axes

    def part(index: jax.Array, axis: int | None, tree: PyTree) -> PyTree:
        return tree if axis is None else jax.tree.map(lambda leaf: leaf[index], tree)

    def turn(replay: PyTree, lane: tuple[jax.Array, jax.Array, jax.Array, jax.Array]) -> tuple[PyTree, None]:
        index, source, copies, begins = lane
        own = by_axes(functools.partial(part, source), axes, replay)
        sealed, renewed = training.replay.seal(own), training.replay.renewed(own)
        own = jax.tree.map(lambda a, b, c: jnp.where(copies, a, jnp.where(begins, b, c)), sealed, renewed, own)

        def put(axis: int | None, whole: PyTree, one: PyTree) -> PyTree:
            return whole if axis is None else jax.tree.map(lambda x, y: x.at[index].set(y), whole, one)

        return by_axes(put, axes, replay, own), None

    return jax.lax.scan(turn, replay, (jnp.arange(taken.shape[0]), taken, copied, new))[0]
