"""rejax's DQN and PQN to a return, tested by its own evaluation between parts of its training.

python -m benchmarks.baselines.rejax_returns --agent dqn --env CartPole-v1 --seed 0

Settings are those of its repository for CartPole, on MinAtar too, for which it has none; there its network is a
multilayer perceptron, for want of another in the package.
"""

import argparse
from typing import Any

import jax
import jax.numpy as jnp
from rejax import get_algo
from rejax.compat import create
from rejax.evaluate import evaluate

from benchmarks.baselines.protocol import tested

# Those of configs/gymnax/cartpole.yaml@4954fbf; exploration ends after as many steps as there, of more in all.
SETTINGS: dict[str, dict[str, Any]] = {
    "dqn": {
        "agent": "DuelingQNetwork",
        "agent_kwargs": {"activation": "swish"},
        "num_envs": 10,
        "buffer_size": 50_000,
        "fill_buffer": 5_000,
        "batch_size": 100,
        "max_grad_norm": 10.0,
        "learning_rate": 1e-3,
        "num_epochs": 5,
        "polyak": 0.98,
        "eps_start": 1.0,
        "eps_end": 0.05,
        "gamma": 0.99,
        "ddqn": True,
    },
    "pqn": {
        "num_envs": 16,
        "num_steps": 128,
        "num_minibatches": 16,
        "max_grad_norm": 10.0,
        "learning_rate": 3e-4,
        "num_epochs": 5,
        "eps_start": 1.0,
        "eps_end": 0.05,
        "gamma": 0.99,
        "td_lambda": 0.9,
    },
}
EXPLORING = {"dqn": 50_000, "pqn": 262_144}  # steps

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agent", choices=list(SETTINGS), required=True)
    parser.add_argument("--env", default="CartPole-v1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--total-steps", type=int, default=10_000_000)
    parser.add_argument("--test-every", type=int, default=20_000)
    args = parser.parse_args()
    environment, params = create(args.env)
    algorithm = get_algo(args.agent).create(
        env=environment,
        env_params=params,
        total_timesteps=args.total_steps,
        exploration_fraction=EXPLORING[args.agent] / args.total_steps,
        **SETTINGS[args.agent],
    )
    longest = params.max_steps_in_episode

    def test(state: Any, key: jax.Array) -> jax.Array:
        """The mean return of five episodes."""
        _, returns = evaluate(algorithm.make_act(state), key, environment, params, 5, longest)
        return jnp.mean(returns)

    steps = algorithm.num_envs * getattr(algorithm, "num_steps", 1)
    count = max(1, args.test_every // steps)
    state = jax.jit(algorithm.init_state)(jax.random.PRNGKey(args.seed))
    train = jax.jit(lambda state: jax.lax.fori_loop(0, count, lambda _, s: algorithm.train_iteration(s), state))
    test = jax.jit(test)
    for i in range(1, args.total_steps // (count * steps) + 1):
        state = train(state)
        tested(i * count * steps, float(test(state, jax.random.fold_in(jax.random.PRNGKey(args.seed), i))))
