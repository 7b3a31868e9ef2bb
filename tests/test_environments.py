"""The Environment contract on one environment of every family; each adapter against its backend's own interface."""

import functools
import subprocess
import sys
from types import SimpleNamespace
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.discrete import dqn, rainbow
from jaxq import envs
from jaxq.envs import ArraySpec, Batched, Continuous, Discrete, FrameStack, brax_backend, envpool_backend
from jaxq.envs.base import example_observation
from jaxq.envs.envpool_backend import EnvPoolEnvironment
from jaxq.errors import InputError
from jaxq.runs import parse
from jaxq.training.statistics import EpisodeStatistics

STEPS = 1000
FAMILIES = [
    "gymnax/CartPole-v1",
    "gymnax/Pendulum-v1",
    "gymnax/MountainCarContinuous-v0",
    "gymnax/Breakout-MinAtar",
    "gymnax/Asterix-MinAtar",
    "gymnax/Freeway-MinAtar",
    "gymnax/SpaceInvaders-MinAtar",
    "gymnax/Seaquest-MinAtar",
    "gymnax/Catch-bsuite",
    "gymnax/FrozenLake-misc",
    "envpool/Pong-v5",
    "envpool/HalfCheetah-v4",
    "envpool/CheetahRun-v1",
    "envpool/CartPole-v1",
    "envpool/FrozenLake-v1",
    "brax/inverted_pendulum",
    "playground/CartpoleBalance",
]
SLOW_FAMILIES = ["brax/ant", "brax/halfcheetah", "playground/CheetahRun", "gymnax/Acrobot-v1", "envpool/Breakout-v5"]


def roll(environment: envs.Environment, key: jax.Array, steps: int = STEPS):
    """Random actions for `steps`; the first TimeStep, and those after it as a pytree of [steps, B, ...]."""
    reset_key, action_key = jax.random.split(key)
    state, first = environment.reset(jax.random.split(reset_key, environment.num_envs))

    def step(state, key):
        action = environment.action_spec.sample(key, environment.num_envs)
        state, timestep = environment.step(state, action)
        return state, (action, timestep)

    _, (actions, timesteps) = jax.lax.scan(step, state, jax.random.split(action_key, steps))
    return first, actions, timesteps


@functools.cache
def trajectory(name: str):
    environment = envs.make(name, 3, seed=5)
    return environment, jax.device_get(jax.jit(functools.partial(roll, environment))(jax.random.key(0)))


def check_contract(name):
    environment, (first, actions, timesteps) = trajectory(name)
    spec = environment.observation_spec
    for timestep, lead in ((first, (3,)), (timesteps, (STEPS, 3))):
        assert timestep.observation.shape == (*lead, *spec.shape)
        assert timestep.observation.dtype == spec.dtype
        assert timestep.reward.shape == lead
        assert timestep.reward.dtype == np.float32
        for flag in (timestep.terminated, timestep.truncated, timestep.first):
            assert flag.shape == lead
            assert flag.dtype == bool
    if isinstance(environment.action_spec, Discrete):
        assert set(np.unique(actions)) == set(range(environment.action_spec.num_actions))
    else:
        assert -1 <= actions.min() < -0.99
        assert 0.99 < actions.max() <= 1
    assert environment.resumable == (not name.startswith("envpool/"))
    assert first.first.all()
    assert not first.terminated.any()
    assert np.isfinite(timesteps.observation).all()
    last = timesteps.terminated | timesteps.truncated
    assert not (timesteps.terminated & timesteps.truncated).any()
    # Next-step autoreset: the step after an end is a first one without reward, and no other is.
    np.testing.assert_array_equal(timesteps.first[1:], last[:-1])
    assert not timesteps.first[0].any()
    assert (timesteps.reward[timesteps.first] == 0).all()
    # No episode is longer than it may be.
    length = np.zeros(3, int)
    for t in range(STEPS):
        length = np.where(timesteps.first[t], 0, length + 1)
        assert (length <= environment.max_episode_steps).all()
        assert (last[t] | (length < environment.max_episode_steps)).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_contract(name):
    check_contract(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW_FAMILIES)
def test_contract_of_more_environments(name):
    check_contract(name)


@pytest.mark.parametrize("name", ["gymnax/CartPole-v1", "gymnax/Breakout-MinAtar", "brax/inverted_pendulum"])
def test_trajectories_depend_on_the_key_and_on_nothing_else(name):
    environment, (_, _, timesteps) = trajectory(name)
    run = jax.jit(functools.partial(roll, environment))
    again, other = jax.device_get((run(jax.random.key(0))[2], run(jax.random.key(1))[2]))
    np.testing.assert_array_equal(again.observation, timesteps.observation)
    assert (other.observation != timesteps.observation).any()


