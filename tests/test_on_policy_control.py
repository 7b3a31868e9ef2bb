"""Rewards normalized by running statistics, and continuous agents without replay, against plain loops of numpy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from jaxq import envs
from jaxq.agents import Normalized, ScaledRewards
from jaxq.agents.base import RecordsNothing
from jaxq.envs import ArraySpec
from jaxq.errors import InputError
from jaxq.replay import UniformReplay
from jaxq.training import Evaluation, OffPolicy, OnPolicy
from jaxq.types import Rollout, Segment, TimeStep, Transition

# Rewards by running statistics.


@dataclasses.dataclass(frozen=True)
class Recorder(RecordsNothing):
    """An agent that acts at random and counts; its state is the number of its updates, its memory that of its acts."""

    observation_spec = ArraySpec((3,))
    updates_per_rollout = 1

    def init(self, key):
        del key
        return jnp.int32(0)

    def init_memory(self, num_envs):
        return jnp.zeros(num_envs, jnp.int32)

    def act(self, state, memory, timestep, key):
        del state
        return jax.random.uniform(key, (timestep.first.shape[0], 1), minval=-1.0), memory + 1, ()

    def update(self, state, batch, key):
        del key
        metrics = {"loss": jnp.float32(0)}
        return (state + 1, metrics) if isinstance(batch, Rollout) else (state + 1, metrics, batch.weight)


class Countdown:
    """Episodes of a few steps whose rewards are the numbers of a chaotic map, ended either way."""

    name, observation_spec, action_spec, max_episode_steps = "Countdown", ArraySpec((3,)), envs.Continuous(1), 7

    def reset(self, key):
        length = jax.random.randint(key, (), 2, 12)
        return (jnp.int32(0), length), self._seen(0, length)

    def step(self, state, action, key):
        del key
        time, length = state[0] + 1, state[1]
        return (time, length), self._seen(time, length), 5.0 + time + action[0], time >= length, False

    @staticmethod
    def _seen(time, length):
        return jnp.stack([time, length, time * length]).astype(jnp.float32)


class ShownState(struct.PyTreeNode):
    base: object
    shown: TimeStep
    count: jax.Array


@dataclasses.dataclass(frozen=True)
class Diary:
    """An agent around another that writes down all time steps that it is shown."""

    base: object
    envs: int
    limit: int = 200
    updates_per_rollout = 1

    def init(self, key):
        spec = TimeStep(jnp.zeros((self.envs, 3)), *(jnp.zeros(self.envs),) * 1, *(jnp.zeros(self.envs, bool),) * 3)
        shown = jax.tree.map(lambda leaf: jnp.zeros((self.limit, *leaf.shape), leaf.dtype), spec)
        return ShownState(self.base.init(key), shown, jnp.int32(0))

    def init_memory(self, num_envs):
        return self.base.init_memory(num_envs)

    def act(self, state, memory, timestep, key):
        return self.base.act(state.base, memory, timestep, key)

    def watch(self, state, memory, timestep, action, key):
        return self.base.watch(state.base, memory, timestep, action, key)

    def update(self, state, batch, key):
        base, *told = self.base.update(state.base, batch, key)
        return state.replace(base=base), *told

    def observe(self, state, memory, timestep):
        base, memory = self.base.observe(state.base, memory, timestep)
        shown = jax.tree.map(lambda all_, one: all_.at[state.count].set(one), state.shown, timestep)
        return ShownState(base, shown, state.count + 1), memory


def scale_of(rewards, last, first, discount, g_max, epsilon=1e-8):
    """The divisor after rewards [T, E], and G [E], step by step."""
    returns, seen, largest = np.zeros(rewards.shape[1]), [], 0.0
    for t in range(len(rewards)):
        for e in range(rewards.shape[1]):
            if not first[t, e]:
                returns[e] = discount * (1 - last[t, e]) * returns[e] + rewards[t, e]
                seen.append(returns[e])
                largest = max(largest, abs(returns[e]))
    return max(np.sqrt(np.var(seen) + epsilon), largest / g_max), returns


@pytest.mark.parametrize("loop", ["off-policy", "on-policy"])
@pytest.mark.parametrize("members", [1, 2])
def test_rewards_are_scaled_by_the_deviation_of_discounted_returns(loop, members):
    """Of every reward that there was and of no other, in order; members, and what acting carries, apart."""
    agent = Diary(Normalized(ScaledRewards(Recorder(), discount=0.9, g_max=2.0)), 3)
    environment = envs.Batched(Countdown(), 3 * members)
    kinds = dict(environment=environment, evaluation=Evaluation(environment), num_members=members, agent=agent)
    if loop == "on-policy":
        training = OnPolicy(**kinds, rollout_steps=5)
    else:
        replay = UniformReplay.for_environment(environment, members, capacity=300, batch_size=8)
        training = OffPolicy(**kinds, replay=replay, warmup_steps=30)
    state = jax.jit(training.warm_up)(jax.jit(training.init)(jax.vmap(jax.random.key)(jnp.arange(members))))
    state, _ = jax.jit(training.train_chunk, static_argnums=1)(state, 30)
    for member in range(members):
        own = jax.tree.map(lambda leaf: np.asarray(leaf[member]), state.agent)  # noqa: B023
        count = int(own.count)
        assert count == (150 if loop == "on-policy" else 10 + 30)
        shown = jax.tree.map(lambda leaf: leaf[:count], own.shown)  # noqa: B023
        assert all(flag.any() for flag in (shown.terminated, shown.truncated, shown.first))
        steps = shown.observation[..., 0]
        assert (np.where(shown.first, 0, np.roll(steps, 1, axis=0) + 1)[1:] == steps[1:]).all(), "none is left out"
        scaled = own.base.base
        expected, returns = scale_of(shown.reward, shown.last, shown.first, 0.9, 2.0)
        np.testing.assert_allclose(ScaledRewards(None, 0.9, 2.0).scale(scaled), expected, rtol=1e-4)
        np.testing.assert_allclose(scaled.statistics.count, (~shown.first).sum(), rtol=1e-4)
        np.testing.assert_allclose(own.base.statistics.mean, shown.observation.mean(axis=(0, 1)), rtol=1e-3)
        memory = jax.tree.map(lambda leaf: np.asarray(leaf[member]), state.memory)  # noqa: B023
        np.testing.assert_allclose(memory.returns, returns, rtol=1e-4)
        assert (memory.base == (150 if loop == "on-policy" else 30)).all(), "the agent has its own memory"


def test_plain_deviation_and_every_kind_of_batch():
    """Without a bound it is the deviation; and windows, segments and rollouts are learned from with scaled rewards."""
    rng = np.random.default_rng(0)
    rewards, last = rng.normal(size=(40, 2)) * 7, rng.random((40, 2)) < 0.1
    first = np.concatenate([np.zeros((1, 2), bool), last[:-1]])
    rewards, last = np.where(first, 0.0, rewards), last & ~first
    agent = ScaledRewards(Recorder(), discount=0.95)
    state, memory = agent.init(jax.random.key(0)), agent.init_memory(2)
    assert float(agent.scale(state)) == pytest.approx(1.0), "nothing seen yet"
    observe = jax.jit(agent.observe)
    for t in range(40):
        no = jnp.zeros(2, bool)
        timestep = TimeStep(jnp.zeros((2, 3)), jnp.float32(rewards[t]), jnp.asarray(last[t]), no, jnp.asarray(first[t]))
        state, memory = observe(state, memory, timestep)
    scale, _ = scale_of(rewards, last, first, 0.95, np.inf)
    np.testing.assert_allclose(agent.scale(state), scale, rtol=1e-4)
    window = Transition(*(jnp.ones((4, 1)),) * 2, jnp.ones((4, 3)), *(jnp.ones(4),) * 5)
    segment = Segment(*(jnp.ones((6, 2)),) * 8)
    timesteps = TimeStep(jnp.ones((5, 2, 3)), jnp.ones((5, 2)), *(jnp.ones((5, 2), bool),) * 3)
    following = jax.tree.map(lambda leaf: leaf[0], timesteps)
    rollout = Rollout(timesteps, jnp.ones((5, 2, 1)), (), following, memory)
    np.testing.assert_allclose(agent.learned_from(state, window).rewards, np.ones((4, 3)) / scale, rtol=1e-4)
    np.testing.assert_allclose(agent.learned_from(state, segment).reward, np.ones((6, 2)) / scale, rtol=1e-4)
    seen = agent.learned_from(state, rollout)
    np.testing.assert_allclose(seen.arrived("reward"), np.ones((5, 2)) / scale, rtol=1e-4)
    np.testing.assert_array_equal(seen.memory, memory.base)
    for field in ({"g_max": 0.0}, {"discount": 1.5}, {"epsilon": 0.0}):
        with pytest.raises(InputError, match=next(iter(field))):
            ScaledRewards(Recorder(), **field)
