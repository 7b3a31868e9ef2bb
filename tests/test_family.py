"""The agents around Q-learning: each mechanism against an independent reference."""

import dataclasses
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import rlax
from test_tabular import DISCOUNT, Table, every_transition, small_garnet, softmax, table_agent

from jaxq import envs, tabular
from jaxq.agents import (
    AnnealedHorizon,
    AuxiliaryQLearning,
    DirectAdvantage,
    DirectAdvantageHyperparameters,
    EnsembleQLearning,
    Epochs,
    EpsilonGreedy,
    EpsilonZGreedy,
    HardUpdate,
    ImageAugmentation,
    LambdaQHyperparameters,
    LambdaQLearning,
    LinearSchedule,
    PGRainbow,
    PolyakUpdate,
    PPOHyperparameters,
    QLearning,
    QLearningHyperparameters,
    RecurrentLambdaQLearning,
    RecurrentQLearning,
    ResetSchedule,
    RetraceHyperparameters,
    RetraceQLearning,
    REValueD,
    SaddlePointQLearning,
    SelfPredictiveQLearning,
    VarianceWeightedQLearning,
    random_indicators,
    random_rewards,
    random_shift,
)
from jaxq.agents.ppo import normalized
from jaxq.agents.recurrent import Beginning, Remembered, Seen
from jaxq.agents.self_predictive import first_transition
from jaxq.bellman import (
    HybridReward,
    Particles,
    Quantile,
    Scalar,
    StockAugmented,
    n_step_return,
    operators,
    peng_cut,
    segment_returns,
    watkins_cut,
)
from jaxq.bellman.risk import ExpectedUtility
from jaxq.envs import ArraySpec, WithStock
from jaxq.errors import InputError
from jaxq.keys import streams
from jaxq.networks import (
    GRU,
    LSTM,
    MLP,
    ActionQTransformer,
    ActionValueHead,
    ActionValueNetwork,
    ImplicitQuantileHead,
    QuantileCriticNetwork,
    RandomFeatures,
    RecurrentActionValueNetwork,
    SelfPredictiveNetwork,
    SkillLuckNetwork,
    StockNetwork,
    attention_maps,
    unit_range,
)
from jaxq.replay import UniformReplay
from jaxq.training import Evaluation, OffPolicy, OnPolicy
from jaxq.types import Rollout, Segment, TimeStep, Transition

GREEDY = EpsilonGreedy(LinearSchedule.constant(0.1))


def scanned(agent, batch, updates, seed=1):
    keys = jax.random.split(jax.random.key(0), updates)
    return jax.jit(lambda s: jax.lax.scan(lambda s, k: agent.update(s, batch, k)[:2], s, keys))(
        jax.jit(agent.init)(jax.random.key(seed))
    )


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6), a, b)


# Ensembles and shifted rewards.


def test_an_ensemble_learns_as_its_bases_do_and_tells_their_means():
    mdp = small_garnet(3, actions=3, branching=1)
    base, shifts = table_agent(mdp, Scalar(), operators.Maximum()), (0.3, 0.0, -0.2)
    ensemble = EnsembleQLearning(base, 3, 1.0, shifts)
    batch = every_transition(mdp)
    state = jax.jit(ensemble.init)(jax.random.key(0))
    alone, key = [jax.tree.map(lambda leaf: leaf[k], state.members) for k in range(3)], jax.random.key(3)  # noqa: B023
    after, metrics, priority = jax.jit(ensemble.update)(state, batch, key)
    update = jax.jit(base.update)
    each = [update(one, batch, k) for one, k in zip(alone, jax.random.split(key, 3), strict=True)]
    for k, (expected, _, _) in enumerate(each):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a[k], b, rtol=1e-5),  # noqa: B023
            after.members.params, expected.params,
        )  # fmt: skip
    np.testing.assert_allclose(priority, np.mean([own for *_, own in each], axis=0), rtol=1e-5)
    for name, value in metrics.items():
        np.testing.assert_allclose(value, np.mean([own[name] for _, own, _ in each]), rtol=1e-5)
    values = ensemble.values(after, jnp.eye(5), "act", key)
    for k, (expected, _, _) in enumerate(each):  # of learners, from which the targets are a step away
        own = base.predict(expected.params, jnp.eye(5), "act", key)[..., 0]
        np.testing.assert_allclose(values[k], own, rtol=1e-5, atol=1e-5)


def test_members_of_shifted_rewards_differ_by_what_their_shifts_come_to():
    """On an MDP that never ends, where a shift b moves every value by b / (1 - γ)."""
    mdp = tabular.garnet(3, states=5, actions=3, branching=1, terminal=False)
    mdp = dataclasses.replace(mdp, reward=0.4 * mdp.reward)
    base = table_agent(mdp, Scalar(), operators.Maximum(), updates=3000)
    shifts = (-1.0, 0.0, 0.5)
    ensemble = EnsembleQLearning(base, 3, 1.0, shifts)
    state, _ = scanned(ensemble, every_transition(mdp), 3000)
    values = ensemble.values(state, jnp.eye(5), "exploit", jax.random.key(0))
    exact = tabular.optimal_values(mdp, DISCOUNT)
    for member, shift in zip(values, shifts, strict=True):
        np.testing.assert_allclose(member - shift / (1 - DISCOUNT), exact, atol=0.02)


def test_masks_are_each_member_s_own_and_last():
    mdp = small_garnet(3, actions=3, branching=1)
    base = table_agent(mdp, Scalar(), operators.Maximum())
    ensemble = EnsembleQLearning(base, 2, 0.5, (0.0, 0.0))
    batch = every_transition(mdp).replace(weight=jnp.ones(12))
    state = jax.jit(ensemble.init)(jax.random.key(0))
    update = jax.jit(ensemble.update)

    def touched(index):
        """Which of the members change when only one transition counts."""
        one = batch.replace(weight=jnp.zeros(12).at[index].set(1.0))
        after, _, _ = update(state, one, jax.random.key(index))
        kernel = jax.tree.leaves(after.members.params)[1] - jax.tree.leaves(state.members.params)[1]
        return np.abs(kernel).max(axis=(1, 2)) > 0

    seen = np.array([touched(i) for i in range(12)])
    assert 0 < seen.mean() < 1
    assert (seen[:, 0] != seen[:, 1]).any()
    np.testing.assert_array_equal(seen, [touched(i) for i in range(12)])
    state = jax.jit(ensemble.init)(jax.random.key(1))
    assert (seen != [touched(i) for i in range(12)]).any(), "another seed has other masks"


@pytest.mark.parametrize("begins", [True, False])
def test_an_episode_follows_one_member(begins):
    """Also one in the midst of which acting begins."""
    mdp = small_garnet(3, actions=3, branching=1)
    base = table_agent(mdp, Scalar(), operators.Maximum())
    greedy = EpsilonGreedy(LinearSchedule.constant(0.0))
    base = dataclasses.replace(base, hyper=base.hyper.replace(exploration=greedy))
    ensemble = EnsembleQLearning(base, 4, 1.0, (0.0,) * 4)
    state, memory = jax.jit(ensemble.init)(jax.random.key(0)), ensemble.init_memory(64)
    first = TimeStep(jnp.eye(5)[jnp.arange(64) % 5], *(jnp.zeros(64),) * 3, jnp.full(64, begins))
    act = jax.jit(ensemble.act)
    action, drawn, _ = act(state, memory, first, jax.random.key(1))
    assert set(np.unique(drawn.member)) == {0, 1, 2, 3}
    best = np.argmax(ensemble.values(state, first.observation, "act", jax.random.key(9)), axis=-1)  # [4, 64]
    assert (best != best[0]).any(), "members differ"
    np.testing.assert_array_equal(action, best[drawn.member, np.arange(64)])
    _, later, _ = act(state, drawn, first.replace(first=jnp.zeros(64, bool)), jax.random.key(2))
    np.testing.assert_array_equal(later.member, drawn.member)


# Variance weighting and robust errors.


def test_the_variance_network_learns_the_variance_of_targets_and_weighs_by_its_inverse():
    mdp = small_garnet(5, actions=2, branching=2)
    base = table_agent(mdp, Scalar(), operators.Maximum(), updates=5000)
    agent = VarianceWeightedQLearning(base, ActionValueNetwork(Table(), ActionValueHead(2)), smallest=1e-3)
    batch = every_transition(mdp)
    state, _ = scanned(agent, batch, 5000)
    q = tabular.optimal_values(mdp, DISCOUNT)
    outcome = mdp.reward + DISCOUNT * np.where(mdp.terminal, 0.0, q.max(axis=1))
    variance = (mdp.transition * (outcome - (mdp.transition * outcome).sum(axis=2, keepdims=True)) ** 2).sum(axis=2)
    s, a, _ = np.nonzero(mdp.transition * ~mdp.terminal[:, None, None])
    np.testing.assert_allclose(agent.variances(state.variance, batch), variance[s, a], atol=0.02)


