"""Actor-critics: densities, reductions, batch statistics, schedules, and a linear-quadratic problem solved exactly."""

import dataclasses
import functools
import itertools
import math
from types import SimpleNamespace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.linalg
import scipy.stats

from jaxq import envs, platforms
from jaxq.agents import (
    ActorCritic,
    ActorCriticHyperparameters,
    BellmanRank,
    CausalActorCritic,
    CuriousActorCritic,
    DelayedPolyakUpdate,
    Deterministic,
    Epochs,
    EpsilonGreedy,
    FixedTemperature,
    FlowPolicy,
    GaussianNoise,
    InformationGain,
    IteratedActorCritic,
    LambdaQHyperparameters,
    LambdaQLearning,
    LinearSchedule,
    NoiseByEnvironment,
    Normalized,
    OrnsteinUhlenbeckNoise,
    PolicySample,
    PolyakUpdate,
    RunningStatistics,
    Smoothing,
    SoftWindow,
    SquashedGaussian,
    TunedTemperature,
    WeightedTemperature,
    flatten_small,
)
from jaxq.agents.policies import unsquashed
from jaxq.bellman import (
    Categorical,
    First,
    Gaussian,
    HLGauss,
    IntervalQuantile,
    Mean,
    Minimum,
    Pessimistic,
    Quantile,
    RandomSubset,
    RiskSensitive,
    Scalar,
    ScaledGaussian,
    Support,
    Truncated,
)
from jaxq.bellman.reductions import reduced_value
from jaxq.bellman.risk import CVaR
from jaxq.envs import ArraySpec, Continuous
from jaxq.errors import InputError
from jaxq.keys import stream
from jaxq.networks import (
    MLP,
    ActionCritic,
    ActionValueHead,
    ActionValueNetwork,
    AffineCoupling,
    BatchNormalizedMLP,
    ConditionalFlow,
    DropoutMLP,
    DynamicsModel,
    Ensemble,
    FlowPolicyNetwork,
    GaussianCritic,
    GaussianPolicyNetwork,
    ImplicitQuantileCritics,
    LowPass,
    PolicyNetwork,
)
from jaxq.networks.normalization import BatchRenorm
from jaxq.replay import UniformReplay
from jaxq.training import Evaluation, OffPolicy, OnPolicy
from jaxq.types import Segment, TimeStep, Transition

TUNED = TunedTemperature(-1.0, LinearSchedule.constant(3e-3))


def plain(mode):
    return MLP((32,))


SCALAR = Scalar()
FLOW = ConditionalFlow(1, lambda even: AffineCoupling(1, even, (16,)), 2, (16,), (-5.0, 0.5))


def agent_of(
    representation=SCALAR,
    critics=2,
    *,
    deterministic=False,
    layers=plain,
    size=1,
    kind=ActorCritic,
    hyper=(),
    **choices,
):
    """An actor-critic of small networks on two numbers."""
    network = PolicyNetwork if deterministic else GaussianPolicyNetwork
    numbers = {"entropy": FixedTemperature() if deterministic else TUNED, **dict(hyper)}
    rates = dict.fromkeys(("actor_learning_rate", "critic_learning_rate"), LinearSchedule.constant(3e-3))
    parts = {
        "actor": network(plain, size),
        "critic": Ensemble(lambda: ActionCritic(layers, representation.width), critics),
        "policy": Deterministic() if deterministic else SquashedGaussian(),
        **choices,
    }
    return kind(
        observation_spec=ArraySpec((2,)),
        action_spec=Continuous(size),
        optimizer=flatten_small(optax.scale_by_adam()),
        hyper=ActorCriticHyperparameters(**{**rates, **numbers}),
        representation=representation,
        **parts,
    )


def bandit_batch(key, size=256, terminated=True):
    """One-step episodes with the reward -(a - 0.5)²."""
    action = jax.random.uniform(key, (size, 1), minval=-1, maxval=1)
    return Transition(
        observation=jnp.ones((size, 2)),
        action=action,
        rewards=-((action - 0.5) ** 2),
        steps=jnp.ones(size, jnp.int32),
        terminated=jnp.full(size, terminated),
        next_observation=jnp.ones((size, 2)),
        weight=jnp.ones(size),
        index=jnp.arange(size),
    )


def learned(agent, batch_of, updates, seed=0):
    @jax.jit
    def learn(state):
        def step(state, key):
            return agent.update(state, batch_of(key), key)[:2]

        return jax.lax.scan(step, state, jax.random.split(jax.random.key(seed), updates))

    return learn(jax.jit(agent.init)(jax.random.key(seed + 1)))


# Policies.


def test_squashed_gaussian_density_is_that_of_a_change_of_variables():
    mean, log_std = jnp.array([[0.4, -1.0]] * 500), jnp.array([[-0.3, 0.2]] * 500)
    action, log_density = SquashedGaussian().sample((mean, log_std), jax.random.key(0))
    a = np.asarray(action, np.float64)
    inside = (np.abs(a) < 0.999).all(axis=1)
    exact = scipy.stats.norm(mean, np.exp(log_std)).logpdf(np.arctanh(a)) - np.log1p(-(a**2))
    np.testing.assert_allclose(log_density.sum(axis=1)[inside], exact.sum(axis=1)[inside], rtol=1e-3, atol=1e-3)
    assert inside.sum() > 400


@pytest.mark.parametrize("name", ["gaussian", "flow"])
def test_squashed_densities_by_quadrature(name):
    """Of densities at samples, in order: their integral is one, their moments are those of the samples."""
    if name == "gaussian":
        policy, outputs = SquashedGaussian(), (jnp.full((50_000, 1), 0.4), jnp.full((50_000, 1), -0.3))
    else:
        network, policy = FlowPolicyNetwork(plain, FLOW), FlowPolicy(FLOW)
        params = jax.jit(network.init)(jax.random.key(0), jnp.ones((1, 2)))
        leaves, tree = jax.tree.flatten(params)
        rng = np.random.default_rng(0)
        params = tree.unflatten([leaf + jnp.asarray(rng.normal(0, 0.15, leaf.shape), leaf.dtype) for leaf in leaves])
        outputs = network.apply(params, jnp.ones((50_000, 2)))
    action, log_densities = jax.jit(policy.sample)(outputs, jax.random.key(0))
    action = np.asarray(action[:, 0], np.float64)
    order = np.argsort(action)
    action, density = action[order], np.exp(np.asarray(log_densities, np.float64).sum(axis=1))[order]
    assert action.std() > 0.1
    for moment in range(3):
        found = np.trapezoid(density * action**moment, action)
        np.testing.assert_allclose(found, (action**moment).mean(), atol=0.01)


def test_squashed_gaussian_density_is_finite_far_out():
    mean, log_std = jnp.array([[30.0, -30.0]]), jnp.array([[1.0, -5.0]])
    action, log_density = SquashedGaussian().sample((mean, log_std), jax.random.key(0))
    gradient = jax.grad(lambda m: SquashedGaussian().sample((m, log_std), jax.random.key(0))[1].sum())(mean)
    for found in (action, log_density, gradient):
        assert np.isfinite(found).all()


