"""Rewards normalized by running statistics, and continuous agents without replay, against plain loops of numpy."""

import dataclasses
from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import struct
from scipy import stats

from jaxq import envs
from jaxq.agents import (
    AVG,
    PPO,
    AVGHyperparameters,
    CategoricalPolicy,
    ClippedGaussian,
    Epochs,
    KLBound,
    LambdaActorCritic,
    LambdaActorCriticHyperparameters,
    LinearSchedule,
    Normalized,
    NormalizedAsSeen,
    PGRainbow,
    PPOHyperparameters,
    RisingCosts,
    RunningStatistics,
    ScaledRewards,
    SelfPrediction,
    SquashedGaussian,
    clipped_squared,
    generalized_from_next,
)
from jaxq.agents.avg import ErrorScale
from jaxq.agents.base import RecordsNothing
from jaxq.agents.ppo import Lesson
from jaxq.bellman import HLGauss, Support
from jaxq.envs import ArraySpec
from jaxq.errors import InputError
from jaxq.hyperparameters import as_leaves
from jaxq.keys import streams
from jaxq.networks import (
    MLP,
    ActionCritic,
    GaussianPolicyNetwork,
    PolicyAndValueNetwork,
    SelfPredictiveCritic,
    SharedStdPolicyNetwork,
    UnitFeatures,
)
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

    def exploit(self, state, memory, timestep, key):
        return self.act(state, memory, timestep, key)[:2]

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
    channels: int = 0
    updates_per_rollout = 1

    def init(self, key):
        reward = jnp.zeros((self.envs, self.channels) if self.channels else self.envs)
        spec = TimeStep(jnp.zeros((self.envs, 3)), reward, *(jnp.zeros(self.envs, bool),) * 3)
        shown = jax.tree.map(lambda leaf: jnp.zeros((self.limit, *leaf.shape), leaf.dtype), spec)
        return ShownState(self.base.init(key), shown, jnp.int32(0))

    def init_memory(self, num_envs):
        return self.base.init_memory(num_envs)

    def act(self, state, memory, timestep, key):
        return self.base.act(state.base, memory, timestep, key)

    def exploit(self, state, memory, timestep, key):
        return self.base.exploit(state.base, memory, timestep, key)

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


def trained(loop, agent, environment, tested, members):
    """A training of this loop, and its state after 30 iterations, each of five steps where it is on-policy."""
    kinds = dict(environment=environment, evaluation=Evaluation(tested), num_members=members, agent=agent)
    if loop == "on-policy":
        training = OnPolicy(**kinds, rollout_steps=5)
    else:
        replay = UniformReplay.for_environment(environment, members, capacity=300, batch_size=8)
        training = OffPolicy(**kinds, replay=replay, warmup_steps=30)
    state = jax.jit(training.warm_up)(jax.jit(training.init)(jax.vmap(jax.random.key)(jnp.arange(members))))
    return training, jax.jit(training.train_chunk, static_argnums=1)(state, 30)[0]


@pytest.mark.parametrize("loop", ["off-policy", "on-policy"])
@pytest.mark.parametrize("members", [1, 2])
def test_rewards_are_scaled_by_the_deviation_of_discounted_returns(loop, members):
    """Of every reward that there was and of no other, in order; members, and what acting carries, apart."""
    agent = Diary(Normalized(ScaledRewards(Recorder(), discount=0.9, g_max=2.0)), 3)
    environment = envs.Batched(Countdown(), 3 * members)
    _, state = trained(loop, agent, environment, environment, members)
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
    """Without a bound it is the deviation, with one maybe the largest; and all that is learned from is scaled by it."""
    rng = np.random.default_rng(0)
    rewards, last = (rng.normal(size=(40, 2)) - 0.6) * 0.07, rng.random((40, 2)) < 0.1
    first = np.zeros_like(last)
    for t in range(1, 40):  # an episode begins after each that has ended, and does not end at once
        first[t] = last[t - 1]
        last[t] &= ~first[t]
    rewards = np.where(first, 0.0, rewards)
    agent = ScaledRewards(Recorder(), discount=0.95)
    state, memory = jax.jit(agent.init)(jax.random.key(0)), agent.init_memory(2)
    assert float(agent.scale(state)) == pytest.approx(1.0), "nothing seen yet"
    observe = jax.jit(agent.observe)
    for t in range(40):
        no = jnp.zeros(2, bool)
        timestep = TimeStep(jnp.zeros((2, 3)), jnp.float32(rewards[t]), jnp.asarray(last[t]), no, jnp.asarray(first[t]))
        state, memory = observe(state, memory, timestep)
    scale, _ = scale_of(rewards, last, first, 0.95, np.inf)
    np.testing.assert_allclose(agent.scale(state), scale, rtol=1e-4)
    bound, _ = scale_of(rewards, last, first, 0.95, 0.5)
    assert bound > 1.1 * scale
    np.testing.assert_allclose(dataclasses.replace(agent, g_max=0.5).scale(state), bound, rtol=1e-4)
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


class GainAndCost(Countdown):
    """Of every reward the integer part is gained, and the rest, and two more, it cost."""

    reward_shape = (2,)

    def step(self, state, action, key):
        state, seen, reward, *ends = super().step(state, action, key)
        return state, seen, jnp.stack([jnp.floor(reward), jnp.floor(reward) - reward - 2.0]), *ends