def test_one_step_weighs_by_the_inverse_of_what_the_target_variance_says():
    """By hand, of tables, whose entries each move by what the samples of their state and action say."""
    rng = np.random.default_rng(0)
    base = table_agent(small_garnet(3, actions=2, branching=1), Scalar(), operators.Maximum(), discount=0.9)
    base = dataclasses.replace(
        base, optimizer=optax.identity(),
        hyper=base.hyper.replace(learning_rate=LinearSchedule.constant(0.5), target=PolyakUpdate(0.25)),
    )  # fmt: skip
    agent = VarianceWeightedQLearning(base, base.network, smallest=0.5, smallest_weight=0.6)
    state, states = jax.jit(agent.init)(jax.random.key(0)), base.observation_spec.shape[0]
    tables = {
        name: rng.normal(scale=2.0, size=(states, 2)) for name in ("q", "q_target", "previous", "raw", "raw_target")
    }

    def as_params(table):
        return jax.tree.map(lambda leaf: jnp.float32(table.T) if leaf.ndim == 2 else 0.0 * leaf, state.variance)

    def table_of(params):
        return next(leaf for leaf in jax.tree.leaves(params) if leaf.ndim == 2).T

    q, q_target, previous, raw, raw_target = (as_params(table) for table in tables.values())
    values = state.values.replace(params=q, target_params=q_target)
    state = state.replace(values=values, previous=previous, variance=raw, target_variance=raw_target)
    s, a, t = np.array([0, 1, 2, 1]), np.array([0, 1, 1, 0]), np.array([1, 0, 3, 2])
    reward, terminated = np.array([0.7, -1.2, 3.0, 0.1]), np.array([False, False, True, False])
    weight = np.array([0.3, 1.7, 0.8, 1.1])
    batch = Transition(
        jnp.eye(states)[s], jnp.asarray(a), jnp.float32(reward)[:, None], jnp.ones(4, jnp.int32),
        jnp.asarray(terminated), jnp.eye(states)[t], jnp.float32(weight), jnp.arange(4),
    )  # fmt: skip
    after, metrics, priority = jax.jit(agent.update)(state, batch, jax.random.key(1))

    target = reward + 0.9 * ~terminated * tables["q_target"][t].max(axis=1)
    variances = np.exp(tables["raw_target"][s, a]) + 0.5
    shares = (1 / variances) / sum(1 / variances) * 4  # of a batch of four, one on average
    assert shares.min() < 0.6 < 1.2 < shares.max()
    shares = np.maximum(shares, 0.6)
    error = tables["q"][s, a] - target
    np.testing.assert_allclose(metrics["loss"], np.mean(weight * shares * 0.5 * error**2), rtol=1e-4)
    np.testing.assert_allclose(metrics["variance"], np.average(variances), rtol=1e-5)
    now = tables["q"].copy()
    np.subtract.at(now, (s, a), 0.5 * weight * shares * error / 4)
    np.testing.assert_allclose(table_of(after.values.params), now, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(priority, np.abs(error), rtol=1e-4)
    # The variance learns how far the target's values are from the backup of the target before it.
    before = reward + 0.9 * ~terminated * tables["previous"][t].max(axis=1)
    away = np.exp(tables["raw"][s, a]) + 0.5 - (before - tables["q_target"][s, a]) ** 2
    assert np.abs(away).min() < 1.0 < np.abs(away).max()
    huber = np.where(np.abs(away) < 1, away**2 / 2, np.abs(away) - 0.5)
    np.testing.assert_allclose(metrics["variance_loss"], np.average(weight * huber), rtol=1e-4)
    slope = np.clip(away, -1, 1) * np.exp(tables["raw"][s, a])
    now = tables["raw"].copy()
    np.subtract.at(now, (s, a), 0.5 * weight * slope / 4)
    np.testing.assert_allclose(table_of(after.variance), now, rtol=1e-4, atol=1e-6)
    followed = 0.75 * tables["raw_target"] + 0.25 * now
    np.testing.assert_allclose(table_of(after.target_variance), followed, rtol=1e-4, atol=1e-6)
    followed = 0.75 * tables["previous"] + 0.25 * tables["q_target"]
    np.testing.assert_allclose(table_of(after.previous), followed, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("error", ["squared", "huber", "absolute"])
def test_saddle_point_updates_end_at_the_exact_values(error):
    mdp = small_garnet(3, actions=3, branching=1)
    base = table_agent(mdp, Scalar(), operators.Maximum(), rate=0.02, updates=10_000)
    agent = SaddlePointQLearning(base, 3, error, penalty=0.0)
    state, _ = scanned(agent, every_transition(mdp), 10_000)
    found = base.predict(state.params["values"], jnp.eye(5), "exploit", jax.random.key(0))[..., 0]
    exact = tabular.optimal_values(mdp, DISCOUNT)
    np.testing.assert_allclose(found[~mdp.terminal], exact[~mdp.terminal], atol=0.03)


@pytest.mark.parametrize("error", ["squared", "huber", "absolute"])
def test_robust_errors_are_of_the_mean_and_not_of_its_samples(error):
    """A reward of ten in three of ten cases is worth three; errors clipped sample by sample make it next to nothing."""
    mdp = small_garnet(3, actions=3, branching=1)
    base = table_agent(mdp, Scalar(), operators.Maximum(), rate=0.02, updates=10_000)
    agent = SaddlePointQLearning(base, 3, error, penalty=0.0)
    rewards = jnp.where(jnp.arange(10) < 3, 10.0, 0.0)[:, None]
    state, ten = np.flatnonzero(~mdp.terminal)[0], jnp.ones(10)
    seen = jnp.tile(jnp.eye(5)[state], (10, 1))
    batch = Transition(
        seen, jnp.zeros(10, jnp.int32), rewards, jnp.ones(10, jnp.int32), ten > 0, seen, ten, jnp.arange(10)
    )
    learned, _ = scanned(agent, batch, 10_000)
    found = base.predict(learned.params["values"], seen[:1], "exploit", jax.random.key(0))[0, 0, 0]
    assert float(found) == pytest.approx(3.0, abs=0.1)


def test_saddle_point_gradient_is_the_corrected_one():
    """`(c(h) + c'(h) (δ - h)) ∇q - γ c(h) ∇v'` in a table, where gradients are one-hot."""
    mdp = small_garnet(3, actions=3, branching=1)
    base = table_agent(mdp, Scalar(), operators.Maximum())
    base = dataclasses.replace(base, optimizer=optax.identity())
    base = dataclasses.replace(base, hyper=base.hyper.replace(learning_rate=LinearSchedule.constant(1.0)))
    agent = SaddlePointQLearning(base, 3, "huber", 0.3, penalty=0.7)
    state = jax.jit(agent.init)(jax.random.key(0))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(state.params["correction"]))
    drawn = jax.tree.map(
        lambda leaf: 0.4 * jax.random.normal(jax.random.key(5), leaf.shape), state.params["correction"]
    )
    state = state.replace(params={**state.params, "correction": drawn})
    batch = every_transition(mdp)
    size = batch.weight.size
    batch = batch.replace(weight=jnp.linspace(0.3, 1.7, size), rewards=batch.rewards.at[::2].multiply(0.1))
    after, metrics, priority = jax.jit(agent.update)(state, batch, jax.random.key(0))
    q = np.asarray(base.predict(state.params["values"], jnp.eye(5), "exploit", jax.random.key(0))[..., 0])
    weights = jax.tree.map(np.asarray, state.params["correction"]["params"]["Dense_0"])
    expected, moved = np.zeros((5, 3)), jax.tree.map(lambda leaf: -0.7 * leaf, weights)
    errors, estimates, values = [], [], []
    for b in range(size):
        s, t, a = int(batch.observation[b].argmax()), int(batch.next_observation[b].argmax()), int(batch.action[b])
        share, going_on = float(batch.weight[b]) / size, 0.0 if batch.terminated[b] else 1.0
        h = weights["kernel"][a, s] + weights["bias"][a]
        error = float(batch.rewards[b, 0]) + DISCOUNT * going_on * q[t].max() - q[s, a]
        expected[s, a] += share * (error if abs(h) < 0.3 else np.clip(h, -0.3, 0.3))
        expected[t, q[t].argmax()] -= share * DISCOUNT * going_on * np.clip(h, -0.3, 0.3)
        # h regresses δ, and the penalty is on its weights: each shrinks by itself, seen or not.
        moved["kernel"][a, s] += share * (error - h)
        moved["bias"][a] += share * (error - h)
        errors.append(error), estimates.append(h), values.append(q[s, a])
    for of in (errors, estimates):  # beyond the threshold on either side, and within
        assert min(of) < -0.3 < 0.3 < max(of)
        assert min(map(abs, of)) < 0.25
    kernel = lambda params: np.asarray(params["values"]["params"]["head"]["Dense_0"]["kernel"]).T  # noqa: E731
    np.testing.assert_allclose(kernel(after.params) - kernel(state.params), expected, atol=1e-5)
    for name, leaf in after.params["correction"]["params"]["Dense_0"].items():
        np.testing.assert_allclose(leaf - weights[name], moved[name], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(priority, np.abs(errors), rtol=1e-4, atol=1e-5)
    by_hand = {
        "loss": np.average(np.abs(errors), weights=batch.weight),  # whose mean is one
        "mean_q": np.mean(values),
        "correction": np.mean(np.abs(estimates)),
    }
    for name, value in by_hand.items():
        assert float(metrics[name]) == pytest.approx(value, rel=1e-4)
    timestep = TimeStep(jnp.eye(5), *(jnp.zeros(5),) * 4)
    np.testing.assert_array_equal(agent.exploit(state, (), timestep, jax.random.key(0))[0], q.argmax(axis=1))


def test_what_corrects_values_sends_no_gradient_into_their_features():
    """Of a correction the absolute error takes the sign, so half of it teaches the values the same."""
    base = table_agent(small_garnet(3, actions=3, branching=1), Scalar(), operators.Maximum())
    base = dataclasses.replace(
        base, network=ActionValueNetwork(Table(4), ActionValueHead(3)), optimizer=optax.identity()
    )
    agent, batch = SaddlePointQLearning(base, 3, "absolute"), every_transition(small_garnet(3, actions=3, branching=1))
    state = jax.jit(agent.init)(jax.random.key(0))
    drawn = jax.tree.map(lambda leaf: jax.random.normal(jax.random.key(5), leaf.shape), state.params["correction"])
    update = jax.jit(agent.update)
    whole, half = (
        update(
            state.replace(params={**state.params, "correction": jax.tree.map(lambda leaf: scale * leaf, drawn)}),  # noqa: B023
            batch, jax.random.key(0),
        )[0].params["values"]
        for scale in (1.0, 0.5)
    )  # fmt: skip
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), whole, half)
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), whole, state.params["values"])
    assert min(jax.tree.leaves(moved)) > 0


# Reward channels.


def vector_transitions(mdp):
    plain = dataclasses.replace(mdp, reward=mdp.reward.sum(axis=-1))
    s, a, t = np.nonzero(mdp.transition * ~mdp.terminal[:, None, None])
    return plain, every_transition(plain).replace(rewards=jnp.asarray(mdp.reward[s, a, t], jnp.float32)[:, None])


def test_hybrid_heads_learn_each_its_own_optimal_values():
    mdp = tabular.vector_maze()
    plain, batch = vector_transitions(mdp)
    representation = HybridReward((Scalar(),) * 3, (1.0,) * 3)
    agent = table_agent(plain, representation, operators.Maximum(), updates=3000)
    state, _ = scanned(agent, batch, 3000)
    prediction = agent.predict(state.params, jnp.eye(12), "exploit", jax.random.key(0))
    for channel in range(3):
        own = dataclasses.replace(mdp, reward=mdp.reward[..., channel])
        exact = tabular.optimal_values(own, DISCOUNT)
        np.testing.assert_allclose(prediction[~mdp.terminal, :, channel], exact[~mdp.terminal], atol=0.02)


def test_joint_particles_learn_every_channel_under_the_policy_that_is_greedy_on_the_sum():
    mdp = tabular.vector_maze()
    # Rewards moved a little, so that in every state one action is the best.
    mdp = dataclasses.replace(mdp, reward=mdp.reward + np.random.default_rng(1).uniform(-0.1, 0.1, mdp.reward.shape))
    plain, batch = vector_transitions(mdp)
    representation = Particles(4, 3, (0.1, 1.0))
    agent = table_agent(plain, representation, operators.Maximum(), updates=3000)
    state, _ = scanned(agent, batch, 3000)
    found = representation.particles(agent.predict(state.params, jnp.eye(12), "exploit", jax.random.key(0))).mean(
        axis=2
    )
    exact = tabular.optimal_values(plain, DISCOUNT)
    np.testing.assert_allclose(found.sum(axis=-1)[~mdp.terminal], exact[~mdp.terminal], atol=0.03)
    best = exact.argmax(axis=1)
    runner_up, first = np.sort(exact[~mdp.terminal], axis=1)[:, -2:].T
    assert (first - runner_up > 0.02).all()
    for channel in range(3):
        own = dataclasses.replace(mdp, reward=mdp.reward[..., channel])
        q = tabular.optimal_values(own, DISCOUNT, value=lambda q: q[np.arange(12), best])
        np.testing.assert_allclose(found[~mdp.terminal][..., channel], q[~mdp.terminal], atol=0.03)


# Sequences.


def random_segments(mdp, length, size, seed):
    """Segments of a uniformly random policy, with next-step autoreset as the environments have it."""
    rng = np.random.default_rng(seed)
    states = np.zeros((length + 1, size), int)
    action = rng.integers(0, mdp.num_actions, (length, size))
    reward, terminated, final = np.zeros((length, size)), np.zeros((length, size), bool), np.zeros((length, size), bool)
    states[0] = rng.choice(np.nonzero(~mdp.terminal)[0], size)
    for t in range(length):
        for b in range(size):
            s = states[t, b]
            if mdp.terminal[s]:
                final[t, b] = True
                states[t + 1, b] = rng.choice(mdp.num_states, p=mdp.initial)
                continue
            states[t + 1, b] = rng.choice(mdp.num_states, p=mdp.transition[s, action[t, b]])
            reward[t, b] = mdp.reward[s, action[t, b], states[t + 1, b]]
            terminated[t, b] = mdp.terminal[states[t + 1, b]]
    return Segment(
        observation=jnp.asarray(np.eye(mdp.num_states, dtype=np.float32)[states]),
        action=jnp.asarray(action),
        reward=jnp.asarray(reward, jnp.float32),
        terminated=jnp.asarray(terminated),
        truncated=jnp.zeros_like(jnp.asarray(terminated)),
        final=jnp.asarray(final),
        weight=jnp.ones(size),
        index=jnp.arange(size),
    )


