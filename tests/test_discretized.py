"""Values over discretized actions, against enumeration of all joint actions and against numpy."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats
from test_experiments import load

from jaxq import envs
from jaxq.agents import (
    AutoRegressiveHyperparameters,
    AutoRegressiveSoftQLearning,
    Bernoulli,
    CoarseToFineQLearning,
    EachDimension,
    EnsembleQLearning,
    EpsilonByUse,
    EpsilonGreedy,
    EpsilonZGreedy,
    GaussianNoise,
    HardUpdate,
    IteratedQLearning,
    LinearSchedule,
    MeanOfParts,
    MeanTargetQLearning,
    QLearning,
    QLearningHyperparameters,
    REValueD,
    SequenceCoarseToFineQLearning,
    WindowShift,
)
from jaxq.agents.coarse_to_fine import Plans, temporal_ensemble
from jaxq.bellman import Categorical, EachPart, HLGauss, Mapped, Quantile, Scalar, Support, Symlog, operators
from jaxq.envs import ArraySpec, Bins, Cells
from jaxq.errors import InputError
from jaxq.networks import (
    MLP,
    ActionValueHead,
    ActionValueNetwork,
    CoarseToFineNetwork,
    Ensemble,
    FactoredHead,
    SequenceCoarseToFineNetwork,
    UtilityNetwork,
)
from jaxq.replay import ActionSequenceReplay, PrioritizedReplay, UniformReplay
from jaxq.runs import parse
from jaxq.types import TimeStep, Transition

D, N, OBSERVED = 3, 3, 4
BINS = Bins(D, N)
JOINT = np.array(list(itertools.product(range(N), repeat=D)))
SPEC = ArraySpec((OBSERVED,))


def hyper(**changes):
    settings = {
        "learning_rate": LinearSchedule(5e-3, 1e-4, 1000.0),
        "exploration": EachDimension(EpsilonGreedy(LinearSchedule.constant(0.1)), D),
        "target": HardUpdate(20),
        "discount": 0.9,
        **changes,
    }
    return QLearningHyperparameters(**settings)


def network(width=1, bins=BINS):
    return ActionValueNetwork(MLP((16,)), FactoredHead(ActionValueHead(bins.size * bins.bins, width), bins.size))


def decomposed(representation=Scalar(1.0), kind=QLearning, members=0, bins=BINS, numbers=None, **choices):  # noqa: B008
    values = network(representation.width, bins)
    if members:
        values = Ensemble(lambda: network(representation.width, bins), members)
    numbers = numbers or hyper()
    return kind(values, SPEC, optax.scale_by_adam(), numbers, representation, actions=MeanOfParts(bins), **choices)


def transitions(size=6, seed=0, actions=None):
    rng = np.random.default_rng(seed)
    actions = BINS.action(jnp.asarray(JOINT[rng.integers(0, len(JOINT), size)])) if actions is None else actions
    return Transition(
        observation=jnp.asarray(rng.normal(size=(size, OBSERVED)), jnp.float32),
        action=actions,
        rewards=jnp.asarray(rng.normal(size=(size, 1)), jnp.float32),
        steps=jnp.ones(size, jnp.int32),
        terminated=jnp.asarray(rng.random(size) < 0.3),
        next_observation=jnp.asarray(rng.normal(size=(size, OBSERVED)), jnp.float32),
        weight=jnp.asarray(rng.random(size), jnp.float32),
        index=jnp.arange(size),
    )


def moment(size, seed=0, first=False):
    observation = jax.random.normal(jax.random.key(seed), (size, OBSERVED))
    no = jnp.zeros(size, bool)
    return TimeStep(observation, jnp.zeros(size), no, no, jnp.full(size, first))


def joint_values(parts):
    """[B, D, N] -> [B, N^D], action by action."""
    return np.stack([np.mean([parts[:, i, a[i]] for i in range(D)], axis=0) for a in JOINT], axis=1)


# Actions.


@pytest.mark.parametrize("bins", [2, 3, 10])
def test_bins_are_numbers_from_end_to_end_and_are_told_back(bins):
    grid = Bins(2, bins)
    choices = jnp.asarray(list(itertools.product(range(bins), repeat=2)))
    actions = grid.action(choices)
    np.testing.assert_allclose(np.unique(np.round(actions, 6)), np.linspace(-1, 1, bins), atol=1e-6)
    np.testing.assert_array_equal(grid.choice(actions), choices)
    np.testing.assert_array_equal(grid.choice(jnp.array([-1.7, 1.3])), [0, bins - 1])
    drawn = grid.sample(jax.random.key(0), 3000)
    np.testing.assert_allclose(grid.action(grid.choice(drawn)), drawn, atol=1e-6)
    np.testing.assert_allclose(np.bincount(grid.choice(drawn)[:, 0], minlength=bins) / 3000, 1 / bins, atol=0.04)


def zoomed(action, levels, bins):
    """The choices of an action, its cell's centre and the centres told on the way: interval by interval."""
    low, high, choices, centres = -1.0, 1.0, [], []
    for _ in range(levels):
        centres.append((low + high) / 2)
        width = (high - low) / bins
        choice = int(min(max(np.floor((action - low) / width), 0), bins - 1))
        choices.append(choice)
        low, high = low + choice * width, low + (choice + 1) * width
    return choices, (low + high) / 2, centres


