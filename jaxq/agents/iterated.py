"""Iterated Q-networks: a chain of value functions, each learning the backup of the one before it.

Vincent et al., Iterated Q-Network: Beyond One-Step Bellman Updates in Deep Reinforcement Learning, 2024. The chain
wraps any `QLearning` agent: i-DQN, i-IQN and i-(anything) differ in what is wrapped.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from jaxq import platforms
from jaxq.agents.base import LearnerState
from jaxq.agents.q_learning import ActsByQLearning
from jaxq.agents.targets import Period, where_new
from jaxq.errors import require
from jaxq.hyperparameters import Hyperparameters
from jaxq.keys import stream
from jaxq.types import Metrics, PyTree, Transition


class ChainParams(struct.PyTreeNode):
    """Parameters of a chain of K networks.

    Attributes:
      shared: submodules that all networks have in common, by name; empty for separate networks.
      chained: the other submodules, by name, [K, ...].
    """

    shared: PyTree
    chained: PyTree

    def link(self, k: Any) -> PyTree:
        """The parameters of network k, counted from 0."""
        return {"params": {**self.shared, **jax.tree.map(lambda leaf: leaf[k], self.chained)}}


class ChainTargets(struct.PyTreeNode):
    """Parameters of the targets `θ̄_0 .. θ̄_{K-1}` of a chain.

    Attributes:
      first_shared: the submodules in common as `θ̄_0` has them.
      shared: the same as all other targets have them, which are younger.
      chained: the other submodules, by name, [K, ...].
    """

    first_shared: PyTree
    shared: PyTree
    chained: PyTree

    def link(self, k: int) -> PyTree:
        """The parameters of target k."""
        return ChainParams(self.first_shared if k == 0 else self.shared, self.chained).link(k)

    @classmethod
    def copy_of(cls, chain: ChainParams) -> "ChainTargets":
        """Targets equal to the learners, in buffers of their own."""
        return jax.tree.map(jnp.copy, cls(chain.shared, chain.shared, chain.chained))


class WindowShift(Hyperparameters):
    """How the targets `θ̄_0 .. θ̄_{K-1}` follow the learners `θ_1 .. θ_K` (Vincent et al., 2024, algorithm 1).

    Every D updates `θ̄_k <- θ_k` for k = 1 .. K - 1; every T updates the window moves on, `θ̄_k <- θ_{k+1}` and
    `θ_k <- θ_{k+1}`. Of a shared torso the targets have two copies, as in the authors' code: that of `θ̄_0` is as old
    as its head, from the last shift; that of the others is renewed with their heads. With one copy for all, the target
    that anchors the chain would change whenever the others are renewed.

    Attributes:
      period: T.
      sync_period: D.
    """

    period: Period
    sync_period: Period

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.period, int) and isinstance(self.sync_period, int):
            allowed = f"in 1 .. the period of {self.period}, in which it comes round"
            require(self.sync_period <= self.period, "sync_period", self.sync_period, allowed)

    def step(self, target: ChainTargets, online: ChainParams, updates: jax.Array) -> tuple[ChainTargets, ChainParams]:
        """Targets and learners after this many updates. Learner k + 1 and target k have index k."""
        sync, shift = updates % jnp.int32(self.sync_period) == 0, updates % jnp.int32(self.period) == 0

        def new_target(t: jax.Array, o: jax.Array) -> jax.Array:
            return jnp.where(shift, o, jnp.concatenate([t[:1], o[:-1]]))

        def new_online(o: jax.Array) -> jax.Array:
            return jnp.where(shift, jnp.concatenate([o[1:], o[-1:]]), o)

        def renewed() -> tuple[ChainTargets, ChainParams]:
            first = jax.tree.map(lambda t, o: jnp.where(shift, o, t), target.first_shared, online.shared)
            chained = jax.tree.map(new_target, target.chained, online.chained)
            moved = online.replace(chained=jax.tree.map(new_online, online.chained))
            return ChainTargets(first, online.shared, chained), moved

        return where_new(sync | shift, renewed, (target, online))


class _Role(struct.PyTreeNode):
    """Parameters of a head, and of whose torso's features it sees: `online` or `target`."""

    params: PyTree
    torso: str = struct.field(pytree_node=False)


@dataclasses.dataclass(frozen=True)
class _OnFeatures:
    """A network's head alone, in the network's place: its observations are features by the torso they come from."""

    head: Any

    def init(self, rngs: Any, *args: Any) -> Any:
        """Never called: parameters come from the whole network."""
        raise NotImplementedError

    def apply(self, variables: _Role, *args: Any, rngs: Any = None) -> jax.Array:
        """See the class."""
        features, mode = args
        return self.head.apply({"params": variables.params}, features[variables.torso], mode, rngs=rngs)


