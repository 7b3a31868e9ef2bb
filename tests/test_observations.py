"""Torsos by observation: what continuous agents see of images and of trees, as their scripts build them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_experiments import FOLDERS, load, small

from jaxq import envs
from jaxq.configs import build_and_tell
from jaxq.envs import ArraySpec
from jaxq.errors import InputError
from jaxq.networks import BroNet, after_convolutions, encoder_maker
from jaxq.runs import parse

IMAGE, LARGE_IMAGE = ArraySpec((12, 12, 3), np.uint8), ArraySpec((96, 96, 3), np.uint8)
GOALS = {"achieved": ArraySpec((2,)), "desired": ArraySpec((2,)), "robot": {"joints": ArraySpec((3,))}}


class Still:
    """An environment that only shows: its observation, of any spec, is zeros."""

    action_spec = envs.Continuous(2)
    max_episode_steps = 5

    def __init__(self, spec):
        self.name, self.observation_spec = "still", spec

    def reset(self, key):
        return (), jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), self.observation_spec)

    def step(self, state, action, key):
        return state, self.reset(key)[1], jnp.float32(0.0), False, False


@pytest.fixture
def build(monkeypatch):
    """What builds a script's training with observations of a spec."""

    def build(name, spec, wrapped=lambda build: build):
        monkeypatch.setattr(envs, "make", lambda env, num_envs, **options: envs.Batched(Still(spec), num_envs))
        module, presets = load(name)
        config = parse(module.Config, presets, ["--env", "gymnax/Pendulum-v1", *small(module.Config)])
        return wrapped(module.build)(config)

    return build


# Those whose methods are made for vectors: ACE's estimate of causes, and the massively parallel ones.
OF_VECTORS = {"ace", "fast_sac", "fast_td3", "flash_sac", "reppo"}
OF_IMAGES = sorted(name for name, folder in FOLDERS.items() if folder == "continuous" and name not in OF_VECTORS)


def kernels(agent):
    """Shapes of the kernels of an agent's parameters, by their places."""
    state = jax.eval_shape(agent.init, jax.random.key(0))
    leaves = {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(state)}
    return {place: shape for place, shape in leaves.items() if "params" in place and "kernel" in place}


@pytest.mark.parametrize("name", OF_IMAGES)
def test_images_go_through_convolutions(name, build):
    """And nothing sees an image's numbers as a vector, but for models that foresee the numbers of observations."""
    found = kernels(build(name, LARGE_IMAGE).agent)
    convolutions = [shape for place, shape in found.items() if "Conv" in place]
    assert {shape[-1] for shape in convolutions} >= {32, 64}, "Nature's"
    flat = [place for place, shape in found.items() if max(shape) >= 96 * 96 * 3]
    assert all("DynamicsModel" in place for place in flat)


@pytest.mark.parametrize("name", sorted(OF_VECTORS))
def test_images_are_refused_by_those_that_would_see_their_numbers(name, build):
    with pytest.raises(InputError, match=r"^env is "):
        build(name, LARGE_IMAGE)


@pytest.mark.parametrize("name", ["sac", "td3", "decqn", "cqn"])
def test_networks_see_all_leaves_of_a_tree(name, build):
    spec, action = {"camera": IMAGE, **GOALS}, jnp.full((1, 2), 0.3)
    agent, rng = build(name, spec).agent, np.random.default_rng(0)
    state = jax.eval_shape(agent.init, jax.random.key(0))
    state = jax.tree.map(lambda leaf: jnp.asarray(0.1 * rng.normal(size=leaf.shape), leaf.dtype), state)

    @jax.jit
    def outputs(observation):
        if name == "decqn":
            return [agent.predict(state.params, observation, "exploit", jax.random.key(0))]
        if name == "cqn":
            return [agent.network.apply(state.params, observation, action[:, None], jnp.zeros(1, jnp.int32))]
        actor = agent.actor.apply(state.actor.variables, observation, "exploit")
        return [*jax.tree.leaves(actor), agent.critic.apply(state.critic.variables, observation, action, "exploit")]

    leaves, tree = jax.tree.flatten(spec)
    drawn = [rng.integers(0, 5, (1, *leaf.shape)).astype(leaf.dtype) for leaf in leaves]
    before = outputs(tree.unflatten(drawn))
    for k in range(len(leaves)):
        moved = [x + x.dtype.type(7 * (i == k)) for i, x in enumerate(drawn)]
        for was, is_now in zip(before, outputs(tree.unflatten(moved)), strict=True):
            assert np.abs(was - is_now).max() > 1e-6


def test_what_has_no_images_keeps_its_torso():
    torso = BroNet(4)
    assert after_convolutions(GOALS, torso) is torso
    assert encoder_maker(GOALS) is None
    assert after_convolutions({"camera": IMAGE, **GOALS}, torso).joint is torso


@pytest.mark.parametrize("name", ["bro", "crossq", "maxinforl", "simba"])
def test_actors_with_layers_of_their_own_keep_them_after_the_convolutions(name, build):
    found = {k: shape for k, shape in kernels(build(name, IMAGE).agent).items() if ".actor.variables" in k}
    # MinAtar's convolution leaves 10 × 10 × 16 numbers, which its own dense layer does not take.
    assert [place for place, shape in found.items() if shape[-1] == 1600 and "CNN" not in place]


@pytest.mark.parametrize("name", ["dsac", "hyper_critic", "ppo", "tqc"])
def test_layers_that_are_those_of_vectors_alone_are_not_read_for_images(name, build):
    """So they are refused there; the critics of these have layers of their own, or go the actor's way."""
    reads = {spec: build(name, spec, telling)[1] for spec in (IMAGE, ArraySpec((3,)))}
    assert ["hidden_widths" in read for read in reads.values()] == [False, True]


def telling(build):
    """A build that also tells the fields that it reads."""
    return lambda config: build_and_tell(build, config)