def made_up_segment(seed, length, size, width, actions):
    """Steps of nothing in particular, that end in every way and weigh whatever."""
    rng = np.random.default_rng(seed)
    terminated, truncated, final = np.zeros((3, length, size), bool)
    final[0] = rng.random(size) < 0.2
    for t in range(length):
        if t:
            final[t] = terminated[t - 1] | truncated[t - 1]
        chance = rng.random(size)
        terminated[t], truncated[t] = (chance < 0.2) & ~final[t], (chance > 0.8) & ~final[t]
    return Segment(
        observation=jnp.asarray(rng.normal(size=(length + 1, size, width)), jnp.float32),
        action=jnp.asarray(rng.integers(0, actions, (length, size))),
        reward=jnp.asarray(rng.normal(size=(length, size)), jnp.float32),
        terminated=jnp.asarray(terminated),
        truncated=jnp.asarray(truncated),
        final=jnp.asarray(final),
        weight=jnp.asarray(rng.uniform(0.3, 1.7, size), jnp.float32),
        index=jnp.arange(size),
    )


def assert_went_down(loss, before, after, rate, modules=None):
    """From the first parameters to the second, by one plain step down the slope of a loss, as its differences say.

    `modules` are those whose parameters are looked at, all unless given.
    """
    rng = np.random.default_rng(0)
    before, after = jax.tree.map(np.asarray, (before, after))
    gradient = jax.tree.map(lambda old, new: (old - new) / rate, before, after)
    length = np.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(gradient)))

    def along(path, leaf):
        seen = modules is None or any(getattr(part, "key", None) in modules for part in path)
        return seen * (leaf / length + 0.3 * rng.normal(size=leaf.shape)).astype(np.float32)

    direction = jax.tree_util.tree_map_with_path(along, gradient)
    ahead, behind = (
        loss(jax.tree.map(lambda x, d, h=h: x + np.float32(h) * d, before, direction)) for h in (0.01, -0.01)
    )
    slope = sum((g * d).sum() for g, d in zip(*map(jax.tree.leaves, (gradient, direction)), strict=True))
    assert slope == pytest.approx((ahead - behind) / 0.02, rel=5e-3)


class Everything(operators.Munchausen):
    """Munchausen by the learner's policy: of all that an operator can look at or add there is something in it."""

    def weights(self, q_online, q_target):
        return super().weights(q_target, q_online)


def everything_by_hand(q, target, batch, discount):
    """Of `Everything(0.5, 0.7, -0.4)` the policy [L + 1, B, A] and what it adds to the rewards [L, B]."""
    policy, theirs = softmax(q / 0.5), softmax(target / 0.5)
    entropy = -(theirs * np.log(theirs)).sum(axis=-1)
    taken = np.take_along_axis(theirs[:-1], np.asarray(batch.action)[..., None], axis=-1)[..., 0]
    going_on = 1.0 - np.asarray(batch.terminated)
    return policy, 0.7 * np.maximum(0.5 * np.log(taken), -0.4) + discount * going_on * 0.5 * entropy[1:]


@pytest.mark.parametrize("n_step", [1, 3, 10])
def test_segment_returns_by_brute_force(n_step):
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=(6, 5))
    terminated = rng.random((6, 5)) < 0.2
    ended = terminated | (rng.random((6, 5)) < 0.2)
    total, discount, steps = segment_returns(
        jnp.asarray(rewards), jnp.asarray(terminated), jnp.asarray(ended), jnp.float32(0.9), n_step
    )
    for t in range(6):
        for b in range(5):
            g, gamma, m = 0.0, 1.0, 0
            while m < n_step and t + m < 6:
                g += 0.9**m * rewards[t + m, b]
                m += 1
                if ended[t + m - 1, b]:
                    break
            gamma = 0.0 if terminated[t + m - 1, b] else 0.9**m
            np.testing.assert_allclose([total[t, b], discount[t, b], steps[t, b]], [g, gamma, m], rtol=1e-5, atol=1e-6)