def test_actions_at_the_ends_were_this_near_to_them_before_squashing():
    """`artanh(1 - e) = log((2 - e) / e) / 2`, and elsewhere squashing is undone."""
    end = 0.5 * np.log((2.0 - 1e-5) / 1e-5)
    found = unsquashed(jnp.array([-1.0, -0.9, 0.3, 1.0]))
    np.testing.assert_allclose(found, [-end, np.arctanh(-0.9), np.arctanh(0.3), end], rtol=1e-3)


# Reductions.


def test_reductions_by_hand():
    predictions = jnp.asarray(np.random.default_rng(0).normal(size=(6, 4, 5)), jnp.float32)
    quantile, key = Quantile(5), jax.random.key(0)

    def value(reduction):
        return np.asarray(reduced_value(quantile, reduction(quantile, predictions, key)))

    means = np.asarray(predictions).mean(axis=-1)
    np.testing.assert_allclose(value(Minimum()), means.min(axis=1), rtol=1e-5)
    np.testing.assert_allclose(value(Mean()), means.mean(axis=1), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(value(First()), means[:, 0], rtol=1e-5)
    (atoms,) = np.moveaxis(Truncated()(quantile, predictions, key)[0], 1, 0)
    smallest = np.sort(np.asarray(predictions).reshape(6, 20))[:, : 20 - 2 * 4]
    np.testing.assert_array_equal(atoms, smallest)
    np.testing.assert_allclose(value(Truncated()), smallest.mean(axis=1), rtol=1e-5)


@pytest.mark.parametrize("size", [1, 2])
def test_a_random_subset_is_as_likely_as_any_other_and_one_for_the_batch(size):
    predictions = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4, 1)), jnp.float32)
    counts = {}
    for key in jax.random.split(jax.random.key(0), 600):
        subset, weights = RandomSubset(size)(Scalar(), predictions, key)
        values = np.asarray(predictions)[..., 0]
        drawn = tuple(sorted(int(np.argmin(np.abs(values[0] - x))) for x in np.asarray(subset)[0, :, 0]))
        counts[drawn] = counts.get(drawn, 0) + 1
        found = np.asarray((weights * subset[..., 0]).sum(axis=1))
        np.testing.assert_allclose(found, values[:, list(drawn)].min(axis=1), rtol=1e-6)
    assert len(counts) == math.comb(4, size)
    assert scipy.stats.chisquare(list(counts.values())).pvalue > 1e-3


@pytest.mark.parametrize(
    ("reduction", "representation", "named"),
    [
        (RandomSubset(3), Scalar(), "subset is 3, but must be in 1 .. 2"),
        (Truncated(5), Quantile(5), "dropped_atoms is 5"),
        (Truncated(1), Scalar(), "representation is 'Scalar'"),
    ],
)
def test_reductions_that_cannot_be_are_named(reduction, representation, named):
    with pytest.raises(InputError, match=named):
        agent_of(representation, target_reduction=reduction)


# Networks with statistics.


def test_batch_renormalization_by_hand():
    layer = BatchRenorm("learn", momentum=0.9, warmup=2, largest_stretch=1.5, largest_shift=0.5)
    rng = np.random.default_rng(0)
    variables = jax.jit(layer.init)(jax.random.key(0), jnp.zeros((2, 3)))
    mean, variance = np.zeros(3), np.ones(3)
    for batch in range(5):
        x = rng.normal(2.0 * batch, 1.0 + batch, size=(64, 3)).astype(np.float32)
        found, moved = layer.apply(variables, x, mutable=["statistics"])
        own_mean, own_std, std = x.mean(0), np.sqrt(x.var(0) + 1e-3), np.sqrt(variance + 1e-3)
        r = np.clip(own_std / std, 1 / 1.5, 1.5) if batch >= 2 else 1.0
        d = np.clip((own_mean - mean) / std, -0.5, 0.5) if batch >= 2 else 0.0
        np.testing.assert_allclose(found, (x - own_mean) / own_std * r + d, rtol=1e-4, atol=1e-4)
        mean, variance = 0.9 * mean + 0.1 * own_mean, 0.9 * variance + 0.1 * x.var(0)
        variables = {**variables, **moved}
        still = BatchRenorm("act").apply(variables, x)
        np.testing.assert_allclose(still, (x - mean) / np.sqrt(variance + 1e-3), rtol=1e-4, atol=1e-4)


def test_statistics_are_learned_by_learning_alone_and_no_optimizer_knows_them():
    agent = agent_of(layers=lambda mode: BatchNormalizedMLP(mode, (8,)), hyper={"target": None}, joint=True)
    state = jax.jit(agent.init)(jax.random.key(0))
    after, _, _ = jax.jit(agent.update)(state, bandit_batch(jax.random.key(1)), jax.random.key(2))
    batches = [leaf for leaf in jax.tree.leaves(after.critic.statistics) if leaf.ndim == 0]
    assert batches == [1.0] * len(batches) != [], "one pass that learns; the actor's does not count"
    assert jax.tree.leaves(state.critic.optimizer_state)[1].size == sum(
        leaf.size for leaf in jax.tree.leaves(state.critic.params)
    )


def test_dropout_is_in_targets_and_not_in_exploitation():
    x = jnp.ones((4, 3))
    params = DropoutMLP("learn", (64,), 0.5).init({"params": jax.random.key(0), "samples": jax.random.key(1)}, x)

    def run(mode, seed):
        return DropoutMLP(mode, (64,), 0.5).apply(params, x, rngs={"samples": jax.random.key(seed)})

    for mode in ("learn", "target", "act"):
        assert (run(mode, 0) != run(mode, 1)).any()
    np.testing.assert_array_equal(run("exploit", 0), run("exploit", 1))


# Updates.


def test_the_price_of_entropy_goes_down_the_slope_of_its_excess():
    densities = jnp.array([[1.0, 2.0, 4.5], [0.5, -1.0, 0.0]])
    np.testing.assert_allclose(FixedTemperature(0.3).log_density((), densities), [7.5, -0.5])
    tuned = TunedTemperature(-1.5, LinearSchedule(0.2, 0.0, 10.0), 0.6, optax.identity())
    np.testing.assert_allclose(tuned.log_density(tuned.init(), densities), [7.5, -0.5])
    # At half of the schedule the rate is 0.1, and the entropy 2.0 above the target.
    after = tuned.step(tuned.init(), jnp.float32(0.5), jnp.int32(5))
    np.testing.assert_allclose(tuned.temperature(after), 0.6 * np.exp(-0.2), rtol=1e-5)