def test_an_environment_does_not_depend_on_its_neighbours():
    """The same keys and actions in a batch of one and in a batch of four, with resets at different times."""
    keys = jax.random.split(jax.random.key(3), 4)
    actions = jax.random.randint(jax.random.key(4), (300, 4), 0, 2)

    @functools.partial(jax.jit, static_argnums=0)
    def play(size, keys, actions):
        environment = envs.make("gymnax/CartPole-v1", size)
        state, _ = environment.reset(keys)
        return jax.lax.scan(environment.step, state, actions)[1]

    together = play(4, keys, actions)
    for i in range(4):
        alone = play(1, keys[i : i + 1], actions[:, i : i + 1])
        np.testing.assert_array_equal(alone.observation[:, 0], together.observation[:, i])
        np.testing.assert_array_equal(alone.first[:, 0], together.first[:, i])


def test_final_observation_is_the_true_one():
    """gymnax's own step keeps the observation that autoreset would hide: an ended episode must show that one."""
    import gymnax

    env, params = gymnax.make("CartPole-v1")
    _, (first, actions, timesteps) = trajectory("gymnax/CartPole-v1")
    # CartPole is deterministic, so each episode can be played again from its first observation.
    state = None
    ends = 0
    for t in range(200):
        before = timesteps.observation[t - 1, 0] if t else first.observation[0]
        if timesteps.first[t, 0]:
            continue
        state = env.reset(jax.random.key(0), params)[1].replace(
            x=before[0], x_dot=before[1], theta=before[2], theta_dot=before[3], time=0
        )
        *_, info = env.step(jax.random.key(0), state, actions[t, 0], params)
        np.testing.assert_allclose(timesteps.observation[t, 0], info["final_observation"], rtol=1e-5, atol=1e-6)
        assert timesteps.terminated[t, 0] == info["terminated"]
        ends += int(timesteps.terminated[t, 0])
    assert ends > 2


@pytest.mark.parametrize(
    ("task", "parts"),
    [
        ("Go1JoystickFlatTerrain-v1", {"state": (48,), "privileged_state": (123,)}),
        ("MiniGrid-Empty-5x5-v0", {"direction": (4,), "image": (7, 7, 3), "mission": (96,)}),
        ("CheetahRun-v1", {"position": (8,), "velocity": (9,)}),
    ],
)
def test_dictionaries_of_envpool_may_stay_trees(task, parts):
    """Step for step those of EnvPool's Python interface, part by part."""
    import envpool

    environment = envs.make(f"envpool/{task}", 2, seed=3, whole=True)
    assert {name: spec.shape for name, spec in environment.observation_spec.items()} == parts
    first, actions, ours = jax.device_get(jax.jit(functools.partial(roll, environment, steps=50))(jax.random.key(0)))
    pool = envpool.make(task, env_type="gymnasium", num_envs=2, seed=3)
    theirs, _ = pool.reset()
    for t in range(50):
        for name, part in theirs.items():
            seen = ours.observation[name][t - 1] if t else first.observation[name]
            np.testing.assert_allclose(seen, np.eye(4)[part] if name == "direction" else part, rtol=1e-5, atol=1e-5)
        theirs, *_ = pool.step(np.asarray(environment._scale(jnp.asarray(actions[t]))))


def test_images_with_channels_last_stay_as_they_are():
    import envpool

    environment = envs.make("envpool/CarRacing-v3", 1, seed=0)
    _, timestep = environment.reset(jax.random.split(jax.random.key(0), 1))
    image, _ = envpool.make("CarRacing-v3", env_type="gymnasium", num_envs=1, seed=0).reset()
    assert environment.observation_spec.shape == (96, 96, 3)
    np.testing.assert_array_equal(timestep.observation, image)