def test_the_first_transition_of_a_segment_by_brute_force():
    mdp = small_garnet(7, actions=2, branching=2)
    batch = random_segments(mdp, 6, 40, 0)
    batch = jax.tree.map(np.asarray, batch)
    cut_off = (np.random.default_rng(1).random((6, 40)) < 0.15) & ~batch.terminated
    batch = batch.replace(truncated=cut_off, weight=np.linspace(0.3, 1.7, 40))
    for n in (1, 3, 6):
        transition = first_transition(batch, jnp.float32(n))
        total, discount = n_step_return(transition.rewards, transition.steps, transition.terminated, jnp.float32(0.9))
        for b in np.nonzero(~batch.final[0])[0]:
            g, m = 0.0, 0
            while m < n:
                g += 0.9**m * batch.reward[m, b]
                m += 1
                if batch.terminated[m - 1, b] or cut_off[m - 1, b]:
                    break
            np.testing.assert_allclose(total[b], g, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(discount[b], 0.0 if batch.terminated[m - 1, b] else 0.9**m, rtol=1e-5)
            np.testing.assert_array_equal(transition.next_observation[b], batch.observation[m, b])
        begun = transition.observation, transition.action, transition.weight, transition.index
        same(begun, (batch.observation[0], batch.action[0], batch.weight, batch.index))


def recurrent_agent(**changes):
    return RecurrentQLearning(
        network=RecurrentActionValueNetwork(MLP((16,)), ActionValueHead(2), GRU(16)),
        observation_spec=ArraySpec((2,)),
        optimizer=optax.scale_by_adam(),
        hyper=QLearningHyperparameters(LinearSchedule.constant(3e-3), GREEDY, HardUpdate(20), discount=0.9),
        representation=Scalar(),
        **{"burn_in": 2, "n_step": 2, **changes},
    )


def test_memory_is_used_where_the_observation_does_not_say():
    """A cue, then nothing, then a choice that pays if it is the cue's: only a memory can value it."""
    rng = np.random.default_rng(0)
    length, size = 5, 64
    cue = rng.integers(0, 2, size)
    observation = np.zeros((length + 1, size, 2), np.float32)
    observation[0, np.arange(size), cue] = 1.0
    action = rng.integers(0, 2, (length, size))
    terminated = np.zeros((length, size), bool)
    terminated[length - 1] = True
    reward = np.zeros((length, size), np.float32)
    reward[length - 1] = action[length - 1] == cue
    batch = Segment(
        *map(jnp.asarray, (observation, action, reward, terminated, np.zeros_like(terminated),
                           np.zeros_like(terminated), np.ones(size, np.float32), np.arange(size)))
    )  # fmt: skip
    nothing = Beginning(jnp.zeros((length, size, 16)), jnp.full((length, size), -1), jnp.zeros((length, size)))
    batch = batch.replace(record=nothing)
    agent = recurrent_agent()
    state, _ = scanned(agent, batch, 800)
    reset = jnp.zeros((length + 1, size), bool)
    prediction, _ = agent.network.apply(state.params, batch.observation, reset, agent.network.initial_state(size))
    last = np.asarray(prediction[length - 1, :, :, 0])
    np.testing.assert_allclose(last, np.eye(2)[cue], atol=0.15)


def test_a_recurrent_update_step_by_step():
    """Loss, gradient and priorities from predictions made one step at a time and targets by their sums."""
    length, size, burn, n_step, rate = 7, 6, 2, 3, 0.1
    network = RecurrentActionValueNetwork(MLP((8,)), ActionValueHead(3), GRU(6), num_actions=3)
    agent = recurrent_agent(burn_in=burn, n_step=n_step)
    hyper = agent.hyper.replace(
        operator=Everything(0.5, 0.7, -0.4), learning_rate=LinearSchedule.constant(rate), target=HardUpdate(5)
    )
    agent = dataclasses.replace(agent, network=network, optimizer=optax.identity(), hyper=hyper)
    batch, rng = made_up_segment(0, length, size, 2, 3), np.random.default_rng(1)
    core, action, reward = rng.normal(size=(length, size, 6)), rng.integers(0, 3, size), rng.normal(size=size)
    record = Beginning(core, np.broadcast_to(action, (length, size)), np.broadcast_to(reward, (length, size)))
    batch = batch.replace(record=jax.tree.map(jnp.asarray, record))
    state = jax.jit(agent.init)(jax.random.key(0))
    state = state.replace(target_params=jax.tree.map(lambda leaf: 0.2 - np.asarray(leaf), state.params))
    before = jax.tree.map(np.asarray, batch)

    @jax.jit
    def step(params, core, t, action, reward):
        reset = jnp.where(t > 0, batch.final[t - 1], False)
        told = jax.tree.map(lambda x: x[None], (batch.observation[t], reset))
        prediction, core = network.apply(params, *told, core, "act", action[None], reward[None])
        return prediction[0, ..., 0], core

    def predictions(first_params, params):  # the first are those of the burn-in
        now, found = jnp.float32(core[0]), []
        for t in range(length + 1):
            what = (action, reward) if t == 0 else (before.action[t - 1], before.reward[t - 1])
            q, now = step(first_params if t < burn else params, now, t, *map(jnp.asarray, what))
            found.append(q)
        return np.stack(found)

    q, target = predictions(state.params, state.params), predictions(*(state.target_params,) * 2)
    policy, added = everything_by_hand(q, target, before, 0.9)
    returns = np.zeros((length, size))
    for t, b in itertools.product(range(length), range(size)):
        for m in range(n_step):
            returns[t, b] += 0.9**m * (before.reward[t + m, b] + added[t + m, b])
            if before.terminated[t + m, b]:
                break
            if before.truncated[t + m, b] or t + m == length - 1 or m == n_step - 1:
                returns[t, b] += 0.9 ** (m + 1) * policy[t + m + 1, b] @ target[t + m + 1, b]
                break

    def errors(q):  # of the steps that count
        taken = np.take_along_axis(q[:-1], before.action[..., None], axis=-1)[..., 0]
        return (~before.final * (returns - taken))[burn:], taken[burn:]

    def loss(params):
        return (before.weight * (errors(predictions(state.params, params))[0] ** 2).sum(axis=0)).mean() / 2

    after, metrics, priority = jax.jit(agent.update)(state, batch, jax.random.key(2))
    error, taken = errors(q)
    mixed = 0.9 * np.abs(error).max(axis=0) + 0.1 * np.abs(error).mean(axis=0)
    np.testing.assert_allclose(priority, mixed, rtol=1e-3)
    np.testing.assert_allclose([metrics["loss"], metrics["mean_q"]], [loss(state.params), taken.mean()], rtol=1e-3)
    assert_went_down(loss, state.params, after.params, rate)

    @jax.jit
    @jax.grad
    def through(observation):  # where no episode begins
        seen = Seen(observation[:4], jnp.zeros((4, size), bool), batch.action[:4], batch.reward[:4])
        return agent.unroll(state.params, seen, record.core[0], 2, "learn", jax.random.key(0)).sum()

    np.testing.assert_array_equal(
        np.any(through(batch.observation), axis=(1, 2)), [False] * 2 + [True] * 2 + [False] * 4
    )


def recurrent_lambda_agent(**changes):
    return RecurrentLambdaQLearning(
        network=RecurrentActionValueNetwork(MLP((16,)), ActionValueHead(2), GRU(16)),
        observation_spec=ArraySpec((2,)),
        optimizer=optax.scale_by_adam(),
        hyper=LambdaQHyperparameters(LinearSchedule.constant(3e-3), GREEDY, discount=0.9),
        representation=Scalar(),
        **{"epochs": Epochs(4, 2), **changes},
    )


def cue_rollout(agent, length, size, memory):
    """A cue, then nothing, then a choice that pays if it is the cue's, of as many episodes; and the cues."""
    rng = np.random.default_rng(0)
    cue = rng.integers(0, 2, size)
    observation = np.zeros((length + 1, size, 2), np.float32)
    observation[0, np.arange(size), cue] = 1.0
    action = rng.integers(0, 2, (length, size))
    reward = np.zeros((length + 1, size), np.float32)
    reward[length] = action[length - 1] == cue
    first, last = np.zeros((length + 1, size), bool), np.zeros((length + 1, size), bool)
    first[0], last[length] = True, True
    steps = TimeStep(*map(jnp.asarray, (observation, reward, last, np.zeros_like(last), first)))
    timestep, following = jax.tree.map(lambda leaf: leaf[:-1], steps), jax.tree.map(lambda leaf: leaf[-1], steps)
    record = jnp.zeros((length, size, 2))
    return Rollout(
        timestep,
        jnp.asarray(action),
        record,
        following,
        (agent.init_memory(size)[0], Remembered(memory, jnp.full(size, -1, jnp.int32))),
    ), cue


@pytest.mark.parametrize("burn_in", [0, 2])
def test_rollouts_teach_a_memory_too(burn_in):
    agent = recurrent_lambda_agent(burn_in=burn_in)
    rollout, cue = cue_rollout(agent, 5, 64, jnp.ones((64, 16)))
    state = jax.jit(agent.init)(jax.random.key(0))

    def update(state, key):
        return agent.update(state, rollout, key)[0], None

    state, _ = jax.jit(lambda s, keys: jax.lax.scan(update, s, keys))(state, jax.random.split(jax.random.key(1), 150))
    values = agent.values(state, rollout, jax.random.key(0))
    np.testing.assert_allclose(values[4], np.eye(2)[cue], atol=0.15)


def test_a_rollout_is_gone_over_from_the_state_that_acting_left():
    """Values over the whole rollout are those of acting step by step, also where the rollout begins mid-episode."""
    network = RecurrentActionValueNetwork(MLP((16,)), ActionValueHead(2), GRU(16), num_actions=2)
    agent = dataclasses.replace(recurrent_lambda_agent(), network=network)
    rollout, _ = cue_rollout(agent, 5, 8, jax.random.normal(jax.random.key(3), (8, 16)))
    first = rollout.timestep.first.at[0, :4].set(False)
    reward = jax.random.normal(jax.random.key(4), (5, 8))
    rollout = rollout.replace(timestep=rollout.timestep.replace(first=first, reward=reward))
    state, memory, act = jax.jit(agent.init)(jax.random.key(0)), rollout.memory, jax.jit(agent.act)
    expected = []
    for t in range(6):
        now = rollout.following if t == 5 else jax.tree.map(lambda leaf: leaf[t], rollout.timestep)  # noqa: B023
        _, memory, values = act(state, memory, now, jax.random.key(t))
        memory = (memory[0], memory[1].replace(action=rollout.action[min(t, 4)]))
        expected.append(values)
    found = agent.values(state, rollout, jax.random.key(0))
    np.testing.assert_allclose(found, jnp.stack(expected), rtol=1e-5, atol=1e-6)


def test_a_recurrent_update_from_rollouts_is_of_the_steps_that_count():
    """Their mean over all minibatches and epochs, parameters being left as they are."""
    agent = recurrent_lambda_agent(burn_in=2, epochs=Epochs(2, 2))
    network = RecurrentActionValueNetwork(MLP((8,)), ActionValueHead(3), GRU(6), num_actions=3)
    still = agent.hyper.replace(learning_rate=LinearSchedule.constant(0.0), trace=0.7)
    agent, rollout = dataclasses.replace(agent, network=network, hyper=still), made_up_rollout(3)
    core, action = jax.random.normal(jax.random.key(0), (4, 6)), jnp.array([-1, 0, 1, 2])
    rollout = rollout.replace(memory=(agent.init_memory(4)[0], Remembered(core, action)))
    state = jax.jit(agent.init)(jax.random.key(1))
    _, metrics = jax.jit(agent.update)(state, rollout, jax.random.key(2))

    @jax.jit
    def seen(state):  # each held to its definition elsewhere
        values = agent.values(state, rollout, jax.random.key(3))
        return values[:-1], agent.returns(state, rollout, jax.random.key(3))

    q, returns = map(np.asarray, seen(state))
    counts = ~np.asarray(rollout.timestep.last)[2:]
    assert not counts.all()
    taken = np.take_along_axis(q, np.asarray(rollout.action)[..., None], axis=-1)[2:, ..., 0]
    loss = (counts * (taken - returns[2:]) ** 2).mean() / 2
    np.testing.assert_allclose([metrics["loss"], metrics["mean_q"]], [loss, taken.mean()], rtol=1e-3)


@pytest.mark.parametrize("core", [GRU(6), LSTM(6)])
def test_what_is_recorded_is_what_acting_began_a_step_with(core):
    """A sequence gone over from the record in its middle gives the values that acting had there."""
    network = RecurrentActionValueNetwork(MLP((8,)), ActionValueHead(2), core, num_actions=2)
    agent = dataclasses.replace(recurrent_agent(burn_in=0), network=network)
    state, memory = jax.jit(agent.init)(jax.random.key(0)), agent.init_memory(3)
    state = state.replace(target_params=jax.tree.map(np.negative, state.params))
    np.testing.assert_array_equal(memory[1].action, -1)
    step = jax.jit(lambda *told: (agent.select(*told)[2], *agent.act(*told)))
    rng = np.random.default_rng(0)
    observation, reward = rng.normal(size=(7, 3, 2)), rng.normal(size=(7, 3))
    first = np.zeros((7, 3), bool)
    first[0], first[3, 1] = True, True
    values, records, actions = [], [], []
    for t in range(7):
        no = jnp.zeros(3, bool)
        now = TimeStep(jnp.float32(observation[t]), jnp.float32(reward[t]), no, no, jnp.asarray(first[t]))
        value, action, after, record = step(state, memory, now, jax.random.key(t))
        if t == 3:
            # In the warm-up others choose; and evaluation takes the best and does not explore.
            watched = jax.jit(agent.watch)(state, memory, now, action, jax.random.key(t))
            close(watched, ((memory[0], after[1]), record))
            best, evaluated = jax.jit(agent.exploit)(state, memory, now, jax.random.key(t))
            np.testing.assert_array_equal(best, np.argmax(value, axis=-1))
            close(evaluated, (memory[0], after[1].replace(action=best)))
            np.testing.assert_array_equal(record.action == -1, first[3])
            assert all((np.any(leaf, axis=1) == ~first[3]).all() for leaf in jax.tree.leaves(record.core))
        memory = after
        values.append(value), records.append(record), actions.append(action)
    start = 2
    actions = jnp.stack(actions)
    previous = jnp.concatenate([records[start].action[None], actions[start:-1]])
    seen = Seen(jnp.float32(observation[start:]), jnp.asarray(first[start:]), previous, jnp.float32(reward[start:]))
    found = agent.unroll(state.params, seen, records[start].core, 0, "act", jax.random.key(0))[..., 0]
    np.testing.assert_allclose(found, jnp.stack(values)[start:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "named"), [({"burn_in": 5}, "burn_in is 5"), ({"epochs": Epochs(3, 2)}, "minibatches is 3")]
)
def test_rollouts_that_do_not_suit_a_memory_are_named(changes, named):
    agent = recurrent_lambda_agent(**changes)
    rollout, _ = cue_rollout(agent, 5, 8, jnp.zeros((8, 16)))
    with pytest.raises(InputError, match=named):
        agent.update(agent.init(jax.random.key(0)), rollout, jax.random.key(0))


def test_recurrent_state_is_forgotten_where_an_episode_begins():
    agent = recurrent_agent()
    state, memory = jax.jit(agent.init)(jax.random.key(0)), agent.init_memory(2)
    memory = (memory[0], jax.tree.map(jnp.ones_like, memory[1]))
    timestep = TimeStep(jnp.ones((2, 2)), *(jnp.zeros(2),) * 3, jnp.array([True, False]))
    _, (_, after) = agent.exploit(state, memory, timestep, jax.random.key(0))
    _, (_, fresh) = agent.exploit(state, agent.init_memory(2), timestep, jax.random.key(0))
    np.testing.assert_allclose(after.core[0], fresh.core[0], rtol=1e-6)
    assert np.abs(after.core[1] - fresh.core[1]).max() > 1e-3


@pytest.mark.learns
def test_direct_advantages_learn_from_random_behaviour_without_importance_weights():
    """Value and skill of the nearly greedy policy in a stochastic MDP, from windows of a uniformly random one."""
    mdp = small_garnet(9, actions=2, branching=2)
    mdp = dataclasses.replace(mdp, initial=np.where(mdp.terminal, 0, 1) / (~mdp.terminal).sum())
    network = SkillLuckNetwork(Table(), 2, 4, 32, decoded_size=5)
    agent = DirectAdvantage(
        network=network,
        observation_spec=ArraySpec((5,)),
        optimizer=optax.scale_by_adam(),
        hyper=DirectAdvantageHyperparameters(
            LinearSchedule(0.01, 0.0005, 5000.0), GREEDY, HardUpdate(50), discount=DISCOUNT, temperature=0.02
        ),
    )
    data = random_segments(mdp, 4, 4096, 0)

    @jax.jit
    def learn(state):
        def step(state, key):
            rows = jax.random.randint(key, (256,), 0, 4096)
            axes = Segment(1, 1, 1, 1, 1, 1, 0, 0)
            batch = jax.tree.map(lambda axis, leaf: jnp.take(leaf, rows, axis), axes, data)
            return agent.update(state, batch, key)[:2]

        return jax.lax.scan(step, state, jax.random.split(jax.random.key(0), 5000))

    state, _ = learn(jax.jit(agent.init)(jax.random.key(1)))
    value, skill = network.apply(state.params, jnp.eye(5))
    exact = tabular.optimal_values(mdp, DISCOUNT)
    going_on = ~mdp.terminal
    np.testing.assert_allclose(value[going_on], exact.max(axis=1)[going_on], atol=0.12)
    policy = jax.nn.softmax(skill / 0.02)
    centred = skill - (policy * skill).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(centred[going_on], (exact - exact.max(axis=1, keepdims=True))[going_on], atol=0.15)


def test_a_direct_advantage_update_by_brute_force():
    """Loss, gradient and priorities of all windows to their ends, at the paper's discount and temperature."""
    length, size, rate = 5, 12, 0.1
    agent = DirectAdvantage(
        network=SkillLuckNetwork(Table(), 3, 4, 8, decoded_size=2),
        observation_spec=ArraySpec((2,)),
        optimizer=optax.identity(),
        hyper=DirectAdvantageHyperparameters(LinearSchedule.constant(rate), GREEDY, HardUpdate(50), reward_clip=0.8),
    )
    batch = made_up_segment(2, length, size, 2, 3)
    state = jax.jit(agent.init)(jax.random.key(0))
    state = state.replace(target_params=jax.tree.map(lambda leaf: 0.2 - np.asarray(leaf), state.params))
    now = jax.tree.map(np.asarray, batch)
    outputs = jax.jit(jax.vmap(agent.network.apply, (None, 0)))
    transition = jax.jit(jax.vmap(lambda *told: agent.network.apply(*told, method="transition"), (None, 0, 0, 0)))
    later, target_skill = map(np.asarray, outputs(state.target_params, batch.observation))
    policy = softmax(target_skill / 0.1)[:-1]

    def found(params):
        """The loss; of each window the error, where it counts; values, luck, and the model's losses."""
        value, skill = (np.asarray(x)[:-1] for x in outputs(params, batch.observation))
        told = transition(params, batch.observation[:-1], batch.action, batch.observation[1:])
        luck, model = map(np.asarray, told)
        error = np.zeros((length, size))
        for t, b in itertools.product(range(length), range(size)):
            if now.final[t, b]:
                continue
            for k in range(t, length):
                a = now.action[k, b]
                advantage = skill[k, b, a] - policy[k, b] @ skill[k, b]
                reward = np.clip(now.reward[k, b], -0.8, 0.8)
                error[t, b] += 0.99 ** (k - t) * (reward - advantage - 0.99 * luck[k, b])
                if now.terminated[k, b]:
                    break
                if now.truncated[k, b] or k == length - 1:
                    error[t, b] += 0.99 ** (k - t + 1) * later[k + 1, b]
                    break
            error[t, b] -= value[t, b]
        model_loss = (now.weight * np.where(now.final, 0.0, model).mean(axis=0)).mean()
        return (now.weight * (error**2).mean(axis=0)).mean() / 2, model_loss, error, value, luck

    after, metrics, priority = jax.jit(agent.update)(state, batch, jax.random.key(0))
    loss, model_loss, error, value, luck = found(state.params)
    np.testing.assert_allclose(priority, np.abs(error).mean(axis=0), rtol=1e-3)
    expected = {"loss": loss, "model_loss": model_loss, "mean_value": value.mean(), "luck": luck.std()}
    assert {name: float(x) for name, x in metrics.items()} == pytest.approx(expected, rel=1e-3)
    # The model's other parts make weights of luck, too, whose gradient goes into the model alone.
    parts = {"value_head", "skill_head", "luck_head", "decoder", "to_observation"}
    assert_went_down(lambda params: sum(found(params)[:2]), state.params, after.params, rate, parts)
    timestep = TimeStep(jnp.float32([[0.3, -1.0], [2.0, 0.4]]), *(jnp.zeros(2),) * 4)
    best = np.argmax(agent.network.apply(state.params, timestep.observation)[1], axis=-1)
    assert agent.exploit(state, (), timestep, jax.random.key(0))[0].tolist() == best.tolist()
    greedy = state.replace(hyper=state.hyper.replace(exploration=EpsilonGreedy(LinearSchedule.constant(0.0))))
    assert agent.act(greedy, jnp.int32(0), timestep, jax.random.key(0))[0].tolist() == best.tolist()


# On-policy returns.


def made_up_rollout(seed, steps=7, num_envs=4, actions=3):
    rng = np.random.default_rng(seed)
    terminated = rng.random((steps + 1, num_envs)) < 0.2
    truncated = (rng.random((steps + 1, num_envs)) < 0.2) & ~terminated
    first = np.concatenate([np.zeros((1, num_envs), bool), (terminated | truncated)[:-1]])
    terminated, truncated = terminated & ~first, truncated & ~first
    timesteps = TimeStep(
        jnp.asarray(rng.normal(size=(steps + 1, num_envs, 2)), jnp.float32),
        jnp.asarray(rng.normal(size=(steps + 1, num_envs)), jnp.float32),
        jnp.asarray(terminated),
        jnp.asarray(truncated),
        jnp.asarray(first),
    )
    q = rng.normal(size=(steps, num_envs, actions)).astype(np.float32)
    return Rollout(
        timestep=jax.tree.map(lambda leaf: leaf[:-1], timesteps),
        action=jnp.asarray(rng.integers(0, actions, (steps, num_envs))),
        record=jnp.asarray(q),
        following=jax.tree.map(lambda leaf: leaf[-1], timesteps),
        memory=(),
    )


@pytest.mark.parametrize("cut", [peng_cut, watkins_cut])
def test_lambda_returns_of_a_rollout_by_their_definition(cut):
    agent = LambdaQLearning(
        network=ActionValueNetwork(MLP((4,)), ActionValueHead(3)),
        observation_spec=ArraySpec((2,)),
        optimizer=optax.identity(),
        hyper=LambdaQHyperparameters(LinearSchedule.constant(0.0), GREEDY, discount=0.9, trace=0.7, reward_clip=0.8),
        representation=Scalar(),
        epochs=Epochs(4, 3),
        cut=cut,
    )
    rollout = made_up_rollout(0)
    assert rollout.timestep.last.any()
    state = jax.jit(agent.init)(jax.random.key(0))
    found = np.asarray(jax.jit(agent.returns)(state, rollout, jax.random.key(1)))
    last_q = agent.network.apply(state.params, rollout.following.observation)[..., 0]
    q = np.concatenate([rollout.record, last_q[None]])
    reward, terminated, truncated = (np.asarray(rollout.arrived(n)) for n in ("reward", "terminated", "truncated"))
    reward = np.clip(reward, -0.8, 0.8)
    for b in range(4):
        g = None
        for t in reversed(range(7)):
            v = q[t + 1, b].max()
            if terminated[t, b]:
                g = reward[t, b]
            elif truncated[t, b] or t == 6:
                g = reward[t, b] + 0.9 * v
            else:
                greedy = q[t + 1, b, rollout.action[t + 1, b]] >= v
                share = 0.7 * (1.0 if cut is peng_cut else float(greedy))
                g = reward[t, b] + 0.9 * ((1 - share) * v + share * g)
            np.testing.assert_allclose(found[t, b], g, rtol=1e-4, atol=1e-5)
    # Learning at a rate of zero tells the whole rollout's means; what ends an episode, not acted upon, is left out.
    if cut is watkins_cut:
        return
    after, metrics = jax.jit(agent.update)(state, rollout, jax.random.key(2))
    assert int(after.updates) == agent.updates_per_rollout == 12
    values = np.asarray(agent.network.apply(state.params, rollout.timestep.observation.reshape(28, 2)))[..., 0]
    taken = values.reshape(7, 4, 3)[np.arange(7)[:, None], np.arange(4), rollout.action]
    counts = ~np.asarray(rollout.timestep.terminated | rollout.timestep.truncated)
    assert float(metrics["loss"]) == pytest.approx(((found - taken) ** 2 / 2)[counts].sum() / 28, rel=1e-4)
    assert float(metrics["mean_q"]) == pytest.approx(taken.mean(), rel=1e-4)


def test_a_regression_goes_down_the_mean_error_and_tells_means():
    agent = LambdaQLearning(
        network=ActionValueNetwork(MLP((4,)), ActionValueHead(3)),
        observation_spec=ArraySpec((2,)),
        optimizer=optax.identity(),
        hyper=LambdaQHyperparameters(LinearSchedule.constant(1e-3), GREEDY),
        representation=Scalar(),
    )
    state, rng = jax.jit(agent.init)(jax.random.key(0)), np.random.default_rng(0)
    observation = rng.normal(size=(8, 2)).astype(np.float32)
    action, weight, goal = rng.integers(0, 3, 8), rng.uniform(size=8), rng.normal(size=8)

    def values(params):
        return np.asarray(agent.network.apply(params, observation))[np.arange(8), action, 0]

    def error(params):  # of which the slope is half the square's
        return (weight * (values(params) - goal) ** 2).mean() / 2

    after, metrics = agent.regress(
        state, lambda params: agent.network.apply(params, observation), jnp.asarray(action),
        jnp.float32(weight), jnp.float32(goal)[:, None],
    )  # fmt: skip
    assert float(metrics["loss"]) == pytest.approx(error(state.params), rel=1e-4)
    assert float(metrics["mean_q"]) == pytest.approx(values(state.params).mean(), rel=1e-4)
    moved = jax.tree.map(lambda new, old: new - old, after.params, state.params)
    square = sum(float((leaf**2).sum()) for leaf in jax.tree.leaves(moved))
    assert error(state.params) - error(after.params) == pytest.approx(square / 1e-3, rel=1e-2)


def pg_rainbow(num_actions, spec, **changes):
    return PGRainbow(
        network=QuantileCriticNetwork(MLP((32,)), num_actions, ImplicitQuantileHead(num_actions, 16, 4, 4, 8), 16),
        observation_spec=spec,
        optimizer=optax.chain(optax.clip_by_global_norm(0.5), optax.scale_by_adam()),
        hyper=PPOHyperparameters(LinearSchedule.constant(3e-3), discount=0.9, **changes),
        epochs=Epochs(4, 2),
    )


def test_generalized_advantages_equal_rlax():
    agent = pg_rainbow(3, ArraySpec((2,)))
    state = jax.jit(agent.init)(jax.random.key(0))
    rollout = made_up_rollout(1)
    # Without truncations, which rlax does not know.
    no = jnp.zeros_like(rollout.timestep.truncated)
    rollout = rollout.replace(
        timestep=rollout.timestep.replace(truncated=no), following=rollout.following.replace(truncated=no[0])
    )
    record = jax.jit(jax.vmap(lambda t: agent.act(state, (), t, jax.random.key(2))[2]))(rollout.timestep)
    lessons = jax.jit(agent.lessons)(state, rollout.replace(record=record), jax.random.key(3))
    _, last, _ = agent.network.apply(state.params, rollout.following.observation, "exploit")
    values = np.concatenate([record.value, last[None]])
    discount = 0.9 * (1.0 - rollout.arrived("terminated"))
    expected = jax.vmap(rlax.truncated_generalized_advantage_estimation, (1, 1, None, 1), 1)(
        rollout.arrived("reward"), discount, 0.95, jnp.asarray(values)
    )
    found = np.asarray(lessons.value_target.reshape(7, 4) - record.value)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_the_surrogate_s_gradient_is_the_policy_gradient_where_nothing_has_changed():
    agent = pg_rainbow(3, ArraySpec((2,)), entropy_weight=0.0, value_weight=0.0, quantile_weight=0.0)
    state = jax.jit(agent.init)(jax.random.key(0))
    rollout = made_up_rollout(2)
    record = jax.jit(jax.vmap(lambda t: agent.act(state, (), t, jax.random.key(2))[2]))(rollout.timestep)
    lessons = jax.jit(agent.lessons)(state, rollout.replace(record=record), jax.random.key(3))

    def policy_gradient(params):
        logits, _, _ = agent.network.apply(params, lessons.observation, "exploit")
        taken = jnp.take_along_axis(jax.nn.log_softmax(logits), lessons.drawn[:, None], axis=1)[:, 0]
        return -jnp.mean(lessons.weight * normalized(lessons.advantage, lessons.weight) * taken)

    gradient = jax.jit(jax.grad(agent.objective, has_aux=True))
    found, _ = gradient(state.params, state.params, state.hyper, lessons, jax.random.key(4))
    expected = jax.jit(jax.grad(policy_gradient))(state.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), found, expected)


