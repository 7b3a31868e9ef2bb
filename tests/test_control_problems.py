"""Problems of control with exact solutions, solved by the actor-critics whose updates or networks are their own."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_actor_critic import COST, GAIN, GAMMA, A, B, Q, R, agent_of, exact_q, learned, plain, quadratic_batch

from jaxq import envs
from jaxq.agents import (
    AVG,
    PPO,
    AutoRegressiveHyperparameters,
    AutoRegressiveSoftQLearning,
    AVGHyperparameters,
    ClippedGaussian,
    CoarseToFineQLearning,
    EnergyFlowHyperparameters,
    EnergyFlowLearning,
    Epochs,
    EpsilonGreedy,
    FixedTemperature,
    GaussianNoise,
    HardUpdate,
    KLBound,
    LambdaActorCritic,
    LambdaActorCriticHyperparameters,
    LinearSchedule,
    MeanOfParts,
    MeanTargetQLearning,
    ModelBasedActorCritic,
    ModelBasedHyperparameters,
    OptimisticActorCritic,
    PolyakUpdate,
    PPOHyperparameters,
    QLearning,
    QLearningHyperparameters,
    REValueD,
    SelfPrediction,
    Smoothing,
)
from jaxq.bellman import (
    Categorical,
    EachPart,
    HLGauss,
    Pessimistic,
    Quantile,
    Scalar,
    Support,
    SymexpSupport,
    TwoHot,
    operators,
)
from jaxq.envs import ArraySpec, Bins, Cells, Continuous
from jaxq.networks import (
    MLP,
    ActionCritic,
    ActionValueHead,
    ActionValueNetwork,
    AdditiveCoupling,
    BroNet,
    CoarseToFineNetwork,
    ConditionalFlow,
    EnergyFlow,
    Ensemble,
    FactoredHead,
    FlashNet,
    GaussianPolicyNetwork,
    HyperCritic,
    LatentCritic,
    ModelBasedEncoder,
    NormalizedLayers,
    OptimisticPolicyNetwork,
    PolicyAndValueNetwork,
    SelfPredictiveCritic,
    SharedStdPolicyNetwork,
    SimBaNet,
    SimBaV2Net,
    UnitFeatures,
    UnitHead,
    UtilityNetwork,
    by_tanh,
    on_spheres,
)
from jaxq.training import Evaluation, OnPolicy
from jaxq.types import Segment, TimeStep

pytestmark = pytest.mark.learns

FALLING = LinearSchedule(3e-3, 1e-4, 2500.0)


def timesteps(observation):
    return TimeStep(observation, *(jnp.zeros(len(observation)),) * 4)


def assert_near_riccati(agent, state, values):
    """The agent's actions, and `values` [M, B] of states and actions, against the exact solution."""
    assert_acts_well(agent, state)
    x = jnp.asarray(np.random.default_rng(0).uniform(-0.9, 0.9, (200, 2)), jnp.float32)
    u = jnp.asarray(np.random.default_rng(1).uniform(-0.8, 0.8, (200, 1)), jnp.float32)
    assert_near(values(x, u).mean(axis=0), exact_q(x, u))


def assert_near(values, exact):
    """Values [B] are off by a quarter of their deviation, by the root of the mean of squares."""
    assert np.sqrt(((np.asarray(values) - exact) ** 2).mean()) < 0.25 * np.std(exact)


def assert_acts_well(agent, state):
    x = jnp.asarray(np.random.default_rng(0).uniform(-0.9, 0.9, (200, 2)), jnp.float32)
    action = np.asarray(agent.exploit(state, (), timesteps(x), jax.random.key(0))[0])
    best = -np.asarray(x) @ GAIN.T
    # What the policy's actions lose against the best ones, as a share of what doing nothing loses.
    regret, idle = (exact_q(x, best) - exact_q(x, tried) for tried in (action, np.zeros_like(best)))
    assert regret.mean() < 0.15 * idle.mean()