@pytest.mark.parametrize(("levels", "bins"), [(1, 2), (3, 5), (2, 4)])
def test_cells_are_found_interval_by_interval_and_are_told_back(levels, bins):
    cells = Cells(1, levels, bins)
    every = jnp.arange(bins**levels)
    np.testing.assert_array_equal(cells.index(cells.action(every)), every)
    assert len(np.unique(cells.action(every))) == bins**levels
    actions = np.random.default_rng(0).uniform(-1, 1, 50).astype(np.float32)
    index = cells.index(jnp.asarray(actions))
    for action, i in zip(actions, index, strict=True):
        choices, centre, centres = zoomed(float(action), levels, bins)
        np.testing.assert_array_equal(cells.choices(i), choices)
        np.testing.assert_allclose(cells.action(i), centre, atol=1e-6)
        np.testing.assert_allclose(cells.centre(cells.intervals(i), jnp.arange(levels)), centres, atol=1e-6)
    np.testing.assert_array_equal(cells.index(jnp.array([-1.0, 1.0])), [0, bins**levels - 1])


# The mean of parts.


def test_the_greedy_action_of_parts_is_that_of_all_joint_actions():
    agent = decomposed()
    state = jax.jit(agent.init)(jax.random.key(0))
    step = moment(20)
    parts = np.asarray(agent.predict(state.params, step.observation, "exploit", jax.random.key(0))[..., 0])
    best = JOINT[joint_values(parts).argmax(axis=1)]
    action, _ = agent.exploit(state, agent.init_memory(20), step, jax.random.key(1))
    np.testing.assert_allclose(action, BINS.action(jnp.asarray(best)), atol=1e-6)


TAU = 0.3
JOINT_OPERATORS = [
    operators.Maximum(),
    operators.Double(),
    operators.Soft(TAU),
    operators.Mellowmax(2.0),
    operators.AdvantageLearning(0.7),
    operators.Munchausen(TAU, 0.9, -1e9),
]


@pytest.mark.parametrize("operator", JOINT_OPERATORS, ids=lambda o: type(o).__name__)
def test_the_backup_of_parts_is_the_operators_own_on_all_joint_actions(operator):
    """On the N^D values of joint actions, with their maximum, softmax and entropy."""
    rng = np.random.default_rng(1)
    batch = 5
    following, online, now = (rng.normal(size=(batch, D, N)).astype(np.float32) for _ in range(3))
    choice = rng.integers(0, len(JOINT), batch)
    reward, discount = rng.normal(size=batch).astype(np.float32), np.array([0.9, 0.9, 0.0, 0.5, 1.0], np.float32)
    found = MeanOfParts(BINS).backup(
        Scalar(), operator, reward, discount, following[..., None], online, now, jnp.asarray(JOINT[choice])
    )[:, 0]
    whole, whole_online, whole_now = (joint_values(x) for x in (following, online, now))
    taken = whole_now[np.arange(batch), choice]
    log_sum = lambda q, t: t * np.log(np.exp(q / t).sum(axis=1))  # noqa: E731
    expected = {
        "Maximum": lambda: reward + discount * whole.max(axis=1),
        "Double": lambda: reward + discount * whole[np.arange(batch), whole_online.argmax(axis=1)],
        "Soft": lambda: reward + discount * log_sum(whole, TAU),
        "Mellowmax": lambda: reward + discount * np.log(np.exp(2.0 * whole).mean(axis=1)) / 2.0,
        "AdvantageLearning": lambda: reward - 0.7 * (whole_now.max(axis=1) - taken) + discount * whole.max(axis=1),
        "Munchausen": lambda: reward + 0.9 * (taken - log_sum(whole_now, TAU)) + discount * log_sum(whole, TAU),
    }[type(operator).__name__]()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_maximum_over_joint_actions_is_the_mean_of_maxima():
    parts = np.random.default_rng(0).normal(size=(7, D, N))
    np.testing.assert_allclose(joint_values(parts).max(axis=1), parts.max(axis=2).mean(axis=1))


@pytest.mark.parametrize("representation", [Quantile(4), Categorical(Support(-3, 3, 7)), HLGauss(Support(-3, 3, 7))])
def test_distributions_are_backed_up_as_the_mean_of_the_parts_best(representation):
    """What is learned of a joint action and what is backed up of it are one and the same average of its parts."""
    rng = np.random.default_rng(2)
    predictions = jnp.asarray(rng.normal(size=(4, D, N, representation.width)), jnp.float32)
    values = np.asarray(representation.value(predictions))
    best = jnp.asarray(values.argmax(axis=2))
    reward, discount = jnp.asarray(rng.normal(size=4), jnp.float32), jnp.full(4, 0.9)
    parts = MeanOfParts(BINS)
    joint = parts.taken(representation, predictions, best)
    np.testing.assert_allclose(representation.value(joint), values.max(axis=2).mean(axis=1), rtol=1e-4, atol=1e-5)
    of_joint = representation.target(reward, discount, joint[:, None], jnp.ones((4, 1)))
    found = parts.backup(representation, operators.Maximum(), reward, discount, predictions, values, values, best)
    np.testing.assert_allclose(found, of_joint, rtol=1e-4, atol=1e-5)


def test_dimensions_explore_on_their_own_and_remember_on_their_own():
    values = jnp.broadcast_to(jnp.array([0.0, 1.0, 0.0]), (20_000, 2, 3))
    strategy = EachDimension(EpsilonGreedy.decaying(0.3, 0.3, 1), 2)
    choice, memory = strategy.select(strategy.init(20_000), values, None, jax.random.key(0))
    assert memory.tolist() == [20_000, 20_000]
    away = np.asarray(choice != 1)
    np.testing.assert_allclose(away.mean(axis=0), 0.2, atol=0.01)
    np.testing.assert_allclose((away[:, 0] & away[:, 1]).mean(), 0.04, atol=0.006)
    held = EachDimension(EpsilonZGreedy.decaying(1.0, 1.0, 1), 2)
    memory = held.init(5)
    _, after = held.select(memory, values[:5], moment(5), jax.random.key(0))
    assert jax.tree.map(jnp.shape, memory) == jax.tree.map(jnp.shape, after)


