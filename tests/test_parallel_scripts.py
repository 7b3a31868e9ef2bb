"""What the scripts for thousands of environments put together: their schedules, and who sees what."""

import dataclasses
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxq
from jaxq import envs
from jaxq.agents import RisingCosts
from jaxq.envs.base import zero_reward_timestep
from jaxq.errors import InputError
from jaxq.runs import parse, run
from jaxq.runs.population import member_keys
from jaxq.runs.video import record

FROM_REPLAY = ("--num-envs", "2", "--batch-size", "8", "--warmup-steps", "16", "--replay-capacity", "64")
FROM_ROLLOUTS = ("--num-envs", "2", "--rollout-steps", "8", "--minibatches", "2")
WIDTHS = ("--critic-widths", "8", "--actor-widths", "8")
SMALL = {
    "fast_td3": (*FROM_REPLAY, *WIDTHS),
    "fast_sac": (*FROM_REPLAY, *WIDTHS),
    "flash_sac": (*FROM_REPLAY, "--critic-width", "8", "--actor-width", "8"),
    "reppo": (*FROM_ROLLOUTS, "--critic-width", "8", "--actor-width", "8"),
    "brax_ppo": (*FROM_ROLLOUTS, "--policy-widths", "8", "--value-widths", "8"),
    "ppo": (*FROM_ROLLOUTS, "--hidden-widths", "8"),
    "pqn_continuous": (*FROM_ROLLOUTS, "--hidden-widths", "8"),
    "sac": (*FROM_REPLAY, "--hidden-widths", "8"),
}


def small(name, *args, env="gymnax/Pendulum-v1"):
    """The script, and the configuration of a small run of it."""
    module = importlib.import_module(f"experiments.continuous.{name}")
    flags = ("--env", env, "--eval-episodes", "1", "--total-steps", "416", *SMALL[name], *args)
    return module, parse(module.Config, module.PRESETS, list(flags))


def innermost(agent):
    """What all that is around it is around."""
    while hasattr(agent, "base"):
        agent = agent.base
    return agent


def test_step_sizes_of_flash_sac_follow_the_updates_of_whom_they_are():
    """Actor and temperature are updated half as often, and come half as far along the cosine."""
    module, config = small("flash_sac", "--updates", "3")
    hyper = innermost(module.build(config).agent).hyper
    ends = 3 * (416 - 16) / 2
    np.testing.assert_allclose([hyper.critic_learning_rate.at(n) for n in (0, ends)], [3e-4, 1.5e-4], rtol=1e-5)
    for rate in (hyper.actor_learning_rate, hyper.entropy.learning_rate):
        np.testing.assert_allclose([rate.at(n) for n in (0, ends)], [3e-4, 2.25e-4], rtol=1e-5)


def test_a_step_size_of_fast_td3_that_falls_follows_a_cosine():
    module, config = small("fast_td3", "--learning-rate", "3", "--learning-rate-final", "1", "--updates", "1")
    hyper = innermost(module.build(config).agent).hyper
    for rate in (hyper.actor_learning_rate, hyper.critic_learning_rate):
        np.testing.assert_allclose([rate.at(n) for n in (50, 200)], [2.0 + np.cos(np.pi / 4), 1.0], rtol=1e-5)


def test_the_temperature_of_fast_sac_decays():
    """At its target entropy nothing moves it but PyTorch's decay of a hundredth of the step size."""
    module, config = small("fast_sac", "--learning-rate", "0.1")
    entropy = innermost(module.build(config).agent).hyper.entropy
    before = entropy.init()
    after = entropy.step(before, jnp.float32(entropy.target), jnp.int32(0))
    np.testing.assert_allclose(after.log_temperature, (1 - 0.1 * 0.01) * np.log(0.001), rtol=1e-5)


