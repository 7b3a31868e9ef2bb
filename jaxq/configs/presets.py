"""Defaults by the environment's domain: those that several scripts share, and how a script joins them with its own.

What belongs to one paper stands in that paper's script.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxq import envs
from jaxq.configs.environments import OF_ATARI
from jaxq.errors import require

Presets = dict[str, dict[str, Any]]

# A domain that is a part of another, or like it: its defaults are that one's where it has none of its own.
LIKE = {"pendulum": "classic", "images": "atari"}


def presets(
    config_class: type,
    *shared: Mapping[str, Mapping[str, Any]],
    everywhere: Mapping[str, Any] | None = None,
    **own: Any,
) -> Presets:
    """The defaults of a script, by domain; those of a domain that is `LIKE` another go before that one's.

    What is about Atari alone stays there.

    Args:
      config_class: of the script.
      shared: those of several scripts, of which the fields that this one has count; later ones go before earlier ones.
      everywhere: its own in all domains, which go before the shared ones.
      own: its own by domain, which go before all others.

    Raises:
      InputError: for a domain that there is not, or a field of its own that it does not have.
    """
    fields = {field.name for field in dataclasses.fields(config_class)}
    for domain, values in {"everywhere": everywhere or {}, **own}.items():
        known = domain == "everywhere" or domain in envs.DOMAINS
        require(known, "presets", domain, f"one of everywhere, {', '.join(envs.DOMAINS)}")
        unknown = sorted(set(values) - fields)
        require(not unknown, f"presets of {domain}", unknown, "fields of the script's Config")

    def of(domain: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        kinds = [LIKE[domain], domain] if domain in LIKE else [domain]
        for kind in kinds:
            found |= {k: v for preset in shared for k, v in preset.get(kind, {}).items() if k in fields}
        found |= everywhere or {}
        for kind in kinds:
            found |= own.get(kind, {})
        return {k: v for k, v in found.items() if domain == "atari" or k not in OF_ATARI}

    return {domain: of(domain) for domain in envs.DOMAINS}


# A hundred thousand pictures of several channels are 1 to 3 GB; Atari's stacks share their frames.
PICTURES = {"replay_capacity": 100_000}

# Atari as it was played before actions were sticky: an episode of training is a life.
BY_LIVES: Presets = {"atari": {"life_loss": True, "sticky_actions": 0.0}}

# Q-learning from replay. atari: Dopamine's schedule, its Adam and its sticky actions, also where the papers of an agent
# have others (C51, QR-DQN, IQN and FQF begin to learn after 50,000 steps, renew targets every 10,000 and explore for a
# million). minatar: Young and
# Tian (MinAtar, 2019) with Adam, over parallel environments, of which an update of 32 has 16 steps where theirs has
# one; the target network is copied every 500 updates, half as many as theirs but of eight times as many steps, and ε
# falls to 0.02 in 200,000 steps where theirs falls to 0.1 in 100,000. classic: double targets of ten steps and a step
# size that falls to zero over a replay of the whole run, found here: plain one-step DQN does not settle on CartPole.
# tabular: one step, so that operator and target matter in tasks of two steps. images: Atari's, by which convolutions
# over bytes are known to learn many games, and whose clipped rewards need no scale. other, games and puzzles seen as
# vectors: MinAtar's, which are for many games that are learned by small networks, and not for one.
Q_LEARNING: Presets = {
    "tabular": {
        "total_steps": 50_000,
        "num_envs": 4,
        "target_period": 100,
        "epsilon_steps": 10_000,
        "epsilon_final": 0.1,
        "replay_capacity": 50_000,
    },
    "classic": {
        "total_steps": 200_000,
        "num_envs": 4,
        "batch_size": 128,
        "learning_rate": 1e-3,
        "learning_rate_final": 0.0,
        "replay_capacity": 200_000,
        "n_step": 10,
        "operator": "double",
        "target_period": 500,
        "epsilon_steps": 40_000,
        "epsilon_final": 0.1,
    },
    "minatar": {
        "total_steps": 2_000_000,
        "num_envs": 16,
        "batch_size": 32,
        "learning_rate": 2.5e-4,
        "warmup_steps": 5_000,
        "target_period": 500,
        "epsilon_steps": 200_000,
        "epsilon_final": 0.02,
    },
    "atari": {
        "total_steps": 10_000_000,
        "num_envs": 4,
        "batch_size": 32,
        "learning_rate": 6.25e-5,
        "adam_epsilon": 1.5e-4,
        "warmup_steps": 20_000,
        "replay_capacity": 1_000_000,
        "target_period": 2_000,
        "epsilon_final": 0.01,
        "epsilon_steps": 250_000,
        "reward_clip": 1.0,
        "sticky_actions": 0.25,
        "eval_episodes": 4,
        "checkpoint_minutes": 60.0,
    },
    "images": PICTURES,
}
Q_LEARNING["other"] = Q_LEARNING["minatar"]

# Q-learning from λ-returns: those of PQN's authors' code (purejaxql), by domain; but on classic control layers are half
# as wide, and rewards are not scaled by a tenth.
LAMBDA_Q_LEARNING: Presets = {
    "tabular": {"total_steps": 100_000, "num_envs": 16, "rollout_steps": 16, "minibatches": 4, "epsilon_steps": 20_000},
    "classic": {
        "total_steps": 500_000,
        "num_envs": 32,
        "rollout_steps": 64,
        "minibatches": 16,
        "epochs": 4,
        "learning_rate": 1e-4,
        "trace": 0.95,
        "epsilon_final": 0.2,
        "epsilon_steps": 100_000,
        "hidden_widths": (128, 128),
    },
    "minatar": {"total_steps": 10_000_000, "epsilon_steps": 1_000_000},
    "atari": {
        "total_steps": 50_000_000,
        "learning_rate": 2.5e-4,
        "learning_rate_final": None,
        "epsilon_final": 0.001,
        "epsilon_steps": 5_000_000,
        "reward_clip": 1.0,
        "life_loss": True,
        "eval_episodes": 4,
    },
    "images": PICTURES,
}
LAMBDA_Q_LEARNING["other"] = LAMBDA_Q_LEARNING["minatar"]

# Supports. Discounted returns of CartPole reach 1 / (1 - γ) and those of MinAtar stay below 20; the atoms lie around
# zero because a network begins at their middle. For Atari's clipped rewards C51's own support serves. Of other tasks as
# much as of CartPole is assumed: a reward of one at every step.
ATOMS: Presets = {
    "tabular": {"v_min": -20.0, "v_max": 20.0, "num_atoms": 101},
    "classic": {"v_min": -100.0, "v_max": 100.0, "num_atoms": 101},
    "minatar": {"v_min": -20.0, "v_max": 20.0, "num_atoms": 101},
    "atari": {"v_min": -10.0, "v_max": 10.0},
    "other": {"v_min": -100.0, "v_max": 100.0, "num_atoms": 101},
}

# IQN's paper finds 8 samples nearly as good as 64; on small images they are what an update's time goes into.
FRACTIONS: Presets = {"minatar": {"num_fractions": 8, "num_act_fractions": 8}}

# Actor-critics: classic control needs few steps, and its replay can be small. Elsewhere each has its paper's numbers.
CONTROL: Presets = {
    "classic": {"total_steps": 20_000, "warmup_steps": 1_000, "replay_capacity": 50_000},
    "images": {"replay_capacity": PICTURES["replay_capacity"]},
}

# DecQN and what is made of it.
DECQN: Presets = {
    "classic": {
        "collect_steps": 2,
        "hidden_width": 128,
        "batch_size": 128,
        "learning_rate": 5e-4,
    },
}

# Agents made for thousands of environments: what two cores can carry of classic control. Discounted returns of Pendulum
# are all below zero; of other small tasks little is known, but that a reward of one at every step makes 100 at most.
PARALLEL: Presets = {
    "classic": {
        "total_steps": 100_000,
        "num_envs": 32,
        "batch_size": 512,
        "updates": 4,
        "warmup_steps": 1_024,
        "replay_capacity": 100_000,
        "critic_widths": (256, 128, 64),
        "actor_widths": (128, 64, 32),
        "critic_width": 64,
        "actor_width": 64,
        "v_min": -100.0,
        "v_max": 100.0,
    },
    "pendulum": {"v_min": -400.0, "v_max": 10.0},
}