def test_an_exploration_that_shrinks_by_use_draws_whole_actions():
    strategy = EpsilonByUse(0.5, 0.9, 0.05)
    # Of so many parts some are not greedy in any action that was drawn.
    values = jnp.broadcast_to(jnp.array([0.0, 1.0, 0.0]), (80, 40, 3))
    for num_envs, floor in ((20, False), (80, True)):
        choice, epsilon = strategy.select(strategy.init(num_envs), values[:num_envs], None, jax.random.key(0))
        assert choice.shape == (num_envs, 40)
        uses = int((choice != 1).any(axis=1).sum())
        assert (0.5 * 0.9**uses < 0.05) == floor
        assert float(epsilon) == pytest.approx(0.05 if floor else 0.5 * 0.9**uses)
    always = EpsilonByUse()  # every action is drawn at first
    assert float(always.select(always.init(80), values, None, jax.random.key(0))[1]) == pytest.approx(
        0.999**80, rel=1e-5
    )
    assert float(always.select(jnp.float32(0.0), values, None, jax.random.key(0))[1]) == pytest.approx(0.05)
    wide = jnp.broadcast_to(jnp.array([0.0, 1.0, 0.0]), (40_000, 2, 3))
    away = np.asarray(strategy.select(jnp.float32(0.3), wide, None, jax.random.key(1))[0] != 1)
    np.testing.assert_allclose(away.mean(axis=0), 0.2, atol=0.01)
    # Random in both dimensions or in none: 0.3 * (2/3)^2 and not 0.2^2.
    np.testing.assert_allclose((away[:, 0] & away[:, 1]).mean(), 0.3 * 4 / 9, atol=0.01)


def test_a_chain_of_one_and_an_ensemble_of_one_are_their_base():
    base = decomposed(numbers=hyper(target=HardUpdate(3)))
    batch = transitions()
    state, chain = jax.jit(base.init)(jax.random.key(0)), IteratedQLearning(base, 1, WindowShift(3, 3), True)
    ours = jax.jit(chain.init)(jax.random.key(0))
    base_update, chain_update = jax.jit(base.update), jax.jit(chain.update)
    for k in range(4):
        state, metrics, priority = base_update(state, batch, jax.random.key(k))
        ours, again, same = chain_update(ours, batch, jax.random.key(k))
        assert metrics["loss"] == pytest.approx(float(again["loss"]), rel=1e-5)
        np.testing.assert_allclose(priority, same, rtol=1e-4)
    together = EnsembleQLearning(base, 2, 1.0, (0.0, 0.0))
    followers = jax.jit(together.init)(jax.random.key(0))
    action, _, _ = jax.jit(together.act)(followers, together.init_memory(5), moment(5, first=True), jax.random.key(0))
    np.testing.assert_allclose(BINS.action(BINS.choice(action)), action, atol=1e-6)
    values = np.asarray(together.values(followers, moment(5).observation, "exploit", jax.random.key(0)).mean(axis=0))
    best, _ = jax.jit(together.exploit)(followers, together.init_memory(5), moment(5), jax.random.key(0))
    np.testing.assert_array_equal(best, BINS.action(jnp.asarray(JOINT[joint_values(values).argmax(axis=1)])))


# One target for several networks.