@pytest.mark.parametrize("name", ["fast_td3", "fast_sac", "flash_sac", "reppo", "brax_ppo", "pqn_continuous"])
def test_critics_see_what_is_privileged_and_policies_do_not(name):
    pytest.importorskip("envpool")
    module, config = small(name, env="envpool/Go1JoystickFlatTerrain-v1")
    agent = module.build(config).agent
    state = jax.jit(agent.init)(jax.random.key(0))
    inputs = {leaf.shape[-1] for leaf in jax.tree.leaves(state) if getattr(leaf, "ndim", 0) == 2}
    assert {48, 123 + (0 if name == "brax_ppo" else 12)} <= inputs
    assert not {171, 171 + 12} & inputs
    seen = {"state": jax.random.normal(jax.random.key(1), (3, 48)), "privileged_state": jnp.ones((3, 123))}
    exploit = jax.jit(lambda state, seen: agent.exploit(state, agent.init_memory(3), zero_reward_timestep(seen, 3),
                                                        jax.random.key(2))[0])  # fmt: skip
    action = exploit(state, seen)
    np.testing.assert_array_equal(action, exploit(state, {**seen, "privileged_state": jnp.full((3, 123), 7.0)}))
    if name == "fast_sac":  # whose policy begins at zero everywhere
        state = jax.tree.map(lambda leaf: leaf + 0.1 if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, state)
        action = exploit(state, seen)
    assert (action != exploit(state, {**seen, "state": seen["state"] + 1.0})).any()


@pytest.mark.parametrize("name", ["sac", "ppo"])
def test_who_asks_for_no_parts_sees_the_state_of_a_robot_alone(name):
    """On EnvPool as on Playground, where the privileged state is for critics that are made for it."""
    pytest.importorskip("envpool")
    module, config = small(name, env="envpool/Go1JoystickFlatTerrain-v1")
    environment = module.build(config).environment
    assert environment.observation_spec.shape == (48,)
    own, whole = (envs.make(config.env, 2, seed=3, whole=whole) for whole in (False, True))
    keys = jax.random.split(jax.random.key(0), 2)
    seen = jax.jit(lambda: own.reset(keys)[1].observation)()
    np.testing.assert_array_equal(seen, jax.jit(lambda: whole.reset(keys)[1].observation)()["state"])


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("reppo", "--kl-bound -1"), ("reppo", "--kl-price 0"), ("reppo", "--auxiliary-weight -1"),
        ("fast_td3", "--smallest-noise -1"), ("flash_sac", "--learning-rate inf"), ("reppo", "--reward-scale inf"),
        ("flash_sac", "--initial-temperature inf"), ("sac", "--target-entropy-per-dimension -inf"),
    ],
)  # fmt: skip
def test_numbers_that_cannot_be_are_named_as_their_flags_are(name, flags):
    flag, value = flags.split()
    module, config = small(name, f"{flag}={value}")
    with pytest.raises(InputError, match=rf"^\w+ is {value}") as told:
        module.build(config)
    assert str(told.value).split()[0] == flag[2:].replace("-", "_")


def test_no_width_is_no_network():
    with pytest.raises(InputError, match=r"^critic_widths is 'nothing', but must be a width or more$"):
        small("fast_td3", "--critic-widths")


WEIGHED = ("--initial-cost-weight", "0.2", "--cost-steps", "300")


@pytest.mark.parametrize("name", ["fast_td3", "fast_sac", "flash_sac", "reppo", "brax_ppo"])
def test_costs_rise_in_training_alone(name):
    """The whole program is built and its shapes are checked; a window of several steps has two channels too."""
    pytest.importorskip("envpool")
    flags = {"reppo": ("--v-min", "-5"), "fast_sac": ("--n-step", "3")}.get(name, ())
    module, config = small(name, *WEIGHED, *flags, env="envpool/Go1JoystickFlatTerrain-v1")
    training = module.build(config)
    assert (training.environment.reward_shape, training.evaluation.environment.reward_shape) == ((2,), ())
    around = training.agent
    while not isinstance(around, RisingCosts):
        around = around.base
    assert (around.initial_cost_weight, around.cost_steps) == (0.2, 300)
    state = jax.eval_shape(training.warm_up, jax.eval_shape(training.init, member_keys(config)))
    after, metrics = jax.eval_shape(lambda s: training.train_chunk(s, 2), state)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(lambda x: (x.shape, x.dtype), state)
    assert {value.shape for value in metrics.values()} == {(1,)}
    jax.eval_shape(training.begin_evaluation, after)
    module, config = small(name)
    assert "RisingCosts" not in repr(module.build(config).agent), "who does not ask for it has nothing of it"


