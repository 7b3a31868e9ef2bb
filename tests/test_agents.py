"""Agents: exact values on a small problem, exploration and targets."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxq.agents import (
    PPO,
    AutoRegressiveHyperparameters,
    Boltzmann,
    CausalActorCritic,
    DelayedPolyakUpdate,
    Epochs,
    EpsilonByUse,
    EpsilonGreedy,
    EpsilonLadder,
    EpsilonUntil,
    EpsilonZGreedy,
    GaussianNoise,
    Greedy,
    HardUpdate,
    KLBound,
    LambdaActorCritic,
    LambdaActorCriticHyperparameters,
    LinearSchedule,
    ModelBasedActorCritic,
    ModelBasedHyperparameters,
    PolyakUpdate,
    PPOHyperparameters,
    QLearning,
    QLearningHyperparameters,
    SelfPrediction,
    SelfPredictiveQLearning,
    Smoothing,
    except_for,
    flatten_small,
)
from jaxq.bellman import Scalar, operators
from jaxq.envs import ArraySpec
from jaxq.errors import InputError
from jaxq.networks import MLP, ActionValueHead, ActionValueNetwork
from jaxq.types import TimeStep, Transition

STATES, ACTIONS = 5, 3


def random_mdp(seed):
    """Deterministic transitions and rewards; the last state is terminal."""
    rng = np.random.default_rng(seed)
    following = rng.integers(0, STATES, (STATES, ACTIONS))
    return following, rng.normal(size=(STATES, ACTIONS)).astype(np.float32)


def exact_values(following, reward, discount, sweeps=500):
    q = np.zeros((STATES, ACTIONS))
    for _ in range(sweeps):
        v = q.max(axis=1)
        v[-1] = 0
        q = reward + discount * v[following]
    return q


def every_transition(following, reward):
    state, action = (x.ravel() for x in np.meshgrid(np.arange(STATES - 1), np.arange(ACTIONS), indexing="ij"))
    after = following[state, action]
    return Transition(
        observation=jax.nn.one_hot(state, STATES),
        action=jnp.asarray(action),
        rewards=jnp.asarray(reward[state, action])[:, None],
        steps=jnp.ones(len(state), jnp.int32),
        terminated=jnp.asarray(after == STATES - 1),
        next_observation=jax.nn.one_hot(after, STATES),
        weight=jnp.ones(len(state)),
        index=jnp.arange(len(state)),
    )


def tabular_agent(**changes):
    settings = {
        "hyper": QLearningHyperparameters(
            learning_rate=LinearSchedule(0.05, 0.0005, 3000.0),
            exploration=EpsilonGreedy(LinearSchedule.constant(0.1)),
            target=HardUpdate(20),
            discount=0.9,
        ),
        **changes,
    }
    return QLearning(
        network=ActionValueNetwork(MLP(()), ActionValueHead(ACTIONS)),
        observation_spec=ArraySpec((STATES,)),
        optimizer=flatten_small(optax.scale_by_adam()),
        representation=Scalar(1.0),
        **settings,
    )


@pytest.mark.parametrize("operator", [operators.Maximum(), operators.Double()])
def test_q_learning_finds_the_exact_values_of_a_tabular_mdp(operator):
    following, reward = random_mdp(1)
    agent = tabular_agent()
    agent = dataclasses.replace(agent, hyper=agent.hyper.replace(operator=operator))
    batch = every_transition(following, reward)

    @jax.jit
    def learn(state):
        return jax.lax.scan(
            lambda s, k: agent.update(s, batch, k)[:2], state, jax.random.split(jax.random.key(0), 4000)
        )[0]

    state = learn(jax.jit(agent.init)(jax.random.key(1)))
    found = agent.representation.value(agent.network.apply(state.params, jnp.eye(STATES)))[: STATES - 1]
    np.testing.assert_allclose(found, exact_values(following, reward, 0.9)[: STATES - 1], atol=0.02)


def test_samples_of_weight_zero_are_ignored():
    following, reward = random_mdp(2)
    agent = tabular_agent()
    state = jax.jit(agent.init)(jax.random.key(0))
    batch = every_transition(following, reward)
    spoiled = batch.replace(weight=batch.weight.at[0].set(0), rewards=batch.rewards.at[0].set(1e6))
    expected = batch.replace(weight=batch.weight.at[0].set(0))
    ours, theirs = (
        jax.jit(agent.update)(state, spoiled, jax.random.key(0))[0],
        jax.jit(agent.update)(state, expected, jax.random.key(0))[0],
    )
    jax.tree.map(np.testing.assert_array_equal, ours.params, theirs.params)


def test_hyperparameters_are_leaves_that_a_population_can_vary():
    agent = tabular_agent()
    states = jax.vmap(agent.init)(jnp.broadcast_to(jax.random.key(0), 2))
    rates = states.hyper.learning_rate.replace(initial=jnp.array([0.0, 0.1]), final=jnp.array([0.0, 0.1]))
    states = states.replace(hyper=states.hyper.replace(learning_rate=rates))
    batch = every_transition(*random_mdp(3))
    updated, _, _ = jax.vmap(agent.update, (0, None, None))(states, batch, jax.random.key(0))
    moved = [
        float(max(np.abs(a - b).max() for a, b in zip(jax.tree.leaves(new), jax.tree.leaves(old), strict=True)))
        for new, old in (
            (jax.tree.map(lambda x, i=i: x[i], updated.params), jax.tree.map(lambda x, i=i: x[i], states.params))
            for i in range(2)
        )
    ]
    assert moved[0] == 0
    assert moved[1] == pytest.approx(0.1, rel=1e-3)


def test_epsilon_greedy_explores_as_often_as_it_says():
    strategy = EpsilonGreedy(LinearSchedule(1.0, 0.2, 100.0))
    values = jnp.broadcast_to(jnp.array([0.0, 1.0, 0.0, 0.0]), (40_000, 4))
    select = jax.jit(strategy.select)
    for steps, epsilon in ((0, 1.0), (50, 0.6), (1000, 0.2)):
        actions, after = select(jnp.int32(steps), values, None, jax.random.key(steps))
        counts = np.bincount(actions, minlength=4) / len(actions)
        expected = np.full(4, epsilon / 4)
        expected[1] += 1 - epsilon
        np.testing.assert_allclose(counts, expected, atol=0.01)
        assert after == steps + len(actions)


def play(strategy, values, steps, first=None, num_envs=4000):
    """Actions [steps, E] of a strategy on constant values."""
    values = jnp.broadcast_to(jnp.asarray(values), (num_envs, len(values)))
    first = jnp.zeros(num_envs, bool) if first is None else first
    timestep = TimeStep(values, *(jnp.zeros(num_envs),) * 3, first)

    def step(memory, key):
        action, memory = strategy.select(memory, values, timestep, key)
        return memory, action

    return np.asarray(jax.lax.scan(step, strategy.init(num_envs), jax.random.split(jax.random.key(0), steps))[1])


def test_a_ladder_gives_each_environment_its_own_epsilon():
    actions = play(EpsilonLadder(0.4, 7.0), [0.0, 1.0], 20_000, num_envs=5)
    explored = 2 * (actions == 0).mean(axis=0)  # half of the random actions look greedy
    np.testing.assert_allclose(explored, [0.4 ** (1 + 7 * i / 4) for i in range(5)], atol=0.02)
    # As in the paper unless told otherwise: of two environments the last one explores by the eighth power of 0.4.
    worst = EpsilonLadder().probabilities((), jnp.array([[0.0, 1.0]] * 2))[:, 0]
    np.testing.assert_allclose(worst, [0.2, 0.4**8 / 2], rtol=1e-5)


def test_the_greedy_strategy_takes_the_best_action_and_keeps_the_memory():
    values = jnp.array([[0.1, -2.0, 0.3], [0.5, 0.2, -0.1]])
    action, memory = Greedy().select(Greedy().init(2), values, None, jax.random.key(0))
    assert (action.tolist(), memory) == ([2, 0], ())


def test_random_actions_are_held_as_long_as_their_law_says_and_not_beyond_an_episode():
    """μ is 2 unless told otherwise, as in the paper."""
    strategy = EpsilonZGreedy.decaying(1.0, 1.0, 1.0, longest=50)
    assert strategy == EpsilonZGreedy(LinearSchedule.constant(1.0), longest=50)
    memory = strategy.init(200_000)
    values = jnp.zeros((200_000, 3))
    timestep = TimeStep(values, *(jnp.zeros(200_000),) * 3, jnp.zeros(200_000, bool))
    select = jax.jit(EpsilonZGreedy.select)  # of a strategy whose numbers are traced
    _, memory = select(strategy, memory, values, timestep, jax.random.key(0))
    assert memory.steps == 200_000
    assert memory.remaining.max() == 49
    durations = np.bincount(memory.remaining + 1, minlength=51)[1:6] / 200_000
    law = np.arange(1, 51) ** -2.0
    np.testing.assert_allclose(durations, (law / law.sum())[:5], atol=0.01)
    held = memory.remaining > 0
    same, after = select(strategy, memory, values, timestep, jax.random.key(1))
    assert (same == memory.action)[held].all()
    assert (after.remaining == memory.remaining - 1)[held].all()
    begun = timestep.replace(first=jnp.ones(200_000, bool))
    fresh, _ = select(strategy, memory, values, begun, jax.random.key(1))
    assert (fresh != memory.action)[held].mean() > 0.5
    greedy = EpsilonZGreedy.decaying(0.0, 0.0, 1.0)
    _, memory = select(greedy, greedy.init(200_000), values, timestep, jax.random.key(0))
    assert not memory.remaining.any(), "only what was drawn is held"


def test_boltzmann_draws_from_the_softmax():
    """Of a temperature of 4 at the first step of 4000 environments and of 0.5 from the second on."""
    values = [0.0, 0.5, 1.0]
    strategy = Boltzmann.decaying(4.0, 0.5, 4000)
    actions = play(strategy, values, 20)
    for temperature, drawn, error in ((4.0, actions[0], 0.03), (0.5, actions[1:], 0.01)):
        expected = np.exp(np.array(values) / temperature)
        found = np.bincount(drawn.ravel(), minlength=3) / drawn.size
        np.testing.assert_allclose(found, expected / expected.sum(), atol=error)
    assert strategy.init(3) == 0


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: EpsilonGreedy.decaying(1.5, 0.1, 10), r"epsilon is 1\.5, but must be in \[0, 1\]"),
        (lambda: EpsilonGreedy.decaying(1.0, -0.1, 10), "epsilon_final is -0.1"),
        (lambda: EpsilonGreedy.decaying(1.0, 0.1, 0), "epsilon_steps is 0, but must be 1 or more"),
        (lambda: EpsilonGreedy(LinearSchedule.constant(math.nan)), "epsilon is nan"),
        (lambda: EpsilonUntil.decaying(1.0, 0.1, 10, end=-1.0), "end is -1"),
        (lambda: EpsilonLadder(2.0), "base is 2"),
        (lambda: EpsilonZGreedy.decaying(1.0, 0.1, 10, exponent=-1.0), "exponent is -1"),
        (lambda: EpsilonZGreedy.decaying(1.0, 0.1, 10, longest=0), "longest is 0"),
        (lambda: EpsilonByUse(decay=1.5), r"decay is 1\.5"),
        (lambda: Boltzmann.decaying(0.0, 1.0, 10), "temperature is 0.0, but must be positive"),
        (lambda: operators.Expected(2.0), "epsilon is 2"),
        (lambda: operators.Soft(0.0), "temperature is 0"),
        (lambda: operators.Munchausen(-1.0), "temperature is -1"),
        (lambda: operators.Munchausen(0.1, 1.0), r"scale is 1.0, but must be in \[0, 1\)"),
        (lambda: operators.Munchausen(0.1, 0.9, 0.0), "floor is 0.0, but must be negative"),
        (lambda: operators.Mellowmax(0.0), "sharpness is 0"),
    ],
)
def test_impossible_strategies_and_operators_are_named(make, named):
    with pytest.raises(InputError, match=named):
        make()


def test_rewards_are_clipped_and_then_shifted_where_they_count():
    hyper = tabular_agent().hyper.replace(reward_clip=1.0, reward_shift=-0.5)
    rewards = jnp.array([3.0, -3.0, 0.25])
    np.testing.assert_allclose(hyper.learned(rewards), [0.5, -1.5, -0.25])
    np.testing.assert_allclose(hyper.learned(rewards, jnp.array([1.0, 0.0, 1.0])), [0.5, -1.0, -0.25])


def test_numbers_that_are_not_given_are_the_authors():
    """Those of the methods' authors; of PPO, those of OpenAI's baselines for Atari."""
    mrq = ModelBasedHyperparameters()
    assert (mrq.encoder_learning_rate.at(0), mrq.learning_rate.at(0)) == (1e-4, 3e-4)
    # 250 updates of the encoder, and as many of the others.
    assert (mrq.target.period, mrq.exploration, mrq.smoothing) == (500, GaussianNoise(0.2), Smoothing(0.2, 0.3))
    expected = {
        ModelBasedHyperparameters: dict(
            discount=0.99, dynamics_weight=1, reward_weight=0.1, termination_weight=0.1, action_penalty=1e-5
        ),
        ModelBasedActorCritic: dict(horizon=5, n_step=3),
        PPOHyperparameters: dict(
            discount=0.99, trace=0.95, clip=0.1, entropy_weight=0.01, value_weight=0.5, quantile_weight=1,
            reward_scale=1, reward_clip=np.inf,
        ),
        PPO: dict(epochs=Epochs(4, 4)),
        KLBound: dict(bound=0.1, initial=0.01, samples=16),
        SelfPrediction: dict(weight=1),
        LambdaActorCriticHyperparameters: dict(reward_scale=1, constraint=None, auxiliary=None),
        LambdaActorCritic: dict(epochs=Epochs(128, 4), largest_action=0.999),
        SelfPredictiveQLearning: dict(jumps=5, prediction_weight=5, kept=0.5),
        CausalActorCritic: dict(samples=10_000, period=10_000),
        AutoRegressiveHyperparameters: dict(temperature=0.01, discount=0.99),
    }  # fmt: skip
    for kind, numbers in expected.items():
        defaults = {field.name: field.default for field in dataclasses.fields(kind)}
        assert {name: defaults[name] for name in numbers} == numbers, kind.__name__


def test_an_operator_is_one():
    agent = tabular_agent()
    with pytest.raises(InputError, match="operator is 'double', but must be an Operator"):
        dataclasses.replace(agent, hyper=agent.hyper.replace(operator="double"))


def test_target_schedules():
    online, target = {"w": jnp.full(3, 1.5)}, {"w": jnp.full(3, 4.0)}
    hard, delayed = HardUpdate(jnp.float32(4)), DelayedPolyakUpdate(0.2, jnp.float32(4))
    for updates in range(1, 9):
        moved, followed = (one.step(target, online, jnp.int32(updates))["w"][0] for one in (hard, delayed))
        assert moved == (1.5 if updates % 4 == 0 else 4.0)
        assert float(followed) == pytest.approx(3.5 if updates % 4 == 0 else 4.0)
    np.testing.assert_allclose(PolyakUpdate(0.2).step(target, online, jnp.int32(1))["w"], 3.5, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"discount": 1.5}, "discount"),
        ({"reward_clip": 0.0}, "reward_clip"),
        ({"discount": float("nan")}, "discount"),
        ({"learning_rate": LinearSchedule(-1.0, 0.1, 5.0)}, "learning_rate is -1"),
        ({"learning_rate": LinearSchedule(0.1, -2.0, 5.0)}, "learning_rate_final is -2"),
    ],
)
def test_impossible_hyperparameters_are_named(changes, named):
    good = tabular_agent().hyper
    with pytest.raises(InputError, match=named):
        tabular_agent(hyper=good.replace(**changes))


def test_rewards_are_shifted_for_as_long_as_a_window_goes_on():
    agent = tabular_agent()
    hyper = agent.hyper.replace(reward_shift=-0.5)
    batch = jax.tree.map(lambda leaf: leaf[:3], every_transition(*random_mdp(4)))
    batch = batch.replace(
        rewards=jnp.array([[1.0, 0.0, 0.0], [1.0, 2.0, 0.0], [1.0, 2.0, 3.0]]),
        steps=jnp.array([1, 2, 3]),
        terminated=jnp.array([True, False, False]),
    )
    outcome = agent.outcome(hyper, batch)
    expected = [0.5, 0.5 + 0.9 * 1.5, 0.5 + 0.9 * 1.5 + 0.81 * 2.5]
    np.testing.assert_allclose(outcome.reward, expected, rtol=1e-6)
    np.testing.assert_allclose(outcome.discount, [0.0, 0.81, 0.729], rtol=1e-6)
    # With channels each reward is shifted, where it counts.
    several = dataclasses.replace(agent, channels=lambda rewards: jnp.stack([rewards, -rewards], axis=-1))
    found = several.outcome(hyper, batch).reward
    np.testing.assert_allclose(found, np.stack([expected, -np.array(expected)], axis=1), rtol=1e-6)
    plenty = batch.replace(rewards=jnp.stack([batch.rewards] * 4, axis=-1))
    np.testing.assert_allclose(agent.outcome(hyper, plenty).reward, np.stack([expected] * 4, axis=1), rtol=1e-6)


def test_one_module_may_learn_by_an_optimizer_of_its_own():
    slopes = {"params": {"torso": {"kernel": jnp.full(2, 3.0)}, "head": {"inner": {"kernel": jnp.full(2, 3.0)}}}}
    optimizer = except_for("head", optax.scale(0.5), optax.scale(7.0))
    direction, _ = optimizer.update(slopes, optimizer.init(slopes))
    np.testing.assert_array_equal(direction["params"]["torso"]["kernel"], 21.0)
    np.testing.assert_array_equal(direction["params"]["head"]["inner"]["kernel"], 1.5)


def test_targets_are_the_target_network_s_and_priorities_the_errors_against_them():
    """`|r + γ max q̄(s') - q(s, a)|` by hand, the two networks being far apart."""
    following, reward = random_mdp(4)
    agent = tabular_agent()
    agent = dataclasses.replace(agent, hyper=agent.hyper.replace(exploration=EpsilonGreedy.decaying(0.0, 0.0, 1)))
    batch = every_transition(following, reward)
    batch = batch.replace(weight=jnp.linspace(0.3, 1.7, batch.weight.size))
    state = jax.jit(agent.init)(jax.random.key(0))
    other = jax.jit(agent.init)(jax.random.key(1)).params
    state = state.replace(target_params=other)
    _, metrics, priority = jax.jit(agent.update)(state, batch, jax.random.key(2))
    q, target = (np.asarray(agent.network.apply(p, jnp.eye(STATES)))[..., 0] for p in (state.params, other))
    s, a, t = (np.argmax(batch.observation, 1), np.asarray(batch.action), np.argmax(batch.next_observation, 1))
    backed_up = np.asarray(batch.rewards)[:, 0] + 0.9 * np.where(batch.terminated, 0.0, target[t].max(axis=1))
    error = np.abs(backed_up - q[s, a])
    np.testing.assert_allclose(priority, error, rtol=1e-4, atol=1e-5)
    huber = np.where(error < 1, error**2 / 2, error - 0.5)
    assert float(metrics["loss"]) == pytest.approx(np.mean(np.asarray(batch.weight) * huber), rel=1e-4)
    assert float(metrics["mean_q"]) == pytest.approx(q[s, a].mean(), rel=1e-4)
    assert (q.argmax(axis=1) != target.argmax(axis=1)).any()
    timestep = TimeStep(jnp.eye(STATES), *(jnp.zeros(STATES),) * 4)
    for act in (agent.exploit, agent.act):
        action = act(state, agent.init_memory(STATES), timestep, jax.random.key(0))[0]
        np.testing.assert_array_equal(action, q.argmax(axis=1))


def test_exploration_that_ends_leaves_the_greedy_action():
    strategy = EpsilonUntil.decaying(1.0, 0.5, 100, end=500)
    assert [float(strategy.at(jnp.int32(t))) for t in (0, 100, 499, 500)] == [1.0, 0.5, 0.5, 0.0]


@pytest.mark.parametrize(
    "strategy",
    [EpsilonGreedy.decaying(0.3, 0.3, 1), EpsilonLadder(), Boltzmann.decaying(0.7, 0.7, 1)],
    ids=["epsilon", "ladder", "boltzmann"],
)
def test_probabilities_are_those_of_the_choices(strategy):
    values = jax.random.normal(jax.random.key(0), (4, 3))
    memory = strategy.init(4)
    timestep = TimeStep(None, *(jnp.zeros(4),) * 4)
    keys = jax.random.split(jax.random.key(1), 20_000)
    drawn = jax.vmap(lambda key: strategy.select(memory, values, timestep, key)[0])(keys)
    found = np.stack([(np.asarray(drawn) == a).mean(axis=0) for a in range(3)], axis=1)
    np.testing.assert_allclose(strategy.probabilities(memory, values), found, atol=0.015)