def test_a_pair_backs_up_its_mean_at_each_one_s_best_action_and_acts_on_the_larger_value():
    agent = decomposed(kind=MeanTargetQLearning, members=2, numbers=hyper(operator=operators.Double()))
    state = jax.jit(agent.init)(jax.random.key(0))
    state = state.replace(target_params=jax.jit(agent.init)(jax.random.key(1)).params)
    batch = transitions()
    ask = lambda params, x: np.asarray(agent.predict(params, x, "learn", jax.random.key(0))[..., 0])  # noqa: E731
    online, target = ask(state.params, batch.next_observation), ask(state.target_params, batch.next_observation)
    best = online.argmax(axis=-1)
    assert (best[0] != best[1]).any(), "members differ"
    mean = np.broadcast_to(target.mean(axis=0), target.shape)
    following = np.take_along_axis(mean, best[..., None], -1)[..., 0].mean(axis=-1)  # [2, B]
    y = np.asarray(batch.rewards[:, 0]) + 0.9 * ~np.asarray(batch.terminated) * following
    taken = np.take_along_axis(
        ask(state.params, batch.observation), np.asarray(BINS.choice(batch.action))[None, ..., None], -1
    )[..., 0].mean(axis=-1)
    error = np.abs(taken - y)
    huber = np.where(error < 1, 0.5 * error**2, error - 0.5)
    expected = (np.asarray(batch.weight) * huber).mean(axis=1).sum()
    loss, (metrics, priority) = jax.jit(agent.objective)(
        state.hyper, state.params, state.target_params, batch, jax.random.key(0)
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    np.testing.assert_allclose([metrics["loss"], metrics["mean_q"]], [expected, taken.mean()], rtol=1e-4)
    np.testing.assert_allclose(priority, error.mean(axis=0), rtol=1e-4)
    step = moment(8)
    best = ask(state.params, step.observation).max(axis=0).argmax(axis=-1)
    action, _ = agent.exploit(state, agent.init_memory(8), step, jax.random.key(0))
    np.testing.assert_array_equal(action, BINS.action(jnp.asarray(best)))
    seen = ask(state.params, step.observation)
    np.testing.assert_array_equal(agent.behaviour(seen, jax.random.key(0)), seen.max(axis=0))
    # An operator's bonus is of the same mean, where the window begins.
    numbers = hyper(operator=operators.AdvantageLearning(0.7))
    backed_up = jax.jit(agent.backup)(
        numbers, state.params, state.target_params, agent.outcome(numbers, batch), jax.random.key(0)
    )
    now = ask(state.target_params, batch.observation).mean(axis=0)
    own = np.take_along_axis(now, np.asarray(BINS.choice(batch.action))[..., None], -1)[..., 0]
    y = np.asarray(batch.rewards[:, 0]) - 0.7 * (now.max(axis=-1) - own).mean(axis=-1)
    y = y + 0.9 * ~np.asarray(batch.terminated) * mean[0].max(axis=-1).mean(axis=-1)
    np.testing.assert_allclose(backed_up[..., 0], np.stack([y, y]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("threshold", [1.0, 0.3])
def test_revalued_s_loss_and_regularization_are_those_of_numpy(threshold):
    agent = decomposed(Scalar(threshold), kind=REValueD, members=3, regularization=0.7)
    state = jax.jit(agent.init)(jax.random.key(0))
    state = state.replace(target_params=jax.jit(agent.init)(jax.random.key(1)).params)
    batch = transitions()
    ask = lambda params, x: np.asarray(agent.predict(params, x, "learn", jax.random.key(0))[..., 0])  # noqa: E731
    choice = np.asarray(BINS.choice(batch.action))
    following = ask(state.target_params, batch.next_observation).mean(axis=0).max(axis=-1).mean(axis=-1)
    y = np.asarray(batch.rewards[:, 0]) + 0.9 * ~np.asarray(batch.terminated) * following
    online, anchors = ask(state.params, batch.observation), ask(state.target_params, batch.observation).mean(axis=0)
    total = 0.0
    huber = lambda e: 0.5 * e**2 if abs(e) < threshold else threshold * (abs(e) - 0.5 * threshold)  # noqa: E731
    for member in online:
        for b in range(len(y)):
            parts = [member[b, i, choice[b, i]] for i in range(D)]
            loss = huber(np.mean(parts) - y[b])
            for i in range(D):
                weight = 1 - np.exp(-abs(y[b] - parts[i]))
                loss += 0.7 * weight * huber(parts[i] - anchors[b, i, choice[b, i]]) / D
            total += batch.weight[b] * loss / len(y)
    arguments = (state.target_params, batch, jax.random.key(0))
    loss, _ = jax.jit(agent.objective)(state.hyper, state.params, *arguments)
    np.testing.assert_allclose(loss, total, rtol=1e-4)
    # Weights and anchors are constants: the regularization pulls each part towards its anchor, by its weight.
    predictions, target = jnp.asarray(online)[..., None], jnp.asarray(y, jnp.float32)[:, None]
    slope = jax.grad(lambda p: agent.penalty(state.target_params, batch, p, target, jax.random.key(0)).sum())(
        predictions
    )
    part, anchor = online[1, 2, 0, choice[2, 0]], anchors[2, 0, choice[2, 0]]
    expected = 0.7 * (1 - np.exp(-abs(y[2] - part))) * np.clip(part - anchor, -threshold, threshold) / D
    assert float(slope[1, 2, 0, choice[2, 0], 0]) == pytest.approx(expected, rel=1e-3)
    assert np.count_nonzero(slope) == 3 * 6 * D


def test_revalued_follows_members_and_is_judged_by_their_mean():
    agent = decomposed(kind=REValueD, members=3)
    values = jnp.arange(3.0)[:, None, None, None] * jnp.ones((3, 3000, D, N))
    followed = np.asarray(agent.behaviour(values, jax.random.key(0)))[:, 0, 0]
    np.testing.assert_allclose(np.bincount(followed.astype(int)) / 3000, 1 / 3, atol=0.04)
    np.testing.assert_allclose(agent.verdict(values), 1.0)


# Coarse to fine.


def coarse_to_fine(levels=3, bins=5, size=2, steps=None, **choices):
    cells = Cells(size, levels, bins)
    kind, core = CoarseToFineQLearning, CoarseToFineNetwork(MLP((32, 32)), levels, bins)
    if steps is not None:
        kind = SequenceCoarseToFineQLearning
        core = SequenceCoarseToFineNetwork(MLP((16,)), levels, bins, recurrent_width=8)
        choices["steps"] = steps
    numbers = hyper(operator=operators.Double(), exploration=GaussianNoise(0.1))
    return kind(core, SPEC, optax.scale_by_adam(), numbers, EachPart(Scalar()), cells=cells, **choices)


def shaken(params, seed):
    """Parameters among which no layer is zero."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    return jax.tree.unflatten(
        tree, [x + 0.3 * jax.random.normal(k, x.shape) for x, k in zip(leaves, keys, strict=True)]
    )


def test_a_level_that_holds_all_bins_is_an_exhaustive_search():
    agent = coarse_to_fine(levels=1, bins=9)
    params = shaken(jax.jit(agent.init)(jax.random.key(0)).params, 0)
    seen = moment(12).observation
    values = np.asarray(agent.network.apply(params, seen, jnp.zeros((12, 1, 2)), jnp.zeros(1, int))[:, 0, :, :, 0])
    totals = values[:, 0, :, None] + values[:, 1, None, :]  # of all pairs
    best = np.stack(np.unravel_index(totals.reshape(12, -1).argmax(axis=1), (9, 9)), axis=1)
    np.testing.assert_array_equal(
        jax.jit(agent.greedy, static_argnums=2)(params, seen, "exploit", jax.random.key(0)), best
    )
    # Where values lie closer together than what makes a difference, and only there, the choice is drawn.
    spread = values.max(axis=-1) - values.min(axis=-1)
    indifferent = coarse_to_fine(levels=1, bins=9, indifference=float(np.median(spread)))
    drawn = indifferent.greedy(params, seen, "exploit", jax.random.key(1))
    other = np.asarray(drawn) != best
    assert not other[spread > np.median(spread)].any()
    assert other[spread < np.median(spread)].mean() > 0.6


def path_by_hand(agent, params, seen):
    """Greedy choices, interval by interval, one observation and one level at a time: [B, L, D] and told centres."""
    cells, told, made = agent.cells, [], []
    low, high = -np.ones((len(seen), cells.size)), np.ones((len(seen), cells.size))
    for level in range(cells.levels):
        centre = (low + high) / 2
        told.append(centre)
        out = agent.network.apply(params, seen, jnp.asarray(centre, jnp.float32)[:, None], jnp.array([level]))
        choice = np.asarray(out[:, 0, :, :, 0]).argmax(axis=-1)
        made.append(choice)
        width = (high - low) / cells.bins
        low, high = low + choice * width, low + (choice + 1) * width
    return np.stack(made, 1), np.stack(told, 1), (low + high) / 2


def test_coarse_to_fine_loss_is_that_of_every_choice_by_itself():
    agent = coarse_to_fine()
    state = jax.jit(agent.init)(jax.random.key(0))
    params, target_params = shaken(state.params, 1), shaken(state.params, 2)
    batch = transitions(actions=agent.cells.sample(jax.random.key(5), 6))
    made, told, action = path_by_hand(agent, params, batch.next_observation)
    greedy, _ = agent.exploit(state.replace(params=params), (), moment(6).replace(
        observation=batch.next_observation), jax.random.key(0))  # fmt: skip
    np.testing.assert_allclose(greedy, action, atol=1e-5)
    still = state.replace(params=params, hyper=state.hyper.replace(exploration=GaussianNoise(0.0)))
    acted, _, _ = agent.act(still, (), moment(6).replace(observation=batch.next_observation), jax.random.key(0))
    np.testing.assert_allclose(acted, action, atol=1e-5)
    total = 0.0

    def ask(p, x, centre, level):
        told = jnp.asarray(centre, jnp.float32)[None, None]
        return np.asarray(agent.network.apply(p, x[None], told, jnp.array([level])))[0, 0, :, :, 0]

    for b in range(6):
        for level in range(3):
            following = ask(target_params, batch.next_observation[b], told[b, level], level)
            ways = [zoomed(float(batch.action[b, d]), 3, 5) for d in range(2)]
            now = ask(params, batch.observation[b], [way[2][level] for way in ways], level)
            for d in range(2):
                y = batch.rewards[b, 0] + 0.9 * (1 - batch.terminated[b]) * following[d, made[b, level, d]]
                total += batch.weight[b] * 0.5 * (now[d, ways[d][0][level]] - y) ** 2 / (6 * 3 * 2)
    loss, _ = jax.jit(agent.objective)(state.hyper, params, target_params, batch, jax.random.key(0))
    np.testing.assert_allclose(loss, total, rtol=1e-4)


def test_what_is_acted_is_the_centre_of_a_cell_and_indifference_is_drawn():
    agent = coarse_to_fine()
    state = jax.jit(agent.init)(jax.random.key(0))
    action, _, _ = jax.jit(agent.act)(state, (), moment(50), jax.random.key(1))
    np.testing.assert_allclose(agent.cells.nearest(action), action, atol=1e-6)
    assert (
        len(
            np.unique(
                jax.jit(agent.greedy, static_argnums=2)(state.params, moment(50).observation, "act", jax.random.key(0))
            )
        )
        == 1
    )
    drawing = coarse_to_fine(indifference=1e-4)  # whose values are all zero before learning
    cells = np.asarray(
        jax.jit(drawing.greedy, static_argnums=2)(state.params, moment(3000).observation, "act", jax.random.key(0))
    )
    np.testing.assert_allclose(np.bincount(cells[:, 0] // 25) / 3000, 0.2, atol=0.03)
    np.testing.assert_allclose(np.bincount(cells[:, 0] % 5) / 3000, 0.2, atol=0.03)


def test_a_chain_of_coarse_to_fine_links_has_its_base_s_objective():
    base = coarse_to_fine()
    chain = IteratedQLearning(base, 2, WindowShift(5, 2))
    state, batch = jax.jit(chain.init)(jax.random.key(0)), transitions(actions=base.cells.sample(jax.random.key(5), 6))
    state = state.replace(params=shaken(state.params, 0), target_params=shaken(state.target_params, 1))
    objective, key = jax.jit(base.objective), jax.random.key(0)
    links = [objective(state.hyper, state.params.link(k), state.target_params.link(k), batch, key) for k in range(2)]
    assert abs(float(links[0][0] - links[1][0])) > 1e-3, "links differ"
    state, metrics, priority = jax.jit(chain.update)(state, batch, key)
    np.testing.assert_allclose(metrics["loss"], np.mean([loss for loss, _ in links]), rtol=1e-4)
    np.testing.assert_allclose(priority, np.mean([own for _, (_, own) in links], axis=0), rtol=1e-4)
    action, _, _ = jax.jit(chain.act)(state, chain.init_memory(4), moment(4), jax.random.key(0))
    assert action.shape == (4, 2)


# Sequences.


def test_the_temporal_ensemble_is_a_loop_over_past_plans():
    agent = coarse_to_fine(steps=3)
    state = jax.jit(agent.init)(jax.random.key(0))
    state = state.replace(params=shaken(state.params, 3))
    memory, plans = agent.init_memory(2), [[], []]
    greedy, exploit = jax.jit(agent.greedy, static_argnums=2), jax.jit(agent.exploit)
    firsts = [[1, 0], [0, 0], [0, 0], [0, 1], [0, 0], [1, 0], [0, 0]]  # acting may begin in the midst of one
    for t, first in enumerate(firsts):
        step = moment(2, seed=t).replace(first=jnp.asarray(first, bool))
        key = jax.random.key(t)
        sequence = np.asarray(agent.cells.action(greedy(state.params, step.observation, "exploit", key)))
        action, memory = exploit(state, memory, step, key)
        for e in range(2):
            plans[e] = [] if first[e] else plans[e][-2:]
            plans[e].append((t, sequence[e]))
            planned = [plan[t - made] for made, plan in plans[e]]  # oldest first
            weights = np.exp(-0.01 * np.arange(len(planned)))
            np.testing.assert_allclose(action[e], np.average(planned, axis=0, weights=weights), rtol=1e-4, atol=1e-5)
    assert isinstance(memory, Plans)
    only = temporal_ensemble(jnp.ones((1, 1, 1, 2)), jnp.ones(1, int), 0.01)
    np.testing.assert_allclose(only, 1.0)


def test_sequences_of_one_action_are_learned_from_as_actions_are():
    agent = coarse_to_fine(steps=2)
    state = jax.jit(agent.init)(jax.random.key(0))
    actions = jnp.stack([agent.cells.sample(jax.random.key(k), 6) for k in range(2)], axis=1)
    state, metrics, priority = jax.jit(agent.update)(state, transitions(actions=actions), jax.random.key(0))
    taken = jax.jit(agent.taken, static_argnums=2)(
        state.params, transitions(actions=actions), "learn", jax.random.key(0)
    )
    assert taken.shape == (6, 3 * 2 * 2, 1)
    assert priority.shape == (6,)
    assert np.isfinite(metrics["loss"])


@pytest.mark.parametrize("prioritized", [False, True])
@pytest.mark.parametrize(("n_step", "action_steps"), [(1, 4), (3, 2), (2, 1)])
def test_replayed_actions_are_those_of_the_episode_and_its_last_repeated(n_step, action_steps, prioritized):
    """A ring of numbered steps, which it has gone round; episodes of 5 and 3 steps, and some broken off after 4."""
    default = {} if action_steps == 1 else {"action_steps": action_steps}
    ring = ActionSequenceReplay(60, 64, 3, ArraySpec((1,)), n_step, **default)
    replay = PrioritizedReplay(ring, 1.0) if prioritized else ring
    lengths, history = [5, 3, 4], []

    def at(clock, number):
        numbers, place = jnp.full(3, float(number)), jnp.asarray(clock)
        last = (place == jnp.asarray(lengths)) & (jnp.arange(3) < 2)
        return TimeStep(numbers[:, None], numbers, last & (number % 2 == 0), last & (number % 2 == 1), place == 0)

    clock, seen = [0, 0, 0], at([0, 0, 0], 0)
    state = replay.init(seen, jnp.zeros((3, 1)), ())
    add = jax.jit(replay.add)
    for number in range(33):
        after = [0 if c == length else c + 1 for c, length in zip(clock, lengths, strict=True)]
        following = at(after, number + 1)
        state = add(state, seen, jnp.full((3, 1), float(number)), (), following)
        history.append(clock)
        clock, seen = after, following
    batch = jax.jit(replay.sample)(state, jax.random.key(0))
    assert batch.action.shape == (64, action_steps, 1)
    kept = 0
    for b in range(64):
        if batch.weight[b] == 0:
            continue
        kept += 1
        start, env = int(batch.observation[b, 0]), int(batch.index[b]) % 3
        last = start + lengths[env] - 1 - history[start][env]  # the episode's last action
        np.testing.assert_array_equal(batch.action[b, :, 0], [min(start + k, last) for k in range(action_steps)])
        assert start + max(n_step, action_steps - 1) <= 32, "what has not happened yet is not read"
    assert kept > 30
    plain = UniformReplay(60, 64, 3, ArraySpec((1,)), n_step)
    assert ring.reach == max(n_step, action_steps - 1) >= plain.reach == n_step


# Auto-regressive soft values.


def auto_regressive(levels=2, bins=2, size=2, alpha=0.4, members=1):
    cells = Cells(size, levels, bins)
    return AutoRegressiveSoftQLearning(
        Ensemble(lambda: ActionValueNetwork(MLP((8,)), ActionValueHead(1)), members),
        Ensemble(lambda: UtilityNetwork(MLP((8,)), levels * size, bins), members),
        SPEC,
        optax.scale_by_adam(),
        AutoRegressiveHyperparameters(LinearSchedule.constant(1e-3), HardUpdate(10), alpha, 0.9),
        cells,
    )  # fmt: skip


def every_action(cells):
    return cells.action(jnp.asarray(list(itertools.product(range(cells.bins**cells.levels), repeat=cells.size))))


@pytest.mark.parametrize(("levels", "bins", "size"), [(2, 2, 2), (1, 3, 3), (3, 2, 1)])
def test_the_soft_value_is_that_of_all_actions_and_their_policy_is_a_softmax(levels, bins, size):
    agent = auto_regressive(levels, bins, size)
    params = shaken(jax.jit(agent.init)(jax.random.key(0)).params, 4)
    actions = every_action(agent.cells)
    seen = jnp.broadcast_to(moment(1).observation, (len(actions), OBSERVED))
    q = np.asarray(jax.jit(agent.action_values)(params, seen, actions, 0.4)[0], np.float64)
    value = float(agent.values(params, seen[:1])[0, 0])
    assert value == pytest.approx(0.4 * np.log(np.exp(q / 0.4).sum()), abs=1e-4)
    log_policy = np.asarray(jax.jit(agent.log_policy)(params, seen, actions, 0.4), np.float64)
    assert np.exp(log_policy).sum() == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose(log_policy, (q - value) / 0.4, atol=1e-3)


def test_what_is_sampled_has_the_policy_s_probabilities():
    agent = auto_regressive(members=2)
    state = jax.jit(agent.init)(jax.random.key(0))
    state = state.replace(params=shaken(state.params, 6))
    one = moment(1)
    many = jax.tree.map(lambda x: jnp.broadcast_to(x, (20_000, *x.shape[1:])), one)
    drawn, _, _ = jax.jit(agent.act)(state, (), many, jax.random.key(1))
    actions = every_action(agent.cells)
    seen = jnp.broadcast_to(one.observation, (len(actions), OBSERVED))
    probability = np.exp(jax.jit(agent.log_policy)(state.params, seen, actions, state.hyper.temperature))
    assert probability.sum() == pytest.approx(1.0, abs=1e-5)
    cell = agent.cells.index(drawn)
    counts = np.bincount(np.asarray(cell[:, 0] * 4 + cell[:, 1]), minlength=16) / 20_000
    np.testing.assert_allclose(counts, probability, atol=0.012)
    values = agent.values(state.params, one.observation)
    assert abs(float(values[0, 0] - values[1, 0])) > 1e-4, "critics differ"


def test_arsq_learns_the_smaller_soft_value_of_what_follows():
    agent = auto_regressive(members=2)
    state = jax.jit(agent.init)(jax.random.key(0))
    state = state.replace(target_params=shaken(state.params, 7))
    batch = transitions(actions=agent.cells.sample(jax.random.key(5), 6))
    following = np.asarray(agent.values(state.target_params, batch.next_observation)).min(axis=0)
    y = np.asarray(batch.rewards[:, 0]) + 0.9 * ~np.asarray(batch.terminated) * following
    q = np.asarray(jax.jit(agent.action_values)(state.params, batch.observation, batch.action, 0.4))
    _, metrics, priority = jax.jit(agent.update)(state, batch, jax.random.key(0))
    np.testing.assert_allclose(metrics["loss"], (np.asarray(batch.weight) * (q - y) ** 2).mean(axis=1).sum(), rtol=1e-4)
    np.testing.assert_allclose(metrics["mean_q"], np.average(q), rtol=1e-4)
    np.testing.assert_allclose(priority, np.abs(q - y).mean(axis=0), rtol=1e-4)


# Bernoulli policies.


def test_bernoulli_probabilities_are_those_of_all_corners():
    logits = jnp.array([0.3, -1.2, 2.0])
    corners = np.array(list(itertools.product([-1.0, 1.0], repeat=3)))
    up = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    probability = np.prod(np.where(corners > 0, up, 1 - up), axis=1)
    action, log_density = jax.jit(Bernoulli().sample)(jnp.broadcast_to(logits, (40_000, 3)), jax.random.key(0))
    assert set(np.unique(action)) == {-1.0, 1.0}
    corner = np.asarray((action > 0) @ np.array([4, 2, 1]))
    np.testing.assert_allclose(np.abs(action), 1.0, atol=1e-6)
    np.testing.assert_allclose(np.bincount(corner, minlength=8) / 40_000, probability, atol=0.01)
    log_density = log_density.sum(axis=1)
    np.testing.assert_allclose(log_density, np.log(probability)[corner], rtol=1e-4)
    entropy = -(probability * np.log(probability)).sum()
    assert -float(log_density.mean()) == pytest.approx(entropy, abs=0.02)
    np.testing.assert_array_equal(Bernoulli().mode(logits[None])[0], corners[probability.argmax()])


def test_gradients_go_straight_through_a_bernoulli_policy():
    """That of a linear value is exact in every sample, that of the log-density the negative entropy's on average."""
    logits, slope = jnp.array([0.3, -1.2, 2.0]), jnp.array([1.0, -2.0, 0.5])
    many = lambda x: jnp.broadcast_to(x, (20_000, 3))  # noqa: E731
    of_value = jax.grad(lambda x: jnp.sum(slope * Bernoulli().sample(x[None], jax.random.key(0))[0]))(logits)
    expected = jax.grad(lambda x: jnp.sum(slope * (2 * jax.nn.sigmoid(x) - 1)))(logits)
    np.testing.assert_allclose(of_value, expected, rtol=1e-5)

    def negative_entropy(x):
        p = jax.nn.sigmoid(x)
        return jnp.sum(p * jnp.log(p) + (1 - p) * jnp.log(1 - p))

    relaxed, same = Bernoulli().relaxed(many(logits), jax.random.key(1))
    action, log_density = Bernoulli().sample(many(logits), jax.random.key(1))
    np.testing.assert_array_equal(jnp.sign(relaxed), jnp.sign(action))
    np.testing.assert_array_equal(same, log_density)
    # Between the ends they are squashed logistic noise around the logits, at a temperature of one.
    for dimension, logit in enumerate(logits):
        before = 2.0 * np.arctanh(np.asarray(relaxed[:2000, dimension], np.float64))
        assert stats.kstest(before[np.isfinite(before)], "logistic", args=(float(logit), 1.0)).pvalue > 1e-3
    of_density = jax.grad(lambda x: Bernoulli().sample(many(x), jax.random.key(1))[1].sum(axis=1).mean())(logits)
    np.testing.assert_allclose(of_density, jax.grad(negative_entropy)(logits), atol=0.02)


# Learning.

BEST = jnp.array([0.55, -0.95])


def bandit(agent, actions, updates):
    """Learn the reward `-|a - best|²` of a task of one step from random actions; the action found."""
    observation = jnp.ones((64, OBSERVED))

    def step(state, key):
        action = actions(key)
        taken = action if action.ndim == 2 else action[:, 0]
        batch = transitions(64).replace(
            observation=observation, next_observation=observation, action=action, weight=jnp.ones(64),
            rewards=-jnp.sum((taken - BEST) ** 2, axis=1)[:, None], terminated=jnp.ones(64, bool),
        )  # fmt: skip
        return agent.update(state, batch, key)[0], None

    keys = jax.random.split(jax.random.key(1), updates)
    state = jax.jit(lambda s: jax.lax.scan(step, s, keys)[0])(jax.jit(agent.init)(jax.random.key(0)))
    alone = moment(1, first=True).replace(observation=observation[:1])
    return np.asarray(agent.exploit(state, agent.init_memory(1), alone, jax.random.key(0))[0][0])


PAIR = Bins(2, 5)


@pytest.mark.parametrize(
    "agent",
    [
        decomposed(bins=PAIR),
        decomposed(Quantile(8), MeanTargetQLearning, 2, PAIR),
        decomposed(kind=REValueD, members=3, bins=PAIR),
        IteratedQLearning(decomposed(bins=PAIR), 2, WindowShift(20, 5), True),
        IteratedQLearning(
            decomposed(
                Categorical(Support(-6, 1, 29)),
                bins=PAIR,
                numbers=hyper(operator=operators.Munchausen(0.03, 0.9, -1.0)),
            ),
            2,
            WindowShift(20, 5),
        ),
    ],
    ids=["scalar", "quantile pair", "revalued", "chain", "chain of atoms by Munchausen"],
)
def test_decomposed_values_find_the_nearest_bins_of_a_bandit(agent):
    found = bandit(agent, lambda key: PAIR.sample(key, 64), 600)
    np.testing.assert_allclose(found, PAIR.action(PAIR.choice(BEST)), atol=1e-6)


def test_coarse_to_fine_values_find_the_interval_of_a_bandit():
    agent = coarse_to_fine(levels=2, bins=3)
    found = bandit(agent, lambda key: agent.cells.sample(key, 64), 1500)
    assert np.abs(found - np.asarray(BEST)).max() < 0.3


def test_auto_regressive_values_find_the_cell_of_a_bandit():
    agent = auto_regressive(levels=1, bins=5, alpha=0.05)
    found = bandit(agent, lambda key: agent.cells.sample(key, 64), 3000)
    np.testing.assert_allclose(found, agent.cells.nearest(BEST), atol=1e-6)


# Input.


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Bins(2, 1), "num_bins is 1"),
        (lambda: Cells(2, 0, 5), "levels is 0"),
        (lambda: Cells(2, 1, 1), "num_bins is 1"),
        (lambda: Cells(2, 20, 5), r"num_bins \*\* levels"),
        (lambda: decomposed(Mapped(Scalar(), Symlog())), "representation is 'Mapped'"),
        (lambda: decomposed(kind=REValueD, members=2, regularization=-1.0), "regularization is -1"),
        (lambda: decomposed(Quantile(4), REValueD, 2), "representation is 'Quantile'"),
        (lambda: coarse_to_fine(indifference=-1.0), "indifference is -1"),
        (lambda: coarse_to_fine(steps=0), "action_steps is 0"),
        (lambda: dataclasses.replace(coarse_to_fine(), representation=Scalar()), "representation is 'Scalar'"),
        (lambda: dataclasses.replace(coarse_to_fine(), hyper=hyper()), "operator is 'Maximum'"),
        (lambda: auto_regressive(alpha=-1.0), "temperature is -1"),
        (lambda: ActionSequenceReplay(40, 4, 2, SPEC, action_steps=0), "action_steps is 0"),
    ],
)
def test_what_cannot_be_is_named(make, named):
    with pytest.raises(InputError, match=named):
        make()


