"""Entropy weighted by what causes rewards (ACE), and how causes are told from data (DirectLiNGAM)."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxq.agents.actor_critic import ActorCritic, ActorCriticState
from jaxq.agents.entropy import WeightedTemperature
from jaxq.errors import require
from jaxq.lanes import where_due
from jaxq.networks.observations import flattened, size_of
from jaxq.types import Metrics, Transition

_SMALL = 1e-8


class CausalState(ActorCriticState):
    """State of a `CausalActorCritic`.

    Attributes:
      rows: [N, O + size + 1], observation, action and reward of N transitions.
      written: int32, rows written so far; once all are, the same by N, and below 2 N.
    """

    rows: jax.Array
    written: jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class CausalActorCritic(ActorCritic):
    """An actor-critic whose entropy counts by dimension, by what each does to the reward (ACE, Ji et al., 2024).

    Every `period` updates the effects of observations and actions on the reward are estimated from the last `samples`
    transitions that were learned from; the weights of the actions are `size softmax(effects)`. The authors estimate
    from the last transitions of their one environment, and keep the estimate's small effects out by a lasso; here
    transitions are those of the replay, and effects are plain regressions on what comes before in the causal order.
    `hyper.entropy` is a `WeightedTemperature`. An estimate takes about `D³ N` operations on D = O + size + 1 variables.

    Attributes:
      samples: N, more than D.
      period: updates between two estimates.
    """

    samples: int = 10_000
    period: int = 10_000

    def __post_init__(self) -> None:
        super().__post_init__()
        variables = self._variables
        allowed = f"more than {variables}, the numbers of an observation, an action and a reward"
        require(self.samples > variables, "causal_samples", self.samples, allowed)
        require(self.period >= 1, "causal_period", self.period, "at least 1")
        kind = type(self.hyper.entropy).__name__
        require(isinstance(self.hyper.entropy, WeightedTemperature), "entropy", kind, "WeightedTemperature")

    @property
    def _variables(self) -> int:
        """D."""
        return size_of(self.observation_spec) + self.action_spec.size + 1

    def init(self, key: jax.Array) -> CausalState:
        """See `OffPolicyAgent.init`."""
        state = super().init(key)
        return state.extended(CausalState, rows=jnp.zeros((self.samples, self._variables)), written=jnp.int32(0))

    def update(self, state: Any, batch: Transition, key: jax.Array) -> tuple[ActorCriticState, Metrics, jax.Array]:
        """See `OffPolicyAgent.update`: as an actor-critic's, and now and then new weights."""
        state, metrics, priority = super().update(state, batch, key)
        new = jnp.concatenate([flattened(batch.observation), batch.action, batch.rewards[:, :1]], axis=-1)
        new, counts = new[-self.samples :], batch.weight[-self.samples :] > 0
        place = (state.written + jnp.cumsum(counts) - 1) % self.samples
        rows = state.rows.at[jnp.where(counts, place, self.samples)].set(new, mode="drop")
        written = state.written + jnp.sum(counts)
        state = state.replace(rows=rows, written=jnp.where(written < 2 * self.samples, written, written - self.samples))

        def estimate() -> jax.Array:
            effects = effects_on_last(state.rows)[-self.action_spec.size :]
            return self.action_spec.size * jax.nn.softmax(effects)

        due = (state.updates % self.period == 0) & (state.written >= self.samples)
        weights = where_due(due, estimate, state.entropy.weights)
        return state.replace(entropy=state.entropy.replace(weights=weights)), metrics, priority


def _standardized(x: jax.Array) -> jax.Array:
    """Variables [..., N] with mean zero and deviation one."""
    x = x - jnp.mean(x, axis=-1, keepdims=True)
    return x / jnp.maximum(jnp.std(x, axis=-1, keepdims=True), _SMALL)


def _entropy(x: jax.Array) -> jax.Array:
    """The differential entropy of standardized variables [..., N], approximately (Hyvärinen, 1998, eq. 10): [...]."""
    log_cosh = jnp.abs(x) + jnp.log1p(jnp.exp(-2.0 * jnp.abs(x))) - jnp.log(2.0)
    even = jnp.mean(log_cosh, axis=-1) - 0.37457
    odd = jnp.mean(x * jnp.exp(-(x**2) / 2.0), axis=-1)
    return 0.5 * (1.0 + jnp.log(2.0 * jnp.pi)) - 79.047 * even**2 - 7.4129 * odd**2


def causal_order(rows: jax.Array) -> jax.Array:
    """An order in which no variable is caused by a later one (Shimizu et al., DirectLiNGAM, 2011).

    Linear effects and disturbances that are not Gaussian are assumed. In every round the variable that is most
    independent of its residuals in all others, by the likelihood ratio of Hyvärinen and Smith (2013), comes next, and
    its effect is taken out of the others.

    Args:
      rows: [N, D] samples.

    Returns:
      [D] int32, variables, causes first.
    """
    size = rows.shape[1]

    def step(carry: tuple[jax.Array, jax.Array], _: None) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        variables, left = carry  # [D, N], [D]
        standard = _standardized(variables)
        entropy = _entropy(standard)

        def dependence(x: jax.Array) -> jax.Array:
            """Of a standardized variable [N] as a cause of all others: 0 where it is none of their effects."""
            own = _entropy(x)
            correlation = standard @ x / x.size
            theirs = _entropy(_standardized(standard - correlation[:, None] * x))  # what it leaves of them
            its = _entropy(_standardized(x - correlation[:, None] * standard))
            ratio = (entropy + its) - (own + theirs)
            itself = jnp.abs(correlation) > 1.0 - 1e-6
            return jnp.sum(jnp.where(left & ~itself, jnp.minimum(0.0, ratio) ** 2, 0.0))

        first = jnp.argmin(jnp.where(left, jax.lax.map(dependence, standard), jnp.inf)).astype(jnp.int32)
        cause = variables[first] - jnp.mean(variables[first])
        slope = (variables @ cause) / jnp.maximum(cause @ cause, _SMALL)
        return (variables - slope[:, None] * cause, left.at[first].set(False)), first

    start = (rows.T - jnp.mean(rows, axis=0)[:, None], jnp.ones(size, bool))
    return jax.lax.scan(step, start, None, size)[1]


def effects_on_last(rows: jax.Array) -> jax.Array:
    """Direct linear effects of all variables on the last one, zero for those that come after it in the causal order.

    Args:
      rows: [N, D] samples.

    Returns:
      [D - 1].
    """
    order = causal_order(rows)
    place = jnp.argsort(order)
    causes = place[:-1] < place[-1]
    centred = rows - jnp.mean(rows, axis=0)
    seen = centred[:, :-1] * causes
    # Next to nothing on the diagonal, for variables that are left out or never move.
    products = seen.T @ seen / rows.shape[0] + _SMALL * jnp.eye(rows.shape[1] - 1)
    return jnp.linalg.solve(products, seen.T @ centred[:, -1] / rows.shape[0]) * causes
