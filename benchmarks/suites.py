"""The suites of learning results: which commands are run, by suite and by the name of the result."""

MINATAR_GAMES = ("Breakout", "Asterix", "Freeway", "SpaceInvaders", "Seaquest")
CONTROL_TASKS = ("HalfCheetah-v4", "Hopper-v4", "Walker2d-v4")
ATARI_GAMES = ("Pong", "Breakout", "Qbert", "Seaquest", "SpaceInvaders")

# The ten main agents on MinAtar, in each script's own defaults but for PQN's exploration, which is made for ten times
# as many steps: a million, or half a million for those of which a million takes more than an hour a game on two cores.
MILLION = {
    "dqn": "",
    "pqn": "--epsilon-steps 250000",
    "c51": "",
    "hl_gauss": "",
    "qr_dqn": "--num-quantiles 51",
    "rainbow": "",
    "i_dqn": "",
}
HALF_A_MILLION = ("iqn", "munchausen_iqn", "i_iqn")


def _minatar() -> dict[str, str]:
    sizes = {agent: ("million", 1_000_000, flags) for agent, flags in MILLION.items()}
    sizes |= {agent: ("half", 500_000, "") for agent in HALF_A_MILLION}
    return {
        f"{prefix}-{game}-{agent}": f"{agent} --env gymnax/{game}-MinAtar --num-seeds 3 --total-steps {steps} "
        f"--num-evaluations 4 {flags}".rstrip()
        for agent, (prefix, steps, flags) in sizes.items()
        for game in MINATAR_GAMES
    }


# One small budget for all agents that replay, so that it is samples that decide; PQN, which sees each sample twice and
# forgets it, gets its own paper's kind of budget. The step size is one for all agents and games. Of 2.5e-4 and 1e-3,
# tried with DQN, C51, QR-DQN and HL-Gauss on Breakout and seeds 100 to 102, the larger one is the better for three and
# as good for QR-DQN: there are only 12,000 updates, in which logits have far to go.
SAMPLES = "--num-seeds 3 --total-steps 200000 --learning-rate 1e-3 --num-evaluations 4"
ROLLOUTS = "--num-seeds 2 --total-steps 2500000 --epsilon-steps 250000 --num-evaluations 4"
FEW_SAMPLES = {
    "dqn": "--epsilon-steps 50000",
    "c51": "--epsilon-steps 50000",
    "qr_dqn": "--epsilon-steps 50000 --num-quantiles 51",
    "iqn": "--epsilon-steps 50000",
    "hl_gauss": "--epsilon-steps 50000",
    "munchausen_iqn": "--epsilon-steps 50000",
    "rainbow": "",
    "i_dqn": "--epsilon-steps 50000",
    "i_iqn": "--epsilon-steps 50000",
}


def _minatar_samples() -> dict[str, str]:
    found = {}
    for game in MINATAR_GAMES:
        for agent, flags in FEW_SAMPLES.items():
            found[f"minatar-{game}-{agent}"] = f"{agent} --env gymnax/{game}-MinAtar {SAMPLES} {flags}".rstrip()
        found[f"minatar-{game}-pqn"] = f"pqn --env gymnax/{game}-MinAtar {ROLLOUTS}"
    return found


# Continuous control: three tasks at 100,000 steps, where published figures are known. CrossQ's and TQC's critics have
# SAC's widths, not their papers' (2,048 twice, and 512 three times in five critics), with which two cores would take
# hours a task. Of TQC's atoms as many are dropped as its authors drop on each task.
CONTROL_AGENTS = {
    "sac": "",
    "td3": "",
    "crossq": "--critic-widths 256 256",
    "i_sac": "",
    "dsac_t": "",
    "tqc": "--critic-widths 256 256",
    "revalued": "",
}
TQC_DROPPED = {"HalfCheetah-v4": 0, "Hopper-v4": 5, "Walker2d-v4": 2}