def test_sac_finds_the_best_action_and_its_target_entropy():
    agent = agent_of()
    state, metrics = learned(agent, bandit_batch, 3000)
    timestep = TimeStep(jnp.ones((1, 2)), *(jnp.zeros(1),) * 4)
    action, _ = agent.exploit(state, (), timestep, jax.random.key(0))
    np.testing.assert_allclose(action, 0.5, atol=0.1)
    np.testing.assert_allclose(np.mean(metrics["entropy"][-500:]), -1.0, atol=0.15)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_a_target_is_the_smaller_target_critic_and_the_entropy_of_the_action_drawn(alpha):
    agent = agent_of(hyper={"entropy": FixedTemperature(alpha)})
    state, other = jax.jit(agent.init)(jax.random.key(0)), jax.jit(agent.init)(jax.random.key(7))
    state = state.replace(critic=state.critic.replace(target=other.critic.variables))
    batch, key = bandit_batch(jax.random.key(1), 8, terminated=False), jax.random.key(2)
    action, log_density = agent._next_action(state, batch, key)
    values = agent.critic.apply(other.critic.variables, batch.next_observation, action)[..., 0]
    expected = batch.rewards[:, 0] + 0.99 * (np.minimum(values[0], values[1]) - alpha * log_density.sum(axis=1))
    found = agent._critic(state.critic.variables, batch.observation, batch.action, "learn", key)[0][..., 0]
    _, metrics, priority = agent._improve_critic(state, batch, key)
    np.testing.assert_allclose(metrics["loss"], 0.5 * ((found - expected) ** 2).mean(axis=1).sum(), rtol=1e-4)
    np.testing.assert_allclose(priority, np.abs(found - expected).mean(axis=0), rtol=1e-3, atol=1e-5)


def after_other_targets(agent, seed=7):
    """A state whose target critics are not the critics, and a batch, a key and the next actions to learn with."""
    state, other = jax.jit(agent.init)(jax.random.key(0)), jax.jit(agent.init)(jax.random.key(seed))
    state = state.replace(critic=state.critic.replace(target=other.critic.variables))
    batch, key = bandit_batch(jax.random.key(1), 8, terminated=False), jax.random.key(2)
    observation, following = 3.0 * jax.random.normal(key, (2, 8, 2))
    return state, batch.replace(observation=observation, next_observation=following), key


def test_critics_learn_from_windows_that_weigh_unequally_in_units_of_their_own():
    agent = agent_of(hyper={"entropy": FixedTemperature(0.3), "discount": 0.9, "reward_scale": 0.5})
    state, batch, key = after_other_targets(agent)
    rng = np.random.default_rng(0)
    rewards, weight, ends = rng.normal(size=(8, 2)), rng.uniform(0.3, 1.7, 8), np.arange(8) % 3 == 0
    batch = batch.replace(
        rewards=jnp.float32(rewards), steps=jnp.full(8, 2), weight=jnp.float32(weight), terminated=jnp.asarray(ends)
    )
    action, density = agent._next_action(state, batch, key)
    then = np.asarray(agent.critic.apply(state.critic.target, batch.next_observation, action))[..., 0].min(axis=0)
    goal = 0.5 * (rewards @ [1.0, 0.9]) + 0.81 * ~ends * (then - 0.3 * np.asarray(density).sum(axis=1))
    now = np.asarray(agent.critic.apply(state.critic.variables, batch.observation, batch.action))[..., 0]
    _, metrics, _ = agent._improve_critic(state, batch, key)
    np.testing.assert_allclose(metrics["loss"], (weight * (now - goal) ** 2).mean(axis=1).sum() / 2, rtol=1e-4)


def test_truncated_targets_and_their_loss_by_brute_force():
    alpha, atoms = 0.3, 5
    reductions = {"target_reduction": Truncated(2), "actor_reduction": Mean()}
    agent = agent_of(Quantile(atoms), critics=3, hyper={"entropy": FixedTemperature(alpha)}, **reductions)
    state, batch, key = after_other_targets(agent)
    action, log_densities = agent._next_action(state, batch, key)
    then = np.asarray(agent.critic.apply(state.critic.target, batch.next_observation, action))
    now = np.asarray(agent.critic.apply(state.critic.variables, batch.observation, batch.action))
    loss = 0.0
    for b in range(8):
        kept = sorted(z for critic in then[:, b] for z in critic)[: 3 * (atoms - 2)]
        soft = -alpha * float(log_densities[b].sum())
        targets = [float(batch.rewards[b, 0]) + 0.99 * (z + soft) for z in kept]
        for critic in now[:, b]:
            for i, z in enumerate(critic):
                tau = (2 * i + 1) / (2 * atoms)
                errors = [y - z for y in targets]
                huber = [0.5 * u * u if abs(u) <= 1 else abs(u) - 0.5 for u in errors]
                loss += np.mean([abs(tau - (u < 0)) * h for u, h in zip(errors, huber, strict=True)]) / 8
    _, metrics, _ = agent._improve_critic(state, batch, key)
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-4)


def test_redq_s_targets_are_the_smaller_of_a_pair_drawn_for_each_batch():
    reductions = {"target_reduction": RandomSubset(2), "actor_reduction": Mean()}
    agent = agent_of(critics=4, hyper={"entropy": FixedTemperature(0.0)}, **reductions)
    state, batch, _ = after_other_targets(agent)
    losses = jax.jit(
        lambda key: (agent._next_action(state, batch, key)[0], agent._improve_critic(state, batch, key)[1])
    )
    now = np.asarray(agent.critic.apply(state.critic.variables, batch.observation, batch.action))[..., 0]
    seen = set()
    for seed in range(12):
        action, metrics = losses(jax.random.key(seed))
        then = np.asarray(agent.critic.apply(state.critic.target, batch.next_observation, action))[..., 0]
        pairs = list(itertools.combinations(range(4), 2))
        targets = [batch.rewards[:, 0] + 0.99 * then[list(pair)].min(axis=0) for pair in pairs]
        of_pairs = [0.5 * ((now - target) ** 2).mean(axis=1).sum() for target in targets]
        (found,) = np.flatnonzero(np.isclose(of_pairs, metrics["loss"], rtol=1e-5))
        seen.add(pairs[found])
    assert len(seen) > 2


@pytest.mark.parametrize("target", [None, PolyakUpdate(0.5)])
def test_in_a_joint_pass_what_is_and_what_follows_are_normalized_together(target):
    layers = lambda mode: BatchNormalizedMLP(mode, (8,))  # noqa: E731
    agent = agent_of(layers=layers, hyper={"target": target, "entropy": FixedTemperature(0.0)}, joint=True)
    agent = dataclasses.replace(agent, optimizer=optax.identity())
    state, key = jax.jit(agent.init)(jax.random.key(0)), jax.random.key(2)
    if target is not None:
        other = jax.tree.map(lambda leaf: 0.7 * np.asarray(leaf) + 0.1, state.critic.target)
        state = state.replace(critic=state.critic.replace(target=other))
    batch = bandit_batch(jax.random.key(1), 8, False)
    observations = jnp.concatenate([batch.observation, 0.5 + batch.next_observation])
    batch = batch.replace(next_observation=0.5 + batch.next_observation)
    action, _ = agent._next_action(state, batch, key)
    actions = jnp.concatenate([batch.action, action])

    @jax.jit
    def halves(variables):
        together, _ = agent.critic.apply(variables, observations, actions, "learn", mutable="statistics")
        return jnp.split(together[..., 0], 2, axis=1)

    then = halves(state.critic.following)[1]
    expected = batch.rewards[:, 0] + 0.99 * then.min(axis=0)

    def loss(params):
        now = halves({**params, **state.critic.statistics})[0]
        return 0.5 * ((now - expected) ** 2).mean(axis=1).sum()

    after, metrics, _ = jax.jit(agent._improve_critic)(state, batch, key)
    value, gradient = jax.jit(jax.value_and_grad(loss))(state.critic.params)
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-4)
    # No gradient goes into the targets.
    jax.tree.map(
        lambda x, y, g: np.testing.assert_allclose((np.asarray(x) - np.asarray(y)) / 3e-3, g, rtol=0.01, atol=1e-3),
        state.critic.params, after.critic.params, gradient,
    )  # fmt: skip