@pytest.mark.parametrize("kind", ["pqn", "pg_rainbow"])
def test_on_policy_agents_solve_the_chain(kind):
    environment = envs.make("tabular/Chain", 4)
    spec = environment.observation_spec
    if kind == "pqn":
        agent = LambdaQLearning(
            network=ActionValueNetwork(MLP((32,), layer_norm=True), ActionValueHead(2)),
            observation_spec=spec,
            optimizer=optax.scale_by_radam(),
            hyper=LambdaQHyperparameters(
                LinearSchedule.constant(3e-3), EpsilonGreedy.decaying(1.0, 0.1, 5000), discount=0.9
            ),
            representation=Scalar(),
            epochs=Epochs(4, 2),
        )
    else:
        agent = pg_rainbow(2, spec)
    training = OnPolicy(
        agent=agent,
        environment=environment,
        evaluation=Evaluation(envs.make("tabular/Chain", 4)),
        num_members=2,
        rollout_steps=16,
    )
    plan = training.plan(20_000, 1, 1)
    state = jax.jit(training.init)(jax.vmap(jax.random.key)(jnp.arange(2)))
    state, _ = jax.jit(lambda s: training.train_chunk(s, plan.iterations))(state)
    metrics = jax.jit(lambda s: training.evaluation(agent, s.agent, s.key))(state)
    np.testing.assert_allclose(metrics["eval_return"], 1.0)
    np.testing.assert_allclose(metrics["eval_length"], 5.0)


