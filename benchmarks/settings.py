"""Writes docs/settings.md: what the learning results were run with, and what was tuned on which seeds.

python -m benchmarks.settings
"""

import argparse
import functools
import json
import warnings
from pathlib import Path
from typing import Any

from benchmarks.runs import command_of
from benchmarks.suites import suites
from jaxq.configs import DRIVER_FIELDS
from jaxq.configs.axis import build_and_tell
from jaxq.errors import InputError, InputWarning
from jaxq.runs import parse
from jaxq.runs.results import Result
from jaxq.runs.scripts import experiment

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "settings.md"

INTRO = """# Settings

What `make reproduce` runs today; those of the [results](results.md) that were run with other numbers are named beside
their table. Made by `python -m benchmarks.settings` from the scripts' own defaults and the suites of `python -m
benchmarks.reproduce`. An empty cell is a number that the script does not have.

## What was tuned

Numbers are those of the papers and of their authors' code, each named in its script, unless they are listed here or in
the flags of a suite: those of a quadruped and of a pole (`robots`, `small-control`) are small networks for one core. On
MinAtar some are neither: Adam's own ε of 1e-8 (MinAtar's authors have RMSProp; *Revisiting Rainbow*, whose settings of
C51, IQN and QR-DQN on MinAtar are the only published ones known here, has Adam with 3.1e-4), exploration that falls to
0.02 in 200,000 steps (0.1 in 100,000; 0.01 in 250,000), a support of -20 to 20 with 101 atoms (-100 to 100 with 51),
IQN's 8 fractions (32), and a dense layer of 128 under every head (MinAtar's authors have it, the others do not).
In the suites below nothing else was chosen by looking at results: on MinAtar, on Atari and in `control` agents run in
their own defaults, but for PQN's exploration, which is made for longer runs, QR-DQN's 51 quantiles, for time, and
CrossQ's widths, which are SAC's here. What learns from replay on MinAtar makes an update for 16 steps, for the speed of
parallel environments, where MinAtar's authors make one for each; the target network is copied every 500 updates, or
8,000 steps, where theirs is every 1,000 of both. C51's is copied as theirs is by steps. Evaluations are of the greedy
policy, Dopamine's of one with an ε of 0.001.
"""

# (where, what, on which task and seeds, which seeds the results are of)
TUNED = (
    (
        "classic control, agents with replay",
        "double targets of ten steps, a batch of 128, a step size that falls from 1e-3 to zero",
        "DQN on CartPole, seeds 0 to 19",
        "0 to 9; and 100 to 109, which were not looked at before",
    ),
    (
        "MinAtar, 200,000 steps",
        "one step size for all, of 2.5e-4 and 1e-3",
        "DQN, C51, QR-DQN and HL-Gauss on Breakout, seeds 100 to 102",
        "0 to 2",
    ),
    (
        "MinAtar, learning from replay",
        "updates between copies of the target network, of 64 and 500",
        "DQN on Breakout, Asterix, Freeway and SpaceInvaders, seeds 0 to 2",
        "0 to 2, on which the two were compared",
    ),
    (
        "MinAtar, C51",
        "updates between copies of the target network, of 64 and 500",
        "Freeway, seeds 100 to 102 with 64 and 0 to 2 with 500",
        "0 to 2",
    ),
    (
        "time to a return, PQN",
        "network, environments, rollout, minibatches and epochs",
        "MinAtar Breakout, seed 100",
        "0 to 2",
    ),
    (
        "time to a return, FastSAC",
        "environments, updates, batch, widths, atoms, step size, target rate and target entropy",
        "HalfCheetah-v4, seed 0",
        "0, on which it was tuned; no others were run",
    ),
    (
        "a quadruped that walks",
        "environments, widths, updates, batch, step sizes, target rate, and what costs weigh at first and for how long",
        "Go1JoystickFlatTerrain-v1; on which seeds is not recorded",
        "0 to 2",
    ),
)