def test_td3_moves_actor_and_targets_once_in_two_updates():
    targets = DelayedPolyakUpdate(0.5, 2)
    hyper = {"target": targets, "actor_target": targets, "smoothing": Smoothing(0.2, 0.5)}
    agent = agent_of(deterministic=True, hyper=hyper, actor_reduction=First(), actor_period=2)
    states, told = [jax.jit(agent.init)(jax.random.key(0))], []
    for i in range(2):
        batch = bandit_batch(jax.random.key(i), terminated=False)
        state, metrics, _ = jax.jit(agent.update)(states[-1], batch, jax.random.key(i))
        states.append(state), told.append(metrics)
    start, one, two = states
    chex.assert_trees_all_equal((start.actor, start.critic.target), (one.actor, one.critic.target))
    for before, after in ((one.actor, two.actor), (one.critic, two.critic)):
        # Half way from the old target to the new variables.
        expected = jax.tree.map(lambda t, o: 0.5 * (t + o), before.target, after.variables)
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-7), after.target, expected)
        assert any((x != y).any() for x, y in zip(*map(jax.tree.leaves, (before.variables, after.variables))))
    # Metrics of the actor's are told so that their mean over both updates is right.
    action = agent.policy.mode(agent.actor.apply(one.actor.variables, batch.observation))
    value = agent.critic.apply(two.critic.variables, batch.observation, action)[0].mean()
    np.testing.assert_allclose([m["actor_loss"] for m in told], [0.0, -2.0 * value], rtol=1e-4)


def test_a_step_of_sac_with_the_numbers_that_it_has_by_itself():
    """Critics, then actor, temperature and target, and all that is told, by hand."""
    entropy = TunedTemperature(-1.0, LinearSchedule.constant(0.1), initial=0.3)
    agent = dataclasses.replace(
        agent_of(), optimizer=optax.identity(), hyper=ActorCriticHyperparameters(entropy=entropy)
    )
    state, batch, key = after_other_targets(agent)
    assert state.updates == 0
    state = state.replace(updates=jnp.int32(3))
    after, metrics, _ = jax.jit(agent.update)(state, batch, key)
    assert after.updates == 4

    @jax.jit
    @functools.partial(jax.value_and_grad, has_aux=True)
    def of_actor(params):
        outputs = agent.actor.apply(params, batch.observation)
        action, log_density = agent.policy.sample(outputs, stream(key, "action"))
        values = agent.critic.apply(after.critic.variables, batch.observation, action)[..., 0]
        log_density = log_density.sum(axis=1)
        return -(values.min(axis=0) - 0.3 * log_density).mean(), -log_density.mean()

    @jax.jit
    @jax.grad
    def of_critic(params):
        outputs = agent.actor.apply(state.actor.variables, batch.next_observation)
        action, log_density = agent.policy.sample(outputs, stream(key, "next action"))
        then = agent.critic.apply(state.critic.target, batch.next_observation, action)[..., 0].min(axis=0)
        goal = batch.rewards[:, 0] + 0.99 * (then - 0.3 * log_density.sum(axis=1))
        now = agent.critic.apply(params, batch.observation, batch.action)[..., 0]
        return ((now - goal) ** 2).mean(axis=1).sum() / 2

    (loss, drawn), gradient = of_actor(state.actor.params)
    found = agent.critic.apply(state.critic.variables, batch.observation, batch.action)
    expected = {"actor_loss": loss, "entropy": drawn, "temperature": 0.3, "mean_q": found.mean()}
    assert {k: float(metrics[k]) for k in expected} == pytest.approx({k: float(x) for k, x in expected.items()}, 1e-3)

    def step(old, new, size):  # as a share of the way that is to be gone
        return jax.tree.map(lambda x, y: (np.asarray(y) - np.asarray(x)) / size, old, new)

    for ours, theirs in (
        (step(state.actor.params, after.actor.params, -3e-4), gradient),
        (step(state.critic.params, after.critic.params, -3e-4), of_critic(state.critic.params)),
        (step(state.critic.target, after.critic.target, 0.005), step(state.critic.target, after.critic.variables, 1)),
    ):
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=0.02, atol=1e-3), ours, theirs)
    tuned = entropy.step(state.entropy, drawn, jnp.int32(3))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3), after.entropy, tuned)


@pytest.mark.parametrize("joint", [{}, {"actor_joint": True}], ids=["alone", "joint"])
def test_an_actor_is_normalized_with_what_follows_if_it_is_to_be(joint):
    actor = GaussianPolicyNetwork(lambda mode: BatchNormalizedMLP(mode, (4,)), 1)
    agent = dataclasses.replace(agent_of(**joint), actor=actor)
    batch = bandit_batch(jax.random.key(1), 8, False)
    observation, following = 3.0 * jax.random.normal(jax.random.key(2), (2, 8, 2))
    batch = batch.replace(observation=observation, next_observation=following)
    variables = jax.jit(actor.init)(jax.random.key(0), observation)
    found, moved = jax.jit(agent._policy_outputs)(variables, batch)
    seen = jnp.concatenate([observation, following]) if joint else observation
    outputs, expected = jax.jit(lambda x: actor.apply(variables, x, "learn", mutable=["statistics"]))(seen)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y[:8], rtol=1e-5, atol=1e-6), found, outputs)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6), moved, expected)


def test_the_order_of_actor_and_critic_is_a_choice():
    """The first of them sees the other as it was: its gradients, which Adam keeps, are those of its step alone."""
    batch, key = bandit_batch(jax.random.key(1)), jax.random.key(2)
    for first in (False, True):
        agent = agent_of(actor_first=first)
        state = jax.jit(agent.init)(jax.random.key(0))
        after, _, _ = jax.jit(agent.update)(state, batch, key)
        improve, name = (agent._improve_actor, "actor") if first else (agent._improve_critic, "critic")
        ours, alone = (getattr(s, name).optimizer_state for s in (after, jax.jit(improve)(state, batch, key)[0]))
        chex.assert_trees_all_close(ours, alone, rtol=1e-4, atol=1e-6)


def test_smoothing_is_clipped_and_its_actions_too():
    action = jnp.full((20_000, 1), 0.3)
    noise = np.asarray(Smoothing(0.2, 0.3)(action, jax.random.key(0))) - 0.3
    np.testing.assert_allclose([noise.min(), noise.max()], [-0.3, 0.3], atol=1e-6)
    expected = scipy.stats.norm(0, 0.2)
    assert abs((np.abs(noise) > 0.2999).mean() - 2 * expected.sf(0.3)) < 0.01
    for edge in (-1.0, 1.0):
        smoothed = np.asarray(Smoothing(0.2, 0.3)(jnp.full((100, 1), 0.95 * edge), jax.random.key(0)))
        assert edge * (edge * smoothed).max() == edge
    np.testing.assert_array_equal(Smoothing()(action, jax.random.key(0)), action)
    largest = np.asarray(Smoothing(5.0)(jnp.zeros((200, 1)), jax.random.key(0)))  # 0.5 unless told otherwise
    np.testing.assert_allclose([largest.min(), largest.max()], [-0.5, 0.5])