@pytest.mark.parametrize("loop", ["off-policy", "on-policy"])
def test_costs_rise_with_the_steps_of_each_member(loop):
    """The agent is shown gains and the share of costs that is due at that step, and in the end their sum."""
    members, each, rise = 2, 3, 60
    agent = Diary(RisingCosts(Diary(Normalized(Recorder()), each), 0.25, rise), each, channels=2)
    kinds = (envs.Batched(kind(), each * members) for kind in (GainAndCost, Countdown))
    training, state = trained(loop, agent, *kinds, members)
    for member in range(members):
        own = jax.tree.map(lambda leaf: np.asarray(leaf[member]), state.agent)  # noqa: B023
        count = int(own.count)
        assert count * each > rise
        given, shown = own.shown.reward[:count], own.base.base.shown.reward[:count]
        weights = np.exp(np.log(0.25) * np.maximum(1.0 - np.arange(count) * each / rise, 0.0))
        np.testing.assert_allclose(shown, given[..., 0] + weights[:, None] * given[..., 1], rtol=1e-5)
        assert own.base.steps == rise
        assert (given[..., 1][~own.shown.first[:count]] <= -2.0).all()
    evaluation, more = jax.jit(training.evaluate)(state, training.begin_evaluation(state), jnp.int32(20))
    assert not more
    assert training.evaluated(evaluation)["eval_return"].shape == (members,), "whose rewards have no channels"


def test_what_is_replayed_is_weighed_as_it_is_learned_from():
    """Windows, segments and rollouts alike; what has one channel stays as it is."""
    agent = RisingCosts(Recorder(), 0.36, 100)
    state = agent.init(jax.random.key(0)).replace(steps=jnp.uint32(50))
    rng = np.random.default_rng(0)
    both = {size: jnp.float32(rng.normal(size=(*size, 2))) for size in ((4, 3), (6, 2), (5, 2))}
    due = {size: 1.0 * reward[..., 0] + 0.6 * reward[..., 1] for size, reward in both.items()}
    window = Transition(*(jnp.ones((4, 1)),) * 2, both[4, 3], *(jnp.ones(4),) * 5)
    np.testing.assert_allclose(agent.learned_from(state, window).rewards, due[4, 3], rtol=1e-6)
    segment = Segment(*(jnp.ones((6, 2)),) * 2, both[6, 2], *(jnp.ones((6, 2)),) * 5)
    np.testing.assert_allclose(agent.learned_from(state, segment).reward, due[6, 2], rtol=1e-6)
    timesteps = TimeStep(jnp.ones((5, 2, 3)), both[5, 2], *(jnp.ones((5, 2), bool),) * 3)
    rollout = Rollout(timesteps, jnp.ones((5, 2, 1)), (), jax.tree.map(lambda leaf: leaf[0], timesteps), ())
    seen = agent.learned_from(state, rollout)
    np.testing.assert_allclose(seen.timestep.reward, due[5, 2], rtol=1e-6)
    np.testing.assert_allclose(seen.following.reward, due[5, 2][0], rtol=1e-6)
    tested = TimeStep(jnp.ones((2, 3)), jnp.float32([3, 4]), *(jnp.zeros(2, bool),) * 3)
    np.testing.assert_array_equal(agent.shown(state, tested).reward, [3, 4])
    plain = agent.learned_from(state, window.replace(rewards=both[4, 3][..., 0])).rewards
    np.testing.assert_array_equal(plain, both[4, 3][..., 0])
    plain = agent.learned_from(state, segment.replace(reward=both[6, 2][..., 0])).reward
    np.testing.assert_array_equal(plain, both[6, 2][..., 0])
    with pytest.raises(InputError, match="channels of rewards is 3, but must be 2, gains and costs"):
        agent.learned_from(state, window.replace(rewards=jnp.ones((4, 3, 3))))
    for field in ({"initial_cost_weight": 0.0}, {"initial_cost_weight": 1.5}, {"cost_steps": 0}, {"cost_steps": 2**31}):
        with pytest.raises(InputError, match=next(iter(field))):
            RisingCosts(Recorder(), **field)


def test_what_was_broken_off_does_not_go_on_in_the_scale():
    """Physics blew up, or a resumed pool began anew: the sum of rewards begins with the episode."""
    agent = ScaledRewards(Recorder(), discount=0.9)
    state, memory = jax.jit(agent.init)(jax.random.key(0)), agent.init_memory(1)
    steps = [(0, 0, 1), (5, 0, 0), (7, 0, 0), (0, 0, 1), (1, 0, 0), (2, 1, 0), (0, 0, 1), (3, 0, 0)]
    sums = []
    for reward, last, first in steps:
        flags = (jnp.array([bool(flag)]) for flag in (last, False, first))
        state, memory = agent.observe(state, memory, TimeStep(jnp.zeros((1, 3)), jnp.float32([reward]), *flags))
        sums.append(float(memory.returns[0]))
    # The reward of an episode's last step goes on, as the authors have it; that of one broken off does not.
    np.testing.assert_allclose(sums, [0, 5, 11.5, 0, 1, 2, 2, 4.8], rtol=1e-6)


class Echo(Recorder):
    """Acts by what it is shown, and tells what it learns from."""

    def act(self, state, memory, timestep, key):
        return timestep.observation, memory, ()

    def exploit(self, state, memory, timestep, key):
        return timestep.observation, memory


def test_observations_that_count_as_they_are_seen_are_gymnasium_s():
    """In acting and in what is learned from; and an evaluation counts nothing."""
    from gymnasium.wrappers.utils import RunningMeanStd

    rng, agent = np.random.default_rng(0), NormalizedAsSeen(Echo())
    seen = (rng.normal(size=(6, 1, 3)) * [0.01, 1.0, 100.0] + [5.0, 0.0, 30.0]).astype(np.float32)
    theirs, expected = RunningMeanStd(epsilon=1e-4, shape=(3,)), []
    for x in seen:
        theirs.update(x)
        expected.append((x - theirs.mean) / np.sqrt(theirs.var + 1e-8))
    state, memory = agent.init(jax.random.key(0)), agent.init_memory(1)
    flags = (jnp.zeros(1, bool),) * 3
    steps = [TimeStep(jnp.asarray(x), jnp.zeros(1), *flags) for x in seen]
    for t in range(5):
        action, memory, _ = agent.act(state, memory, steps[t], jax.random.key(0))
        np.testing.assert_allclose(action, expected[t], rtol=1e-3, atol=1e-3)
        assert np.abs(action).max() < np.sqrt(t + 1) + 1, "which no one is further from the mean"
        now = jax.tree.map(lambda leaf: leaf[None], steps[t])
        batch = agent.learned_from(state, Rollout(now, action[None], (), steps[t + 1], memory))
        np.testing.assert_array_equal(batch.timestep.observation[0], action)
        np.testing.assert_allclose(batch.following.observation, expected[t + 1], rtol=1e-3, atol=1e-3)
        state, memory = agent.observe(state, memory, steps[t])
        evaluated, _ = agent.exploit(state, memory, steps[5], jax.random.key(0))
        by_then = (seen[5] - np.asarray(state.statistics.mean)) / np.sqrt(np.asarray(state.statistics.variance) + 1e-8)
        np.testing.assert_allclose(evaluated, by_then, rtol=1e-3)


