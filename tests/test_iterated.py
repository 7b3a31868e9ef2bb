"""Iterated Q-networks: a chain of one is its base agent, and the window moves as defined."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxprs import equations
from test_agents import ACTIONS, STATES, every_transition, exact_values, random_mdp, tabular_agent

from jaxq import platforms
from jaxq.agents import DelayedPolyakUpdate, HardUpdate, IteratedQLearning, WindowShift, targets
from jaxq.agents.iterated import ChainParams, ChainTargets
from jaxq.errors import InputError
from jaxq.networks import MLP, ActionValueHead, ActionValueNetwork


def learn(agent, batch, updates, seed=1):
    def step(state, key):
        state, metrics, _ = agent.update(state, batch, key)
        return state, metrics

    keys = jax.random.split(jax.random.key(0), updates)
    return jax.jit(lambda s: jax.lax.scan(step, s, keys))(agent.init(jax.random.key(seed)))


def test_a_chain_of_one_is_its_base_agent_bit_for_bit():
    base = tabular_agent()
    base = dataclasses.replace(base, hyper=base.hyper.replace(target=HardUpdate(7)))
    batch = every_transition(*random_mdp(1))
    expected, expected_metrics = learn(base, batch, 100)
    state, metrics = learn(IteratedQLearning(base, 1, WindowShift(7, 7)), batch, 100)
    jax.tree.map(np.testing.assert_array_equal, state.params.link(0), expected.params)
    jax.tree.map(np.testing.assert_array_equal, state.target_params.link(0), expected.target_params)
    jax.tree.map(np.testing.assert_array_equal, metrics, expected_metrics)


@pytest.mark.parametrize("links", [1, 2, 4])
def test_the_window_moves_as_defined(links):
    """Learners θ_1 .. θ_K and targets θ̄_0 .. θ̄_{K-1} as numbers, against the definition spelled out.

    Every network has a torso and a head; of the learners' torsos there is one, a target's is as old as its head.
    """
    torso = 1000.0
    online = {k: 100.0 * k for k in range(1, links + 1)}
    target = {k: -1.0 * k for k in range(links)}
    target_torso = {k: 0.0 if k == 0 else 1.0 for k in range(links)}
    window = WindowShift(6, 2)

    def heads(values):
        return {"w": jnp.array([values[k] for k in sorted(values)])}

    got_target = ChainTargets({"torso": jnp.float32(0.0)}, {"torso": jnp.float32(1.0)}, heads(target))
    for updates in range(1, 20):
        torso, online = torso + 1.0, {k: v + 1.0 for k, v in online.items()}  # learning goes on
        learners = ChainParams({"torso": jnp.float32(torso)}, heads(online))
        got_target, got_online = window.step(got_target, learners, jnp.int32(updates))
        if updates % 2 == 0:
            for k in range(1, links):
                target[k], target_torso[k] = online[k], torso
        if updates % 6 == 0:
            before = dict(online)
            for k in range(links):
                target[k], target_torso[k] = before[k + 1], torso
            for k in range(1, links):
                online[k] = before[k + 1]
        assert got_online.shared["torso"] == torso
        for k in range(links):
            of_target = got_target.link(k)["params"]
            assert (of_target["torso"], of_target["w"]) == (target_torso[k], target[k])
        np.testing.assert_array_equal(got_target.chained["w"], [target[k] for k in range(links)])
        np.testing.assert_array_equal(got_online.chained["w"], [online[k] for k in range(1, links + 1)])


@pytest.mark.parametrize("schedule", [HardUpdate(3), DelayedPolyakUpdate(0.25, 3), WindowShift(6, 2)])
def test_large_parameters_are_left_where_they_are_until_they_are_renewed(monkeypatch, schedule):
    """A branch on a CPU, a choice elsewhere and of small ones, and the same bits."""
    names = ("torso", "head")
    learners = {name: jax.random.normal(jax.random.key(i), (2, 5)) for i, name in enumerate(names)}
    others = {name: jax.random.normal(jax.random.key(5 + i), (2, 5)) for i, name in enumerate(names)}
    if isinstance(schedule, WindowShift):
        learners = ChainParams({"torso": learners["torso"]}, {"head": learners["head"]})
        others = ChainTargets({"torso": others["torso"]}, {"torso": others["head"]}, {"head": others["head"]})

    def followed(updates):
        def step(targets, count):
            found = schedule.step(targets, jax.tree.map(lambda leaf: leaf + count, learners), count)
            return (found[0] if isinstance(schedule, WindowShift) else found), found

        return jax.lax.scan(step, others, updates)[1]

    def branches():
        return len(list(equations(jax.make_jaxpr(lambda updates: followed(updates))(counts).jaxpr, "cond")))

    counts = jnp.arange(1, 14)
    small, none = jax.jit(lambda updates: followed(updates))(counts), branches()
    monkeypatch.setattr(targets, "LARGE", 1)
    chex.assert_trees_all_equal(jax.jit(lambda updates: followed(updates))(counts), small)
    with platforms.assume("gpu"):
        assert (none, branches()) == (0, 0)
    assert branches() == 1


@pytest.mark.parametrize("shared", [False, True])
def test_a_chain_finds_the_exact_values(shared):
    following, reward = random_mdp(1)
    base = tabular_agent()
    if shared:
        base = dataclasses.replace(base, network=ActionValueNetwork(MLP((32,)), ActionValueHead(ACTIONS)))
    agent = IteratedQLearning(base, 3, WindowShift(20, 5), shared)
    state, _ = learn(agent, every_transition(following, reward), 5000)
    for k in range(3):
        found = base.network.apply(state.params.link(k), jnp.eye(STATES))[..., 0]
        np.testing.assert_allclose(found[:-1], exact_values(following, reward, 0.9)[:-1], atol=0.05)


@pytest.mark.parametrize("shared", [False, True])
def test_links_have_their_bases_objective(monkeypatch, shared):
    """One by one or by vmap, each is the base agent's of the link's whole network and its target's."""
    network = ActionValueNetwork(MLP((8,)), ActionValueHead(ACTIONS))
    base = dataclasses.replace(tabular_agent(), network=network, optimizer=optax.identity())
    agent = IteratedQLearning(base, 3, WindowShift(20, 5), shared)
    state, batch = jax.jit(agent.init)(jax.random.key(0)), every_transition(*random_mdp(2))
    others = jax.jit(agent.init)(jax.random.key(1)).target_params
    first = jax.jit(agent.init)(jax.random.key(2)).params.shared
    state = state.replace(target_params=others.replace(first_shared=first))
    one_by_one = agent._objectives(state, state.params, batch, jax.random.key(1))
    objective = jax.jit(jax.value_and_grad(base.objective, argnums=1, has_aux=True))
    alone, slopes = [], []
    for k in range(3):
        params, target_params = state.params.link(k), state.target_params.link(k)
        (expected, found), gradient = objective(state.hyper, params, target_params, batch, jax.random.key(1))
        np.testing.assert_allclose(one_by_one[0][k], expected, rtol=1e-5)
        alone.append(found), slopes.append(gradient["params"])
    # They learn together: metrics and priorities are means, and the slope of what they share is the sum of theirs.
    after, metrics, priority = jax.jit(agent.update)(state, batch, jax.random.key(1))
    (mean, mean_priority) = jax.tree.map(lambda *each: np.mean(each, axis=0), *alone)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), (metrics, priority), (mean, mean_priority))
    moved = jax.tree.map(lambda new, old: (old - new) / 0.05, after.params, state.params)
    for k in range(3):
        for name, slope in slopes[k].items():
            if name in moved.chained:
                own = jax.tree.map(lambda leaf: leaf[k], moved.chained[name])  # noqa: B023
            else:
                own, slope = moved.shared[name], jax.tree.map(lambda *each: sum(each), *(s[name] for s in slopes))
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-4), own, slope)
    with platforms.assume("gpu"):
        together = agent._objectives(state, state.params, batch, jax.random.key(1))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), one_by_one, together)


def test_behaviour_follows_any_of_the_links_and_never_a_target():
    links = 2
    agent = IteratedQLearning(tabular_agent(), links, WindowShift(20, 5))
    state = jax.jit(agent.init)(jax.random.key(0))
    kernels = jax.tree.leaves(state.params.chained)[-1]
    assert len(np.unique(kernels[:, 0, 0])) == links, "each begins with numbers of its own"
    state = state.replace(target_params=jax.tree.map(jnp.zeros_like, state.target_params))
    followed = jax.vmap(lambda key: jax.tree.leaves(agent.acting(state, key).params)[-1])(
        jax.random.split(jax.random.key(1), 60)
    )
    assert {float(kernel) for kernel in followed[:, 0, 0]} == {float(kernel) for kernel in kernels[:, 0, 0]}


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: IteratedQLearning(tabular_agent(), 0, WindowShift(1, 1)), "links"),
        (lambda: WindowShift(0, 1), "period is 0"),
        (lambda: WindowShift(5, 6), "sync_period"),
    ],
)
def test_impossible_chains_are_named(make, named):
    with pytest.raises(InputError, match=named):
        make()