def test_noises():
    first, later = (TimeStep(None, *(jnp.zeros(4),) * 3, jnp.full(4, flag)) for flag in (True, False))
    outputs = jnp.full((4, 2), 0.1)
    mode = np.tanh(0.1)

    def play(noise, steps=400):
        memory, actions = jax.jit(lambda noise: noise.init(4))(noise), []  # numbers are leaves, sizes are not
        for t, key in enumerate(jax.random.split(jax.random.key(0), steps)):
            action, memory = noise.explore(memory, Deterministic(), outputs, first if t == 0 else later, key)
            actions.append(action)
        return np.asarray(actions) - mode

    np.testing.assert_allclose(play(GaussianNoise()).std(), 0.1, rtol=0.1)
    for large in (GaussianNoise(5.0), OrnsteinUhlenbeckNoise(2, 0.15, 5.0), NoiseByEnvironment(5.0, 6.0)):
        clipped = play(large) + mode
        np.testing.assert_allclose([clipped.min(), clipped.max()], [-1.0, 1.0], atol=1e-6)
    correlated = play(OrnsteinUhlenbeckNoise(2, 0.15, 0.1))
    x, y = correlated[50:-1].ravel(), correlated[51:].ravel()
    np.testing.assert_allclose(np.corrcoef(x, y)[0, 1], 0.85, atol=0.06)
    by_environment = play(NoiseByEnvironment(0.05, 0.2)).std(axis=(0, 2))
    assert by_environment.max() > 1.2 * by_environment.min(), "each has its own"
    assert 0.04 < by_environment.min() < by_environment.max() < 0.22


def test_correlated_noise_reverts_and_begins_at_zero():
    """Without new noise what there was shrinks by θ, and is forgotten in an episode that begins."""
    still, outputs, where = OrnsteinUhlenbeckNoise(2, 0.3, 0.0), jnp.full((2, 2), 0.1), jnp.full((2, 2), -0.5)
    timestep = TimeStep(None, *(jnp.zeros(2),) * 3, jnp.array([False, True]))
    action, noise = still.explore(where, Deterministic(), outputs, timestep, jax.random.key(0))
    np.testing.assert_allclose(noise, [[-0.35] * 2, [0.0] * 2], rtol=1e-6)
    np.testing.assert_allclose(action, np.tanh(0.1) + np.asarray(noise), rtol=1e-6)
    np.testing.assert_array_equal(still.init(3), np.zeros((3, 2)))
    # θ = 0.15 and σ = 0.2 unless told otherwise, as in the paper.
    noise, later = OrnsteinUhlenbeckNoise(1), TimeStep(None, *(jnp.zeros(20_000),) * 3, jnp.zeros(20_000, bool))
    _, after = noise.explore(jnp.ones((20_000, 1)), Deterministic(), jnp.zeros((20_000, 1)), later, jax.random.key(1))
    np.testing.assert_allclose([after.mean(), after.std()], [0.85, 0.2], atol=0.01)


def test_an_environment_draws_its_noise_when_acting_or_an_episode_begins():
    noise, outputs = NoiseByEnvironment(), jnp.zeros((20_000, 1))
    later = TimeStep(None, *(jnp.zeros(20_000),) * 3, jnp.zeros(20_000, bool))
    explore = functools.partial(noise.explore, policy=Deterministic(), outputs=outputs)
    _, std = explore(noise.init(20_000), timestep=later, key=jax.random.key(0))
    np.testing.assert_allclose(std.mean(), 0.2005, atol=0.005)
    assert 0.001 < std.min() < 0.002
    assert 0.399 < std.max() < 0.4
    _, kept = explore(std, timestep=later, key=jax.random.key(1))
    np.testing.assert_array_equal(kept, std)
    begun = later.replace(first=jnp.arange(20_000) % 2 == 0)
    _, drawn = explore(std, timestep=begun, key=jax.random.key(2))
    np.testing.assert_array_equal(drawn == std, ~np.asarray(begun.first))


def test_a_policy_s_sample_is_an_action_of_it():
    outputs = (jnp.full((20_000, 1), 0.4), jnp.full((20_000, 1), np.log(0.3)))
    action, memory = PolicySample().explore((), SquashedGaussian(), outputs, None, jax.random.key(0))
    before = np.arctanh(np.asarray(action, np.float64))
    np.testing.assert_allclose([before.mean(), before.std()], [0.4, 0.3], atol=0.01)
    assert memory == ()


def test_critics_whose_features_are_dead_have_a_slope():
    """All units of a layer of ReLUs may be zero at some state; what is learned there is finite."""
    agent = agent_of(regularizer=BellmanRank(0.5))
    state = jax.jit(agent.init)(jax.random.key(0))
    batch, key = bandit_batch(jax.random.key(1), 8, False), jax.random.key(2)

    def without_features(path, leaf):
        hidden = any(getattr(part, "key", None) == "MLP_0" for part in path)
        return jnp.zeros_like(leaf) if hidden else leaf

    dead = jax.tree_util.tree_map_with_path(without_features, state.critic.target)
    changed = jax.tree.map(lambda a, b: bool((a != b).any()), dead, state.critic.target)
    assert any(jax.tree.leaves(changed)), "kernels of a layer of that name"
    state = state.replace(critic=state.critic.replace(target=dead))
    after, _, _ = jax.jit(agent._improve_critic)(state, batch, key)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after.critic.variables))


# Chains.


@pytest.mark.parametrize(
    "choices",
    [{}, dict(deterministic=True, actor_reduction=First(), actor_period=2), dict(regularizer=BellmanRank(0.5))],
    ids=["sac", "td3", "beer"],
)
def test_a_chain_of_one_is_its_base_bit_for_bit(choices):
    window = {"target": SoftWindow(0.005, 1)}
    base, chain = agent_of(**choices), agent_of(kind=IteratedActorCritic, links=1, hyper=window, **choices)
    base_state, chain_state = learned(base, bandit_batch, 20)[0], learned(chain, bandit_batch, 20)[0]
    chex.assert_trees_all_equal(base_state.actor, chain_state.actor)
    for name in ("variables", "target"):
        chex.assert_trees_all_equal(
            getattr(base_state.critic, name), jax.tree.map(lambda x: x[0], getattr(chain_state.critic, name))
        )