# Policies.


def gaussian_outputs(seed, batch=3, size=2):
    mean_key, std_key = jax.random.split(jax.random.key(seed))
    return jax.random.normal(mean_key, (batch, size)), 0.5 * jax.random.normal(std_key, (batch, size)) - 0.5


def test_a_gaussian_s_likelihood_and_entropy_are_scipy_s():
    mean, log_std = gaussian_outputs(0)
    policy = ClippedGaussian()
    drawn = policy.draw((mean, log_std), jax.random.key(1))
    expected = stats.norm(np.asarray(mean), np.exp(log_std))
    found, entropy = policy.weigh((mean, log_std), drawn, jax.random.key(2))
    np.testing.assert_allclose(found, expected.logpdf(np.asarray(drawn)).sum(axis=1), rtol=1e-4)
    np.testing.assert_allclose(entropy, expected.entropy().sum(axis=1), rtol=1e-4)
    far = 3.0 * np.asarray(drawn)
    assert far.min() < -1 < 1 < far.max()
    np.testing.assert_array_equal(policy.action(far), np.where(np.abs(far) > 1, np.sign(far), far))
    np.testing.assert_array_equal(policy.mode((far, log_std)), policy.action(far))
    # What was drawn once moves with the mean, and with the deviation by as much as it was away from the mean.
    np.testing.assert_allclose(policy.again((mean, log_std), drawn), drawn, rtol=1e-5)
    of_mean, of_log_std = jax.grad(lambda outputs: jnp.sum(policy.again(outputs, drawn)))((mean, log_std))
    np.testing.assert_allclose(of_mean, 1.0, rtol=1e-6)
    np.testing.assert_allclose(of_log_std, drawn - mean, rtol=1e-4)


@pytest.mark.parametrize("mean", [-0.8, 0.0, 1.5])
def test_a_squashed_gaussian_s_likelihood_and_entropy_by_integration(mean):
    policy, outputs = SquashedGaussian(), (jnp.full((1, 1), mean), jnp.full((1, 1), -0.3))
    action = np.tanh(np.linspace(-9.0, 9.0, 40_001))
    action = action[np.abs(action) < 1 - 1e-6]
    wide = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (len(action), 1)), outputs)
    log_density = np.asarray(policy.log_probability(wide, jnp.arctanh(jnp.float32(action))[:, None]), float)
    np.testing.assert_allclose(np.trapezoid(np.exp(log_density), action), 1.0, atol=2e-3)
    entropy = np.trapezoid(-np.exp(log_density) * log_density, action)
    estimates = jax.vmap(lambda key: policy.entropy(outputs, key)[0])(jax.random.split(jax.random.key(0), 20_000))
    np.testing.assert_allclose(estimates.mean(), entropy, atol=0.02)


def test_what_is_sampled_at_once_is_what_is_drawn_squashed_and_weighed_one_after_the_other():
    """And of several dimensions the densities multiply and the entropies add up."""
    policy, (mean, log_std), key = SquashedGaussian(), gaussian_outputs(3, 400, 3), jax.random.key(1)
    sampled, density = policy.sample((mean, log_std), key)
    drawn = policy.draw((mean, log_std), key)
    np.testing.assert_allclose(sampled, np.tanh(drawn), rtol=1e-5)
    np.testing.assert_array_equal(policy.mode((mean, log_std)), policy.action(mean))
    found, entropy = policy.weigh((mean, log_std), drawn, key)
    np.testing.assert_allclose(found, density.sum(axis=1), rtol=1e-3, atol=1e-3)
    alone = [policy.entropy((mean[:, i : i + 1], log_std[:, i : i + 1]), key) for i in range(3)]
    np.testing.assert_allclose(entropy.mean(), np.sum(alone, axis=0).mean(), atol=0.25)


def test_a_categorical_s_likelihood_and_entropy_are_scipy_s():
    logits = jax.random.normal(jax.random.key(0), (5, 4))
    policy = CategoricalPolicy()
    drawn = policy.draw(logits, jax.random.key(1))
    found, entropy = policy.weigh(logits, drawn, jax.random.key(2))
    probabilities = np.exp(np.asarray(logits)) / np.exp(np.asarray(logits)).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, np.log(probabilities[np.arange(5), drawn]), rtol=1e-4)
    np.testing.assert_allclose(entropy, [stats.entropy(p) for p in probabilities], rtol=1e-4)


# PPO.


def made_up_rollout(seed, steps=7, num_envs=4, size=2):
    rng = np.random.default_rng(seed)
    ends, shape = rng.random((2, steps + 1, num_envs)) < 0.2, (steps + 1, num_envs)
    terminated, truncated, first = np.zeros(shape, bool), np.zeros(shape, bool), np.ones(shape, bool)
    for t in range(1, steps + 1):
        first[t] = terminated[t - 1] | truncated[t - 1]
        terminated[t] = ends[0, t] & ~first[t]
        truncated[t] = ends[1, t] & ~first[t] & ~terminated[t]
    reward = np.where(first, 0.0, rng.normal(size=first.shape))
    timesteps = TimeStep(
        jnp.asarray(rng.normal(size=(steps + 1, num_envs, 3)), jnp.float32),
        jnp.asarray(reward, jnp.float32), jnp.asarray(terminated), jnp.asarray(truncated), jnp.asarray(first),
    )  # fmt: skip
    return Rollout(
        timestep=jax.tree.map(lambda leaf: leaf[:-1], timesteps),
        action=jnp.asarray(rng.uniform(-1, 1, (steps, num_envs, size)), jnp.float32),
        record=(),
        following=jax.tree.map(lambda leaf: leaf[-1], timesteps),
        memory=(),
    )


