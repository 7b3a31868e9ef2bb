"""The work of every setting: what all of its contenders do alike."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Work:
    """One row of what is equal.

    Attributes:
      title: in tables.
      environment: and how many of it.
      network: hidden layers.
      batch: transitions of an update.
      updates_per_step: of the network, for each environment step.
      replay: transitions; none where it learns from rollouts.
      remark: on its results.
    """

    title: str
    environment: str
    network: str
    batch: int
    updates_per_step: float
    replay: int | None
    remark: str = ""


SETTINGS = {
    "dqn-cartpole-1": Work(
        "DQN, CartPole, 1 environment, 64-64, an update of 64 every 4 steps",
        "CartPole-v1, 1", "64-64", 64, 1 / 4, 10_000,
    ),
    "dqn-cartpole-128": Work(
        "DQN, CartPole, 128 environments, 64-64, an update of 256 every step of the batch",
        "CartPole-v1, 128", "64-64", 256, 1 / 128, 10_000,
    ),
    "qr-dqn-cartpole": Work(
        "QR-DQN, CartPole, 1 environment, 64-64, 50 quantiles, an update of 64 every 4 steps",
        "CartPole-v1, 1", "64-64", 64, 1 / 4, 10_000,
    ),
    "sac-halfcheetah": Work(
        "SAC, EnvPool HalfCheetah-v4, 256-256, an update of 256 a step",
        "EnvPool HalfCheetah-v4, 1", "256-256", 256, 1, 100_000,
    ),
    "td3-halfcheetah": Work(
        "TD3, EnvPool HalfCheetah-v4, 256-256, an update of 256 a step, of the actor every second",
        "EnvPool HalfCheetah-v4, 1", "256-256", 256, 1, 100_000,
    ),
    "tqc-halfcheetah": Work(
        "TQC, EnvPool HalfCheetah-v4, 256-256, 2 critics of 25 quantiles, an update of 256 a step",
        "EnvPool HalfCheetah-v4, 1", "256-256", 256, 1, 100_000,
    ),
    "crossq-halfcheetah": Work(
        "CrossQ, EnvPool HalfCheetah-v4, 256-256, an update of 256 a step, of the actor every third",
        "EnvPool HalfCheetah-v4, 1", "256-256", 256, 1, 100_000,
    ),
    "sac-brax": Work(
        "SAC, Brax halfcheetah, 16 environments, 256-256, 16 updates of 256 every step of the batch",
        "Brax halfcheetah, 16", "256-256", 256, 1, 100_000,
        "Both do the same products, which all of jaxq's time goes into. Brax's actor climbs the critics as they were "
        "before the update, so that XLA can learn the two side by side, where jaxq's climbs the updated ones.",
    ),
    "dqn-minatar": Work(
        "DQN, MinAtar Breakout, 16 environments, an update of 32 every step of the batch",
        "gymnax Breakout-MinAtar, 16", "16 of 3×3, 128", 32, 1 / 16, 50_000,
    ),
    "dqn-minatar-128": Work(
        "DQN, MinAtar Breakout, 16 environments, an update of 128 every step of the batch",
        "gymnax Breakout-MinAtar, 16", "16 of 3×3, 128", 128, 1 / 16, 50_000,
    ),
    "pqn-minatar": Work(
        "PQN, MinAtar Breakout, 128 environments × 32 steps, 2 epochs of 32 minibatches",
        "gymnax Breakout-MinAtar, 128", "16 of 3×3, 128", 128, 64 / 4096, None,
    ),
    "dqn-pong": Work(
        "DQN, EnvPool Pong, 4 environments, Nature network, an update of 32 every 4 steps",
        "EnvPool Pong-v5, 4", "Nature", 32, 1 / 4, 20_000,
    ),
}  # fmt: skip

# What the quick benchmark measures.
QUICK = ("dqn-cartpole-1", "dqn-cartpole-128", "sac-halfcheetah", "pqn-minatar")