def _control() -> dict[str, str]:
    size = "--num-seeds 3 --total-steps 100000 --num-evaluations 10 --eval-episodes 10"
    found = {
        f"control-{task}-{agent}": f"{agent} --env envpool/{task} {size} {flags}".rstrip()
        for agent, flags in CONTROL_AGENTS.items()
        for task in CONTROL_TASKS
    }
    for task, dropped in TQC_DROPPED.items():
        found[f"control-{task}-tqc"] += f" --dropped-atoms {dropped}"
    return found


# Two small tasks, which are solved at about -200 and at 1,000, in each script's own defaults; only that on the pole,
# which random actions drop at once, all warm up for the 1,000 steps that the authors of TD3 give it, and those whose
# policy is deterministic have three times as long, but for DecQN, which does without: TD3 solves it after 50,000 steps.
# Those whose networks are large have there the small ones of their presets for classic control, as on Pendulum, and
# REValueD, which otherwise learns from every fifth step of so few, the whole of it.
SMALL_AGENTS = (*CONTROL_AGENTS, "ddpg", "i_td3", "risk_averse_sac", "simba", "decqn", "mrq")
POLE_STEPS = {"td3": 60_000, "ddpg": 60_000, "i_td3": 60_000, "revalued": 60_000}
POLE_FLAGS = {
    "crossq": "--critic-widths 256 256",
    "tqc": "--critic-widths 256 256",
    "revalued": "--collect-steps 2 --hidden-width 64 --batch-size 128 --learning-rate 5e-4 --num-critics 5 "
    "--max-gradient-norm 200",
    "simba": "--critic-width 128",
    "mrq": "--latent-size 64 --action-latent-size 32",
}


def _small_control() -> dict[str, str]:
    found = {}
    for agent in SMALL_AGENTS:
        found[f"pendulum-{agent}"] = f"{agent} --env gymnax/Pendulum-v1 --num-seeds 2"
        found[f"pole-{agent}"] = (
            f"{agent} --env envpool/InvertedPendulum-v4 --num-seeds 2 --total-steps {POLE_STEPS.get(agent, 20_000)} "
            f"--warmup-steps 1000 {POLE_FLAGS.get(agent, '')}"
        ).rstrip()
    return found


# Ten million steps (40 million frames), in each script's own defaults but for PQN's exploration, which ends after its
# own share of the run, for who has the hardware. BBF is made for the 100,000 steps that are its default.
ATARI_AGENTS = {
    "pqn": "--epsilon-steps 0.1",
    "dqn": "",
    "c51": "",
    "qr_dqn": "",
    "hl_gauss": "",
    "rainbow": "",
    "iqn": "",
    "munchausen_iqn": "",
    "i_dqn": "",
    "i_iqn": "",
}


def _atari() -> dict[str, str]:
    size = "--num-seeds 3 --total-steps 10000000"
    found = {
        f"atari-{game}-{agent}": f"{agent} --env envpool/{game}-v5 {size} {flags}".rstrip()
        for agent, flags in ATARI_AGENTS.items()
        for game in ATARI_GAMES
    }
    return found | {f"atari-{game}-bbf": f"bbf --env envpool/{game}-v5 --num-seeds 3" for game in ATARI_GAMES}


# On Atari, only that they run: a few hundred updates are all that two cores allow.
ONCE = "--num-evaluations 1 --eval-episodes 1"
ATARI_SHORT = {
    **{
        f"atari-{agent}": f"{agent} --env envpool/Pong-v5 --total-steps 2800 --warmup-steps 2000 "
        f"--replay-capacity 20000 {ONCE}"
        for agent in ("rainbow", "iqn", "i_iqn")
    },
    "atari-pqn": f"pqn --env envpool/Breakout-v5 --total-steps 8192 {ONCE}",
    "pong-dqn-short": "dqn --env envpool/Pong-v5 --total-steps 9000 --warmup-steps 4000 "
    f"--replay-capacity 50000 {ONCE}",
    "pong-dqn-short-2-seeds": "dqn --env envpool/Pong-v5 --num-seeds 2 --total-steps 9000 --warmup-steps 4000 "
    f"--replay-capacity 50000 {ONCE}",
}