# Auxiliary tasks, foresight, resets.


def test_proto_values_learn_the_successor_measure_and_only_tasks_train_the_torso():
    mdp = tabular.garnet(4, states=5, actions=2, branching=2, terminal=False)
    base = table_agent(mdp, Scalar(), operators.Maximum(), updates=4000)
    # A hidden layer as torso, so that there is one to train.
    base = dataclasses.replace(base, network=ActionValueNetwork(Table(32), ActionValueHead(2)))
    agent = AuxiliaryQLearning(base, RandomFeatures(Table(), 8), 2, 8, lambda outputs, _: (outputs > 0.1) * 1.0)
    batch = every_transition(mdp)
    state, _ = scanned(agent, batch, 4000)
    covered = np.asarray(agent.random_network.apply(state.random, jnp.eye(5)) > 0.1, float)  # [S, K]
    assert 0 < covered.mean() < 1
    uniform = mdp.transition.mean(axis=1)
    # ψ = P (1 + γ mean_a ψ), with the indicator received on arrival.
    values = np.linalg.solve(np.eye(5) - DISCOUNT * uniform, uniform @ covered)
    exact = mdp.transition @ (covered + DISCOUNT * values)
    found = agent._tasks(state.values.params, jnp.eye(5))
    np.testing.assert_allclose(found, exact, atol=0.05)
    richer = batch.replace(rewards=100.0 * batch.rewards)
    torso = lambda s: s.values.params["params"]["torso"]  # noqa: E731
    one, other = (jax.jit(agent.update)(state, b, jax.random.key(0))[0] for b in (batch, richer))
    same(torso(one), torso(other))


def test_tasks_and_values_learn_together_by_hand():
    """One update with other targets, windows of two steps and unequal weights, in which the main loss trains too."""
    mdp = tabular.garnet(4, states=5, actions=2, branching=2, terminal=False)
    base = table_agent(mdp, Scalar(), operators.Maximum())
    base = dataclasses.replace(
        base, network=ActionValueNetwork(Table(6), ActionValueHead(2)), optimizer=optax.identity()
    )
    agent = AuxiliaryQLearning(base, RandomFeatures(Table(), 3), 2, 3, random_rewards, 0.3, learns_from_values=True)
    state, other = (jax.jit(agent.init)(jax.random.key(seed)) for seed in (0, 1))
    assert not state.thresholds.any()
    batch = every_transition(mdp)
    size = batch.weight.size
    random = np.asarray(agent.random_network.apply(state.random, batch.next_observation))
    state = state.replace(
        values=state.values.replace(target_params=other.values.params), thresholds=jnp.asarray(random.mean(axis=0))
    )
    ends = jnp.arange(size) % 3 == 0
    batch = batch.replace(
        weight=jnp.linspace(0.3, 1.7, size), rewards=jnp.tile(batch.rewards, 2), steps=jnp.full(size, 2),
        terminated=ends,
    )  # fmt: skip
    after, metrics, _ = jax.jit(agent.update)(state, batch, jax.random.key(0))
    then = np.asarray(agent._tasks(state.values.target_params, batch.next_observation))
    goal = np.zeros((size, 3))
    for b in range(size):
        for k in range(3):
            goal[b, k] = random[b, k] - float(state.thresholds[k])
            goal[b, k] += 0.0 if ends[b] else DISCOUNT**2 * (then[b, 0, k] + then[b, 1, k]) / 2

    def task_loss(params):
        error = agent._tasks(params, batch.observation)[jnp.arange(size), batch.action] - goal
        return (batch.weight[:, None] * error**2).sum() / (2 * size * 3)

    expected, of_tasks = jax.jit(jax.value_and_grad(task_loss))(state.values.params)
    assert float(metrics["task_loss"]) == pytest.approx(float(expected), rel=1e-4)
    (loss, _), of_values = jax.jit(jax.value_and_grad(base.objective, argnums=1, has_aux=True))(
        state.values.hyper, state.values.params, state.values.target_params, batch, jax.random.key(0)
    )
    assert float(metrics["loss"]) == pytest.approx(float(loss), rel=1e-4)
    moved = jax.tree.map(lambda new, old: (old - new) / 0.05, after.values.params, state.values.params)
    slope = jax.tree.map(jnp.add, of_tasks, of_values)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-4), moved, slope)
    for k in range(3):  # a step towards the quantile that three in ten lie above
        above = np.mean([random[b, k] > state.thresholds[k] for b in range(size)])
        assert 0 < above < 1
        step = 0.05 * random.std() * (above - 0.3)
        np.testing.assert_allclose(after.thresholds[k] - state.thresholds[k], step, rtol=1e-3, atol=1e-6)


def test_random_sets_come_to_hold_their_share_of_states():
    mdp = tabular.garnet(4, states=5, actions=2, branching=2, terminal=False)
    base = table_agent(mdp, Scalar(), operators.Maximum())
    base = dataclasses.replace(base, network=ActionValueNetwork(Table(8), ActionValueHead(2)))
    agent = AuxiliaryQLearning(base, RandomFeatures(MLP((8,)), 4), 2, 4, random_indicators, coverage=0.3)
    batch = every_transition(mdp)
    spread = batch.replace(next_observation=jax.random.normal(jax.random.key(0), batch.next_observation.shape))
    state, _ = scanned(agent, spread, 1500)
    outputs = agent.random_network.apply(state.random, jax.random.normal(jax.random.key(0), (20, 5)))
    np.testing.assert_allclose(np.mean(np.asarray(outputs > state.thresholds), axis=0), 0.3, atol=0.11)


class TinyEncoder(nn.Module):
    """An image of one channel from a vector."""

    @nn.compact
    def __call__(self, x):
        return nn.relu(nn.Dense(8)(x)).reshape(x.shape[0], 2, 2, 2)


NEVER = ResetSchedule(1, 1, 0)


def self_predictive(mdp, reset_period=1000):
    base = table_agent(mdp, Scalar(), operators.Double())
    network = SelfPredictiveNetwork(TinyEncoder(), ActionValueHead(mdp.num_actions), mdp.num_actions, 16)
    base = dataclasses.replace(
        base,
        network=network,
        hyper=base.hyper.replace(target=PolyakUpdate(0.05), learning_rate=LinearSchedule.constant(1e-3)),
    )
    resets = ResetSchedule(reset_period, reset_period, 10 * reset_period)
    return SelfPredictiveQLearning(base, AnnealedHorizon(4.0, 2.0, 0.5, 0.9, 10.0), resets, jumps=3)


def test_horizons_are_annealed_between_their_ends_and_again_after_a_reset():
    horizon, resets = AnnealedHorizon(10.0, 3.0, 0.97, 0.997, 100.0), ResetSchedule(400, 400, 800)
    for count, steps, discount in ((0, 10, 0.97), (100, 3, 0.997), (399, 3, 0.997), (400, 10, 0.97), (800, 10, 0.97),
                                   (1200, 3, 0.997)):  # fmt: skip
        found = horizon.at(resets.since(jnp.int32(count)))
        np.testing.assert_allclose(found, [steps, discount], rtol=1e-5)
    half = horizon.at(jnp.int32(50))
    np.testing.assert_allclose(half, [round((10 * 3) ** 0.5), 1 - (0.03 * 0.003) ** 0.5], rtol=1e-4)


def test_a_reset_keeps_its_share_of_the_encoder_and_nothing_of_the_head():
    mdp = small_garnet(3, actions=2, branching=1)
    agent = self_predictive(mdp, reset_period=3)
    batch = random_segments(mdp, 4, 16, 0)
    state, update = jax.jit(agent.init)(jax.random.key(0)), jax.jit(agent.update)
    for i in range(2):
        state, _, _ = update(state, batch, jax.random.key(i))
    never = state.replace(resets=state.resets.replace(first=jnp.float32(1e6), last=jnp.float32(0)))
    kept, _, _ = update(never, batch, jax.random.key(2))
    after, _, _ = update(state, batch, jax.random.key(2))
    keys = streams(jax.random.fold_in(state.key, 3), "params", "target params")
    for of, key in zip(("params", "target_params"), keys, strict=True):
        fresh = agent._fresh(key)["params"]
        old, new = (getattr(s.values, of)["params"] for s in (kept, after))
        for name in fresh:
            share = 0.5 if name in ("encoder", "transition") else 0.0
            jax.tree.map(
                lambda o, n, f, s=share: np.testing.assert_allclose(n, s * o + (1 - s) * f, atol=1e-6),
                old[name], new[name], fresh[name],
            )  # fmt: skip
    online, target = (after.values.params["params"]["head"], after.values.target_params["params"]["head"])
    assert not np.allclose(online["Dense_0"]["kernel"], target["Dense_0"]["kernel"]), "each has its own initial values"


class Straight(nn.Module):
    """Values and embeddings that are linear in four numbers, and what actions add to the embeddings."""

    def setup(self):
        shapes = {"head": (4, 2), "look": (4, 3), "move": (2, 3)}
        self.tables = {name: self.param(name, nn.initializers.normal(1.0), shape) for name, shape in shapes.items()}

    def __call__(self, x, mode="learn"):
        return (x @ self.tables["head"])[..., None]

    def foresee(self, x, actions):
        return self(x), x @ self.tables["look"] + jnp.cumsum(self.tables["move"][actions], axis=0)

    def seen(self, x):
        return x @ self.tables["look"]


class DoubleAdvantageLearning(operators.AdvantageLearning):
    """Of all networks and observations that a backup may ask for: the learner's choice, and a bonus."""

    weights = operators.Double.weights