@pytest.mark.parametrize("task", ["Pong-v5", "HalfCheetah-v4", "CheetahRun-v1", "CartPole-v1", "FrozenLake-v1"])
def test_envpool_inside_the_program_equals_its_python_interface(task):
    """Step for step over 1,500 steps: observations, rewards, ends. A wrong buffer size shows here as garbage."""
    import envpool

    options = {"stack_num": 1} if task == "Pong-v5" else {}
    steps, environment = 1500, EnvPoolEnvironment(task, 2, 11, dict(options))
    if task == "HalfCheetah-v4":
        options["max_episode_steps"] = 400
        environment = EnvPoolEnvironment(task, 2, 11, dict(options))
    key = jax.random.key(0)
    first, actions, ours = jax.device_get(jax.jit(functools.partial(roll, environment, steps=steps))(key))
    pool = envpool.make(task, env_type="gymnasium", num_envs=2, seed=11, **options)
    observation, _ = pool.reset()
    np.testing.assert_allclose(first.observation, environment._convert(observation, np), rtol=1e-6, atol=1e-6)
    scale = environment._scale
    ended = np.zeros(2, bool)
    episodes = 0
    for t in range(steps):
        action = np.asarray(scale(jnp.asarray(actions[t])))
        observation, reward, terminated, truncated, _ = pool.step(action)
        np.testing.assert_allclose(ours.observation[t], environment._convert(observation, np), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(ours.reward[t], reward, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(ours.terminated[t], terminated)
        np.testing.assert_array_equal(ours.truncated[t], truncated)
        np.testing.assert_array_equal(ours.first[t], ended)
        ended = terminated | truncated
        episodes += ended.sum()
    assert episodes > 0


def test_atari_lives_and_full_games():
    """With life loss, episodes end where the full game goes on."""

    def ends(**options):
        environment = envs.make("envpool/Breakout-v5", 4, seed=1, **options)
        _, _, timesteps = jax.jit(functools.partial(roll, environment, steps=300))(jax.random.key(0))
        return int(timesteps.terminated.sum())

    assert ends(episodic_life=True) > 2 * max(ends(), 1)


def test_sticky_actions_are_those_of_a_script_s_environments_on_atari_alone():
    """In training and evaluation; a game that is told nothing by its actions goes another way."""
    flags = ["--env", "envpool/Breakout-v5", "--num-envs", "4", "--eval-episodes", "2"]
    for sticky in (0.25, 0.0):
        config = parse(rainbow.Config, rainbow.PRESETS, [*flags, "--sticky-actions", str(sticky)])
        for environment in config.make_environments()[:2]:
            assert environment.environment.pool.config["repeat_action_probability"] == pytest.approx(sticky)
            again = environment.remade(1, episodic_life=False)
            assert again.environment.pool.config["repeat_action_probability"] == pytest.approx(sticky)
    assert parse(rainbow.Config, rainbow.PRESETS, flags).sticky_actions == 0.0
    assert parse(rainbow.Config, rainbow.PRESETS, flags).life_loss
    assert parse(dqn.Config, dqn.PRESETS, flags).sticky_actions == 0.25
    images = parse(rainbow.Config, rainbow.PRESETS, ["--env", "envpool/CoinrunEasy-v0"])
    assert (images.sticky_actions, images.life_loss, images.reward_clip) == (0.0, False, 1.0)
    for value, said in (("1.0", r"sticky_actions is 1.0, but must be in \[0, 1\)"), ("-0.1", "sticky_actions is -0.1")):
        with pytest.raises(InputError, match=said):
            parse(dqn.Config, dqn.PRESETS, [*flags, "--sticky-actions", value]).make_environments()
    with pytest.raises(InputError, match=r"sticky_actions is 0\.25, but must be left out: gymnax"):
        parse(dqn.Config, dqn.PRESETS, ["--env", "gymnax/CartPole-v1", "--sticky-actions", "0.25"]).make_environments()


def test_returns_of_training_are_of_whole_games_though_lives_end_episodes():
    """By EnvPool's Python interface, which says of each end whether the game is over."""
    import envpool

    environment = envs.make("envpool/Breakout-v5", 4, seed=1, episodic_life=True)
    actions = np.random.default_rng(0).integers(0, 4, (500, 4)).astype(np.int32)

    def step(carry, action):
        state, timestep, statistics = carry
        state, following = environment.step(state, action)
        statistics = statistics.observe(timestep, following, environment.over(state, following))
        return (state, following, statistics), following.last

    def play(key):
        state, timestep = environment.reset(jax.random.split(key, 4))
        carry, last = jax.lax.scan(step, (state, timestep, EpisodeStatistics.start(4)), jnp.asarray(actions))
        return carry[2].report(1)[1], last.sum()

    report, lives = jax.jit(play)(jax.random.key(0))
    pool = envpool.make("Breakout-v5", env_type="gymnasium", num_envs=4, seed=1, episodic_life=True, stack_num=1)
    pool.reset()
    running, games = np.zeros(4), []
    for action in actions:
        _, reward, _, _, info = pool.step(action)
        running += reward
        over = info["terminated"] == 1
        games += running[over].tolist()
        running[over] = 0
    assert 4 <= len(games) < lives / 3
    assert report["episodes"] == len(games)
    np.testing.assert_allclose(report["episode_return"], np.mean(games), rtol=1e-6)


def test_frame_stack_shows_the_last_frames_of_its_episode():
    _, (first, _, timesteps) = trajectory("envpool/Pong-v5")
    stacks = np.concatenate([first.observation[None], timesteps.observation])
    firsts = np.concatenate([first.first[None], timesteps.first])
    for e in range(3):
        for t in range(1, STEPS + 1):
            if firsts[t, e]:
                assert (stacks[t, e, ..., :-1] == 0).all()
            else:
                np.testing.assert_array_equal(stacks[t, e, ..., :-1], stacks[t - 1, e, ..., 1:])
    assert firsts.sum() > 3


def test_brax_equals_its_own_interface():
    from brax import envs as brax_envs

    environment, (first, actions, timesteps) = trajectory("brax/inverted_pendulum")
    own = brax_envs.get_environment("inverted_pendulum")
    reset_key, _ = jax.random.split(jax.random.key(0))
    state, _ = environment.reset(jax.random.split(reset_key, 3))
    own_state = jax.tree.map(lambda leaf: leaf[0], state.inner)
    np.testing.assert_allclose(own_state.obs, first.observation[0], rtol=1e-6)
    step = jax.jit(own.step)
    for t in range(5):
        own_state = step(own_state, actions[t, 0])
        np.testing.assert_allclose(timesteps.observation[t, 0], own_state.obs, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(timesteps.reward[t, 0], own_state.reward, rtol=1e-4)
        if own_state.done:
            break


class Parts:
    """A tree of observations: the time as an image and as a number."""

    name = "parts"
    observation_spec: ClassVar = {"image": ArraySpec((2, 2), np.uint8), "time": ArraySpec((1,))}
    action_spec = Discrete(2)
    max_episode_steps = 4

    def reset(self, key):
        return jnp.int32(0), self.observed(jnp.int32(0))

    def step(self, state, action, key):
        return state + 1, self.observed(state + 1), 0.0, False, False

    def observed(self, state):
        return {"image": jnp.full((2, 2), state), "time": state[None]}


def test_a_tree_goes_through_batches_and_stacks():
    environment = FrameStack(Batched(Parts(), 2), 3)
    first, _, timesteps = roll(environment, jax.random.key(0), steps=12)
    assert environment.observation_spec["image"] == ArraySpec((2, 2, 3), np.uint8, 3)
    assert first.observation["image"].dtype == np.uint8
    assert first.observation["time"].dtype == np.float32
    example = example_observation(environment.observation_spec)
    np.testing.assert_array_equal(example["image"], np.zeros((1, 2, 2, 3), np.uint8), strict=True)
    times = np.array([*range(1, 5), 0, *range(1, 5), 0, 1, 2])
    np.testing.assert_array_equal(timesteps.observation["time"][:, 0, 0, -1], times)
    for lag in (1, 2):
        np.testing.assert_array_equal(timesteps.observation["image"][:, 1, 0, 1, -1 - lag], np.maximum(times - lag, 0))


class GymnaxStyle:
    """A user's own environment: walk right to 3, in the style of gymnax."""

    class Params:
        max_steps_in_episode = 10

    default_params = Params()
    name = "Walk"

    def reset_env(self, key, params):
        return jnp.zeros(1), jnp.int32(0)

    def step_env(self, key, state, action, params):
        state = jnp.maximum(state + 2 * action - 1, 0)
        return state[None].astype(float), state, jnp.float32(state == 3), state == 3, {}

    def action_space(self, params):
        return type("Space", (), {"n": 2})()

    def observation_space(self, params):
        return type("Space", (), {"shape": (1,)})()


class BraxStyle:
    """A user's own environment in the style of Brax: one dimension, pushed by the action."""

    action_size = 1

    def reset(self, key):
        from brax.envs import State

        return State(None, jnp.zeros(1), jnp.float32(0), jnp.float32(0))

    def step(self, state, action):
        position = state.obs + 0.4 * action
        return state.replace(obs=position, reward=position[0], done=jnp.float32(position[0] > 1))


def test_an_environment_that_cannot_be_made_without_arguments_is_named():
    envs.register("Wanting", lambda length, *, width, depth=1: None)
    try:
        with pytest.raises(
            InputError, match=r"env is 'Wanting', but must be made without arguments, .* length, width:"
        ):
            envs.make("own/Wanting", 2)
    finally:
        envs.registry.OWN.pop("Wanting")


def test_repeated_actions_add_their_rewards_up():
    push = brax_backend.BraxEnvironment(BraxStyle(), max_episode_steps=5, action_repeat=2)
    state, _ = push.reset(jax.random.key(0))
    _, seen, reward, terminated, _ = push.step(state, jnp.ones(1), jax.random.key(0))
    np.testing.assert_allclose([seen[0], reward], [0.8, 1.2], rtol=1e-6)
    assert not terminated
    assert push.max_episode_steps == 3


def test_users_own_environments():
    walk = envs.from_object(GymnaxStyle(), 2)
    state, _ = walk.reset(jax.random.split(jax.random.key(0), 2))
    for _ in range(3):
        state, timestep = walk.step(state, jnp.array([1, 0]))
    assert timestep.terminated.tolist() == [True, False]
    assert timestep.reward.tolist() == [1, 0]
    for _ in range(7):
        state, timestep = walk.step(state, jnp.array([0, 0]))
    assert timestep.truncated.tolist() == [False, True]

    push = envs.from_object(BraxStyle(), 1, name="own/push", max_episode_steps=5)
    assert push.action_spec == Continuous(1)
    state, _ = push.reset(jax.random.split(jax.random.key(0), 1))
    for _ in range(3):
        state, timestep = push.step(state, jnp.ones((1, 1)))
    assert timestep.terminated.tolist() == [True]
    np.testing.assert_allclose(timestep.observation, [[1.2]], rtol=1e-6)
    with pytest.raises(InputError, match="reset_env and step_env"):
        envs.from_object(object(), 1)


def test_actions_without_bounds_are_refused():
    space = SimpleNamespace(low=np.array([-1.0, -np.inf]), high=np.array([1.0, np.inf]), shape=(2,))
    unbounded = type("Unbounded", (GymnaxStyle,), {"action_space": lambda self, params: space})
    with pytest.raises(InputError, match="Unbounded has actions without bounds"):
        envs.from_object(unbounded(), 1)
    with pytest.raises(InputError, match=r"envpool/Own-v0 takes actions .*bounded"):
        envpool_backend._action_spec("Own-v0", space)


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("CartPole-v1", "backend/Name"),
        ("gym/CartPole-v1", "gymnax, envpool, brax, playground"),
        ("gymnax/Brekout-MinAtar", "gymnax/Breakout-MinAtar"),
        ("envpool/pong-v5", "envpool/Pong-v5"),
    ],
)
def test_unknown_environments_are_named_with_what_is_near(name, named):
    with pytest.raises(InputError, match=named):
        envs.make(name, 1)


@pytest.mark.parametrize(
    ("domain", "names"),
    [
        ("tabular", ["tabular/Chain"]),
        ("classic", ["gymnax/CartPole-v1", "gymnax/MountainCarContinuous-v0", "gymnax/Catch-bsuite"]),
        ("classic", ["gymnax/FourRooms-misc", "envpool/Acrobot-v1", "envpool/phys2d/CartPole-v1", "envpool/Taxi-v3"]),
        ("pendulum", ["gymnax/Pendulum-v1", "envpool/Pendulum-v0", "envpool/phys2d/Pendulum-v0"]),
        ("minatar", ["gymnax/Breakout-MinAtar"]),
        ("atari", ["envpool/Pong-v5"]),
        ("images", ["envpool/CoinrunEasy-v0", "envpool/D1Basic-v1", "envpool/CarRacing-v3"]),
        ("images", ["envpool/gfootball/academy_corner-v1"]),
        ("control", ["envpool/HalfCheetah-v4", "envpool/PendulumSwingup-v1", "envpool/Go1JoystickFlatTerrain-v1"]),
        ("control", ["brax/ant", "playground/PendulumSwingup"]),
        ("other", ["envpool/BipedalWalker-v3", "envpool/LunarLander-v3", "envpool/MiniGrid-Empty-5x5-v0"]),
        ("other", ["envpool/highway-v0", "envpool/Backgammon-v1", "envpool/Sokoban-v0"]),
    ],
)
def test_a_task_s_domain(domain, names):
    """What is not known to be classic control is of another domain."""
    assert {envs.domain(name) for name in names} == {domain}
    pools = [name.partition("/")[2] for name in names if name.startswith("envpool/")]
    assert all(envpool_backend.family(task) for task in pools), "those that are not known are other, too"


def test_options_and_sizes_are_checked():
    with pytest.raises(InputError, match="num_envs is 0"):
        envs.make("gymnax/CartPole-v1", 0)
    with pytest.raises(InputError, match="flying"):
        envs.make("gymnax/CartPole-v1", 1, flying=True)
    with pytest.raises(InputError, match="no_such_option"):
        envs.make("envpool/Pong-v5", 1, no_such_option=1)
    with pytest.raises(InputError, match="generalized"):
        envs.make("brax/ant", 1, backend="newton")


def test_overrides_of_playground_reach_the_time_limit():
    pytest.importorskip("mujoco_playground")
    environment = envs.make("playground/CartpoleBalance", 1, episode_length=9, action_repeat=2)
    assert environment.max_episode_steps == 5
    assert environment.single.action_repeat == 2
    assert envs.make("playground/CartpoleBalance", 1).max_episode_steps == 1000
    for options, said in (
        ({"episode_lenth": 9}, "options of playground/CartpoleBalance is 'episode_lenth'.* episode_length"),
        ({"episode_length": "nine"}, "options of CartpoleBalance .*'nine'"),
        ({"episode_length": 0}, "episode_length is 0"),
    ):
        with pytest.raises(InputError, match=said) as error:
            envs.make("playground/CartpoleBalance", 1, **options)
        assert "\n" not in str(error.value)
    assert brax_backend._fields({"a": {"b": 1, "c": {"d": 2}}, "e": 3}) == ["a", "a.b", "a.c", "a.c.d", "e"]


@pytest.mark.parametrize(
    ("missing", "other"), [("envpool/Pong-v5", "gymnax/CartPole-v1"), ("gymnax/CartPole-v1", "tabular/Chain")]
)
def test_missing_backend_names_its_extra(monkeypatch, missing, other):
    package = missing.partition("/")[0]
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"jaxq\[{package}\]"):
        envs.make(missing, 1)
    assert envs.make(other, 1).num_envs == 1