CLASSIC = {
    "cartpole-dqn": "dqn --env gymnax/CartPole-v1 --num-seeds 10",
    # The classic defaults were chosen on seeds 0 to 19; these ten were not looked at before.
    "cartpole-dqn-fresh-seeds": "dqn --env gymnax/CartPole-v1 --num-seeds 10 --seed 100",
    "breakout-minatar-dqn": "dqn --env gymnax/Breakout-MinAtar --num-seeds 2",
    # What `make train` does, with ten seeds.
    "breakout-minatar-pqn-ten-seeds": "pqn --env gymnax/Breakout-MinAtar --num-seeds 10 --total-steps 2500000 "
    "--epsilon-steps 250000 --num-evaluations 5",
    "breakout-minatar-dqn-ten-seeds": "dqn --env gymnax/Breakout-MinAtar --num-seeds 10 --total-steps 1000000",
    # What is to be remembered is shown once, at the start: chance makes 0, a memory 1.
    "memorychain-pqn": "pqn --env gymnax/MemoryChain-bsuite --num-seeds 2 --total-steps 300000",
    "memorychain-recurrent-pqn": "recurrent_pqn --env gymnax/MemoryChain-bsuite --num-seeds 2 --total-steps 300000",
    "memorychain-r2d2": "r2d2 --env gymnax/MemoryChain-bsuite --num-seeds 2 --total-steps 20000",
    "halfcheetah-envpool-sac": "sac --env envpool/HalfCheetah-v4 --total-steps 100000",
    "halfcheetah-brax-sac": "sac --env brax/halfcheetah --total-steps 20000 --eval-episodes 2 --num-evaluations 2",
    "cheetahrun-playground-sac": "sac --env playground/CheetahRun --total-steps 20000 --eval-episodes 2 "
    "--num-evaluations 2",
}


# For one core each: so few environments as its memory holds, and networks that learn as fast as these are stepped.
ROBOT_SEEDS = (0, 1, 2)
ROBOT_AGENTS = {
    "brax_ppo": "--rollout-steps 128 --minibatches 4 --epochs 3 --policy-widths 256 128 --value-widths 256 128 "
    "--initial-cost-weight 0.05 --cost-steps 12000000 --total-steps 16000000",
    "flash_sac": "--batch-size 256 --updates 2 --n-step 3 --learning-rate 1e-3 --learning-rate-final 1e-4 "
    "--target-rate 0.02 --warmup-steps 12800 --replay-capacity 1000000 --critic-width 128 --critic-blocks 1 "
    "--actor-width 64 --actor-blocks 1 --initial-cost-weight 0.05 --cost-steps 3500000 --total-steps 4000000",
}


def _robots() -> dict[str, str]:
    return {
        f"go1-{agent}-{seed}": f"{agent} --env envpool/Go1JoystickFlatTerrain-v1 --seed {seed} --num-envs 64 "
        f"{flags} --eval-episodes 16"
        for agent, flags in ROBOT_AGENTS.items()
        for seed in ROBOT_SEEDS
    }


