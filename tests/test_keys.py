"""Random keys: what is handed out is handed out once."""

import ast
import collections
import concurrent.futures
import dataclasses
import functools
import sys
import threading
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments.spaces import Box, Discrete
from jax.extend import core
from test_experiments import FOLDERS, SCRIPTS, load, small

from jaxq import envs
from jaxq.keys import streams
from jaxq.runs import parse
from jaxq.runs.population import member_keys

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


DRAWS, PARENTS = {"random_bits", "random_gamma"}, {"random_fold_in", "random_split"}


class Later:
    """A value that is computed when it is asked for."""

    def __init__(self, make):
        self.make, self.value = make, None

    def now(self):
        if self.make is not None:
            self.value, self.make = self.make(), None
        return self.value


def now(value):
    return value.now() if isinstance(value, Later) else value


class Ledger:
    """Runs a program for its keys alone: writes down each that is drawn from, and each that others are made of.

    Everything else is computed only if a key, or whether one is used, depends on it: no network learns here.
    """

    def __init__(self):
        self.drawn, self.parents = collections.Counter(), collections.Counter()

    def run(self, program, *args):
        closed = jax.make_jaxpr(program)(*args)
        return [now(out) for out in self._run(closed.jaxpr, closed.consts, jax.tree.leaves(args)) if out is not None]

    def _write(self, counter, keys):
        for data in np.asarray(jax.random.key_data(keys)).reshape(-1, 2):
            counter[tuple(data.tolist())] += 1

    @functools.cache  # noqa: B019
    def _uses_keys(self, jaxpr):
        names = {eqn.primitive.name for eqn in jaxpr.eqns}
        inner = (sub for eqn in jaxpr.eqns for sub in core.jaxprs_in_params(eqn.params))
        return bool(names & (DRAWS | PARENTS)) or any(self._uses_keys(sub) for sub in inner)

    def _run(self, jaxpr, consts, args):
        """The outputs of a program, of which some are for `Later`."""
        known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))
        for eqn in jaxpr.eqns:
            operands = [v.val if isinstance(v, core.Literal) else known[v] for v in eqn.invars]
            known.update(zip(eqn.outvars, self._results(eqn, operands), strict=True))
        return [v.val if isinstance(v, core.Literal) else known[v] for v in jaxpr.outvars]

    def _results(self, eqn, operands):
        name, params = eqn.primitive.name, eqn.params
        if name in DRAWS | PARENTS:
            self._write(self.drawn if name in DRAWS else self.parents, now(operands[0]))
        if any(map(self._uses_keys, core.jaxprs_in_params(params))):
            return self._inside(name, params, operands)

        def compute():
            found = eqn.primitive.bind(*map(now, operands), **eqn.primitive.get_bind_params(params))
            return found if eqn.primitive.multiple_results else [found]

        whole = Later(compute)
        return [Later(lambda i=i: whole.now()[i]) for i in range(len(eqn.outvars))]

    def _inside(self, name, params, operands):
        def call(closed, args):
            return self._run(closed.jaxpr, closed.consts, args)

        if name == "scan":
            if "ft_in" in params:  # JAX 0.11 has no numbers of them
                consts, carry, over = map(list, params["ft_in"].update(operands).unpack())
            else:
                consts = operands[: params["num_consts"]]
                carry = operands[len(consts) : len(consts) + params["num_carry"]]
                over = operands[len(consts) + len(carry) :]
            steps = []
            for i in range(params["length"])[:: -1 if params["reverse"] else 1]:
                rows = [Later(lambda x=x, i=i: now(x)[i]) for x in over]
                found = call(params["jaxpr"], [*consts, *carry, *rows])
                carry = found[: len(carry)]
                steps.append(found[len(carry) :])
            steps = steps[:: -1 if params["reverse"] else 1]
            stacked = [Later(lambda rows=rows: jnp.stack([now(row) for row in rows])) for rows in zip(*steps)]
            return [*carry, *stacked]
        if name == "while":
            of_test, of_body = params["cond_nconsts"], params["body_nconsts"]
            test, body = operands[:of_test], operands[of_test : of_test + of_body]
            carry = operands[of_test + of_body :]
            while now(call(params["cond_jaxpr"], [*test, *carry])[0]):
                carry = call(params["body_jaxpr"], [*body, *carry])
            return carry
        if name == "cond":
            return call(params["branches"][int(now(operands[0]))], operands[1:])
        (inner,) = (params[field] for field in ("jaxpr", "call_jaxpr", "fun_jaxpr") if field in params)
        closed = inner if isinstance(inner, core.ClosedJaxpr) else core.ClosedJaxpr(inner, ())
        return call(closed, operands)