def test_links_learn_the_backup_of_the_link_before():
    """With targets held still, θ_1 learns r + γ θ̄_0 and θ_2 learns r + γ θ̄_1, by hand."""
    agent = agent_of(
        kind=IteratedActorCritic,
        links=2,
        critics=1,
        hyper={"target": SoftWindow(0.1, 3), "entropy": FixedTemperature(0.0)},
    )
    state = jax.jit(agent.init)(jax.random.key(0))
    target = jax.tree.map(lambda leaf: leaf + jnp.arange(2.0).reshape(-1, *(1,) * (leaf.ndim - 1)), state.critic.target)
    state = state.replace(critic=state.critic.replace(target=target))
    batch, key = bandit_batch(jax.random.key(1), 8, False), jax.random.key(2)
    action, _ = agent._next_action(state, batch, key)
    losses = []
    for k in range(2):
        ours, theirs = (jax.tree.map(lambda x: x[k], tree) for tree in (state.critic.variables, target))  # noqa: B023
        now = agent.critic.apply(ours, batch.observation, batch.action)[0, :, 0]
        then = agent.critic.apply(theirs, batch.next_observation, action)[0, :, 0]
        losses.append(0.5 * np.mean((now - batch.rewards[:, 0] - 0.99 * then) ** 2))
    one_by_one, metrics, _ = jax.jit(agent._improve_critic)(state, batch, key)
    np.testing.assert_allclose(metrics["loss"], np.mean(losses), rtol=1e-4)
    with platforms.assume("gpu"):  # of which `jit` knows nothing: another function is traced anew
        together, _, _ = jax.jit(lambda *given: agent._improve_critic(*given))(state, batch, key)
    chex.assert_trees_all_close(one_by_one.critic, together.critic, rtol=1e-4, atol=1e-6)


def test_a_chain_without_a_window_is_refused():
    with pytest.raises(InputError, match="target is 'PolyakUpdate', but must be SoftWindow"):
        agent_of(kind=IteratedActorCritic, links=2)
    with pytest.raises(InputError, match="target is 'SoftWindow', but must be that of an IteratedActorCritic alone"):
        agent_of(hyper={"target": SoftWindow(0.02, 1)})


def test_a_soft_window_by_hand():
    target, online = {"w": jnp.array([4.0, 10.0, 20.0])}, {"w": jnp.array([1.0, 2.0, 3.0])}
    window = SoftWindow(0.25, 2)
    np.testing.assert_allclose(window.step(target, online, jnp.int32(1))["w"], [3.25, 10.0, 20.0])
    np.testing.assert_allclose(window.step(target, online, jnp.int32(2))["w"], [3.25, 1.0, 2.0])


def test_every_link_has_draws_of_its_own_and_the_actor_climbs_any_of_them(monkeypatch):
    def drawn(self, state, variables, target, batch, next_action, log_densities, key):
        return jax.random.uniform(key), ({}, {"drawn": jax.random.uniform(key)}, jax.random.uniform(key, (5,)))

    monkeypatch.setattr(IteratedActorCritic, "_critic_loss", drawn)
    key = jax.random.key(3)
    for links in (1, 2):
        agent = agent_of(kind=IteratedActorCritic, links=links, hyper={"target": SoftWindow(0.1, 3)})
        numbers = {"params": jnp.arange(float(links))}
        learner = SimpleNamespace(variables=numbers, statistics={}, target=numbers, replace=lambda **_: None)
        state = SimpleNamespace(critic=learner, replace=lambda **_: None)
        loss, (_, metrics, priority) = agent._loss(state, numbers, None, None, None, key)
        assert float(loss) == pytest.approx(links * float(metrics["drawn"]), rel=1e-5), "the sum, and the mean"
        assert priority.shape == (5,)
        assert (float(loss) == float(jax.random.uniform(key))) == (links == 1)
        climbed = jax.vmap(lambda k, of=state, by=agent: by._climbed(of, k)["params"])(jax.random.split(key, 60))
        assert set(np.asarray(climbed).tolist()) == set(range(links))


# A problem solved exactly: x' = A x + B u, reward -(x'Qx + u'Ru), discounted; its value function by Riccati.

A = np.array([[0.8, 0.2], [0.0, 0.7]])  # from states and actions in [-1, 1] to states in [-1, 1]
B = np.array([[0.0], [0.3]])
Q, R, GAMMA = np.eye(2), np.array([[0.2]]), 0.8
COST = scipy.linalg.solve_discrete_are(np.sqrt(GAMMA) * A, np.sqrt(GAMMA) * B, Q, R)
GAIN = np.linalg.solve(R + GAMMA * B.T @ COST @ B, GAMMA * B.T @ COST @ A)


def quadratic_batch(key, size=256, actions=Continuous(1)):  # noqa: B008
    x = jax.random.uniform(key, (size, 2), minval=-1.0, maxval=1.0)
    u = actions.sample(jax.random.fold_in(key, 1), size)
    return Transition(
        observation=x,
        action=u,
        rewards=-jnp.sum(x @ Q * x, axis=1, keepdims=True) - jnp.sum(u @ R * u, axis=1, keepdims=True),
        steps=jnp.ones(size, jnp.int32),
        terminated=jnp.zeros(size, bool),
        next_observation=x @ A.T + u @ B.T,
        weight=jnp.ones(size),
        index=jnp.arange(size),
    )


def exact_q(x, u):
    following = x @ A.T + u @ B.T
    return -(x @ Q * x).sum(1) - (u @ R * u).sum(1) - GAMMA * (following @ COST * following).sum(1)


SUPPORT = Support(-8.0, 2.0, 101)
TARGET = PolyakUpdate(0.02)
DELAYED = DelayedPolyakUpdate(0.04, 2)
SOLVERS = {
    "ddpg": dict(deterministic=True, critics=1, actor_reduction=First(), hyper={"actor_target": TARGET}),
    "td3": dict(
        deterministic=True, actor_reduction=First(), actor_period=2,
        target=DELAYED, hyper={"actor_target": DELAYED, "smoothing": Smoothing(0.1, 0.2)},
    ),
    "sac": {},
    "flow": dict(actor=FlowPolicyNetwork(plain, FLOW), policy=FlowPolicy(FLOW)),
    "dsac": dict(
        representation=IntervalQuantile(), critic=ImplicitQuantileCritics(2, 32, 8, 16),
        target_reduction=Pessimistic(1.0), hyper={"actor_target": TARGET},
    ),
    "dsac_t": dict(
        representation=ScaledGaussian(), critic=Ensemble(lambda: GaussianCritic(lambda mode: MLP((64, 64))), 2),
        actor_period=2, actor_first=True, target=DELAYED, hyper={"actor_target": DELAYED},
    ),
    "droq": dict(layers=lambda mode: DropoutMLP(mode, (64, 64), 0.01), actor_reduction=Mean()),
    "c51": dict(representation=Categorical(SUPPORT), deterministic=True),
    "hl_gauss": dict(representation=HLGauss(SUPPORT)),
    "gaussian": dict(representation=Gaussian()),
    "tqc": dict(representation=Quantile(16), critics=3, target_reduction=Truncated(0), actor_reduction=Mean()),
    "redq": dict(critics=4, target_reduction=RandomSubset(2), actor_reduction=Mean()),
    "crossq": dict(layers=lambda mode: BatchNormalizedMLP(mode, (64,)), target=None, joint=True),
    "i_sac": dict(kind=IteratedActorCritic, links=2, target=SoftWindow(0.02, 1)),
    "i_td3": dict(
        kind=IteratedActorCritic, links=2, target=SoftWindow(0.02, 1), deterministic=True, actor_reduction=First(),
        actor_period=2, hyper={"actor_target": DELAYED, "smoothing": Smoothing(0.1, 0.2)},
    ),
    "one_at_random": dict(critics=3, target_reduction=RandomSubset(1), actor_reduction=RandomSubset(1)),
    "beer": dict(
        deterministic=True, critics=1, actor_reduction=First(), regularizer=BellmanRank(),
        hyper={"actor_target": TARGET},
    ),
    "bandlimited": dict(critic=Ensemble(lambda: LowPass(ActionCritic(lambda mode: MLP((64, 64)))), 2)),
    # Where nothing is left to chance there is nothing to fear.
    "risk_averse": dict(representation=Quantile(16), actor_value=RiskSensitive(Quantile(16), CVaR(0.5))),
    "ace": dict(kind=CausalActorCritic, samples=1000, period=500, entropy=lambda price: WeightedTemperature(price, 1)),
    # For next to nothing: what is worth more is another problem.
    "maxinforl": dict(
        kind=CuriousActorCritic, model=Ensemble(lambda: DynamicsModel((16,), 3), 3),
        information=InformationGain(learning_rate=LinearSchedule.constant(0.0), initial_price=3e-3),
    ),
}  # fmt: skip