# Every agent with continuous actions on the same two-legged animal of four back ends, with one seed and with two, and
# those for thousands of robots on a quadruped and a humanoid whose critics see more than their actors. Only that they
# run: in networks and batches of 64, for little else decides what two cores take.
EVERYWHERE_TASKS = {
    "gym": "envpool/HalfCheetah-v4",
    "dmc": "envpool/CheetahRun-v1",
    "brax": "brax/halfcheetah",
    "playground": "playground/CheetahRun",
}
EVERYWHERE_ROBOTS = {"go1": "envpool/Go1JoystickFlatTerrain-v1", "g1": "envpool/G1JoystickFlatTerrain-v1"}
EVERYWHERE_SIZE = "--num-envs 16 --total-steps 20000 --num-evaluations 2 --eval-episodes 2 --num-logs 10"
_REPLAY = "--batch-size 64 --warmup-steps 1024 --replay-capacity 20000"
_ROLLOUT = "--rollout-steps 64 --minibatches 4"
_LAYERS, _LAYER = "--hidden-widths 64 64", "--hidden-width 64"
_ACTOR_CRITIC, _BLOCKS = "--actor-widths 64 64 --critic-widths 64 64", "--actor-width 64 --critic-width 64"
EVERYWHERE_AGENTS = {
    **{
        agent: f"{_REPLAY} {_LAYERS}"
        for agent in (
            *("ddpg", "td3", "sac", "redq", "droq", "i_td3", "i_sac", "bandlimited_sac", "beer", "ace"),
            *("risk_averse_sac", "dsac_t", "flow_sac", "bang_bang", "cqn", "arsq"),
        )
    },
    **{agent: f"{_REPLAY} {_LAYER}" for agent in ("decqn", "qr_decqn", "i_decqn", "revalued")},
    **{agent: f"{_REPLAY} {_BLOCKS}" for agent in ("bro", "simba", "simba_v2", "flash_sac")},
    **{agent: f"{_REPLAY} {_ACTOR_CRITIC}" for agent in ("fast_td3", "fast_sac")},
    **{agent: f"{_REPLAY} {_LAYERS} --critic-widths 64 64" for agent in ("crossq", "tqc")},
    "dsac": f"{_REPLAY} {_LAYERS} --critic-width 64",
    "cqn_as": f"{_REPLAY} {_LAYERS} --recurrent-width 64",
    "maxinforl": f"{_REPLAY} {_LAYERS} --model-widths 64 64",
    "meow": f"{_REPLAY} --flow-widths 64 64 --shift-widths 64 64",
    "mrq": f"{_REPLAY} --latent-size 64 --action-latent-size 32",
    "hyper_critic": f"{_REPLAY} {_LAYERS} --primary-widths 64 64 64 --dynamic-width 64",
    "avg": _LAYERS,
    "ppo": f"{_ROLLOUT} {_LAYERS}",
    "pqn_continuous": f"{_ROLLOUT} {_LAYERS}",
    "brax_ppo": f"{_ROLLOUT} --policy-widths 64 64 --value-widths 64 64",
    "reppo": f"{_ROLLOUT} {_BLOCKS}",
}
PARALLEL_AGENTS = ("fast_td3", "fast_sac", "flash_sac", "reppo", "brax_ppo", "pqn_continuous")


def _everywhere() -> dict[str, str]:
    tasks = [(name, env, agent) for name, env in EVERYWHERE_TASKS.items() for agent in EVERYWHERE_AGENTS]
    tasks += [(name, env, agent) for name, env in EVERYWHERE_ROBOTS.items() for agent in PARALLEL_AGENTS]
    return {
        f"everywhere-{name}-{agent}-{seeds}": f"{agent} --env {env} --num-seeds {seeds} {EVERYWHERE_SIZE} "
        f"{EVERYWHERE_AGENTS[agent]}"
        for name, env, agent in tasks
        for seeds in (1, 2)
    }


def _family(discrete: list[str]) -> dict[str, str]:
    """Every agent with discrete actions by one command, in its own defaults.

    To minimax_dqn, whose player has three actions unless told otherwise, Breakout is a game against an opponent with
    one.
    """
    return {
        f"family-{agent}": f"{agent} --env gymnax/Breakout-MinAtar --num-seeds 2 --total-steps 100000"
        for agent in discrete
    }


def suites(discrete: list[str]) -> dict[str, dict[str, str]]:
    """By suite: the commands, without `python` and folder, by the names that their results are kept under.

    Args:
      discrete: the names of all scripts for discrete actions.
    """
    return {
        "minatar": _minatar(),
        "control": _control(),
        "atari": _atari(),
        "classic": CLASSIC,
        "small-control": _small_control(),
        "robots": _robots(),
        "minatar-samples": _minatar_samples(),
        "atari-short": ATARI_SHORT,
        "family": _family(discrete),
        "everywhere": _everywhere(),
    }
