"""Brax's own SAC on its halfcheetah in the settings of `contenders.py`; this project's environment serves.

    python -m benchmarks.baselines.brax_sac sac-brax

Its `train` runs from beginning to end and reports after every epoch, which is a segment here: a thread runs it, and
waits in each report until the next segment is asked for. Seconds are Brax's own, without the evaluations in between.
"""

import queue
import sys
import threading
from typing import Any

from brax import envs
from brax.training.agents.sac import train as sac

from benchmarks.baselines import brax_on_jax
from benchmarks.baselines.protocol import Segment, serve

EPOCHS = 10_000


def half_cheetah(num_envs: int, iterations: int, warmup: int) -> Segment:
    """256-256; each step of the environments is followed by as many updates of 256 as there are environments."""
    brax_on_jax.adapt()
    asked: queue.Queue[None] = queue.Queue()
    told: queue.Queue[tuple[int, float] | Exception] = queue.Queue()
    steps = num_envs * iterations

    def report(step: int, metrics: Any) -> None:
        if step:
            told.put((steps, steps / float(metrics["training/sps"])))
        asked.get()

    def train() -> None:
        sac.train(
            envs.get_environment("halfcheetah"),
            num_timesteps=warmup + EPOCHS * steps,
            num_evals=EPOCHS + 1,
            episode_length=1_000,
            num_envs=num_envs,
            num_eval_envs=1,
            batch_size=256,
            grad_updates_per_step=num_envs,
            learning_rate=3e-4,
            discounting=0.99,
            tau=0.005,
            min_replay_size=warmup,
            max_replay_size=100_000,
            max_devices_per_host=1,
            progress_fn=report,
        )

    def run() -> None:
        # An error of a thread is nobody's: it is given to whoever waits for the next segment.
        try:
            train()
            told.put(RuntimeError("Brax's training ended"))
        except Exception as error:
            told.put(error)

    def segment() -> tuple[int, float]:
        asked.put(None)
        got = told.get()
        if isinstance(got, Exception):
            raise got
        return got

    threading.Thread(target=run, daemon=True).start()
    return segment


SETTINGS = {"sac-brax": lambda: half_cheetah(16, 20, 2_000)}

if __name__ == "__main__":
    serve(SETTINGS[sys.argv[1]])