def solver(name, batch_of, price):
    """An agent of these choices to whom entropy has a price, with what it learned of a problem."""
    choices = dict(SOLVERS[name])
    entropy = choices.pop("entropy", lambda price: price)(FixedTemperature(price))
    rates = dict.fromkeys(("actor_learning_rate", "critic_learning_rate"), LinearSchedule(3e-3, 1e-4, 2500.0))
    hyper = {"target": choices.pop("target", TARGET), "discount": GAMMA, **rates, **choices.pop("hyper", {})}
    hyper["entropy"] = entropy
    choices.setdefault("layers", lambda mode: MLP((64, 64)))
    agent = agent_of(hyper=hyper, **choices)
    return agent, learned(agent, batch_of, 2500)[0]


def values_of(agent, state, observation, action):
    """What its critics think on average, [B]."""

    @jax.jit
    def values(state, key):
        predictions, _ = agent._critic(agent._climbed(state, key), observation, action, "exploit", key)
        return agent.representation.value(predictions).mean(axis=0)

    return np.asarray(values(state, jax.random.key(0)))


# The dearest to compute: fractions, dropout, atoms, many critics; and those of which the soft problem asks the same.
DEAR = ("dsac", "droq", "tqc", "c51", "redq", "i_td3", "one_at_random", "bandlimited", "risk_averse", "maxinforl")
SOFT = ("sac", "flow", "hl_gauss", "dsac_t", "crossq", "i_sac", "ace")


@pytest.mark.learns
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in (*DEAR, *SOFT) else ()) for name in SOLVERS],
)
def test_a_linear_quadratic_problem_is_solved(name):
    """Value and policy of every representation and reduction against Riccati's."""
    agent, state = solver(name, quadratic_batch, 0.0)
    x = jnp.asarray(np.random.default_rng(0).uniform(-0.9, 0.9, (200, 2)), jnp.float32)
    timestep = TimeStep(x, *(jnp.zeros(200),) * 4)
    action = np.asarray(jax.jit(agent.exploit)(state, (), timestep, jax.random.key(0))[0])
    best = -np.asarray(x) @ GAIN.T
    assert np.abs(best).max() > 0.25
    # What the policy's actions lose against the best ones, as a share of what doing nothing loses.
    regret = exact_q(x, best) - exact_q(x, action)
    idle = exact_q(x, best) - exact_q(x, np.zeros_like(best))
    assert regret.mean() < 0.15 * idle.mean()
    u = jnp.asarray(np.random.default_rng(1).uniform(-0.8, 0.8, (200, 1)), jnp.float32)
    error = values_of(agent, state, x, u) - exact_q(x, u)
    assert np.sqrt((error**2).mean()) < 0.25 * np.std(exact_q(x, u))


def soft_control(alpha, points=401):
    """Soft values of x' = clip(x + a / 2), reward -(x² + a² / 10), by value iteration on a grid: Q(x, a)."""
    x = np.linspace(-1, 1, points)
    reward = -(x[:, None] ** 2) - 0.1 * x[None] ** 2
    following = np.clip(x[:, None] + 0.5 * x[None], -1, 1)
    q = reward
    for _ in range(100):
        value = alpha * np.log(np.trapezoid(np.exp(q / alpha), x, axis=1))
        q = reward + GAMMA * np.interp(following, x, value)
    return x, q


@pytest.mark.learns
@pytest.mark.parametrize("name", SOFT)
def test_a_soft_control_problem_is_solved(name):
    """Values, the mode and the entropy of a policy whose entropy has a price, against the exact soft values."""
    alpha = 0.05

    def batch_of(key, size=256):
        x, a = jnp.split(jax.random.uniform(key, (size, 2), minval=-1.0, maxval=1.0), 2, axis=1)
        return quadratic_batch(key, size).replace(
            observation=jnp.concatenate([x, x], axis=1),
            action=a,
            rewards=-(x**2) - 0.1 * a**2,
            next_observation=jnp.repeat(jnp.clip(x + 0.5 * a, -1.0, 1.0), 2, axis=1),
        )

    agent, state = solver(name, batch_of, alpha)
    grid, q = soft_control(alpha)
    x = np.linspace(-0.9, 0.9, 61)
    density = np.exp((q - q.max(axis=1, keepdims=True)) / alpha)
    density /= np.trapezoid(density, grid, axis=1)[:, None]
    entropy = -np.trapezoid(density * np.log(np.maximum(density, 1e-30)), grid, axis=1)
    seen = jnp.asarray(np.stack([x, x], axis=1), jnp.float32)

    @jax.jit
    def drawn(variables, keys):
        outputs = agent.actor.apply(variables, seen, "exploit")
        return jax.vmap(lambda key: agent.policy.sample(outputs, key))(keys)

    many = drawn(state.actor.variables, jax.random.split(jax.random.key(0), 500))
    mean = np.interp(x, grid, np.trapezoid(density * grid, grid, axis=1))
    np.testing.assert_allclose(many[0][..., 0].mean(axis=0), mean, atol=0.12)
    assert abs(float(-many[1].mean()) - np.interp(x, grid, entropy).mean()) < 0.15
    a = np.random.default_rng(0).uniform(-0.9, 0.9, 61)
    exact = np.array([np.interp(a[i], grid, q[np.argmin(np.abs(grid - x[i]))]) for i in range(61)])
    found = values_of(agent, state, seen, jnp.asarray(a[:, None], jnp.float32))
    assert np.sqrt(((found - exact) ** 2).mean()) < 0.25 * exact.std()


