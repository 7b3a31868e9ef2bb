"""What critics learn beside their returns: regularizers of an actor-critic's critics."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxq.agents.actor_critic import ActorCritic, ActorCriticState
from jaxq.bellman import n_step_return
from jaxq.errors import require
from jaxq.networks.critics import FEATURES, LAST
from jaxq.types import PyTree, Transition


@dataclasses.dataclass(frozen=True)
class BellmanRank:
    """BEER: features of consecutive states may be no more alike than the Bellman equation says (He et al., 2024).

    With a critic `Q(s, a) = w · φ(s, a)` the cosine of φ(s, a) and φ(s', a') has the bound

        (|φ|² + γ² |φ'|² - r² / |w|²) / (2 γ |φ| |φ'|)

    (their theorem on the upper bound), and what is above it is charged. φ(s', a') of the cosine and of the denominator
    is the target critics' at the target's action, that of the numerator the critics' own at the actor's, as in the
    authors' code; only φ(s, a) of the cosine has a gradient. For critics of one output, as the bound is about values.
    Of windows of several steps r is their return and γ the discount of the value after it; as in the authors' code the
    bound is the same where an episode terminates.

    Attributes:
      weight: of what is charged beside the squared error, as in the paper. Critics here learn by half of that error,
        and so half is charged.
    """

    weight: float = 1e-3

    def __post_init__(self) -> None:
        require(0 <= self.weight < float("inf"), "rank_weight", self.weight, "0 or more")

    def __call__(
        self, agent: ActorCritic, state: ActorCriticState, params: PyTree, batch: Transition, next_action: jax.Array
    ) -> jax.Array:
        """See `Regularizer`: the mean over the batch, summed over critics."""
        hyper, following = state.hyper, batch.next_observation
        no_end = jnp.zeros_like(batch.terminated)
        reward, discount = n_step_return(hyper.reward_scale * batch.rewards, batch.steps, no_end, hyper.discount)
        now = _features(agent, params, batch.observation, batch.action)
        then = _features(agent, state.critic.following, following, next_action)
        action = agent.policy.mode(agent.actor.apply(state.actor.variables, following, "act"))
        own = _features(agent, params, following, action)
        layers = params["params"]
        weights = jnp.stack([jnp.ravel(layers[name][LAST]["kernel"]) for name in sorted(layers)])  # [M, F]

        def squared(x: jax.Array) -> jax.Array:
            return jnp.sum(x**2, axis=-1)

        rewards = reward**2 / squared(weights)[:, None]
        # At zero, where all units may be dead, a root has no slope: the floor is within.
        lengths = jnp.sqrt(jnp.maximum(squared(now) * squared(then), 1e-12))
        bound = (squared(now) + discount**2 * squared(own) - rewards) / (2.0 * discount * lengths + 1e-6)
        bound, then = jax.lax.stop_gradient((bound, then))
        cosine = jnp.sum(now * then, axis=-1) / lengths
        excess = jax.nn.relu(cosine - bound)
        return 0.5 * self.weight * jnp.sum(jnp.mean(batch.weight * excess, axis=-1))


def _features(agent: ActorCritic, variables: Any, observation: PyTree, action: jax.Array) -> jax.Array:
    """What the last layers of the critics see, [M, B, F]."""
    network: Any = agent.critic
    _, found = network.apply(variables, observation, action, "learn", mutable="intermediates")
    of_critics = found["intermediates"]
    return jnp.stack([of_critics[name][FEATURES][0] for name in sorted(of_critics)])
