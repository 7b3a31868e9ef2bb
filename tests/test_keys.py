"""Random keys: what is handed out is handed out once."""

import ast
import collections
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_training import cart_pole

from jaxq import envs
from jaxq.agents import EpsilonZGreedy, LambdaQHyperparameters, LambdaQLearning, LinearSchedule
from jaxq.bellman import ImplicitQuantile, Scalar
from jaxq.keys import streams
from jaxq.networks import MLP, ActionValueHead, ActionValueNetwork, ImplicitQuantileHead
from jaxq.training import Evaluation, OnPolicy

ROOT = Path(__file__).parent.parent


def test_a_split_is_a_fold_which_is_why_streams_have_names():
    key = jax.random.key(0)
    split, folded = jax.random.split(key, 4)[2], jax.random.fold_in(key, 2)
    np.testing.assert_array_equal(jax.random.key_data(split), jax.random.key_data(folded))


MAKERS = ("stream", "streams", "keys_over_time", "counted_streams")


def test_the_names_of_all_streams_differ_as_numbers_too():
    """No name stands for a small number, which somebody could fold in, nor for another's."""
    names = set()
    for path in (ROOT / "jaxq").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") in (
                "stream",
                "streams",
                "keys_over_time",
                "counted_streams",
            ):
                names |= {a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)}
    assert len(names) > 30
    numbers = {zlib.crc32(name.encode()) for name in names}
    assert len(numbers) == len(names)
    assert min(numbers) > 100_000


class Ledger:
    """Writes down every key that is used to draw, and every one that is a parent, of what runs outside of `jit`."""

    def __init__(self, monkeypatch):
        self.drawn, self.parents = collections.Counter(), collections.Counter()
        for name in ("uniform", "normal", "randint", "bits", "categorical", "permutation", "bernoulli"):
            self._watch(monkeypatch, name, self.drawn)
        self._watch(monkeypatch, "split", self.parents)
        self.depth = 0

    def _watch(self, monkeypatch, name, ledger):
        original = getattr(jax.random, name)

        def watched(key, *args, **kwargs):
            if not self.depth and not isinstance(key, jax.core.Tracer):
                for data in np.asarray(jax.random.key_data(key)).reshape(-1, 2):
                    ledger[tuple(data)] += 1
            self.depth += 1
            try:
                return original(key, *args, **kwargs)
            finally:
                self.depth -= 1

        monkeypatch.setattr(jax.random, name, watched)


def unrolled(monkeypatch):
    """`scan`, `map`, `vmap` and `cond` as Python, so that every key has a value."""

    def scan(f, init, xs, length=None, reverse=False, **_):
        count = length if xs is None else len(jax.tree.leaves(xs)[0])
        outs, carry = [None] * count, init
        for i in reversed(range(count)) if reverse else range(count):
            carry, outs[i] = f(carry, None if xs is None else jax.tree.map(lambda x: x[i], xs))  # noqa: B023
        return carry, jax.tree.map(lambda *leaves: jnp.stack(leaves), *outs)

    monkeypatch.setattr(jax.lax, "scan", scan)


@pytest.mark.parametrize("kind", ["off-policy", "on-policy"])
def test_a_chunk_hands_out_no_key_twice(kind, monkeypatch):
    if kind == "off-policy":
        network = ActionValueNetwork(MLP((4,)), ImplicitQuantileHead(2, 4, 3, 3, 2))
        training = cart_pole(collect_steps=2, updates=2)
        agent = training.agent
        explore = EpsilonZGreedy.decaying(1.0, 1.0, 10)
        agent = type(agent)(network, agent.observation_spec, agent.optimizer,
                            agent.hyper.replace(exploration=explore), ImplicitQuantile())  # fmt: skip
        training = cart_pole(collect_steps=2, updates=2, replay=training.replay)
        training = type(training)(**{**vars(training), "agent": agent})
    else:
        environment = envs.make("tabular/Chain", 2)
        agent = LambdaQLearning(
            ActionValueNetwork(MLP((4,)), ActionValueHead(2)), environment.observation_spec, optax.scale_by_adam(),
            LambdaQHyperparameters(LinearSchedule.constant(1e-3), EpsilonZGreedy.decaying(1.0, 1.0, 10)), Scalar(),
            minibatches=2, epochs=2,
        )  # fmt: skip
        evaluation = Evaluation(envs.make("tabular/Chain", 1))
        training = OnPolicy(agent=agent, environment=environment, evaluation=evaluation, rollout_steps=4)
    state = jax.jit(training.warm_up)(jax.jit(training.init)(jax.random.key(3)[None]))
    ledger = Ledger(monkeypatch)
    unrolled(monkeypatch)
    with jax.disable_jit():
        state, _ = training.train_chunk(state, 3)
        training.train_chunk(state, 3)
    assert sum(ledger.drawn.values()) > 20
    assert {key: count for key, count in ledger.drawn.items() if count > 1} == {}
    assert set(ledger.drawn) & set(ledger.parents) == set(), "a key that was drawn from is no parent"


def test_streams_are_unlike_each_other_and_unlike_numbers_folded_in():
    key = jax.random.key(1)
    handed_out = [*streams(key, "act", "sample", "update"), *(jax.random.fold_in(key, i) for i in range(1000))]
    assert len({tuple(np.asarray(jax.random.key_data(k))) for k in handed_out}) == 1003


class KeyShowing:
    """An environment that observes the keys it is given; its episodes are of three steps."""

    name = "KeyShowing"
    observation_spec = envs.ArraySpec((2,), np.uint32)
    action_spec = envs.Discrete(2)
    max_episode_steps = 10

    def reset(self, key):
        return jnp.int32(0), jax.random.key_data(key)

    def step(self, state, action, key):
        return state + 1, jax.random.key_data(key), 0.0, state == 2, False


def test_an_episode_begins_with_no_draw_of_its_predecessor():
    environment = envs.Batched(KeyShowing(), 3)
    state, timestep = environment.reset(jax.random.split(jax.random.key(0), 3))
    _, seen = jax.jit(lambda s: jax.lax.scan(lambda s, _: (lambda s, t: (s, t.observation))(
        *environment.step(s, jnp.zeros(3, jnp.int32))), s, None, 40))(state)  # fmt: skip
    keys = np.concatenate([timestep.observation[None], seen]).reshape(-1, 2)
    assert len({tuple(key) for key in keys}) == len(keys) == 41 * 3