@pytest.mark.learns
def test_an_actor_may_fear_what_its_critics_do_not():
    """A safe and a risky action of equal mean: the actor that values by CVaR keeps to the safe one."""

    def gamble(key, size=256):
        batch = bandit_batch(key, size)
        risk = jnp.maximum(batch.action, 0.0)
        coin = jnp.where(jax.random.bernoulli(jax.random.fold_in(key, 1), 0.5, (size, 1)), 1.0, -1.0)
        return batch.replace(rewards=risk * (1.0 + 4.0 * coin) - 0.5 * (batch.action < 0))

    quantile = Quantile(16)
    actions = []
    for value in (None, RiskSensitive(quantile, CVaR(0.25))):
        agent = agent_of(quantile, deterministic=True, actor_value=value)
        state, _ = learned(agent, gamble, 1500)
        timestep = TimeStep(jnp.ones((1, 2)), *(jnp.zeros(1),) * 4)
        actions.append(float(jax.jit(agent.exploit)(state, (), timestep, jax.random.key(0))[0][0, 0]))
    assert actions[0] > 0.7
    assert -0.2 < actions[1] < 0.3


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: agent_of(hyper={"discount": 1.5}), "discount is 1.5"),
        (lambda: agent_of(actor_period=0), "actor_period is 0"),
        (lambda: agent_of(kind=IteratedActorCritic, links=0, hyper={"target": SoftWindow(0.1, 1)}), "links is 0"),
        (lambda: GaussianNoise(-0.1), "std is -0.1"),
        (lambda: TunedTemperature(-1.0, initial=0.0), "initial is 0.0"),
        (lambda: SoftWindow(0.0, 1), r"^rate is 0.0, but must be in \(0, 1\]"),
        (lambda: DelayedPolyakUpdate(0.1, 0), "^period is 0"),
    ],
)
def test_numbers_that_cannot_be_are_named(make, named):
    with pytest.raises(InputError, match=named):
        make()


# Normalization.


def test_running_statistics_are_those_of_all_that_was_seen():
    spec = {"state": ArraySpec((3,)), "image": ArraySpec((2, 2, 1), np.uint8)}
    rng, statistics = np.random.default_rng(0), RunningStatistics.start(spec)
    batches = [rng.normal(5.0 * i, 1.0 + i, size=(7 + i, 3)).astype(np.float32) for i in range(6)]
    for batch in batches:
        image = np.zeros((len(batch), 2, 2, 1), np.uint8)
        statistics = jax.jit(RunningStatistics.after)(statistics, {"state": batch, "image": image})
    everything = np.concatenate(batches)
    np.testing.assert_allclose(statistics.mean["state"], everything.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(statistics.variance["state"], everything.var(axis=0), rtol=1e-4)
    np.testing.assert_array_equal(statistics.mean["image"], 0.0)


def test_statistics_may_forget_what_is_old():
    """A step of the mean is then the share of the new, whatever the count was, and a change is followed."""
    statistics = RunningStatistics.start(ArraySpec(()))
    for batch in [jnp.zeros(8), jnp.zeros(8), jnp.zeros(8)]:
        statistics = statistics.after(batch, largest_count=16.0)
    assert float(statistics.count) == 16.0
    statistics = statistics.after(jnp.full(8, 3.0), largest_count=16.0)
    np.testing.assert_allclose(statistics.mean, 3.0 * 8 / 24, rtol=1e-5)
    np.testing.assert_allclose(statistics.variance, np.var([0.0] * 16 + [3.0] * 8), rtol=1e-4)
    for _ in range(40):
        statistics = statistics.after(jnp.full(8, 3.0), largest_count=16.0)
    np.testing.assert_allclose(statistics.mean, 3.0, rtol=1e-5)


def pendulums(agent, members):
    environment = envs.make("gymnax/Pendulum-v1", 2 * members)
    return OffPolicy(
        agent=agent,
        environment=environment,
        replay=UniformReplay.for_environment(environment, members, capacity=500, batch_size=16),
        evaluation=Evaluation(envs.make("gymnax/Pendulum-v1", members)),
        num_members=members,
        warmup_steps=40,
    )


def test_a_normalized_agent_is_its_base_on_normalized_observations():
    """Members have statistics of their own, of exactly what they saw; and evaluation moves nothing."""
    base = dataclasses.replace(agent_of(), observation_spec=ArraySpec((3,)))
    training = pendulums(Normalized(base, epsilon=0.2, largest=2.0), 2)
    state = jax.jit(training.warm_up)(jax.jit(training.init)(jax.vmap(jax.random.key)(jnp.arange(2))))
    state, _ = jax.jit(training.train_chunk, static_argnums=1)(state, 30)
    statistics = state.agent.statistics
    np.testing.assert_allclose(statistics.count, 2 * (20 + 30), rtol=1e-4)
    for member in range(2):
        # The replay has what was seen but the last; the first of each environment came of no step.
        rows = np.asarray(state.replay.observation[member])[1:50].reshape(-1, 3)
        last = np.asarray(state.timestep.observation).reshape(2, 2, 3)[member]
        seen = np.concatenate([rows, last])
        np.testing.assert_allclose(statistics.mean[member], seen.mean(axis=0), atol=1e-3)
        np.testing.assert_allclose(statistics.variance[member], seen.var(axis=0), rtol=1e-2)
    one = jax.tree.map(lambda leaf: leaf[0], state.agent)
    observation = jax.random.normal(jax.random.key(0), (5, 3)) * 10
    timestep = TimeStep(observation, *(jnp.zeros(5),) * 4)
    shown = np.clip((observation - one.statistics.mean) / np.sqrt(one.statistics.variance + 0.2), -2.0, 2.0)
    key = jax.random.key(1)
    action, _ = training.agent.exploit(one, (), timestep, key)
    expected, _ = base.exploit(one.base, (), timestep.replace(observation=shown), key)
    np.testing.assert_allclose(action, expected, rtol=1e-4, atol=1e-5)
    batch = jax.tree.map(lambda leaf: leaf, bandit_batch(key, 5, False)).replace(
        observation=observation, next_observation=observation[::-1]
    )
    after = training.agent.update(one, batch, key)[0]
    same = jax.jit(base.update)(one.base, batch.replace(observation=shown, next_observation=shown[::-1]), key)[0]
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-5), after.base.actor, same.actor)
    chex.assert_trees_all_equal(after.statistics, one.statistics)
    segment = Segment(observation[None], *(jnp.zeros((0, 5)),) * 5, jnp.ones(5), jnp.arange(5))
    np.testing.assert_allclose(training.agent.learned_from(one, segment).observation[0], shown, rtol=1e-5, atol=1e-6)


def test_after_rollouts_statistics_are_of_what_they_showed():
    environment = envs.make("gymnax/CartPole-v1", 4)
    network = ActionValueNetwork(MLP((8,)), ActionValueHead(2))
    hyper = LambdaQHyperparameters(LinearSchedule.constant(1e-3), EpsilonGreedy.decaying(1.0, 0.1, 500))
    base = LambdaQLearning(
        network=network, observation_spec=environment.observation_spec, representation=Scalar(),
        optimizer=optax.scale_by_adam(), hyper=hyper, epochs=Epochs(2, 1),
    )  # fmt: skip
    evaluation = Evaluation(envs.make("gymnax/CartPole-v1", 2))
    training = OnPolicy(agent=Normalized(base), environment=environment, evaluation=evaluation, rollout_steps=8)
    state = jax.jit(training.init)(jax.random.key(0)[None])
    state, _ = jax.jit(training.train_chunk, static_argnums=1)(state, 3)
    np.testing.assert_allclose(state.agent.statistics.count, 3 * 8 * 4, rtol=1e-4)
    assert (np.asarray(state.agent.statistics.variance) < 1.0).all()