# What to show of a suite, as far as a script has it; titles are those of the flags.
DISCRETE = (
    "num_envs", "learning_rate", "batch_size", "n_step", "discount", "replay_capacity", "warmup_steps", "target_period",
    "target_rate", "epsilon_steps", "epsilon_final", "num_atoms", "num_quantiles", "num_fractions", "priority_exponent",
    "links", "sync_period", "trace",
)  # fmt: skip
CONTINUOUS = (
    "num_envs", "learning_rate", "batch_size", "updates", "discount", "replay_capacity", "warmup_steps", "target_rate",
    "num_critics", "critic_widths", "actor_widths", "actor_period", "num_quantiles", "links", "sync_period",
)  # fmt: skip
SHOWN = {"minatar": DISCRETE, "minatar-samples": DISCRETE, "atari": DISCRETE, "control": CONTINUOUS}


# What no field of a configuration tells: until when agents were otherwise, and then and now.
LAYERS = (
    "2026-11-27T18:04:46",
    ("td3", "ddpg", "i_td3", "beer", "tqc", "dsac_t", "dsac", "redq", "droq", "hyper_critic", "fast_td3", "revalued"),
    {"layers": ("that began otherwise", "as their authors' begin")},
)


def changed(run: Result) -> dict[str, tuple[Any, Any]]:
    """What of a kept run's configuration its command stands for no longer: then and now, of what its script obeys.

    A field that the script had not when it was run cannot be compared. A command that is taken no longer has changed as
    a whole: it stands there with the reason. What is no field is told as one (`LAYERS`).
    """
    agent, *flags = command_of(run)
    try:
        module = experiment(agent)
        config = parse(module.Config, module.PRESETS, flags)
    except InputError as error:
        return {"command": (" ".join([agent, *flags]), str(error))}
    now = {name: value for name, value in vars(config).items() if name not in DRIVER_FIELDS and name in run.config}
    differing = [name for name, value in now.items() if json.dumps(value) != json.dumps(run.config[name])]
    obeyed = _obeyed(agent, tuple(flags)) if differing else ()
    until, agents, otherwise = LAYERS
    untold = otherwise if agent in agents and run.provenance["date"] < until else {}
    return {**{name: (run.config[name], now[name]) for name in differing if name in obeyed}, **untold}


@functools.cache
def _obeyed(agent: str, flags: tuple[str, ...]) -> set[str]:
    """The fields that a script reads when it is put together with these flags."""
    module = experiment(agent)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        return build_and_tell(module.build, parse(module.Config, module.PRESETS, flags))[1]


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def table(commands: list[str], fields: tuple[str, ...]) -> str:
    """A row an agent, a column a field that any of them has.

    Args:
      commands: of a suite, without `python`.
      fields: of their configurations.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for command in commands:
        agent, *flags = command.split()
        module = experiment(agent)
        config = parse(module.Config, module.PRESETS, flags)
        rows.setdefault((agent, f"{config.total_steps:,}"), vars(config))
    columns = [name for name in fields if any(row.get(name) is not None for row in rows.values())]
    lines = [f"| agent | steps | {' | '.join(columns)} |", "| --- | ---: |" + " ---: |" * len(columns)]
    for (agent, steps), row in rows.items():
        cells = ["" if row.get(name) is None else _cell(row[name]) for name in columns]
        lines.append(f"| {agent} | {steps} | {' | '.join(cells)} |")
    return "\n".join(lines)


def page() -> str:
    """The whole page."""
    found = suites([])
    tuned = ["| where | what | on | seeds of the results |", "| --- | --- | --- | --- |"]
    tuned += [f"| {' | '.join(row)} |" for row in TUNED]
    parts = [INTRO, "\n".join(tuned) + "\n"]
    for suite, fields in SHOWN.items():
        # The games of a suite share their agents' settings.
        shown = table(list(found[suite].values()), fields)
        parts.append(f"## {suite}\n\n`make reproduce SUITE={suite}`\n\n{shown}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    PAGE.write_text(page())
    print(PAGE)