@dataclasses.dataclass(frozen=True)
class IteratedQLearning(ActsByQLearning):
    """A chain of K value functions, trained together; behaviour follows one of them, drawn anew each step.

    With K = 1 and `WindowShift(T, T)` it is its base agent with `HardUpdate(T)`, bit for bit.

    Attributes:
      base: the agent whose objective each link has; of its schedules, `window` stands in for `target`.
      links: K.
      window: the target schedule.
      share_torso: whether all links have the network's `torso` in common and only a `head` each, or all of it each.
    """

    links: int
    window: WindowShift
    share_torso: bool = False

    def __post_init__(self) -> None:
        require(self.links >= 1, "links", self.links, "at least 1")

    def init(self, key: jax.Array) -> LearnerState:
        """See `OffPolicyAgent.init`."""
        keys = keys_of_links(key, self.links)
        params = [self.base.init(keys[k]).params["params"] for k in range(self.links)]
        common = ("torso",) if self.share_torso else ()
        shared = {name: params[0][name] for name in common}
        own = [{name: sub for name, sub in p.items() if name not in common} for p in params]
        chain = ChainParams(shared, jax.tree.map(lambda *leaves: jnp.stack(leaves), *own))
        hyper = self.base.hyper.replace(target=self.window)
        return LearnerState.start(chain, self.base.optimizer, hyper, ChainTargets.copy_of(chain))

    def acting(self, state: LearnerState, key: jax.Array) -> LearnerState:
        """See `ActsByQLearning.acting`: one link, drawn uniformly."""
        return state.replace(params=state.params.link(drawn_link(key, self.links)))

    def update(self, state: LearnerState, batch: Transition, key: jax.Array) -> tuple[LearnerState, Metrics, jax.Array]:
        """See `OffPolicyAgent.update`: every link at once, link k on the backup of target k."""

        def loss(params: ChainParams) -> tuple[jax.Array, tuple[Metrics, jax.Array]]:
            losses, (metrics, priority) = self._objectives(state, params, batch, key)
            return jnp.sum(losses), (jax.tree.map(lambda m: jnp.mean(m, axis=0), metrics), jnp.mean(priority, axis=0))

        (_, (metrics, priority)), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
        state = state.descend(self.base.optimizer, gradient)
        target_params, params = state.hyper.target.step(state.target_params, state.params, state.updates)
        state = state.replace(params=params, target_params=target_params)
        return state, metrics, priority

    def _objectives(self, state: LearnerState, params: ChainParams, batch: Transition, key: jax.Array) -> Any:
        """The base's objective of each link, stacked."""
        targets: ChainTargets = state.target_params
        keys = keys_of_links(key, self.links)

        if not self.share_torso:

            def link(online: PyTree, target: PyTree, key: jax.Array) -> Any:
                return self.base.objective(state.hyper, {"params": online}, {"params": target}, batch, key)

            return over_links(link, self.links, params.chained, targets.chained, keys)

        # Features once for all links, so that the torso's passes, forward and back, are made once.
        network: Any = self.base.network
        on_features = dataclasses.replace(self.base, network=_OnFeatures(network.head))

        def torso(shared: PyTree) -> tuple[jax.Array, jax.Array]:
            variables = {"params": shared["torso"]}
            return network.torso.apply(variables, batch.observation), network.torso.apply(
                variables, batch.next_observation
            )

        online_features, others = torso(params.shared), torso(targets.shared)
        target_features = [torso(targets.first_shared)] + [others] * (self.links - 1)

        def link_on_features(online: PyTree, target: PyTree, seen: tuple[jax.Array, jax.Array], key: jax.Array) -> Any:
            now, following = (
                {"online": ours, "target": theirs} for ours, theirs in zip(online_features, seen, strict=True)
            )
            own = batch.replace(observation=now, next_observation=following)
            online, target = _Role(online["head"], "online"), _Role(target["head"], "target")
            return on_features.objective(state.hyper, online, target, own, key)

        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *target_features)
        return over_links(link_on_features, self.links, params.chained, targets.chained, stacked, keys)


def keys_of_links(key: jax.Array, links: int) -> jax.Array:
    """[K] one key a link; a link alone gets the one that its base agent would."""
    return key[None] if links == 1 else jax.random.split(stream(key, "links"), links)


def drawn_link(key: jax.Array, links: int) -> int | jax.Array:
    """One of K links, uniformly."""
    return 0 if links == 1 else jax.random.randint(stream(key, "link"), (), 0, links)


def over_links(link: Callable[..., PyTree], links: int, *stacked: PyTree) -> PyTree:
    """`link`, of the slices of its arguments [K, ...] one after the other or side by side, stacked."""
    if links > 1 and not platforms.on_cpu():
        return jax.vmap(link)(*stacked)
    # Separate products, which the CPU does faster one by one.
    each = [link(*jax.tree.map(lambda leaf: leaf[k], stacked)) for k in range(links)]  # noqa: B023
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
