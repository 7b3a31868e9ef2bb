"""The environments of a run."""

from typing import Any

from jaxq import envs
from jaxq.envs import Environment
from jaxq.runs.config import RunConfig

# Evaluation environments that are seeded from outside JAX get seeds this far from those of training.
EVALUATION_SEED_OFFSET = 10_000


def make_environments(config: RunConfig, **training_options: Any) -> tuple[Environment, Environment]:
    """The flat batches of all seeds' training and evaluation environments.

    Args:
      config: with the name and the numbers.
      training_options: passed to the backend of the training environments only.
    """
    members, seed = config.num_seeds, config.seed
    return (
        envs.make(config.env, config.num_envs * members, seed=seed, **training_options),
        envs.make(config.env, config.eval_episodes * members, seed=seed + EVALUATION_SEED_OFFSET),
    )