SUPPORT = Support(-3.5, 0.5, 21)
HEAD = functools.partial(UnitHead, hidden=1)
SOLVERS = {
    "bro": dict(
        representation=Quantile(16),
        layers=lambda mode: BroNet(32, 1),
        kind=OptimisticActorCritic,
        optimist=OptimisticPolicyNetwork(lambda mode: MLP((32,)), 1),
        target_reduction=Pessimistic(0.0),
        actor_reduction=Pessimistic(0.0),
    ),
    "simba": dict(critics=1, layers=lambda mode: SimBaNet(32, 1), actor_first=True),
    # Their logits begin within ±1, and become sharp slowly.
    "simba_v2": dict(
        representation=Categorical(SUPPORT),
        critic=Ensemble(lambda: ActionCritic(lambda mode: SimBaV2Net(32, 1), SUPPORT.size, make_head=HEAD), 1),
        actor_first=True,
        constraint=on_spheres,
        rates=LinearSchedule(1e-2, 1e-4, 5000.0),
    ),
    # Logits are within ±√F: of narrower layers they are not sharp, and values lean to the middle of the support.
    "flash_sac": dict(
        representation=Categorical(SUPPORT),
        actor=GaussianPolicyNetwork(
            lambda mode: FlashNet(mode, 16, 1), 1, bound=by_tanh(-10.0, 2.0), make_head=UnitHead
        ),
        critic=Ensemble(lambda: ActionCritic(lambda mode: FlashNet(mode, 96, 1), SUPPORT.size, make_head=UnitHead), 1),
        actor_period=2,
        actor_first=True,
        joint=True,
        actor_joint=True,
        constraint=on_spheres,
        rates=LinearSchedule(1e-2, 1e-4, 5000.0),
    ),
    "hyper_critic": dict(critic=Ensemble(lambda: HyperCritic(1, (16, 32), 1, 32), 2)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SOLVERS)
def test_a_linear_quadratic_problem_is_solved(name):
    choices = dict(SOLVERS[name])
    critic, rate = choices.pop("critic", None), choices.pop("rates", FALLING)
    numbers = {"entropy": FixedTemperature(0.0), "target": PolyakUpdate(0.02), "discount": GAMMA}
    rates = dict.fromkeys(("actor_learning_rate", "critic_learning_rate"), rate)
    agent = agent_of(hyper={**numbers, **rates}, **choices)
    agent = agent if critic is None else dataclasses.replace(agent, critic=critic)
    state, _ = learned(agent, quadratic_batch, int(rate.steps))

    def values(x, u):
        return agent.representation.value(agent.critic.apply(state.critic.variables, x, u, "act"))

    assert_near_riccati(agent, state, values)


class Quadratic:
    """The same problem as an environment: episodes of eight steps, cut off."""

    name, observation_spec, action_spec, max_episode_steps = "Quadratic", ArraySpec((2,)), Continuous(1), 8

    def reset(self, key):
        x = jax.random.uniform(key, (2,), minval=-1.0, maxval=1.0)
        return x, x

    def step(self, state, action, key):
        del key
        x = state @ A.T + action @ B.T
        return x, x, -(state @ Q @ state) - action @ R @ action, False, False


FINE, CELLS = Bins(1, 17), Cells(1, 2, 4)
LAYERS = (64, 64)
NO_NOISE = EpsilonGreedy(LinearSchedule.constant(0.0))
GREEDY = QLearningHyperparameters(FALLING, NO_NOISE, HardUpdate(50), discount=GAMMA)
ZOOMING = GREEDY.replace(operator=operators.Double(), exploration=GaussianNoise(0.0))


def decomposed(representation, kind=QLearning, members=0):
    def network():
        head = ActionValueHead(FINE.bins, representation.width)
        return ActionValueNetwork(MLP(LAYERS), FactoredHead(head, 1))

    values = Ensemble(network, members) if members else network()
    adam, parts = optax.scale_by_adam(), MeanOfParts(FINE)
    return kind(values, ArraySpec((2,)), adam, GREEDY, representation, actions=parts)


def of_parts(agent, params, x, u):
    predictions = agent.predict(params, x, "exploit", jax.random.key(0))
    members = predictions.reshape(-1, *predictions.shape[-4:])
    taken = jax.vmap(lambda one: agent.actions.taken(agent.representation, one, FINE.choice(u)))(members)
    return agent.representation.value(taken)


def of_the_finest_level(agent, params, x, u):
    batch = quadratic_batch(jax.random.key(0), len(x)).replace(observation=x, action=u)
    return agent.representation.value(agent.taken(params, batch, "exploit", jax.random.key(0)))[None, :, -1]


def of_whole_actions(agent, params, x, u):
    return agent.action_values(params, x, u, agent.hyper.temperature)


DISCRETIZED = {
    "decqn": (decomposed(Scalar(), MeanTargetQLearning, 2), FINE, of_parts),
    "qr_decqn": (decomposed(Quantile(8)), FINE, of_parts),
    "revalued": (decomposed(Scalar(), REValueD, 3), FINE, of_parts),
    "cqn": (
        CoarseToFineQLearning(
            CoarseToFineNetwork(MLP(LAYERS), CELLS.levels, CELLS.bins), ArraySpec((2,)), optax.scale_by_adam(),
            ZOOMING, EachPart(Scalar()), cells=CELLS,
        ), CELLS, of_the_finest_level,
    ),
    "arsq": (
        AutoRegressiveSoftQLearning(
            Ensemble(lambda: ActionValueNetwork(MLP(LAYERS), ActionValueHead(1)), 2),
            Ensemble(lambda: UtilityNetwork(MLP(LAYERS), CELLS.levels, CELLS.bins), 2),
            ArraySpec((2,)), optax.scale_by_adam(),
            AutoRegressiveHyperparameters(FALLING, PolyakUpdate(0.02), 0.01, GAMMA), CELLS,
        ), CELLS, of_whole_actions,
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", DISCRETIZED)
def test_a_linear_quadratic_problem_is_solved_by_some_actions_of_many(name):
    """Of 16 or 17: the best of them is worth next to what the best of all is."""
    agent, actions, values = DISCRETIZED[name]
    state, _ = learned(agent, functools.partial(quadratic_batch, actions=actions), 2500)
    assert_acts_well(agent, state)
    x = jnp.asarray(np.random.default_rng(0).uniform(-0.9, 0.9, (200, 2)), jnp.float32)
    u = actions.sample(jax.random.key(0), 200)
    assert_near(values(agent, state.params, x, u).mean(axis=0), exact_q(x, np.asarray(u)))


ITERATIONS = 300
UPDATES = LinearSchedule(3e-3, 1e-4, 16.0 * ITERATIONS)
LAMBDA = LambdaActorCriticHyperparameters(UPDATES, target_entropy=-0.5, temperature=0.01, discount=GAMMA, trace=0.65)
HISTOGRAM = HLGauss(Support(-4.0, 1.0, 51))


def from_rollouts(critic, representation, **numbers):
    hyper = LAMBDA.replace(**numbers)
    return LambdaActorCritic(
        GaussianPolicyNetwork(plain, 1), critic, ArraySpec((2,)), Continuous(1), optax.scale_by_adam(),
        hyper, representation, Epochs(4, 4),
    )  # fmt: skip


ON_POLICY = {
    "reppo": from_rollouts(
        SelfPredictiveCritic(51, 64, prior=lambda: HISTOGRAM.encode(jnp.zeros(1))[0]),
        HISTOGRAM,
        constraint=KLBound(),
        auxiliary=SelfPrediction(),
    ),
    "pqn_continuous": from_rollouts(ActionCritic(lambda mode: MLP((64, 64), layer_norm=True)), Scalar()),
    "ppo": PPO(
        PolicyAndValueNetwork(SharedStdPolicyNetwork(plain, 1), plain), ArraySpec((2,)), optax.scale_by_adam(),
        policy=ClippedGaussian(), epochs=Epochs(4, 4),
        hyper=PPOHyperparameters(UPDATES, discount=GAMMA, trace=0.9, clip=0.2, entropy_weight=0.0),
    ),
}  # fmt: skip


def trained(agent, rollout_steps, iterations, num_envs=64):
    """The agent's state after so many rollouts of the quadratic problem."""
    environments = (envs.from_object(Quadratic(), count) for count in (num_envs, 1))
    training = OnPolicy(
        environment=next(environments),
        evaluation=Evaluation(next(environments)),
        agent=agent,
        rollout_steps=rollout_steps,
    )
    begun = jax.jit(training.init)(jax.random.key(0)[None])
    state, _ = jax.jit(training.train_chunk, static_argnums=1)(begun, iterations)
    return jax.tree.map(lambda leaf: leaf[0], state.agent)


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_POLICY)
def test_a_linear_quadratic_problem_is_solved_from_rollouts(name):
    agent = ON_POLICY[name]
    state = trained(agent, 16, ITERATIONS)
    if name != "ppo":
        values = lambda x, u: agent.representation.value(agent.critic.apply(state.critic.variables, x, u))  # noqa: E731
        assert_near_riccati(agent, state, lambda x, u: values(x, u)[None])
        return
    assert_acts_well(agent, state)
    x = jnp.asarray(np.random.default_rng(0).uniform(-0.9, 0.9, (200, 2)), jnp.float32)
    values = agent.network.apply(state.params, x)[1]
    assert_near(jnp.ravel(values), -np.einsum("bi,ij,bj->b", x, COST, x))


@pytest.mark.slow
def test_a_linear_quadratic_problem_is_solved_step_by_step():
    """AVG, of which all environments are one batch."""
    layers = lambda mode: UnitFeatures(MLP((32, 32), nn.leaky_relu))  # noqa: E731
    steps = 4_000
    rates = LinearSchedule(1e-3, 1e-5, steps), LinearSchedule(3e-3, 1e-5, steps)
    agent = AVG(
        GaussianPolicyNetwork(layers, 1), ActionCritic(layers), ArraySpec((2,)), Continuous(1),
        optax.scale_by_adam(b1=0.0), AVGHyperparameters(*rates, temperature=0.01, discount=GAMMA),
    )  # fmt: skip
    state = trained(agent, 1, steps)
    assert_near_riccati(agent, state, lambda x, u: agent.critic.apply(state.critic.variables, x, u)[None, :, 0])


def test_learned_embeddings_solve_a_linear_quadratic_problem():
    """MR.Q on segments of one step; values are in units of rewards, whose mean magnitude is given."""

    class Told(ModelBasedActorCritic):
        def init(self, key):
            state = super().init(key)
            return state.replace(seen=state.seen.replace(magnitude=jnp.float32(0.7)))

    reward = TwoHot(SymexpSupport(-3.0, 3.0, 17))
    agent = Told(
        ModelBasedEncoder(reward.width, 32, 16, (32, 32)),
        Ensemble(lambda: LatentCritic(1, 32), 2),
        NormalizedLayers(1, (32, 32), nn.relu),
        ArraySpec((2,)),
        Continuous(1),
        optimizer=optax.scale_by_adam(),
        critic_optimizer=optax.scale_by_adam(),
        hyper=ModelBasedHyperparameters(
            encoder_learning_rate=LinearSchedule(1e-3, 1e-4, 5000.0),
            learning_rate=LinearSchedule(3e-3, 1e-4, 5000.0),
            target=HardUpdate(100),
            exploration=GaussianNoise(0.0),
            smoothing=Smoothing(0.0, 0.3),
            discount=GAMMA,
        ),
        representation=Scalar(huber_threshold=1.0),
        reward=reward,
        horizon=1,
        n_step=1,
    )

    def segments(key):
        batch = quadratic_batch(key)
        no = jnp.zeros((1, 256), bool)
        return Segment(
            observation=jnp.stack([batch.observation, batch.next_observation]),
            action=batch.action[None],
            reward=batch.rewards.T,
            terminated=no,
            truncated=no,
            final=no,
            weight=batch.weight,
            index=batch.index,
        )

    state, _ = learned(agent, segments, 5000)

    def values(x, u):
        encoder = state.encoder.variables
        latent = agent._embed(encoder, x)
        return state.reward_scale * agent._values(encoder, state.critic.variables, latent, u)[..., 0]

    assert_near_riccati(agent, state, values)


def soft_values(alpha, points=401):
    """x, Q(x, a) and V(x) on a grid: x' = clip(x + a / 4), reward -(x² + a² / 2), entropy at a price."""
    x = np.linspace(-1, 1, points)
    reward, following = -(x[:, None] ** 2) - 0.5 * x**2, np.clip(x[:, None] + 0.25 * x, -1, 1)
    value = np.zeros(points)
    for _ in range(100):
        q = reward + GAMMA * np.interp(following, x, value)
        value = alpha * np.log(np.trapezoid(np.exp(q / alpha), x, axis=1))
    return x, q, value


def test_an_energy_flow_solves_a_soft_control_problem():
    """MEow's values of states and actions and its mode. Its family has no exact policy, and is near one inside."""
    alpha = 0.1
    flow = ConditionalFlow(1, lambda even: AdditiveCoupling(1, even, (32,), 0.0), 2, (32,), (-5.0, 0.5))
    rate = LinearSchedule(1e-2, 1e-4, 5000.0)
    hyper = EnergyFlowHyperparameters(temperature=alpha, discount=GAMMA, target=PolyakUpdate(0.02), learning_rate=rate)
    network = EnergyFlow(flow, 2, (64,))
    agent = EnergyFlowLearning(network, ArraySpec((2,)), Continuous(1), optax.scale_by_adam(), hyper)

    def batch_of(key):
        x, a = jnp.split(jax.random.uniform(key, (256, 2), minval=-1.0, maxval=1.0), 2, axis=1)
        a = 0.8 * a
        return quadratic_batch(key).replace(
            observation=jnp.tile(x, (1, 2)),
            action=a,
            rewards=-(x**2) - 0.5 * a**2,
            next_observation=jnp.tile(jnp.clip(x + 0.25 * a, -1.0, 1.0), (1, 2)),
        )

    state, _ = learned(agent, batch_of, 5000)
    grid, q, value = soft_values(alpha)
    x, a = np.random.default_rng(0).uniform(-0.9, 0.9, (2, 61)) * np.array([[1.0], [0.8]])
    place = [np.argmin(np.abs(grid - each)) for each in x]
    seen, actions = jnp.asarray(np.stack([x, x], axis=1), jnp.float32), jnp.asarray(a[:, None], jnp.float32)
    found = agent.values(state.flow.variables, alpha, seen, actions)
    exact = value[place], np.array([np.interp(action, grid, row) for action, row in zip(a, q[place], strict=True)])
    for ours, theirs in zip(found, exact, strict=True):
        assert np.sqrt(((ours.mean(axis=0) - theirs) ** 2).mean()) < 0.2 * theirs.std()
    mass = np.exp((q[place] - value[place][:, None]) / alpha)
    mean = np.trapezoid(mass * grid, grid, axis=1)
    assert np.abs(mean).max() > 0.5
    mode = agent.exploit(state, (), timesteps(seen), jax.random.key(0))[0][:, 0]
    np.testing.assert_allclose(mode, mean, atol=0.2)
