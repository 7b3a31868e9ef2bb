"""What `throughput.py` measures: each contender is a function that prepares everything and returns one timed segment.

Run as `python -m benchmarks.contenders NAME`, it speaks the protocol of `baselines/protocol.py`.
"""

import dataclasses
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from benchmarks.baselines.protocol import Segment, serve
from benchmarks.timing import warmed_up
from experiments.continuous import crossq, sac, td3, tqc
from experiments.discrete import dqn, pqn, qr_dqn
from jaxq import envs
from jaxq.agents import QLearning
from jaxq.networks import ActionValueHead, ActionValueNetwork, MinAtarCNN
from jaxq.networks.convolution import Implementation
from jaxq.profiling import environment_alone
from jaxq.runs import parse
from jaxq.runs.devices import divide_processors, keep_small_loops_whole, spread
from jaxq.runs.population import assemble
from jaxq.training import Training


def _training_segment(training: Training, config: Any, iterations: int) -> Segment:
    """One chunk without an evaluation."""
    plan = training.plan(config.total_steps, 1, 1)
    steps = plan.steps_per_chunk // plan.iterations * iterations * config.num_members
    plan = dataclasses.replace(plan, chunks=1_000_000, iterations=iterations, chunks_per_evaluation=1_000_000)
    state = warmed_up(training, config)
    chunk = jax.jit(lambda s: training.train_chunk(s, plan.iterations), donate_argnums=0).lower(state).compile()

    def segment() -> int:
        nonlocal state
        state, metrics = chunk(state)
        jax.block_until_ready((state, metrics))
        return steps

    return segment


def _cart_pole(num_envs: int, collect_steps: int, batch_size: int, iterations: int) -> Segment:
    config = dqn.Config(
        num_envs=num_envs,
        collect_steps=collect_steps,
        batch_size=batch_size,
        replay_capacity=10_000,
        warmup_steps=max(1_000, 2 * num_envs),
        huber_threshold=None,
        learning_rate=2.5e-4,
    )
    return _training_segment(dqn.build(config), config, iterations)


def _pqn(iterations: int) -> Segment:
    """The script's own defaults for MinAtar, which are purejaxql's."""
    config = parse(pqn.Config, pqn.PRESETS, ["--env", "gymnax/Breakout-MinAtar"])
    return _training_segment(pqn.build(config), config, iterations)


def _floor(num_envs: int, collect_steps: int, batch_size: int, iterations: int) -> Segment:
    from benchmarks import floor  # gymnax begins JAX, after which its devices cannot be divided

    init, chunk = floor.make(num_envs, collect_steps, batch_size)
    carry = jax.jit(init)(jax.random.key(0))
    compiled = jax.jit(lambda c: chunk(c, iterations), donate_argnums=0).lower(carry).compile()

    def segment() -> int:
        nonlocal carry
        carry = jax.block_until_ready(compiled(carry))
        return iterations * collect_steps * num_envs

    return segment


# What every actor-critic on HalfCheetah has alike.
HALF_CHEETAH: dict[str, Any] = {
    "env": "envpool/HalfCheetah-v4",
    "eval_episodes": 1,
    "warmup_steps": 1_000,
    "replay_capacity": 100_000,
}


def _half_cheetah(script: Any, iterations: int, **settings: Any) -> Segment:
    config = script.Config(**HALF_CHEETAH, **settings)
    return _training_segment(script.build(config), config, iterations)


def _sac_brax(iterations: int) -> Segment:
    config = sac.Config(
        env="brax/halfcheetah",
        eval_episodes=1,
        num_envs=16,
        updates=16,
        warmup_steps=2_000,
        replay_capacity=100_000,
    )
    return _training_segment(sac.build(config), config, iterations)


def _qr_cart_pole(iterations: int) -> Segment:
    config = qr_dqn.Config(
        num_envs=1,
        collect_steps=4,
        batch_size=64,
        replay_capacity=10_000,
        num_quantiles=50,
        learning_rate=2.5e-4,
    )
    return _training_segment(qr_dqn.build(config), config, iterations)


def _minatar(convolution: Implementation, batch_size: int, iterations: int) -> Segment:
    config = dataclasses.replace(
        dqn.Config(env="gymnax/Breakout-MinAtar"),
        **{**dqn.PRESETS["minatar"], "replay_capacity": 50_000, "batch_size": batch_size},
    )
    training = dqn.build(config)
    assert isinstance(training.agent, QLearning)
    network = ActionValueNetwork(
        MinAtarCNN(convolution=convolution), ActionValueHead(envs.require_discrete(training.environment).num_actions)
    )
    agent = dataclasses.replace(training.agent, network=network, optimizer=optax.scale_by_adam())
    return _training_segment(dataclasses.replace(training, agent=agent), config, iterations)


def _pong(num_seeds: int, iterations: int) -> Segment:
    config = dataclasses.replace(
        dqn.Config(env="envpool/Pong-v5", num_seeds=num_seeds),
        **{**dqn.PRESETS["atari"], "replay_capacity": 20_000, "warmup_steps": 2_000},
    )
    return _training_segment(dqn.build(config), config, iterations)