def test_a_backend_that_does_not_load_is_not_called_missing(monkeypatch, tmp_path):
    """As EnvPool where the system lacks a library: installing it once more would be of no help."""
    (tmp_path / "envpool.py").write_text("raise ImportError('libEGL.so.1: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "envpool"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(InputError, match=r"^envpool/ .* cannot be loaded: libEGL\.so\.1: cannot open") as error:
        envs.make("envpool/Pong-v5", 1)
    assert "pip install" not in str(error.value)


def test_seeds_of_environments_are_shared_by_no_two_runs():
    """Neighbouring seeds have no stream in common, nor have training and evaluation, nor a run and its continuation."""
    seeds = [
        *envs.environment_seeds([0, 1, 2], 16),
        *envs.environment_seeds([3, 4], 16),
        *envs.environment_seeds([0, 1, 2], 16, purpose="evaluation"),
        *envs.environment_seeds([0, 1, 2], 16, resumption=1),
    ]
    assert len(set(seeds)) == len(seeds) == 11 * 16
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert envs.environment_seeds([2], 16) == envs.environment_seeds([0, 1, 2], 16)[32:]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("envpool/CheetahRun-v1", {"whole": True}),
        ("envpool/Breakout-v5", {"episodic_life": True}),
        ("envpool/Pendulum-v1", {"max_episode_steps": 7}),
        ("gymnax/Pendulum-v1", {"resets": "pool"}),
    ],
)
def test_environments_are_made_again_as_they_were(name, options):
    """One where there were three, for whoever plays with an agent that has seen no others."""
    made = envs.make(name, 3, seed=[1, 2, 3], **options)
    if not isinstance(made.action_spec, Discrete):
        made = envs.with_actions(made, envs.Bins(made.action_spec.size))
    one = made.remade(1, seed=4)
    assert (type(one), one.num_envs, made.num_envs) == (type(made), 1, 3)
    assert (one.observation_spec, one.action_spec) == (made.observation_spec, made.action_spec)
    assert one.max_episode_steps == made.max_episode_steps
    _, timestep = one.reset(jax.random.split(jax.random.key(0), 1))
    assert jax.tree.leaves(timestep.observation)[0].shape[0] == 1
    if name == "envpool/Breakout-v5":
        assert one.environment.pool.config["episodic_life"]
        assert not made.remade(1, episodic_life=False).environment.pool.config["episodic_life"]