def test_one_step_of_a_self_predictive_agent_by_hand():
    """Half way through the horizon, with an episode that ends and one that is cut off before it has been foreseen."""
    hyper = QLearningHyperparameters(
        LinearSchedule.constant(0.5), GREEDY, PolyakUpdate(0.25), DoubleAdvantageLearning(0.6)
    )
    base = QLearning(Straight(), ArraySpec((4,)), optax.identity(), hyper, Scalar())
    agent = SelfPredictiveQLearning(
        base, AnnealedHorizon(4.0, 2.0, 0.5, 0.9, 10.0), ResetSchedule(100, 100, 200), jumps=3, prediction_weight=2.5,
        augmentation=lambda seen, key: seen * jax.random.uniform(key, (len(seen), 1), minval=0.5, maxval=1.5),
    )  # fmt: skip
    rng, key = np.random.default_rng(0), jax.random.key(1)
    shapes = {"head": (4, 2), "look": (4, 3), "move": (2, 3)}
    online, target = ({name: rng.normal(size=shape) for name, shape in shapes.items()} for _ in range(2))
    state = jax.jit(agent.init)(jax.random.key(0))
    values = state.values.replace(
        params={"params": jax.tree.map(jnp.float32, online)}, updates=jnp.int32(5),
        target_params={"params": jax.tree.map(jnp.float32, target)},
    )  # fmt: skip
    state = state.replace(values=values)
    observation, reward = rng.normal(size=(6, 5, 4)), rng.normal(size=(5, 5))
    action, weight = rng.integers(0, 2, (5, 5)), np.array([0.3, 1.7, 0.9, 0.0, 1.1])
    terminated, truncated = np.zeros((5, 5), bool), np.zeros((5, 5), bool)
    terminated[1, 0] = truncated[0, 1] = True
    batch = Segment(
        jnp.float32(observation), jnp.asarray(action), jnp.float32(reward), jnp.asarray(terminated),
        jnp.asarray(truncated), jnp.zeros((5, 5), bool), jnp.float32(weight), jnp.arange(5),
    )  # fmt: skip
    after, metrics, priority = jax.jit(agent.update)(state, batch, key)

    keys = streams(key, "augmentation", "next augmentation")
    light = [np.asarray(jax.random.uniform(k, (n, 1), minval=0.5, maxval=1.5)) for k, n in zip(keys, (20, 5))]
    images = observation[:4] * light[0].reshape(4, 5, 1)
    steps, discount = 3, 1.0 - np.sqrt(0.5 * 0.1)  # the geometric means of 4 and 2 steps, of gaps of 0.5 and 0.1
    taken, goals = action[0], np.zeros(5)
    for b in range(5):
        m = {0: 2, 1: 1}.get(b, steps)
        then, before = observation[m, b] * light[1][b], images[0, b] @ target["head"]
        chosen = (then @ target["head"])[np.argmax(then @ online["head"])]
        goals[b] = sum(discount**i * reward[i, b] for i in range(m)) + (b != 0) * discount**m * chosen
        goals[b] -= 0.6 * (before.max() - before[taken[b]])

    def losses(tables):
        q = (images[0] @ tables["head"])[np.arange(5), taken]
        distance = 0.0
        for b in range(5):
            foreseen = images[0, b] @ tables["look"]
            for k in range({0: 2, 1: 1}.get(b, 3)):
                foreseen, seen = foreseen + tables["move"][action[k, b]], images[k + 1, b] @ target["look"]
                apart = foreseen / np.linalg.norm(foreseen) - seen / np.linalg.norm(seen)
                distance += weight[b] * apart @ apart / 15  # of three steps in each of five
        return np.mean(weight * (q - goals) ** 2) / 2, distance, q

    of_values, distance, q = losses(online)
    np.testing.assert_allclose(metrics["loss"], of_values, rtol=1e-4)
    np.testing.assert_allclose(metrics["foresight"], distance, rtol=1e-4)
    np.testing.assert_allclose(metrics["mean_q"], np.average(q), rtol=1e-4)
    np.testing.assert_allclose(priority, np.abs(q - goals), rtol=1e-4)
    # What was stepped down is their weighted sum: by differences along a line that goes nowhere special.
    line = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    ends = [losses({name: online[name] + h * line[name] for name in line})[:2] for h in (1e-5, -1e-5)]
    slope = (np.subtract(*ends) / 2e-5) @ [1.0, 2.5]
    now = after.values.params["params"]
    stepped = sum(np.sum((online[name] - np.asarray(now[name])) * line[name]) for name in line) / 0.5
    np.testing.assert_allclose(stepped, slope, rtol=1e-3)
    followed = after.values.target_params["params"]["look"]
    np.testing.assert_allclose(followed, 0.75 * target["look"] + 0.25 * np.asarray(now["look"]), rtol=1e-4, atol=1e-5)
    # It acts by its target.
    timestep = TimeStep(batch.observation[0], *(jnp.zeros(5),) * 4)
    greedy, _ = agent.exploit(state, (), timestep, key)
    np.testing.assert_array_equal(greedy, (observation[0] @ target["head"]).argmax(axis=1))
    assert (np.asarray(greedy) != (observation[0] @ online["head"]).argmax(axis=1)).any()


def test_a_self_predictive_agent_backs_up_what_it_sees_when_its_steps_are_over():
    """The horizon is 4 steps and the model foresees 3: the observation after 4 is in nothing but the target."""
    mdp = small_garnet(3, actions=2, branching=1)
    agent = self_predictive(mdp)
    state, batch = jax.jit(agent.init)(jax.random.key(0)), random_segments(mdp, 6, 16, 0)
    nothing = jnp.zeros_like(batch.terminated)
    batch = batch.replace(terminated=nothing, truncated=nothing, final=nothing)
    changed = batch.replace(observation=batch.observation.at[4].set(jnp.roll(batch.observation[4], 1, axis=-1)))
    update = jax.jit(agent.update)
    losses = [np.asarray(update(state, one, jax.random.key(1))[1]["loss"]) for one in (batch, changed)]
    assert losses[0] != losses[1]
    later = batch.replace(observation=batch.observation.at[5].set(jnp.roll(batch.observation[5], 1, axis=-1)))
    np.testing.assert_array_equal(update(state, later, jax.random.key(1))[1]["loss"], losses[0])


def test_numbers_that_are_left_unsaid_are_those_of_the_papers():
    assert (ImageAugmentation().shift, ImageAugmentation().intensity) == (4, 0.05)
    rate = LinearSchedule.constant(1e-3)
    dqn, pqn = QLearningHyperparameters(rate, GREEDY, None), LambdaQHyperparameters(rate, GREEDY)
    assert (dqn.discount, pqn.discount, pqn.trace) == (0.99, 0.99, 0.65)
    defaults = {
        kind: {field.name: field.default for field in dataclasses.fields(kind)}
        for kind in (AuxiliaryQLearning, LambdaQLearning, OffPolicy, REValueD, SaddlePointQLearning)
    }
    assert defaults[LambdaQLearning]["epochs"] == Epochs(32, 2)
    assert {"threshold": 1.0, "penalty": 1.0}.items() <= defaults[SaddlePointQLearning].items()
    assert defaults[REValueD]["regularization"] == 0.5
    assert {"coverage": 0.05, "learns_from_values": False}.items() <= defaults[AuxiliaryQLearning].items()
    assert {"collect_steps": 1, "updates": 1}.items() <= defaults[OffPolicy].items()


def test_an_augmentation_shifts_by_four_pixels_unless_told_otherwise():
    image = jnp.zeros((64, 21, 21, 1)).at[:, 10, 10].set(1.0)
    shifted = np.asarray(ImageAugmentation(intensity=0.0)(image, jax.random.key(0)))
    rows = [int(np.argwhere(one[..., 0])[0, 0]) - 10 for one in shifted]
    assert (min(rows), max(rows)) == (-4, 4)


def test_resets_come_only_where_another_whole_period_fits():
    """100,000 steps, 2,000 of warm-up and two updates a step: at 20, 40, 60 and 80 thousand steps, as the authors'."""
    for total in (100_000, 102_000, 119_999):
        resets = ResetSchedule.every(20_000, 2_000, total, 2.0)
        due = np.flatnonzero(np.asarray(jax.vmap(resets.due)(jnp.arange(240_000))))
        np.testing.assert_array_equal(due, [36_000, 76_000, 116_000, 156_000])
    resets = ResetSchedule.every(20_000, 2_000, 39_000, 2.0)
    assert not np.asarray(jax.vmap(resets.due)(jnp.arange(240_000))).any()
    assert int(resets.since(jnp.int32(70_000))) == 70_000
    assert ResetSchedule.every(2, 0, 20, 0.25).period == 1, "with fewer updates than that they come with each"
    assert int(ResetSchedule.every(20_000, 2_000, 100_000, 2.0).since(jnp.int32(200_000))) == 44_000


def test_foresight_improves():
    mdp = small_garnet(3, actions=2, branching=1)
    agent = self_predictive(mdp)
    batch = random_segments(mdp, 4, 64, 0)
    state, metrics = scanned(agent, batch, 300)
    network, observation = agent.base.network, batch.observation

    def cosine(values):  # of what is foreseen and what is then seen
        _, foreseen = network.apply(values.params, observation[0], batch.action[:3], method="foresee")
        seen = [network.apply(values.target_params, observation[k], method="seen") for k in (1, 2, 3)]
        unit = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (np.asarray(foreseen), np.stack(seen))]
        return (unit[0] * unit[1]).sum(axis=-1).mean()

    assert cosine(state.values) > cosine(jax.jit(agent.init)(jax.random.key(1)).values) + 0.02
    foresight = np.asarray(metrics["foresight"])  # squared distances of unit vectors
    assert foresight[-20:].mean() < foresight[:20].mean() - 0.04
    assert 0.0 <= foresight.min() <= foresight.max() <= 4.0


def test_shifted_images_are_crops_of_their_own_padded_original():
    images = jax.random.normal(jax.random.key(0), (600, 5, 6, 2))
    shifted = np.asarray(random_shift(images, 2, jax.random.key(1)))
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    corners = []
    for image, whole in zip(shifted, padded, strict=True):
        found = [(i, j) for i in range(5) for j in range(5) if np.array_equal(image, whole[i : i + 5, j : j + 6])]
        assert len(found) == 1
        corners += found
    for way in np.array(corners).T:
        np.testing.assert_allclose(np.bincount(way) / 600, np.full(5, 0.2), atol=0.07)


def test_each_image_has_an_intensity_of_its_own():
    with pytest.raises(InputError, match=r"intensity is 0.6, .* in \[0, 0.5\]"):
        ImageAugmentation(intensity=0.6)
    images = jnp.full((500, 2, 2, 1), 100, jnp.uint8)
    plain = ImageAugmentation(0, 0.0)(images, jax.random.key(0))
    np.testing.assert_allclose(plain, 100 / 255, rtol=1e-6)
    ratio = np.asarray(ImageAugmentation(1, 0.05)(images, jax.random.key(0)) / plain)
    assert np.ptp(ratio, axis=(1, 2, 3)).max() < 1e-6, "one factor an image"
    assert ratio.min() == pytest.approx(0.9, abs=1e-5)
    assert ratio.max() == pytest.approx(1.1, abs=1e-5)
    assert ratio.std() == pytest.approx(0.05 * 0.959, rel=0.1)  # a normal number, clipped


# Stocks and attention.


def test_stocks_say_what_has_been_earned():
    environment = WithStock(envs.make("tabular/Chain", 3), 0.9, -2.0)
    state, timestep = environment.reset(jax.random.split(jax.random.key(0), 3))
    step = jax.jit(environment.step)
    np.testing.assert_allclose(timestep.observation[:, -1], -2.0)
    expected = np.full(3, -2.0)
    for t in range(12):
        action = environment.action_spec.sample(jax.random.key(t), 3)
        state, timestep = step(state, action)
        expected = np.where(timestep.first, -2.0, (expected + np.asarray(timestep.reward)) / 0.9)
        np.testing.assert_allclose(timestep.observation[:, -1], expected, rtol=1e-5)
    with pytest.raises(InputError, match="discount"):
        WithStock(envs.make("tabular/Chain", 3), 0.0, 0.0)