@pytest.mark.parametrize(
    ("name", "flags", "named"),
    [
        ("decqn", ["--num-bins", "1"], "num_bins is 1"),
        ("decqn", ["--epsilon", "1.5"], "epsilon is 1.5"),
        ("cqn", ["--num-bins", "1"], "num_bins is 1"),
        ("cqn", ["--noise", "-1"], "noise is -1"),
        ("bang_bang", ["--target-entropy-per-dimension", "-1"], "target_entropy_per_dimension is -1"),
        ("revalued", ["--env", "gymnax/CartPole-v1"], "continuous"),
        ("arsq", ["--temperature", "0"], "temperature is 0"),
    ],
)
def test_flags_that_cannot_be_are_named(name, flags, named):
    module, presets = load(name)
    with pytest.raises(InputError, match=named):
        module.build(parse(module.Config, presets, flags))


def test_only_the_actions_of_its_spec_are_taken_and_the_environment_stays_what_it_was():
    plain = envs.make("gymnax/Pendulum-v1", 4)
    bang_bang = envs.with_actions(plain, Bins(1, 2))
    assert set(np.unique(bang_bang.action_spec.sample(jax.random.key(0), 100))) == {-1.0, 1.0}
    assert str(plain.action_spec) == "[-1, 1]^1"
    assert envs.require_continuous(bang_bang) == Bins(1, 2)