def deep(function):
    """Call with room for recursion: values that wait for each other are a chain as long as the run."""
    limit, size = sys.getrecursionlimit(), threading.stack_size(2**29)
    sys.setrecursionlimit(200_000)
    try:
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            return executor.submit(function).result()
    finally:
        sys.setrecursionlimit(limit)
        threading.stack_size(size)


class Drawing:
    """Every step draws, and no reset, which a batch computes for all of its environments when it needs one."""

    def __init__(self, shape=(3,), size=0):
        self.shape, self.size = shape, size

    def reset_env(self, key, params):
        return jnp.zeros(self.shape), jnp.int32(0)

    def step_env(self, key, state, action, params):
        return jnp.full(self.shape, jax.random.uniform(key)), state + 1, 1.0, state == 1, {}

    def action_space(self, params):
        return Box(-1.0, 1.0, (self.size,)) if self.size else Discrete(3)


envs.register("Drawing", Drawing)
envs.register("DrawingImages", functools.partial(Drawing, (10, 10, 4)))
envs.register("DrawingMotors", functools.partial(Drawing, size=1))

# One of each kind of loop in every run of the tests; `make test-slow` looks at all scripts.
QUICK = ("iqn", "pqn", "sac")
ELSEWHERE = {"bbf": "own/DrawingImages", "action_q_transformer": "own/DrawingImages"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in SCRIPTS])
def test_a_run_hands_out_no_key_twice(name):
    """Of two seeds: warm-up, two chunks, and the beginning of an evaluation."""
    module, presets = load(name)
    env = ELSEWHERE.get(name, "own/DrawingMotors" if FOLDERS[name] == "continuous" else "own/Drawing")
    fields = {field.name for field in dataclasses.fields(module.Config)}
    flags = [*small(module.Config), "--warmup-steps=64", "--batch-size=2", "--eval-max-steps=2"]
    flags += ["--exploration=epsilon_z"] if name == "iqn" else []
    flags = [flag for flag in flags if flag.split("=")[0].lstrip("-").replace("-", "_") in fields]
    config = parse(module.Config, presets, ["--env", env, *flags])
    training = module.build(config)

    def whole(keys):
        state = training.warm_up(training.init(keys))
        for _ in range(2):
            state, _ = training.train_chunk(state, 2)
        evaluation, _ = training.evaluate(state, training.begin_evaluation(state), jnp.int32(1_000))
        return evaluation.time

    ledger = Ledger()
    deep(lambda: ledger.run(whole, member_keys(config)))
    assert sum(ledger.drawn.values()) > 20
    assert {key: count for key, count in ledger.drawn.items() if count > 1} == {}
    assert set(ledger.drawn) & set(ledger.parents) == set(), "a key that was drawn from is no parent"


def test_the_ledger_sees_what_is_used_twice():
    def program(key):
        def step(carry, x):
            return carry, jax.vmap(jax.random.uniform)(jax.random.split(carry, 2)) + x

        _, drawn = jax.lax.scan(step, key, jnp.arange(3.0))
        return jax.lax.cond(drawn.sum() > 0, lambda: jax.random.normal(key), lambda: 0.0)

    ledger = Ledger()
    ledger.run(program, jax.random.key(0))
    assert sorted(ledger.drawn.values()) == [1, 3, 3]
    assert len(set(ledger.drawn) & set(ledger.parents)) == 1


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