def test_costs_are_refused_where_they_are_not_told_or_not_represented():
    for env, v_min, told in (
        ("gymnax/Pendulum-v1", "-5", "env is 'gymnax/Pendulum-v1', but must be one whose rewards are gains and costs"),
        ("envpool/HalfCheetah-v4", "-5", "env is 'envpool/HalfCheetah-v4', but must be one that tells the terms"),
        ("envpool/BarkourJoystick-v1", "0", r"v_min is 0\.0, but must be below zero"),
    ):
        module, config = small("reppo", *WEIGHED, "--v-min", v_min, env=env)
        with pytest.raises(InputError, match=told):
            module.build(config)
    module, config = small("brax_ppo", "--initial-cost-weight", "0", env="envpool/BarkourJoystick-v1")
    with pytest.raises(InputError, match=r"initial_cost_weight is 0\.0, but must be in \(0, 1\]"):
        module.build(config)


def test_how_far_costs_have_risen_is_saved(tmp_path):
    """A run that goes on goes on from there; a policy of it acts on what it is shown."""
    pytest.importorskip("envpool")
    place = ("--run-dir", str(tmp_path / "run"), "--num-evaluations", "1", "--eval-max-steps", "5")
    module, config = small("brax_ppo", *WEIGHED, "--cost-steps", "1000", *place, env="envpool/BarkourJoystick-v1")
    run(module.build, config)
    assert jaxq.load(tmp_path / "run").state.steps == 416
    run(module.build, dataclasses.replace(config, total_steps=832, resume=True))
    policy = jaxq.load(tmp_path / "run")
    assert policy.state.steps == 832
    spec = policy.observation_spec
    seen = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), spec)
    assert np.isfinite(policy(seen)).all()


PUSHED = """
import jax.numpy as jnp

class Pushed:
    action_size = 1

    def reset(self, key):
        from brax.envs import State

        return self.at(State(None, None, jnp.float32(0), jnp.float32(0)), jnp.zeros(1))

    def step(self, state, action):
        return self.at(state, state.obs["privileged_state"] + 0.1 * action)

    def at(self, state, position):
        return state.replace(obs={"state": jnp.sign(position), "privileged_state": position}, reward=position[0])

    def picture(self, state):
        import numpy as np

        return np.full((8, 8, 3), 7, np.uint8)
"""


def test_a_film_of_an_agent_that_sees_several_parts(tmp_path):
    """What plays in a film is shown what training was shown, as is who loads the policy."""
    pytest.importorskip("brax")
    (tmp_path / "pushed.py").write_text(PUSHED)
    place = ("--run-dir", str(tmp_path / "run"), "--num-evaluations", "1", "--eval-max-steps", "20")
    module, config = small("reppo", *place, env=f"{tmp_path / 'pushed.py'}:Pushed")
    run(module.build, config)
    film = record(tmp_path / "run", tmp_path / "film.gif", max_steps=3, run_code=False)
    assert film.read_bytes()[:4] == b"GIF8"
    seen = {"state": np.zeros(1), "privileged_state": np.zeros(1)}
    assert jaxq.load(tmp_path / "run")(seen).shape == (1,)


def test_a_saved_policy_normalizes_by_what_was_seen_in_training(tmp_path):
    """The statistics are in the checkpoint, and no use of the policy moves them."""
    module, config = small("ppo", "--num-evaluations", "1", "--run-dir", str(tmp_path / "run"))
    run(module.build, config)
    policy = jaxq.load(tmp_path / "run")
    statistics = jax.tree.map(np.asarray, policy.state.statistics)
    assert statistics.count > 400
    assert (statistics.variance != 1.0).all()
    observation = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    actions = [policy(observation) for _ in range(3)]
    shown = np.clip((observation - statistics.mean) / np.sqrt(statistics.variance + 1e-8), -10.0, 10.0)
    plain, state = innermost(policy.agent), policy.state.base.base
    expected = plain.exploit(state, (), zero_reward_timestep(jnp.asarray(shown), 4), jax.random.key(0))[0]
    for action in actions:
        np.testing.assert_allclose(action, expected, rtol=1e-4, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, jax.tree.map(np.asarray, policy.state.statistics), statistics)