def test_a_pool_gives_each_environment_its_seed():
    def first(seed):
        environment = envs.make("envpool/CartPole-v1", 3, seed=seed)
        return np.asarray(environment.reset(jax.random.split(jax.random.key(0), 3))[1].observation)

    ours, theirs = first([11, 22, 33]), first([22, 11, 44])
    np.testing.assert_array_equal(ours[[0, 1]], theirs[[1, 0]])
    assert np.abs(ours[2] - theirs[2]).max() > 0


OWN_ENVIRONMENT = """
import jax.numpy as jnp

class Corridor:
    def reset_env(self, key, params):
        return jnp.zeros(1), jnp.int32(0)

    def step_env(self, key, state, action, params):
        state = jnp.maximum(state + 2 * action - 1, 0)
        return jnp.float32(state)[None], state, jnp.float32(state == 3), state == 3, {}

    def action_space(self, params):
        return type("Space", (), {"n": 2})()
"""


def test_an_environment_of_one_s_own_needs_little_and_has_a_name_for_scripts(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(OWN_ENVIRONMENT)
    environment = envs.make(f"{path}:Corridor", 2)
    assert environment.name == "own/Corridor"
    assert (environment.observation_spec.shape, environment.action_spec.num_actions) == ((1,), 2)
    assert environment.max_episode_steps == 1000, "that of one that says nothing of it"
    assert envs.domain(f"{path}:Corridor") == "classic"
    state, timestep = environment.reset(jax.random.split(jax.random.key(0), 2))
    for _ in range(3):
        state, timestep = environment.step(state, jnp.ones(2, jnp.int32))
    assert timestep.terminated.all()
    np.testing.assert_array_equal(timestep.reward, 1.0)
    for name, said in (
        (f"{path}:Corridoor", "has no Corridoor"),
        ("no.such.module:X", "cannot be imported"),
        (str(tmp_path / "none.py:X"), "cannot be imported"),
        ("mine.py", "but must be with the class or object that it names: mine.py:Name"),
    ):
        with pytest.raises(InputError, match=said):
            envs.make(name, 2)


def test_an_environment_s_file_can_import_its_neighbours(tmp_path):
    (tmp_path / "jaxq_test_neighbour.py").write_text(OWN_ENVIRONMENT)
    (tmp_path / "theirs.py").write_text("from jaxq_test_neighbour import Corridor as Mine")
    assert envs.make(f"{tmp_path / 'theirs.py'}:Mine", 1).observation_spec.shape == (1,)


def test_what_is_privileged_is_seen_by_who_asks_for_parts_alone():
    class Windy:
        def reset_env(self, key, params):
            return self.seen(jnp.float32(3)), jnp.float32(3)

        def step_env(self, key, state, action, params):
            return self.seen(state), state, jnp.float32(0), jnp.bool_(False), {}

        def action_space(self, params):
            return SimpleNamespace(n=2)

        def seen(self, state):
            return {"privileged_state": jnp.full(2, 7.0), "state": state[None]}

    keys = jax.random.split(jax.random.key(0), 2)
    alone, whole = envs.from_object(Windy(), 2), envs.from_object(Windy(), 2, whole=True)
    assert alone.observation_spec.shape == (1,)
    np.testing.assert_array_equal(alone.reset(keys)[1].observation, [[3], [3]])
    assert {name: spec.shape for name, spec in whole.observation_spec.items()} == {
        "privileged_state": (2,), "state": (1,)
    }  # fmt: skip


def test_environments_of_one_name_in_two_files_are_two(tmp_path):
    first, second = tmp_path / "a.py", tmp_path / "b.py"
    first.write_text(OWN_ENVIRONMENT)
    second.write_text(OWN_ENVIRONMENT.replace("state == 3", "state == 5"))
    for path, steps in ((first, 3), (second, 5), (first, 3)):
        environment = envs.make(f"{path}:Corridor", 1)
        state, _ = environment.reset(jax.random.split(jax.random.key(0), 1))
        ended = []
        for _ in range(5):
            state, timestep = environment.step(state, jnp.ones(1, jnp.int32))
            ended.append(bool(timestep.terminated[0]))
        assert ended.index(True) == steps - 1


def test_environments_are_registered_by_name(tmp_path):
    namespace = {}
    exec(OWN_ENVIRONMENT, namespace)
    envs.register("ByName", namespace["Corridor"])
    assert envs.make("own/ByName", 3).name == "own/ByName"
    with pytest.raises(InputError, match="name is 'ByName'"):
        envs.register("ByName", namespace["Corridor"])
    lacking = type("Lacking", (), {"reset_env": None, "step_env": lambda *a: None})()
    with pytest.raises(InputError, match="Lacking without reset_env"):
        envs.from_object(lacking, 2)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ({"action_space": lambda self, params: 2}, "action_space of Wrong is 2, but must be an object with n"),
        (
            {"reset_env": lambda self, key, params: jnp.zeros(1)},
            r"Wrong.reset_env is '1 values', .*\(observation, state\)",
        ),
        ({"reset_env": lambda self, key: None}, "Wrong.reset_env cannot be called with 2 arguments"),
        (
            {"step_env": lambda self, key, state, action, params: (jnp.zeros(1), state, 0.0, False)},
            r"Wrong.step_env is '4 values', .*\(observation, state, reward, done, info\)",
        ),
        (
            {"step_env": lambda self, key, state, action, params: (jnp.zeros(3), state, 0.0, False, {})},
            r"observation of Wrong.step_env is '\(3,\)', but must be of the shape that reset_env gives: \(1,\)",
        ),
        (
            {"step_env": lambda self, key, state, action, params: (jnp.zeros(1), jnp.ones(2), 0.0, False, {})},
            "state of Wrong.step_env",
        ),
        (
            {"step_env": lambda self, key, state, action, params: (jnp.zeros(1), state + 0.4, 0.0, False, {})},
            "state of Wrong.step_env is 'float32', but must be of the dtype that reset_env gives: int32",
        ),
        (
            {"step_env": lambda self, key, state, action, params: (jnp.zeros(1), state, jnp.zeros(2), False, {})},
            r"reward of Wrong.step_env is 'of shape \(2,\)', but must be a single number",
        ),
        (
            {"step_env": lambda self, key, state, action, params: (jnp.zeros(1), state, 0.0, jnp.zeros(2, bool), {})},
            r"done of Wrong.step_env is 'of shape \(2,\)', but must be a single number",
        ),
        (
            {
                "step_env": lambda self, key, state, action, params: (
                    jnp.zeros(1),
                    0 if action > 0 else 1,
                    0.0,
                    False,
                    {},
                )
            },
            r"Wrong.step_env makes .* a choice, of what is known only when the program runs, in line \d+ of .*_environ",
        ),
        (
            {"step_env": lambda self, key, state, action, params: (np.sin(state), state, 0.0, False, {})},
            "Wrong.step_env makes a number of Python's own",
        ),
    ],
)
def test_what_is_wrong_with_an_environment_of_one_s_own_is_one_line(method, said):
    namespace = {}
    exec(OWN_ENVIRONMENT, namespace)
    with pytest.raises(InputError, match=said):
        envs.from_object(type("Wrong", (namespace["Corridor"],), method)(), 2)


