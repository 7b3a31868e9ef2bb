"""Put an agent together without a script, and train it in a loop of your own.

python examples/embedding.py
"""

import jax
import optax

from jaxq import (
    ActionValueHead,
    ActionValueNetwork,
    EpsilonGreedy,
    Evaluation,
    HardUpdate,
    LinearSchedule,
    OffPolicy,
    QLearning,
    QLearningHyperparameters,
    Scalar,
    UniformReplay,
    envs,
    torso_for,
)


def main() -> None:
    """DQN on a small exact MDP: from left to right of a chain."""
    environment = envs.make("tabular/Chain", num_envs=4)
    spec = environment.observation_spec
    agent = QLearning(
        network=ActionValueNetwork(torso_for(spec, (32,)), ActionValueHead(2)),
        observation_spec=spec,
        optimizer=optax.scale_by_adam(),
        hyper=QLearningHyperparameters(
            learning_rate=LinearSchedule.constant(3e-3),
            exploration=EpsilonGreedy.decaying(1.0, 0.1, 2000),
            target=HardUpdate(50),
            discount=0.9,
        ),
        representation=Scalar(),
    )
    training = OffPolicy(
        agent=agent,
        replay=UniformReplay.for_environment(environment, capacity=5000, batch_size=64),
        environment=environment,
        evaluation=Evaluation(envs.make("tabular/Chain", num_envs=4)),
        warmup_steps=500,
    )
    state = jax.jit(training.warm_up)(jax.jit(training.init)(jax.random.key(0)[None]))
    chunk = jax.jit(lambda state: training.train_chunk(state, 500), donate_argnums=0)
    for _ in range(3):
        state, metrics = chunk(state)
        print(f"loss {float(metrics['loss'][0]):.4f}, return while exploring {float(metrics['episode_return'][0]):.2f}")
    result = jax.jit(lambda state: training.evaluation(agent, state.agent, state.key))(state)
    print(f"return {float(result['eval_return'][0]):.2f} in {float(result['eval_length'][0]):.1f} steps")


if __name__ == "__main__":
    main()