def test_a_torso_sees_bytes_beside_a_stock_as_it_sees_them_alone():
    class Picture:
        name, action_spec, max_episode_steps = "picture", envs.Discrete(2), 4
        observation_spec = ArraySpec((2, 2, 3), np.uint8)

        def reset(self, key):
            return jnp.int32(0), jnp.arange(12, dtype=jnp.uint8).reshape(2, 2, 3) * 23

        def step(self, state, action, key):
            return state, self.reset(key)[1], 1.0, False, False

    seen = []

    class Torso(nn.Module):
        def __call__(self, image):
            seen.append(unit_range(image))
            return image.reshape(image.shape[0], -1)

    keys = jax.random.split(jax.random.key(0), 2)
    plain = envs.Batched(Picture(), 2)
    _, timestep = plain.reset(keys)
    beside = WithStock(plain, 0.9, -2.0)
    _, augmented = beside.reset(keys)
    ActionValueNetwork(Torso(), ActionValueHead(2)).init_with_output(jax.random.key(0), timestep.observation)
    StockNetwork(Torso(), ActionValueHead(2)).init_with_output(jax.random.key(0), augmented.observation)
    np.testing.assert_allclose(seen[1][..., :-1], seen[0], rtol=1e-6)
    np.testing.assert_allclose(augmented.observation[..., -1], -2.0)


@pytest.mark.parametrize("initial", [-2.0, pytest.param(-3.4, marks=pytest.mark.slow)])
def test_stock_augmented_agents_choose_as_exact_dynamic_programming_does(initial):
    """Expected shortfall below zero of the gamble and what was there before; what is best depends on the stock."""
    mdp = tabular.gamble()
    _, policy = tabular.best_expected_utility(mdp, 1.0, lambda g: min(initial + g, 0.0), 3)
    base = Quantile(16, 0.0)
    representation = StockAugmented(base, ExpectedUtility(lambda x: jnp.minimum(x, 0.0)))
    training = WithStock(envs.make("tabular/Gamble", 16), 1.0, initial)
    agent = dataclasses.replace(
        table_agent(mdp, representation, operators.Maximum(), discount=1.0),
        network=StockNetwork(MLP((64, 64)), ActionValueHead(2, base.width)),
        observation_spec=training.observation_spec,
        optimizer=optax.scale_by_adam(),
    )
    hyper = agent.hyper.replace(
        exploration=EpsilonGreedy(LinearSchedule.constant(1.0)), learning_rate=LinearSchedule(3e-3, 1e-4, 2000.0)
    )
    agent = dataclasses.replace(agent, hyper=hyper)
    loop = OffPolicy(
        agent=agent,
        replay=UniformReplay.for_environment(training, capacity=20_000, batch_size=128),
        environment=training,
        evaluation=Evaluation(WithStock(envs.make("tabular/Gamble", 4), 1.0, initial)),
        warmup_steps=2000,
    )
    plan = loop.plan(34_000, 1, 1)
    state = jax.jit(loop.warm_up)(jax.jit(loop.init)(jax.random.key(0)[None]))
    state, _ = jax.jit(lambda s: loop.train_chunk(s, plan.iterations))(state)
    params = jax.tree.map(lambda leaf: leaf[0], state.agent.params)
    for (_, s, gained), choice in policy.items():
        observation = jnp.concatenate([jnp.eye(5)[s], jnp.array([initial + gained])])[None]
        values = representation.value(agent.predict(params, observation, "exploit", jax.random.key(0)))[0]
        outcomes = np.array([0.0, 2.4])
        if s > 0:  # one choice is left: where it makes no difference, either is right
            exact = [min(initial + gained + 1, 0), np.minimum(initial + gained + outcomes, 0).mean()]
            if abs(exact[0] - exact[1]) < 0.05:
                continue
        assert int(jnp.argmax(values)) == choice, (s, gained, values)


def test_attention_is_a_distribution_over_cells_for_each_action():
    network = ActionQTransformer(3, channels=(4,), features=8, heads=2, layers=2)
    image = jax.random.bernoulli(jax.random.key(0), 0.3, (2, 6, 8, 3))
    params = jax.jit(network.init)(jax.random.key(1), image)
    maps = jax.jit(lambda params: attention_maps(network, params, image))(params)
    assert maps.shape == (2, 3, 4, 6)
    np.testing.assert_allclose(maps.sum(axis=(2, 3)), 1.0, rtol=1e-5)
    # Q is V and centred advantages: their mean over the actions is V, whatever the queries.
    moved = jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.flip(leaf) if path[-1].key == "queries" else leaf, params
    )
    q, q_moved = (jax.jit(network.apply)(p, image) for p in (params, moved))
    assert np.abs(q - q_moved).max() > 1e-4
    np.testing.assert_allclose(q.mean(axis=1), q_moved.mean(axis=1), atol=1e-5)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda base: EnsembleQLearning(base, 2, 1.0, (0.0,)), "reward_shifts"),
        (lambda base: EnsembleQLearning(base, 1, 0.0, (0.0,)), "mask_probability"),
        (lambda base: VarianceWeightedQLearning(base, base.network, 0.0), "smallest_variance"),
        (lambda base: SaddlePointQLearning(base, 2, threshold=0.0), "huber_threshold"),
        (lambda base: AuxiliaryQLearning(base, base.network, 2, 0), "num_tasks"),
        (lambda base: AuxiliaryQLearning(base, base.network, 2, 4, coverage=1.0), "coverage"),
        (lambda base: recurrent_agent(burn_in=-1), "burn_in"),
        (lambda base: recurrent_agent(priority_mix=2.0), "priority_mix"),
        (lambda base: SelfPredictiveQLearning(base, AnnealedHorizon(3, 10, 0.9, 0.9, 1), NEVER), "final_steps"),
        (lambda base: SelfPredictiveQLearning(base, AnnealedHorizon(3, 1, 1.5, 0.9, 1), NEVER), "initial_discount"),
        (lambda base: LambdaQLearning(base.network, base.observation_spec, base.optimizer,
                                      LambdaQHyperparameters(LinearSchedule.constant(1e-3), GREEDY, trace=1.5),
                                      Scalar()), "trace"),
    ],
)  # fmt: skip
def test_impossible_settings_are_named(make, named):
    base = table_agent(small_garnet(3, actions=2, branching=1), Scalar(), operators.Maximum())
    with pytest.raises(InputError, match=named):
        make(base)


# Retrace.


def retrace_agent(mdp, trace=1.0, **changes):
    base = table_agent(mdp, Scalar(), operators.Maximum(), rate=0.02, updates=3000)
    numbers = {name: getattr(base.hyper, name) for name in ("learning_rate", "exploration", "target", "discount")}
    hyper = RetraceHyperparameters(**numbers, trace=trace, **changes)
    return RetraceQLearning(base.network, base.observation_spec, base.optimizer, hyper, Scalar())


@pytest.mark.learns
def test_retrace_learns_optimal_values_from_random_behaviour():
    mdp = small_garnet(9, actions=2, branching=2)
    mdp = dataclasses.replace(mdp, initial=np.where(mdp.terminal, 0, 1) / (~mdp.terminal).sum())
    agent = retrace_agent(mdp)
    data = random_segments(mdp, 4, 4096, 0)
    data = data.replace(record=jnp.full(data.action.shape, 0.5))

    @jax.jit
    def learn(state):
        def step(state, key):
            rows = jax.random.randint(key, (512,), 0, 4096)
            axes = Segment(1, 1, 1, 1, 1, 1, 0, 0, 1)
            return agent.update(state, jax.tree.map(lambda axis, x: jnp.take(x, rows, axis), axes, data), key)[:2]

        return jax.lax.scan(step, state, jax.random.split(jax.random.key(0), 3000))[0]

    state = learn(jax.jit(agent.init)(jax.random.key(1)))
    found = np.asarray(agent.predict(state.params, jnp.eye(5), "exploit", jax.random.key(0))[..., 0])
    exact = tabular.optimal_values(mdp, DISCOUNT)
    np.testing.assert_allclose(found[~mdp.terminal], exact[~mdp.terminal], atol=0.12)


def test_a_retrace_update_by_its_recursion():
    """Munos et al., eq. 3 and 4, step by step in numpy; the priority of a sequence is its mean error."""
    mdp = small_garnet(9, actions=3, branching=2)
    agent = retrace_agent(mdp, trace=0.8)
    length, size, rate = 5, 30, 0.1
    hyper = agent.hyper.replace(operator=Everything(0.5, 0.7, -0.4), learning_rate=LinearSchedule.constant(rate))
    agent = dataclasses.replace(agent, optimizer=optax.identity(), hyper=hyper)
    batch = made_up_segment(1, length, size, 5, 3)
    behaviour = np.random.default_rng(1).uniform(0.2, 0.9, (length, size)).astype(np.float32)
    batch = batch.replace(record=jnp.asarray(behaviour))
    state = jax.jit(agent.init)(jax.random.key(0))
    state = state.replace(target_params=jax.tree.map(lambda leaf: 0.2 - np.asarray(leaf), state.params))
    after, metrics, priority = jax.jit(agent.update)(state, batch, jax.random.key(0))

    def values(params):
        return np.asarray(jax.vmap(agent.network.apply, (None, 0))(params, batch.observation))[..., 0]

    batch = jax.tree.map(np.asarray, batch)
    action, target = batch.action, values(state.target_params)
    policy, added = everything_by_hand(values(state.params), target, batch, DISCOUNT)
    returns = np.zeros((length, size))
    for t, b in itertools.product(reversed(range(length)), range(size)):
        gamma = 0.0 if batch.terminated[t, b] else DISCOUNT
        correction = 0.0
        if t + 1 < length and not (batch.terminated[t, b] or batch.truncated[t, b]):
            a = action[t + 1, b]
            ratio = 0.8 * min(1.0, policy[t + 1, b, a] / behaviour[t + 1, b])
            correction = ratio * (returns[t + 1, b] - target[t + 1, b, a])
        value = policy[t + 1, b] @ target[t + 1, b]
        returns[t, b] = batch.reward[t, b] + added[t, b] + gamma * (value + correction)

    def taken(params):
        return np.take_along_axis(values(params)[:-1], action[..., None], axis=-1)[..., 0]

    def errors(params):
        return ~batch.final * (returns - taken(params))

    def loss(params):
        return (batch.weight * (errors(params) ** 2).mean(axis=0)).mean() / 2

    np.testing.assert_allclose(priority, np.abs(errors(state.params)).mean(axis=0), rtol=1e-3, atol=1e-4)
    expected = [loss(state.params), taken(state.params).mean()]
    np.testing.assert_allclose([metrics["loss"], metrics["mean_q"]], expected, rtol=1e-3)
    assert_went_down(loss, state.params, after.params, rate)


def test_retrace_needs_to_know_how_likely_actions_were():
    mdp = small_garnet(3, actions=2, branching=1)
    held = retrace_agent(mdp).hyper.replace(exploration=EpsilonZGreedy.decaying(1.0, 0.1, 10))
    with pytest.raises(InputError, match="exploration is 'EpsilonZGreedy'"):
        dataclasses.replace(retrace_agent(mdp), hyper=held)
    agent = retrace_agent(mdp)
    state, memory = jax.jit(agent.init)(jax.random.key(0)), agent.init_memory(50)
    state = state.replace(target_params=jax.tree.map(np.negative, state.params))
    timestep = TimeStep(jnp.eye(5)[jnp.zeros(50, int)], *(jnp.zeros(50),) * 4)
    action, _, record = agent.act(state, memory, timestep, jax.random.key(1))
    best = int(np.argmax(agent.network.apply(state.params, jnp.eye(5))[0, :, 0]))
    np.testing.assert_allclose(record, np.where(np.asarray(action) == best, 0.95, 0.05), rtol=1e-5)
    _, uniform = agent.watch(state, memory, timestep, action, jax.random.key(2))
    np.testing.assert_allclose(uniform, 0.5)
