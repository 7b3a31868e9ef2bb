"""Exact MDPs: their solutions against closed forms, and every representation by every operator against them."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from representations import CASES, SUPPORT

from jaxq import envs, tabular
from jaxq.agents import EpsilonGreedy, HardUpdate, LinearSchedule, QLearning, QLearningHyperparameters, except_for
from jaxq.bellman import (
    Categorical,
    Decomposed,
    FullyParameterizedQuantile,
    Gaussian,
    ImplicitQuantile,
    ItakuraSaito,
    Logarithmic,
    Mapped,
    Particles,
    Quantile,
    RiskSensitive,
    Scalar,
    by_sign,
    operators,
    risk,
)
from jaxq.envs import ArraySpec
from jaxq.errors import InputError
from jaxq.networks import FRACTIONS, ActionValueHead, ActionValueNetwork, FullyParameterizedHead, ImplicitQuantileHead
from jaxq.types import Transition

DISCOUNT = 0.7


def small_garnet(seed, **sizes):
    """A Garnet whose values stay within ±5."""
    mdp = tabular.garnet(seed, states=5, **sizes)
    return dataclasses.replace(mdp, reward=0.4 * mdp.reward)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def every_transition(mdp):
    """Every step that can be made from a state that is not terminal, as one batch weighted by its probability."""
    s, a, t = np.nonzero(mdp.transition * ~mdp.terminal[:, None, None])
    states = np.eye(mdp.num_states, dtype=np.float32)
    return Transition(
        observation=jnp.asarray(states[s]),
        action=jnp.asarray(a),
        rewards=jnp.asarray(mdp.reward[s, a, t], jnp.float32)[:, None],
        steps=jnp.ones(len(s), jnp.int32),
        terminated=jnp.asarray(mdp.terminal[t]),
        next_observation=jnp.asarray(states[t]),
        weight=jnp.asarray(mdp.transition[s, a, t] * len(s) / (mdp.num_states * mdp.num_actions), jnp.float32),
        index=jnp.arange(len(s)),
    )


class Table(nn.Module):
    """One-hot states as they are, or a row of features for each."""

    features: int = 0

    @nn.compact
    def __call__(self, x):
        return nn.relu(nn.Dense(self.features)(x)) if self.features else x


def table_agent(mdp, representation, operator, rate=0.05, updates=2000, discount=DISCOUNT, **settings):
    optimizer = optax.scale_by_adam(b1=0.5)
    if isinstance(representation, ImplicitQuantile):
        network = ActionValueNetwork(Table(64), ImplicitQuantileHead(mdp.num_actions, 64, 16, 16, 16))
    elif isinstance(representation, FullyParameterizedQuantile):
        head = FullyParameterizedHead(mdp.num_actions, 64, representation.num_quantiles, 16)
        network = ActionValueNetwork(Table(64), head)
        slowly = optax.chain(optax.scale_by_rms(), optax.scale(1e-3))
        optimizer = except_for(FRACTIONS, slowly, optimizer)
    else:
        network = ActionValueNetwork(Table(), ActionValueHead(mdp.num_actions, representation.width))
    return QLearning(
        network=network,
        observation_spec=ArraySpec((mdp.num_states,)),
        optimizer=optimizer,
        hyper=QLearningHyperparameters(
            learning_rate=LinearSchedule(rate, rate / 100, float(updates)),
            exploration=EpsilonGreedy(LinearSchedule.constant(0.1)),
            target=HardUpdate(10),
            operator=operator,
            discount=discount,
        ),
        representation=representation,
        **settings,
    )


def learn(agents, mdp, updates=2000):
    """The predictions [S, A, W] of each agent after so many updates on the whole MDP, all in one program."""
    batch = every_transition(mdp)

    def run(agent):
        keys = jax.random.split(jax.random.key(0), updates)
        state, _ = jax.lax.scan(lambda s, k: agent.update(s, batch, k)[:2], agent.init(jax.random.key(1)), keys)
        return agent.predict(state.params, jnp.eye(mdp.num_states), "exploit", jax.random.key(2))

    return jax.jit(lambda: [run(agent) for agent in agents])()


# The fixed point of each operator, from its equation: value of the next state's action values, bonus of this one's.
TEMPERATURE = 0.5
OPERATORS = {
    "max": (operators.Maximum(), {}),
    "double": (operators.Double(), {}),
    "expected": (operators.Expected(0.3), {"value": lambda q: 0.7 * q.max(axis=1) + 0.3 * q.mean(axis=1)}),
    "soft": (
        operators.Soft(TEMPERATURE),
        {"value": lambda q: TEMPERATURE * np.log(np.exp(q / TEMPERATURE).sum(axis=1))},
    ),
    "munchausen": (
        operators.Munchausen(TEMPERATURE, 0.6, -1.0),
        {
            "value": lambda q: TEMPERATURE * np.log(np.exp(q / TEMPERATURE).sum(axis=1)),
            "bonus": lambda q: 0.6 * np.clip(TEMPERATURE * np.log(softmax(q / TEMPERATURE)), -1.0, 0.0),
        },
    ),
    "advantage": (
        operators.AdvantageLearning(scale=0.4),
        {"bonus": lambda q: -0.4 * (q.max(axis=1, keepdims=True) - q)},
    ),
    "mellowmax": (operators.Mellowmax(3.0), {"value": lambda q: np.log(np.exp(3.0 * q).mean(axis=1)) / 3.0}),
}


LONG = ("implicit", "fully parameterized")  # whose fractions are drawn or proposed for every update
EXACT = [name for name, case in CASES.items() if case.tolerance is not None]


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n in LONG else ()) for n in EXACT])
def test_every_operator_converges_to_its_exact_values(name):
    """On an MDP whose moves are sure, so that the mean of every representation is exact."""
    case = CASES[name]
    representation = case.representation
    mdp = small_garnet(3, actions=3, branching=1)
    agents = [table_agent(mdp, representation, operator, case.rate) for operator, _ in OPERATORS.values()]
    for (operator, (_, equation)), prediction in zip(OPERATORS.items(), learn(agents, mdp), strict=True):
        exact = tabular.optimal_values(mdp, DISCOUNT, **equation)
        found = np.asarray(representation.value(prediction))
        going_on = ~mdp.terminal
        np.testing.assert_allclose(found[going_on], exact[going_on], atol=case.tolerance, err_msg=f"{name}, {operator}")


@functools.cache
def random_walk():
    """A Garnet with branching, its optimal policy, and the exact distributions under it."""
    mdp = small_garnet(1, actions=2, branching=2)
    q = tabular.optimal_values(mdp, DISCOUNT)
    policy = np.eye(mdp.num_actions)[q.argmax(axis=1)]
    return mdp, policy, q


@pytest.mark.learns
@pytest.mark.parametrize(
    "representation",
    [Categorical(SUPPORT), Quantile(32, 0.0), Gaussian(0.05), Particles(24, bandwidths=(0.3, 1.0, 3.0))],
)
def test_distributions_converge_to_the_exact_ones(representation):
    mdp, policy, q = random_walk()
    fine = np.linspace(-8, 8, 1601)
    exact = tabular.return_distributions(mdp, policy, DISCOUNT, fine)
    np.testing.assert_allclose((exact @ fine)[~mdp.terminal], q[~mdp.terminal], atol=1e-6)
    [prediction] = learn([table_agent(mdp, representation, operators.Maximum(), updates=6000)], mdp, updates=6000)
    cdf = exact.cumsum(axis=-1)
    for s in np.nonzero(~mdp.terminal)[0]:
        for a in range(mdp.num_actions):
            p = prediction[s, a]
            if isinstance(representation, Gaussian):
                mean = exact[s, a] @ fine
                std = np.sqrt(exact[s, a] @ (fine - mean) ** 2)
                np.testing.assert_allclose([p[0], representation.std(p)], [mean, std], atol=0.05)
            elif isinstance(representation, Categorical):
                # The fixed point of the projected operator itself, which is exact dynamic programming on its atoms.
                atoms = np.asarray(SUPPORT.atoms)
                projected = tabular.return_distributions(mdp, policy, DISCOUNT, atoms)[s, a]
                np.testing.assert_allclose(jax.nn.softmax(p).cumsum(), projected.cumsum(), atol=0.02)
            else:
                points = np.sort(np.asarray(p))
                empirical = np.searchsorted(points, fine, side="right") / len(points)
                wasserstein = np.abs(empirical - cdf[s, a]).sum() * (fine[1] - fine[0])
                assert wasserstein < 0.15, (s, a, wasserstein)


def test_itakura_saito_converges_to_the_chained_entropic_values():
    mdp, _, _ = random_walk()
    aversion, going_on = 1.5, ~random_walk()[0].terminal
    q = np.zeros((mdp.num_states, mdp.num_actions))
    for _ in range(300):
        v = np.where(mdp.terminal, 0.0, q.max(axis=1))
        outcome = mdp.reward + DISCOUNT * v
        q = -np.log((mdp.transition * np.exp(-aversion * outcome)).sum(axis=2)) / aversion * going_on[:, None]
    representation = ItakuraSaito(aversion)
    [prediction] = learn([table_agent(mdp, representation, operators.Maximum(), updates=4000)], mdp, updates=4000)
    np.testing.assert_allclose(representation.value(prediction)[going_on], q[going_on], atol=0.02)


def test_logarithmic_values_by_sign_converge_to_the_exact_ones():
    mdp = small_garnet(3, actions=3, branching=1)
    exact = tabular.optimal_values(mdp, DISCOUNT)
    representation = Decomposed((Mapped(Scalar(), Logarithmic(1.0, 0.1)),) * 2, (1.0, -1.0))
    agent = table_agent(mdp, representation, operators.Maximum(), updates=4000, channels=by_sign)
    [prediction] = learn([agent], mdp, updates=4000)
    np.testing.assert_allclose(representation.value(prediction)[~mdp.terminal], exact[~mdp.terminal], atol=0.03)


def test_minimax_converges_to_the_values_of_the_game():
    game = tabular.markov_game(2)
    exact = tabular.minimax_values(game, DISCOUNT)
    agent = table_agent(game, Scalar(), operators.Minimax(game.rows), updates=4000)
    [prediction] = learn([agent], game, updates=4000)
    np.testing.assert_allclose(prediction[~game.terminal, :, 0], exact[~game.terminal], atol=0.02)


def test_risk_parts_from_neutrality_where_the_exact_solution_says_so():
    """Second choice of the gamble: mean 1.2 against 1 sure, but its worse half is 0."""
    mdp = tabular.gamble()
    measures = {
        "neutral": (risk.CVaR(1.0), 1),
        "cvar": (risk.CVaR(0.5), 0),
        "mild cvar": (risk.CVaR(0.9), 1),
        "wang averse": (risk.Wang(-0.75), 0),
        "wang seeking": (risk.Wang(0.75), 1),
        "power averse": (risk.Power(-2.0), 0),
        "entropic averse": (risk.Entropic(1.0), 0),
        "entropic seeking": (risk.Entropic(-1.0), 1),
    }
    values, odds = jnp.array([0.0, 2.4]), jnp.array([0.5, 0.5])
    representation = Quantile(16, 0.0)
    agents = [table_agent(mdp, RiskSensitive(representation, m), operators.Maximum(), discount=1.0) for m, _ in
              measures.values()]  # fmt: skip
    for (name, (measure, choice)), agent, prediction in zip(measures.items(), agents, learn(agents, mdp), strict=True):
        assert (float(measure(values, odds)) > 1.0) == (choice == 1), name
        assert int(jnp.argmax(agent.representation.value(prediction)[1])) == choice, name


def test_solutions_by_closed_forms():
    # A chain of 8 from state 2: four steps of nothing, then 1.
    q = tabular.optimal_values(tabular.chain(8), 0.9)
    np.testing.assert_allclose(q[2], [max(0.9 * 0.1, 0.9 * q[1].max()), 0.9**4], atol=1e-9)
    assert tabular.optimal_values(tabular.cliff(), 1.0)[36, 0] == pytest.approx(-13)
    value, strategy = tabular.matrix_game_value(np.array([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]))
    np.testing.assert_allclose([value, *strategy], [0, 1 / 3, 1 / 3, 1 / 3], atol=1e-9)
    # Two gambles, then all of it: neutral takes both (2.4); the worst half of two sure choices is 2.
    gamble = tabular.gamble()
    assert tabular.best_expected_utility(gamble, 1.0, lambda g: g, 3)[0] == pytest.approx(2.4)
    cvar, threshold = tabular.static_cvar(gamble, 1.0, 0.5, 3, np.linspace(0, 5, 51))
    assert (cvar, threshold) == (pytest.approx(2.0), pytest.approx(2.0))
    # For the chance of reaching 3: 1 + 2.4 either way is enough with odds 1/2; gambling again after a loss makes 3/4.
    reach, policy = tabular.best_expected_utility(gamble, 1.0, lambda g: float(g >= 2.4), 3)
    assert reach == pytest.approx(0.75)
    assert policy[1, 1, 0.0] == 1


@pytest.mark.parametrize("name", list(tabular.MDPS))
def test_environments_step_as_the_arrays_say(name):
    environment = envs.make(f"tabular/{name}", 2000)
    mdp = tabular.MDPS[name]()
    state, timestep = jax.jit(environment.reset)(jax.random.split(jax.random.key(0), 2000))
    step = jax.jit(environment.step)
    for t in range(3):
        before = np.argmax(timestep.observation, axis=1)
        ended = np.asarray(timestep.last)
        action = np.asarray(environment.action_spec.sample(jax.random.key(t), 2000))
        state, timestep = step(state, jnp.asarray(action))
        after = np.argmax(timestep.observation, axis=1)
        moved = ~ended
        assert (mdp.transition[before, action, after][moved] > 0).all()
        np.testing.assert_allclose(timestep.reward[moved], mdp.reward[before, action, after][moved], rtol=1e-6)
        np.testing.assert_array_equal(timestep.terminated[moved], mdp.terminal[after][moved])
        if not moved.any():
            break
        # Frequencies of what follows the commonest pair.
        pairs = before[moved] * mdp.num_actions + action[moved]
        pair = np.bincount(pairs).argmax()
        found = np.bincount(after[moved][pairs == pair], minlength=mdp.num_states) / (pairs == pair).sum()
        expected = mdp.transition[pair // mdp.num_actions, pair % mdp.num_actions]
        np.testing.assert_allclose(found, expected, atol=4 / np.sqrt((pairs == pair).sum()))


def test_impossible_mdps_are_named():
    good = tabular.chain()
    with pytest.raises(InputError, match="transition"):
        dataclasses.replace(good, transition=2 * good.transition)
    with pytest.raises(InputError, match="branching"):
        tabular.garnet(branching=0)
    with pytest.raises(InputError, match="operator is 'Munchausen'"):
        table_agent(good, Scalar(), operators.Munchausen(0.03), channels=by_sign)