def plain(*widths):
    return lambda mode: MLP(widths)


def test_generalized_advantages_with_episodes_cut_off():
    """A terminal state has no value, a state at which the time is over has its own, and what comes after counts not."""
    network = PolicyAndValueNetwork(SharedStdPolicyNetwork(plain(4), 2), plain(4))
    agent = PPO(
        network, ArraySpec((3,)), optax.identity(), policy=ClippedGaussian(),
        hyper=PPOHyperparameters(
            LinearSchedule.constant(1e-3), discount=0.9, trace=0.8, reward_scale=2.0, reward_clip=1.5
        ),
    )  # fmt: skip
    state, rollout = jax.jit(agent.init)(jax.random.key(0)), made_up_rollout(0, steps=12)
    record = jax.jit(jax.vmap(lambda t, k: agent.act(state, (), t, k)[2]))(
        rollout.timestep, jax.random.split(jax.random.key(1), 12)
    )
    lessons = jax.jit(agent.lessons)(state, rollout.replace(record=record), jax.random.key(2))
    values = np.concatenate([record.value, network.apply(state.params, rollout.following.observation)[1][None]])
    reward, terminated, truncated = (np.asarray(rollout.arrived(n)) for n in ("reward", "terminated", "truncated"))
    assert truncated[:-1].any() and terminated[:-1].any()  # noqa: PT018
    for b in range(4):
        advantage = 0.0
        for t in reversed(range(12)):
            learned = np.sign(reward[t, b]) * min(2.0 * abs(reward[t, b]), 1.5)
            delta = learned + 0.9 * (1 - terminated[t, b]) * values[t + 1, b] - values[t, b]
            ends = terminated[t, b] or truncated[t, b]
            advantage = delta + (0.0 if ends else 0.9 * 0.8 * advantage)
            np.testing.assert_allclose(lessons.advantage.reshape(12, 4)[t, b], advantage, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(lessons.weight.reshape(12, 4), 1.0 - rollout.timestep.last)
    # Where nothing has changed yet the normalized advantages sum to zero, and the loss is what else there is.
    loss, logged = jax.jit(agent.objective)(state.params, state.params, state.hyper, lessons, jax.random.key(3))
    rest = agent.hyper.value_weight * logged["value_loss"] - agent.hyper.entropy_weight * logged["entropy"]
    np.testing.assert_allclose(loss, rest, rtol=1e-4, atol=1e-5)


class Told:
    """A network that is a table of what it says of each observation, which is a number."""

    def apply(self, params, observation, mode, rngs):
        del mode, rngs
        return params["logits"][observation], params["value"][observation], params["quantiles"][observation]


def test_the_parts_of_the_objective_by_hand():
    """With probabilities that have gone too far, either way, and with samples that count by halves."""
    rng, size = np.random.default_rng(0), 40
    hyper = PPOHyperparameters(
        LinearSchedule.constant(1e-3), clip=0.2, entropy_weight=0.3, value_weight=0.7, quantile_weight=1.9
    )
    agent = PGRainbow(Told(), ArraySpec(()), optax.identity(), hyper, epochs=Epochs(1, 3))
    assert (agent.updates_per_rollout, dataclasses.replace(agent, epochs=Epochs(5, 3)).updates_per_rollout) == (3, 15)
    fractions = rng.uniform(0.1, 0.9, (9, 3, 2))  # of nine states and three actions, two quantiles each

    def parameters():
        quantiles = np.concatenate([rng.normal(size=(9, 3, 2)), fractions], axis=-1)
        return {"logits": rng.normal(size=(9, 3)), "value": rng.normal(size=9), "quantiles": quantiles}

    params, behaviour = parameters(), parameters()
    seen, then, drawn = (rng.integers(0, n, size) for n in (9, 9, 3))
    policy = np.exp(params["logits"]) / np.exp(params["logits"]).sum(axis=1, keepdims=True)
    ratio, weight = rng.uniform(0.5, 1.6, size), rng.choice([0.0, 0.5, 1.7], size)
    advantage, target, reward, next_logits = (rng.normal(size=shape) for shape in (size, size, size, (size, 3)))
    discount = rng.choice([0.0, 0.9], size)
    before = np.log(policy[seen, drawn] / ratio)
    numbers = (drawn, weight, before, np.zeros(size), advantage, target, reward, discount, then, next_logits)
    lesson = Lesson(jnp.asarray(seen), *map(jnp.asarray, numbers))
    single = jax.tree.map(jnp.float32, (params, behaviour))
    loss, logged = jax.jit(agent.objective)(*single, as_leaves(hyper), lesson, jax.random.key(0))

    mean = np.average(advantage, weights=weight)
    normal = (advantage - mean) / np.sqrt(np.average((advantage - mean) ** 2, weights=weight))
    # Nothing is gained by going farther: up where that is good, down where that is bad.
    gain = np.where(normal > 0, np.minimum(ratio, 1.2), np.maximum(ratio, 0.8)) * normal
    assert all((far & (sign * normal > 0)).any() for far in (ratio < 0.8, ratio > 1.2) for sign in (1, -1))
    of_values = (params["value"][seen] - target) ** 2 / 2
    entropy = stats.entropy(policy[seen], axis=1)
    next_policy = np.exp(next_logits) / np.exp(next_logits).sum(axis=1, keepdims=True)
    of_quantiles = np.zeros(size)
    for b in range(size):
        for i, tau in enumerate(fractions[seen[b], drawn[b]]):
            for j in range(2):
                goal = reward[b] + discount[b] * next_policy[b] @ behaviour["quantiles"][then[b], :, j]
                u = goal - params["quantiles"][seen[b], drawn[b], i]
                huber = u**2 / 2 if abs(u) < 1 else abs(u) - 0.5
                of_quantiles[b] += (tau if u > 0 else 1 - tau) * huber / 2
    parts = -gain + 0.7 * of_values - 0.3 * entropy + 1.9 * of_quantiles
    np.testing.assert_allclose(loss, (weight * parts).sum() / size, rtol=1e-4)
    expected = {
        "loss": loss,
        "value_loss": (weight * of_values).sum() / size,
        "entropy": (weight * entropy).sum() / size,
        "mean_value": params["value"][seen].sum() / size,
    }
    assert set(logged) == set(expected)
    for name, number in expected.items():
        np.testing.assert_allclose(logged[name], number, rtol=1e-4, err_msg=name)


def brax_advantages(reward, value, terminated, truncated, discount, trace):
    """As Brax's `compute_gae`; but where an episode is cut off its final value follows, and so nothing is left out."""
    steps, accumulated, returns = len(reward), 0.0, np.zeros(len(reward) + 1)
    returns[-1] = value[-1]
    for t in reversed(range(steps)):
        delta = reward[t] + discount * (1 - terminated[t]) * value[t + 1] - value[t]
        accumulated = delta + discount * (1 - terminated[t]) * (1 - truncated[t]) * trace * accumulated
        returns[t] = value[t] + accumulated
    then = np.where(truncated, value[1:], returns[1:])
    return reward + discount * (1 - terminated) * then - value[:-1]


def test_advantages_in_which_the_step_itself_counts_in_full():
    network = PolicyAndValueNetwork(SharedStdPolicyNetwork(plain(4), 2), plain(4))
    agent = PPO(
        network, ArraySpec((3,)), optax.identity(), policy=ClippedGaussian(), advantage=generalized_from_next,
        hyper=PPOHyperparameters(LinearSchedule.constant(1e-3), discount=0.9, trace=0.6),
    )  # fmt: skip
    state, rollout = jax.jit(agent.init)(jax.random.key(0)), made_up_rollout(0, steps=12)
    record = jax.jit(jax.vmap(lambda t, k: agent.act(state, (), t, k)[2]))(
        rollout.timestep, jax.random.split(jax.random.key(1), 12)
    )
    lessons = jax.jit(agent.lessons)(state, rollout.replace(record=record), jax.random.key(2))
    values = np.concatenate([record.value, network.apply(state.params, rollout.following.observation)[1][None]])
    arrived = [np.asarray(rollout.arrived(n), float) for n in ("reward", "terminated", "truncated")]
    counts = ~np.asarray(rollout.timestep.last)
    assert arrived[2][:-1].any() and (~counts).any()  # noqa: PT018
    for b in range(4):
        reward, terminated, truncated = (x[:, b] for x in arrived)
        expected = brax_advantages(reward, values[:, b], terminated, truncated, 0.9, 0.6)
        found = np.asarray(lessons.advantage).reshape(12, 4)[:, b]
        np.testing.assert_allclose(found[counts[:, b]], expected[counts[:, b]], rtol=1e-3, atol=1e-4)


def test_clipped_values_count_by_the_larger_error():
    value, before, target = (np.random.default_rng(i).normal(size=50) for i in range(3))
    near = np.clip(value, before - 0.2, before + 0.2)
    expected = 0.5 * np.maximum((value - target) ** 2, (near - target) ** 2)
    found = clipped_squared(0.2)(*map(jnp.float32, (value, before, target)))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    with pytest.raises(InputError, match="value_clip"):
        clipped_squared(0.0)


# REPPO.


def reppo(constraint=None, auxiliary=None, **numbers):
    representation = HLGauss(Support(-5.0, 5.0, 21))
    critic = SelfPredictiveCritic(21, 8, prior=lambda: representation.encode(jnp.zeros(1))[0])
    hyper = LambdaActorCriticHyperparameters(
        LinearSchedule.constant(1e-2), target_entropy=-1.0, discount=0.9, trace=0.7, temperature=0.3,
        constraint=constraint, auxiliary=auxiliary, **numbers,
    )  # fmt: skip
    return LambdaActorCritic(
        GaussianPolicyNetwork(plain(8), 2), critic, ArraySpec((3,)), envs.Continuous(2), optax.scale_by_adam(),
        hyper, representation, Epochs(2, 2),
    )  # fmt: skip


def test_soft_lambda_returns_by_their_definition():
    agent = reppo(auxiliary=SelfPrediction(), reward_scale=0.5)
    state, rollout, key = jax.jit(agent.init)(jax.random.key(0)), made_up_rollout(3), jax.random.key(1)
    lessons = jax.jit(agent.lessons)(state, rollout, key)
    value, log_density, embedding = np.zeros((7, 4)), np.zeros((7, 4)), np.zeros((7, 4, 8))
    policy = {"params": state.actor.variables["params"]["policy"]}

    @jax.jit
    def at(seen, key):
        action, density = agent.policy.sample(agent.actor.apply(policy, seen), streams(key, "next action")[0])
        embedding = agent.critic.apply(state.critic.variables, seen, action, method="embed")
        return density.sum(axis=1), jax.nn.softmax(agent.critic.apply(state.critic.variables, seen, action)), embedding

    for t, step_key in enumerate(jax.random.split(key, 7)):
        log_density[t], probabilities, embedding[t] = at(rollout.arrived("observation")[t], step_key)
        value[t] = np.asarray(probabilities) @ np.linspace(-5.0, 5.0, 21)
    reward, terminated, truncated = (np.asarray(rollout.arrived(n)) for n in ("reward", "terminated", "truncated"))
    for b in range(4):
        g = None
        for t in reversed(range(7)):
            soft = 0.5 * reward[t, b] - 0.9 * 0.3 * log_density[t, b]
            if terminated[t, b]:
                g = soft
            elif truncated[t, b] or t == 6:
                g = soft + 0.9 * value[t, b]
            else:
                g = soft + 0.9 * (0.7 * g + 0.3 * value[t, b])
            np.testing.assert_allclose(lessons.target.reshape(7, 4)[t, b], g, rtol=1e-3, atol=1e-4)
    expected = np.concatenate([embedding, 0.5 * reward[..., None]], axis=-1).reshape(28, 9)
    np.testing.assert_allclose(lessons.foreseen, expected, rtol=1e-3, atol=1e-4)
    # The auxiliary loss by its definition.
    foreseen = np.random.default_rng(0).normal(size=(28, 9))
    found = SelfPrediction(2.0).loss(jnp.float32(foreseen[:, :8]), jnp.float32(foreseen[:, 8]), lessons)
    errors = 2.0 * (1 - terminated.ravel()) * ((foreseen - expected) ** 2).mean(axis=1)
    np.testing.assert_allclose(found, errors, rtol=1e-2, atol=1e-3)


def test_a_policy_climbs_its_value_and_its_entropy_where_its_actions_count():
    """With a critic that does not begin near zero."""
    critic = SelfPredictiveCritic(21, 8, prior=lambda: jnp.linspace(-1.0, 1.0, 21))
    agent, key = dataclasses.replace(reppo(), critic=critic), jax.random.key(2)
    state = jax.jit(agent.init)(jax.random.key(0))
    lesson = jax.jit(agent.lessons)(state, made_up_rollout(4, steps=8), jax.random.key(1))
    others = state.actor.variables, state.critic.variables, state.hyper, lesson, key
    descent = jax.jit(jax.value_and_grad(agent.actor_loss, has_aux=True))
    (loss, metrics), slope = descent(state.actor.params, *others)
    policy = {"params": state.actor.variables["params"]["policy"]}
    sample_key, *_ = streams(key, "action", "critic of actor", "divergence")
    action, log_densities = agent.policy.sample(agent.actor.apply(policy, lesson.observation), sample_key)
    value = agent.representation.value(agent.critic.apply(state.critic.variables, lesson.observation, action))
    assert np.abs(value).mean() > 0.5
    counts = np.asarray(lesson.weight) > 0
    assert 0 < counts.sum() < counts.size
    log_density = np.asarray(log_densities, float).sum(axis=1)
    climbed = (0.3 * log_density - np.asarray(value))[counts].mean()
    entropy = -log_density[counts].mean()
    np.testing.assert_allclose(metrics["entropy"], entropy, rtol=1e-3)
    np.testing.assert_allclose(loss, climbed + 0.3 * (entropy + 1.0), rtol=1e-3)
    # The policy climbs at the price as it is, and the price follows the entropy as it is.
    np.testing.assert_allclose(slope["params"]["log_temperature"], 0.3 * (entropy + 1.0), rtol=1e-3)

    def descended(policy):
        action, log_densities = agent.policy.sample(agent.actor.apply(policy, lesson.observation), sample_key)
        value = agent.representation.value(agent.critic.apply(state.critic.variables, lesson.observation, action))
        return jnp.dot(0.3 * log_densities.sum(axis=1) - value, counts / counts.sum())

    expected = jax.jit(jax.grad(descended))(policy)["params"]
    for found, exact in zip(*map(jax.tree.leaves, (slope["params"]["policy"], expected)), strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-3, atol=1e-5)
    # What the critic learns: a cross-entropy from where its return lies.
    loss, metrics = jax.jit(agent.critic_loss)(state.critic.params, state.hyper, lesson, key)
    logits = np.asarray(agent.critic.apply(state.critic.variables, lesson.observation, lesson.action), float)
    log_shares = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    entropies = -(np.asarray(agent.representation.encode(lesson.target)) * log_shares).sum(axis=1)
    np.testing.assert_allclose(metrics["loss"], entropies[counts].sum() / counts.size, rtol=1e-3)
    np.testing.assert_allclose(loss, metrics["loss"])
    np.testing.assert_allclose(metrics["mean_q"], np.average(np.exp(log_shares) @ np.linspace(-5, 5, 21)), rtol=1e-3)


def test_actions_that_are_drawn_keep_away_from_the_ends():
    """And those of an evaluation are where they are."""
    agent, key = dataclasses.replace(reppo(), largest_action=0.4), jax.random.key(3)
    state, rollout = jax.jit(agent.init)(jax.random.key(0)), made_up_rollout(4, num_envs=50)
    timestep = jax.tree.map(lambda leaf: leaf[0], rollout.timestep)
    policy = {"params": state.actor.variables["params"]["policy"]}
    mean, log_std = (3.0 * np.asarray(x) for x in agent.actor.apply(policy, timestep.observation))
    louder = dataclasses.replace(agent, actor=SimpleNamespace(apply=lambda *_: (mean, log_std)))
    action, _, _ = louder.act(state, (), timestep, key)
    drawn = np.tanh(mean + np.exp(log_std) * np.asarray(jax.random.normal(key, mean.shape)))
    assert drawn.min() < -0.4
    assert drawn.max() > 0.4
    np.testing.assert_allclose(action, np.maximum(np.minimum(drawn, 0.4), -0.4), rtol=1e-5)
    np.testing.assert_allclose(louder.exploit(state, (), timestep, key)[0], np.tanh(mean), rtol=1e-5)
    for make in (lambda: Epochs(0, 1), lambda: Epochs(1, 0), lambda: dataclasses.replace(agent, largest_action=1.5)):
        with pytest.raises(InputError, match=r"^(minibatches|epochs) is 0|^largest_action is 1\.5"):
            make()
    assert dataclasses.replace(agent, epochs=Epochs(1, 3)).updates_per_rollout == 3


def test_a_critic_begins_near_zero():
    agent = reppo()
    state = jax.jit(agent.init)(jax.random.key(0))
    observation, action = jax.random.normal(jax.random.key(1), (16, 3)), jnp.zeros((16, 2))
    logits = agent.critic.apply(state.critic.variables, observation, action)
    assert float(jnp.abs(agent.representation.value(logits)).max()) < 0.3


def test_the_divergence_is_that_of_gaussians_before_squashing():
    old, new = gaussian_outputs(0), gaussian_outputs(1)
    found = KLBound(samples=40_000).divergence(SquashedGaussian(), old, new, jax.random.key(0))
    (m0, s0), (m1, s1) = ((np.asarray(m, float), np.exp(np.asarray(s, float))) for m, s in (old, new))
    exact = (np.log(s1 / s0) + (s0**2 + (m0 - m1) ** 2) / (2 * s1**2) - 0.5).sum(axis=1)
    np.testing.assert_allclose(found, exact, rtol=0.05)
    slope = jax.grad(lambda mean: KLBound(samples=40_000).divergence(
        SquashedGaussian(), old, (mean, new[1]), jax.random.key(0)).sum())(new[0])  # fmt: skip
    np.testing.assert_allclose(slope, (m1 - m0) / s1**2, rtol=0.05, atol=0.05)


def test_a_policy_beyond_its_bound_turns_back_and_the_price_of_that_rises():
    bound = KLBound(0.1)
    divergence, loss, log_price = jnp.array([0.05, 0.5]), jnp.array([2.0, 3.0]), jnp.log(0.2)

    def total(log_price, divergence, loss):
        return bound.held(loss, divergence, log_price).mean()

    price_slope, back, climb = jax.grad(total, (0, 1, 2))(log_price, divergence, loss)
    np.testing.assert_allclose(climb, [0.5, 0.0], atol=1e-6)
    np.testing.assert_allclose(back, [0.0, 0.1], atol=1e-6)
    np.testing.assert_allclose(price_slope, -0.2 * (0.275 - 0.1), rtol=1e-4)
    # And so over updates, of an agent; and so with the temperature.
    agent, rollout = reppo(KLBound(1.0)), made_up_rollout(4, steps=8)
    state, update = jax.jit(agent.init)(jax.random.key(0)), jax.jit(agent.update)
    for limit, target, rises in ((1e-6, 50.0, True), (1e6, -50.0, False)):
        hyper = state.hyper.replace(constraint=KLBound(jnp.float32(limit)), target_entropy=jnp.float32(target))
        after, metrics = update(state.replace(hyper=as_leaves(hyper)), rollout, jax.random.key(1))
        for tuned in ("log_price", "log_temperature"):
            assert (after.actor.variables["params"][tuned] > state.actor.variables["params"][tuned]) == rises
        assert float(metrics["divergence"]) > 1e-6
        assert int(after.updates) == agent.updates_per_rollout == 4


def test_what_was_seen_where_actions_are_ignored_teaches_nothing():
    """Final observations are no place to climb from: of those the critic knows nothing."""
    agent, rollout = reppo(KLBound(0.1), SelfPrediction()), made_up_rollout(6, steps=8)
    state, lessons = jax.jit(agent.init)(jax.random.key(0)), jax.jit(agent.lessons)
    lesson = lessons(state, rollout, jax.random.key(1))
    ignored = np.asarray(rollout.timestep.last).ravel()
    assert 0 < ignored.sum() < ignored.size

    def slopes(lesson):
        key = jax.random.key(2)
        critic = jax.grad(agent.critic_loss, has_aux=True)(state.critic.params, state.hyper, lesson, key)
        behaviour = jax.tree.map(lambda leaf: leaf + 0.01, state.actor.variables)
        others = behaviour, state.critic.variables, state.hyper, lesson, key
        actor = jax.grad(agent.actor_loss, has_aux=True)(state.actor.params, *others)
        return critic[0], actor[0], actor[1]["entropy"], actor[1]["divergence"]

    elsewhere = lesson.observation + jnp.where(ignored[:, None], 3.0, 0.0)
    found, other = (jax.jit(slopes)(x) for x in (lesson, lesson.replace(observation=elsewhere)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found, other)
    # The divergence that is told is the mean where actions count.
    now = {"params": state.actor.variables["params"]["policy"]}
    outputs = [agent.actor.apply(p, lesson.observation) for p in (jax.tree.map(lambda leaf: leaf + 0.01, now), now)]
    key = streams(jax.random.key(2), "action", "critic of actor", "divergence")[2]
    divergence = np.asarray(KLBound().divergence(agent.policy, *outputs, key))
    np.testing.assert_allclose(found[3], divergence[~ignored].mean(), rtol=1e-3)


# AVG.


def avg(**numbers):
    layers = lambda mode: UnitFeatures(MLP((16,), activation=nn.leaky_relu))  # noqa: E731
    constant = LinearSchedule.constant
    numbers = {"temperature": 0.2, "discount": 0.9, **numbers}
    hyper = AVGHyperparameters(constant(0.01), constant(0.02), **numbers)
    return AVG(
        GaussianPolicyNetwork(layers, 2), ActionCritic(layers), ArraySpec((3,)), envs.Continuous(2),
        optax.scale_by_adam(b1=0.0), hyper,
    )  # fmt: skip


def one_step(rollout, t):
    """The t-th step of a rollout as a rollout."""
    timestep, last = rollout.timestep, len(rollout.timestep.first) - 1
    following = rollout.following if t == last else jax.tree.map(lambda leaf: leaf[t + 1], timestep)
    return jax.tree.map(lambda leaf: leaf[t], timestep), following


def test_errors_are_scaled_by_rewards_discounts_and_returns():
    """Over a sequence with terminal states and episodes cut off, against a loop that keeps all it has seen."""
    agent = avg()
    state, memory = jax.jit(agent.init)(jax.random.key(0)), agent.init_memory(1)
    rollout = made_up_rollout(0, steps=40, num_envs=1)
    act, update = jax.jit(agent.act), jax.jit(agent.update)
    rewards, discounts, squares, total = [], [], [], 0.0
    for t in range(40):
        timestep, following = one_step(rollout, t)
        action, after, record = act(state, memory, timestep, jax.random.fold_in(jax.random.key(1), t))
        single = jax.tree.map(lambda leaf: leaf[None], (timestep, action, record))
        changed, told = update(state, Rollout(*single, following, memory), jax.random.fold_in(jax.random.key(2), t))
        if timestep.last[0]:
            jax.tree.map(np.testing.assert_array_equal, changed, state)
            assert not any(told.values())
        else:
            priced = float(following.reward[0] - 0.2 * record.log_density[0])
            total += priced
            rewards.append(priced)
            discounts.append(0.0 if following.terminated[0] else 0.9)
            if following.terminated[0]:
                squares.append(total**2)
                total = 0.0
            variance = np.var(rewards) + np.var(discounts) * (np.mean(squares) if squares else 0.0)
            expected = np.sqrt(max(variance, 1e-4)) if squares or variance > 0.01 else 1.0
            np.testing.assert_allclose(changed.scale.deviation, expected, rtol=2e-3)
        state, memory = changed, after
    assert len(squares) >= 2
    assert rollout.timestep.truncated.any()


def test_errors_are_divided_by_one_until_they_vary_or_an_episode_has_ended():
    def deviation(variance, ends, squares=0.0):
        seen = RunningStatistics(*map(jnp.float32, (ends + 1e-4, squares, 0.0)))
        rewards, discounts = (RunningStatistics(*map(jnp.float32, (5.0, 0.3, v))) for v in (variance, 0.2))
        return float(ErrorScale(rewards, discounts, seen).deviation)

    assert [deviation(0.009, 0), deviation(0.009, 1)] == pytest.approx([1.0, 0.009**0.5])
    assert [deviation(0.013, 0), deviation(0.013, 1, 4.0)] == pytest.approx([0.013**0.5, 0.813**0.5])
    assert deviation(1e-6, 1) == pytest.approx(0.01)  # the least


def test_one_step_of_avg_is_the_gradient_of_its_losses():
    """With the noise of the actions written out; over those environments whose episodes have not just ended."""
    agent, rollout = avg(), made_up_rollout(5, steps=8, num_envs=6)
    falling = LinearSchedule(0.01, 0.03, 4.0), LinearSchedule(0.02, 0.0, 4.0)
    hyper = agent.hyper.replace(actor_learning_rate=falling[0], critic_learning_rate=falling[1])
    agent = dataclasses.replace(agent, optimizer=optax.identity(), hyper=hyper)
    state, memory = jax.jit(agent.init)(jax.random.key(0)), agent.init_memory(6)
    assert state.updates == 0
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(memory))
    state = state.replace(updates=jnp.int32(3))
    timestep, following = one_step(rollout, 7)
    counts = ~np.asarray(timestep.last)
    assert 1 < counts.sum() < 6
    assert 0 < following.terminated[counts].sum() < counts.sum()
    act_key, key = jax.random.key(3), jax.random.key(4)
    action, _, record = jax.jit(agent.act)(state, memory, timestep, act_key)
    single = jax.tree.map(lambda leaf: leaf[None], (timestep, action, record))
    after, metrics = jax.jit(agent.update)(state, Rollout(*single, following, memory), key)
    actor, critic, noise = state.actor.params, state.critic.params, jax.random.normal(act_key, (6, 2))

    def taken(params):
        mean, log_std = agent.actor.apply(params, timestep.observation)
        a = jnp.tanh(mean + jnp.exp(log_std) * noise)
        density = -0.5 * noise**2 - log_std - 0.5 * jnp.log(2 * jnp.pi) - jnp.log(1 - a**2)
        return a, density.sum(axis=1)

    def q(params, observation, a):
        return agent.critic.apply(params, observation, a)[:, 0]

    drawn, log_density = map(np.asarray, taken(actor))
    np.testing.assert_allclose(drawn, action, rtol=1e-4, atol=1e-6)
    reward, going_on = np.asarray(following.reward), ~np.asarray(following.terminated)
    priced = reward - 0.2 * log_density
    total = (np.where(timestep.first, 0.0, timestep.reward) + priced)[counts & ~going_on]
    scale = np.sqrt(np.var(priced[counts]) + np.var(0.9 * going_on[counts]) * (total**2).mean())
    next_action, next_density = agent.policy.sample(agent.actor.apply(actor, following.observation), key)
    value = q(critic, following.observation, next_action) - 0.2 * next_density.sum(axis=1)
    goal = reward + 0.9 * going_on * np.asarray(value)

    def of_critic(p):
        return (((goal - q(p, timestep.observation, action)) / scale)[counts] ** 2).mean()

    def of_actor(p):
        a, density = taken(p)
        return (0.2 * density - q(critic, timestep.observation, a))[counts].mean()

    losses = [jax.jit(jax.value_and_grad(loss))(p) for loss, p in ((of_critic, critic), (of_actor, actor))]
    rates = 0.005, 0.025  # after three of four steps
    for (_, gradient), old, new, rate in zip(losses, (critic, actor), (after.critic, after.actor), rates, strict=True):
        expected = jax.tree.map(lambda p, g: np.asarray(p) - rate * np.asarray(g), old, gradient)  # noqa: B023
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-5), new.params, expected)
    expected = {
        "loss": losses[0][0],
        "actor_loss": losses[1][0],
        "mean_q": q(critic, timestep.observation, action)[counts].mean(),
        "entropy": -log_density[counts].mean(),
        "error_scale": scale,
    }
    assert {k: float(x) for k, x in metrics.items()} == pytest.approx({k: float(x) for k, x in expected.items()}, 1e-3)
    assert after.updates == 4
    two = jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf]), single)
    with pytest.raises(InputError, match="rollout_steps is 2"):
        agent.update(state, Rollout(*two, following, memory), key)


def test_features_have_a_norm_of_one():
    network = UnitFeatures(MLP((8,), activation=nn.leaky_relu))
    x = jax.random.normal(jax.random.key(0), (5, 3)) * 100
    params = jax.jit(network.init)(jax.random.key(1), x)
    np.testing.assert_allclose(jnp.linalg.norm(network.apply(params, x), axis=1), 1.0, rtol=1e-3)
    assert np.isfinite(
        jax.grad(lambda p: network.apply(p, 0 * x).sum())(params)["params"]["torso"]["Dense_0"]["bias"]
    ).all()
