"""Resets: of the whole batch whenever an episode ends, from a pool of first states, and of one that is cached.

    python -m benchmarks.resets [--rounds 5] [--only brax/hopper-256]
    python -m benchmarks.resets --returns [--env brax/hopper] [--total-steps 200000] [--num-envs 64] [--updates 16]

Seconds of a step of the whole batch under random actions, in turn; or the returns of SAC trained with each, and tested
with full resets. Caching is what Brax's and Playground's own training do: every episode of an environment begins in its
one first state.
Writes benchmarks/results/resets.json, and of returns benchmarks/results/reset_returns.json.
"""

import argparse
import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing import RESULTS, SECONDS, arguments, measure, warmed_up
from jaxq import envs
from jaxq.envs import Batched, Pooled
from jaxq.envs.base import PooledState
from jaxq.runs.directory import provenance, read_json, write_json

ENVIRONMENTS = ("brax/hopper", "brax/inverted_pendulum", "gymnax/CartPole-v1")
SETTINGS = {f"{env}-{size}": (env, size) for env in ENVIRONMENTS for size in (16, 64, 256, 1024)}


class Cached(Pooled):
    """An environment's one first state is that of all its episodes; what it knows beside physics goes on."""

    def _renewed(self, state: PooledState, needed: jax.Array) -> PooledState:
        del needed
        if not hasattr(state.first, "info"):
            return state
        return state.replace(first=state.first.replace(info=state.episode.inner.info))


KINDS: dict[str, type[Batched]] = {"pool": Pooled, "full": Batched, "cached": Cached}


def made(kind: str, name: str, num_envs: int) -> Batched:
    """The environments, with resets of this kind."""
    known: Any = envs.make(name, 1)
    return KINDS[kind](known.single, num_envs)


def timed(environment: Batched) -> tuple[Callable[[], float], Callable[[], float]]:
    """A segment that returns the seconds of a step, and the share of environments that have ended in each so far."""

    def play(state: Any, key: jax.Array, count: jax.Array) -> Any:
        def step(i: jax.Array, now: Any) -> Any:
            state, ends = now
            action = environment.action_spec.sample(jax.random.fold_in(key, i), environment.num_envs)
            state, timestep = environment.step(state, action)
            return state, ends + jnp.mean(timestep.first)

        return jax.lax.fori_loop(0, count, step, (state, jnp.float32(0)))

    keys = jax.random.split(jax.random.key(0), environment.num_envs)
    state = jax.jit(environment.reset)(keys)[0]
    run = jax.jit(play).lower(state, jax.random.key(0), jnp.int32(1)).compile()
    steps, shares = 2, []
    calls = 0

    def segment() -> float:
        nonlocal state, calls
        calls += 1
        begun = time.perf_counter()
        state, ends = jax.block_until_ready(run(state, jax.random.key(calls), jnp.int32(steps)))
        seconds = (time.perf_counter() - begun) / steps
        shares.append(float(ends) / steps)
        return seconds

    segment()
    steps = int(np.clip(SECONDS / segment(), 10, 20_000))
    for _ in range(4):  # until episodes no longer end all together
        segment()
    shares.clear()
    return segment, lambda: float(np.mean(shares))


def speeds(only: list[str] | None, rounds: int) -> None:
    """Measure and write the seconds of a step."""
    for setting in only or SETTINGS:
        name, num_envs = SETTINGS[setting]
        contenders = {kind: timed(made(kind, name, num_envs)) for kind in KINDS}
        share = contenders["pool"][1]
        contenders["pool"][0]()
        noted = {"environments": num_envs, "share_ended": share()}
        measure("resets.json", setting, {kind: segment for kind, (segment, _) in contenders.items()}, rounds, **noted)


def returns(name: str, total_steps: int, num_envs: int, updates: int, seeds: int) -> None:
    """Train SAC with resets of each kind, so many updates for each step of the batch, and write what came of it."""
    from experiments.continuous import sac

    asked: dict[str, Any] = {"env": name, "total_steps": total_steps, "num_envs": num_envs, "updates": updates}
    config = sac.Config(**asked, num_seeds=seeds, eval_episodes=32)
    results: dict[str, Any] = {"config": asked}
    for kind in KINDS:
        training: Any = sac.build(config)
        environment = made(kind, name, num_envs * seeds)
        training = dataclasses.replace(training, environment=environment)
        plan = training.plan(total_steps, 10, 1)
        state = warmed_up(training, config)
        program = jax.jit(lambda s, t=training, n=plan.iterations: t.train_chunk(s, n), donate_argnums=0)
        chunk = program.lower(state).compile()
        begun = time.perf_counter()
        for _ in range(plan.chunks):
            state, _ = chunk(state)
        jax.block_until_ready(state)
        seconds = time.perf_counter() - begun
        evaluate = jax.jit(lambda s, t=training: t.evaluation(t.agent, s.agent, s.key))
        found = np.asarray(evaluate(state)["eval_return"]).tolist()
        results[kind] = {"returns": found, "seconds": seconds}
        print(f"{kind:8} returns {found}, {plan.total_steps * seeds / seconds:,.0f} steps/s", flush=True)
    path = RESULTS / "reset_returns.json"
    before = read_json(path)
    write_json(path, {**before, name: {**results, "provenance": provenance()}})


def main() -> None:
    """Measure and write the results."""
    parser: argparse.ArgumentParser = arguments(__doc__, SETTINGS)
    parser.add_argument("--returns", action="store_true", help="train SAC with each, in place of timing steps")
    parser.add_argument("--env", default="brax/hopper")
    parser.add_argument("--total-steps", type=int, default=200_000)
    parser.add_argument("--num-envs", type=int, default=64)
    parser.add_argument("--updates", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    if args.returns:
        returns(args.env, args.total_steps, args.num_envs, args.updates, args.seeds)
    else:
        speeds(args.only, args.rounds)


if __name__ == "__main__":
    main()