def _environment_alone(name: str, num_envs: int, steps: int) -> Segment:
    """Stepping with random actions drawn beforehand, and nothing else."""
    return environment_alone(envs.make(name, num_envs), steps)


Product = tuple[int, int, int]  # [m, k] @ [k, n]
Layer = tuple[int, int, int]  # rows for each sample (the positions of a convolution), k, n

CART_POLE = [(1, 4, 64), (1, 64, 64), (1, 64, 2)]
CART_POLE_50 = [(1, 4, 64), (1, 64, 64), (1, 64, 100)]
MINATAR = [(64, 36, 16), (1, 1024, 128), (1, 128, 3)]
NATURE = [(400, 256, 32), (81, 512, 64), (49, 576, 64), (1, 3136, 512), (1, 512, 6)]
SAC_ACTOR = [(1, 17, 256), (1, 256, 256), (1, 256, 12)]
SAC_CRITIC = [(1, 23, 256), (1, 256, 256), (1, 256, 1)]


def _forward(batch: int, layers: list[Layer]) -> list[Product]:
    return [(batch * rows, k, n) for rows, k, n in layers]


def _backward(batch: int, layers: list[Layer], *, weights: bool = True, inputs: bool = False) -> list[Product]:
    """Products of the gradient: by the weights [n, k] of every layer, by the inputs of all but the first, or of all."""
    by_weights = [(n, batch * rows, k) for rows, k, n in layers] if weights else []
    return by_weights + [(batch * rows, n, k) for rows, k, n in (layers if inputs else layers[1:])]


def _dqn_products(layers: list[Layer], num_envs: int, collect_steps: int, batch: int) -> list[Product]:
    update = 2 * _forward(batch, layers) + _backward(batch, layers)
    return collect_steps * _forward(num_envs, layers) + update


def _sac_products(batch: int) -> list[Product]:
    critic_update = _forward(batch, SAC_ACTOR) + 4 * _forward(batch, SAC_CRITIC) + 2 * _backward(batch, SAC_CRITIC)
    through_critic = _forward(batch, SAC_CRITIC) + _backward(batch, SAC_CRITIC, weights=False, inputs=True)
    actor_update = _forward(batch, SAC_ACTOR) + _backward(batch, SAC_ACTOR) + 2 * through_critic
    return _forward(1, SAC_ACTOR) + critic_update + actor_update


def _td3_products(batch: int) -> list[Product]:
    """Two steps: the actor, whose outputs are half as many as SAC's, learns in the second."""
    actor = [*SAC_ACTOR[:-1], (1, 256, 6)]
    critics = _forward(batch, actor) + 4 * _forward(batch, SAC_CRITIC) + 2 * _backward(batch, SAC_CRITIC)
    through_critic = _forward(batch, SAC_CRITIC) + _backward(batch, SAC_CRITIC, weights=False, inputs=True)
    climb = _forward(batch, actor) + _backward(batch, actor) + through_critic
    return 2 * (_forward(1, actor) + critics) + climb


def _pqn_products() -> list[Product]:
    """128 environments, 32 steps and a last look, 2 epochs of 32 minibatches of 128."""
    return 33 * _forward(128, MINATAR) + 64 * (_forward(128, MINATAR) + _backward(128, MINATAR))


def _products_alone(products: list[Product], steps_per_iteration: int, iterations: int) -> Segment:
    """The matrix products of an iteration, each on operands of its own, chained by a number so that none is dropped."""
    operands = [
        tuple(jax.random.normal(jax.random.fold_in(jax.random.key(i), side), shape) for side, shape in enumerate(pair))
        for i, pair in enumerate(((m, k), (k, n)) for m, k, n in products)
    ]

    def scan(operands: Any, carry: jax.Array) -> jax.Array:
        def iteration(carry: jax.Array, _: None) -> tuple[jax.Array, None]:
            for left, right in operands:
                # Adding to one row makes each product depend on the one before at hardly any cost.
                out = left.at[0, 0].add(carry) @ right
                carry = 1e-9 * out[0, 0]
            return carry, None

        return jax.lax.scan(iteration, carry, None, iterations)[0]

    carry = jnp.float32(0)
    compiled = jax.jit(scan).lower(operands, carry).compile()

    def segment() -> int:
        jax.block_until_ready(compiled(operands, carry))
        return iterations * steps_per_iteration

    return segment