def test_where_another_style_or_no_python_is_found_it_is_said(tmp_path):
    gymnasium = type("Push", (), dict.fromkeys(("observation_space", "action_space", "reset", "step")))
    with pytest.raises(InputError, match=r"environment is a Push, .*; for those in Gymnasium's style, .* has a bridge"):
        envs.from_object(gymnasium(), 2)
    (tmp_path / "wrong.py").write_text("class A:\n  def\n")
    with pytest.raises(InputError, match=r"wrong.py cannot be imported: .*line 2"):
        envs.make(f"{tmp_path}/wrong.py:A", 2)


def test_an_error_within_an_environment_of_one_s_own_is_its_own():
    """And no word of options, of which none were given."""
    namespace = {}
    exec(OWN_ENVIRONMENT, namespace)

    def wrong(self, key, state, action, params):
        return jnp.zeros(2) @ jnp.zeros(3), state, 0.0, False, {}

    envs.register("Erring", type("Erring", (namespace["Corridor"],), {"step_env": wrong}))
    with pytest.raises(TypeError, match="dot_general"):
        envs.make("own/Erring", 2)


def test_gymnax_comes_without_what_it_draws_with():
    """Which is there for whoever asks, and takes longer to import than all of gymnax."""
    program = """
import sys
from jaxq import envs
envs.make("gymnax/CartPole-v1", 1)
assert not {"seaborn", "scipy.stats"} & set(sys.modules)
from gymnax.environments.misc import pong
assert len(pong.sns.color_palette("cubehelix", 3)) == 3
assert sys.modules["seaborn"].__file__
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_pool_is_made_without_a_word():
    """Gymnasium warns of every box whose bounds lose digits, which those of EnvPool's do."""
    program = "from jaxq import envs; envs.make('envpool/Pendulum-v1', 2).observation_spec"
    command = [sys.executable, "-W", "error::UserWarning", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
