"""Dopamine's JAX DQN on Gymnasium's CartPole, driven as its own runner does, in the settings of `contenders.py`.

    python -m benchmarks.baselines.dopamine dqn-cartpole-1

Its modules import OpenAI's baselines, whose wrappers of Atari it would take there and which its package does not ask
for: an empty module stands in its place, of which nothing here is used.
"""

import functools
import sys
import types

import gymnasium
import numpy as np

sys.modules |= {name: types.ModuleType(name) for name in ("baselines", "baselines.common")}
sys.modules["baselines.common"].atari_wrappers = None  # type: ignore[attr-defined]

from dopamine.jax import networks  # noqa: E402
from dopamine.jax.agents.dqn import dqn_agent  # noqa: E402
from dopamine.jax.replay_memory import accumulator, replay_buffer, samplers  # noqa: E402

from benchmarks.baselines.protocol import Segment, serve  # noqa: E402


class Agent(dqn_agent.JaxDQNAgent):
    """The agent with a replay of 10,000 and batches of 64, which its authors set by gin."""

    def _build_replay_buffer(self) -> replay_buffer.ReplayBuffer:
        gathered = accumulator.TransitionAccumulator(stack_size=1, update_horizon=1, gamma=self.gamma)
        drawn = samplers.UniformSamplingDistribution(seed=0)
        return replay_buffer.ReplayBuffer(
            transition_accumulator=gathered, sampling_distribution=drawn, batch_size=64, max_capacity=10_000
        )


def dqn_cart_pole(steps: int) -> Segment:
    """DQN: 64-64, one update of 64 every 4 steps, one environment."""
    environment = gymnasium.make("CartPole-v1")
    agent = Agent(
        num_actions=2,
        observation_shape=(4,),
        observation_dtype=np.float32,
        stack_size=1,
        network=functools.partial(networks.ClassicControlDQNNetwork, num_layers=2, hidden_units=64),
        min_replay_history=1_000,
        update_period=4,
        target_update_period=2_000,
        seed=0,
    )

    def segment(steps: int = steps) -> int:
        taken = 0
        while taken < steps:
            observation, _ = environment.reset()
            action = agent.begin_episode(observation)
            while True:
                observation, reward, terminated, truncated, _ = environment.step(int(action))
                taken += 1
                if terminated or truncated:
                    agent.end_episode(reward, terminated)
                    break
                action = agent.step(reward, observation)
        return taken

    segment(2_000)
    return segment


SETTINGS = {"dqn-cartpole-1": lambda: dqn_cart_pole(2_000)}

if __name__ == "__main__":
    serve(SETTINGS[sys.argv[1]])