CONTENDERS: dict[str, Callable[[], Segment]] = {
    "dqn-cartpole-1/jaxq": lambda: _cart_pole(1, 4, 64, 10_000),
    "dqn-cartpole-1/floor": lambda: _floor(1, 4, 64, 10_000),
    "dqn-cartpole-1/environment alone": lambda: _environment_alone("gymnax/CartPole-v1", 1, 40_000),
    "dqn-cartpole-1/products alone": lambda: _products_alone(_dqn_products(CART_POLE, 1, 4, 64), 4, 10_000),
    "dqn-cartpole-128/jaxq": lambda: _cart_pole(128, 1, 256, 4_000),
    "dqn-cartpole-128/floor": lambda: _floor(128, 1, 256, 4_000),
    "dqn-cartpole-128/environment alone": lambda: _environment_alone("gymnax/CartPole-v1", 128, 4_000),
    "dqn-cartpole-128/products alone": lambda: _products_alone(_dqn_products(CART_POLE, 128, 1, 256), 128, 4_000),
    "sac-halfcheetah/jaxq": lambda: _half_cheetah(sac, 600),
    "sac-halfcheetah/environment alone": lambda: _environment_alone("envpool/HalfCheetah-v4", 1, 5_000),
    "sac-halfcheetah/products alone": lambda: _products_alone(_sac_products(256), 1, 300),
    "td3-halfcheetah/jaxq": lambda: _half_cheetah(td3, 600),
    "td3-halfcheetah/environment alone": lambda: _environment_alone("envpool/HalfCheetah-v4", 1, 5_000),
    "td3-halfcheetah/products alone": lambda: _products_alone(_td3_products(256), 2, 300),
    "tqc-halfcheetah/jaxq": lambda: _half_cheetah(tqc, 300, num_critics=2, critic_widths=(256, 256)),
    "tqc-halfcheetah/environment alone": lambda: _environment_alone("envpool/HalfCheetah-v4", 1, 5_000),
    "crossq-halfcheetah/jaxq": lambda: _half_cheetah(crossq, 300, critic_widths=(256, 256)),
    "crossq-halfcheetah/environment alone": lambda: _environment_alone("envpool/HalfCheetah-v4", 1, 5_000),
    "sac-brax/jaxq": lambda: _sac_brax(20),
    "sac-brax/environment alone": lambda: _environment_alone("brax/halfcheetah", 16, 200),
    "sac-brax/products alone": lambda: _products_alone(_sac_products(256), 1, 300),
    "qr-dqn-cartpole/jaxq": lambda: _qr_cart_pole(5_000),
    "qr-dqn-cartpole/environment alone": lambda: _environment_alone("gymnax/CartPole-v1", 1, 40_000),
    "qr-dqn-cartpole/products alone": lambda: _products_alone(_dqn_products(CART_POLE_50, 1, 4, 64), 4, 5_000),
    "dqn-minatar/jaxq": lambda: _minatar("auto", 32, 1_500),
    "dqn-minatar/native convolution": lambda: _minatar("native", 32, 300),
    "dqn-minatar/environment alone": lambda: _environment_alone("gymnax/Breakout-MinAtar", 16, 10_000),
    "dqn-minatar/products alone": lambda: _products_alone(_dqn_products(MINATAR, 16, 1, 32), 16, 1_500),
    "dqn-minatar-128/jaxq": lambda: _minatar("auto", 128, 600),
    "dqn-minatar-128/native convolution": lambda: _minatar("native", 128, 60),
    "dqn-minatar-128/products alone": lambda: _products_alone(_dqn_products(MINATAR, 16, 1, 128), 16, 600),
    "pqn-minatar/jaxq": lambda: _pqn(40),
    "pqn-minatar/products alone": lambda: _products_alone(_pqn_products(), 128 * 32, 10),
    "dqn-pong/jaxq, 1 seed": lambda: _pong(1, 60),
    "dqn-pong/jaxq, 2 seeds": lambda: _pong(2, 30),
    "dqn-pong/products alone": lambda: _products_alone(_dqn_products(NATURE, 4, 1, 32), 4, 60),
    "dqn-pong/environment alone": lambda: _environment_alone("envpool/Pong-v5", 4, 500),
}


def _seeds(num_seeds: int, iterations: int) -> Segment:
    config = dqn.Config(
        num_seeds=num_seeds, num_envs=1, collect_steps=4, batch_size=64, replay_capacity=10_000, huber_threshold=None
    )
    return _spread_segment(dqn, config, iterations)


def _actor_critics(num_seeds: int, iterations: int) -> Segment:
    config = sac.Config(
        env="gymnax/Pendulum-v1", num_seeds=num_seeds, hidden_widths=(64, 64), batch_size=64, replay_capacity=10_000
    )
    return _spread_segment(sac, config, iterations)


def _spread_segment(script: Any, config: Any, iterations: int) -> Segment:
    """With the members over the processors, as a run has them."""
    divide_processors()
    return _training_segment(spread(assemble(script.build, config), config).training, config, iterations)


def prepare(name: str) -> Segment:
    """One of `CONTENDERS`, or `growth-KIND/NAME/SIZE` of `benchmarks.growth`, compiled as a run's programs are."""
    keep_small_loops_whole()
    if not name.startswith("growth-"):
        return CONTENDERS[name]()
    kind, contender, size = name.split("/")
    count = int(size)
    if contender == "environment alone":
        task = "Pendulum-v1" if kind == "growth-actor-critics" else "CartPole-v1"
        return _environment_alone(f"gymnax/{task}", count, max(200, 40_000 // count))
    if kind == "growth-actor-critics":
        return _actor_critics(count, max(50, 4_000 // count))
    if kind == "growth-environments":
        return _cart_pole(count, 1, 256, 1_500)
    return _seeds(count, max(50, 4_000 // count))


if __name__ == "__main__":
    serve(lambda: prepare(sys.argv[1]))
