"""What is to be measured on a GPU, the most wanted first: `benchmarks.gpu` runs it, slice by slice."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

# Sums in one order, and no choice by timing which program makes them: the same bits whenever it is compiled.
DETERMINISTIC = "--xla_gpu_deterministic_ops=true"

# XLA's command buffers (CUDA graphs): none, its own choice, and loops and conditionals in them too.
BUFFERS = {
    "no command buffers": "--xla_gpu_enable_command_buffer=",
    "command buffers": "",
    "command buffers with loops": "--xla_gpu_enable_command_buffer=FUSION,CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL,"
    "DYNAMIC_SLICE_FUSION,WHILE,CONDITIONAL",
}


@dataclasses.dataclass(frozen=True)
class Training:
    """A run of a script until an evaluation reaches a return.

    Attributes:
      command: the experiment and its flags.
      target: the mean over seeds that ends it; None for the whole run.
      tiny: what takes the place of the flags' sizes on a CPU, `--flag value` by `--flag value`.
    """

    command: str
    target: float | None
    tiny: str

    def flags(self, tiny: bool) -> list[str]:
        """The flags, with the tiny ones in the place of those of the same name."""
        _, *words = self.command.split()
        given = _by_flag(words)
        return [word for flag, values in (given | _by_flag(self.tiny.split() if tiny else [])).items()
                for word in (flag, *values)]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Loop:
    """Segments of a training loop.

    Attributes:
      command: the experiment and its flags; tiny as of `Training`.
      iterations: of a segment.
      xla: flags of XLA.
      in_turn: members one after the other, as on a CPU, and not side by side.
    """

    command: str
    iterations: int
    tiny: str = ""
    xla: str = ""
    in_turn: bool = False


@dataclasses.dataclass(frozen=True)
class Program:
    """Another benchmark of this folder, which writes its own file.

    Attributes:
      module: of `benchmarks`.
      calls: the arguments of its command, for each call of it; `tiny` in their place on a CPU.
      settings: names of the module that are something else when tiny.
    """

    module: str
    calls: tuple[str, ...]
    tiny: tuple[str, ...]
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Slice:
    """What is measured together.

    Attributes:
      title: in the report.
      parts: by name; of `Loop`s the first is the one that ratios are of.
    """

    title: str
    parts: Mapping[str, Training | Loop | Program]


def _by_flag(words: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for word in words:
        if word.startswith("--"):
            found[word] = []
            last = found[word]
        else:
            last.append(word)
    return found


_PQN_TINY = "--total-steps 96 --num-envs 4 --rollout-steps 4 --minibatches 1 --epochs 1 --num-logs 2 " \
    "--num-evaluations 1 --eval-episodes 1 --eval-max-steps 8"  # fmt: skip
_DQN_TINY = "--total-steps 80 --num-envs 2 --replay-capacity 200 --warmup-steps 32 --num-logs 1 --num-evaluations 1 " \
    "--eval-episodes 1 --eval-max-steps 8"  # fmt: skip
_ROBOT_TINY = "--total-steps 256 --num-envs 8 --warmup-steps 64 --replay-capacity 2048 --batch-size 16 --updates 1 " \
    "--num-evaluations 1 --num-logs 1 --eval-episodes 2 --eval-max-steps 8 --env playground/CheetahRun"  # fmt: skip
# 25 is well over what a robot gets that stands.
_GO1_ENV = "Go1JoystickFlatTerrain"
_GO1 = f"--env playground/{_GO1_ENV} --eval-episodes 64"
_GO1_TARGET = 25.0
_CARTPOLE = "dqn --env gymnax/CartPole-v1 --num-envs 128 --batch-size 256 --warmup-steps 2000 --total-steps 100000000"
_CARTPOLE_TINY = "--num-envs 4 --batch-size 16 --total-steps 100000"


def _switched(command: str, iterations: int, tiny: str) -> dict[str, Training | Loop | Program]:
    """A loop under every switch of XLA; without any and deterministic once more, for their bits."""
    switches = {**BUFFERS, "command buffers, again": "", "deterministic": DETERMINISTIC}
    switches["deterministic, again"] = DETERMINISTIC
    return {name: Loop(command, iterations, tiny, xla=xla) for name, xla in switches.items()}


SLICES = {
    "pqn-pong": Slice(
        "PQN on EnvPool Pong to a return of 18",
        {
            "pqn": Training(
                "pqn --env envpool/Pong-v5 --total-steps 10000000 --epsilon-steps 0.1 --num-evaluations 50 "
                "--eval-episodes 8",
                18.0,
                _PQN_TINY,
            )
        },
    ),
    "backups": Slice(
        "Backups against the memory's bandwidth",
        {
            "backups": Program(
                "backups",
                tuple(
                    f"--rounds 5 --only {kind}-{batch}-{sizes[0]} --only {kind}-{batch}-{sizes[1]} "
                    f"--only {kind}-{batch}-{sizes[2]}"
                    for batch in (4096, 1024, 256, 32)
                    for kind, sizes in (("categorical", (51, 101, 201)), ("quantile", (32, 64, 200)))
                ),
                ("--rounds 1 --only categorical-32-51", "--rounds 1 --only quantile-32-32"),
            )
        },
    ),
    "overhead": Slice(
        "DQN on CartPole, 128 environments: what launching costs, and the same bits",
        _switched(_CARTPOLE, 1_000, _CARTPOLE_TINY),
    ),
    "population": Slice(
        "1 to 1,024 members of DQN on CartPole",
        {
            "populations": Program(
                "populations",
                ("--sizes 1 4 16 64 256 1024 --rounds 3 --iterations 400",),
                ("--sizes 1 2 --rounds 1 --iterations 5",),
            )
        },
    ),
    "members": Slice(
        "16 members of DQN on CartPole, side by side and in turn",
        {
            "side by side": Loop(f"{_CARTPOLE} --num-seeds 16", 500, f"--num-seeds 2 {_CARTPOLE_TINY}"),
            "in turn": Loop(
                f"{_CARTPOLE} --num-seeds 16", 500, f"--num-seeds 2 {_CARTPOLE_TINY}", in_turn=True
            ),
        },
    ),
    "go1-flash-sac": Slice(
        f"FlashSAC on Playground's Go1 joystick to a return of {_GO1_TARGET:.0f}",
        {
            "flash_sac": Training(
                f"flash_sac {_GO1} --num-evaluations 50 --total-steps 100000000", _GO1_TARGET, _ROBOT_TINY
            )
        },
    ),
    # It cannot be resumed, and so has all of a slice.
    "go1-brax-ppo": Slice(
        "Brax's PPO on Playground's Go1 joystick to a return of 25",
        {
            "brax ppo": Program(
                "baselines.brax_playground",
                (f"--env {_GO1_ENV} --tests 50 --target {_GO1_TARGET} --minutes 7",),
                (f"--env CheetahRun --target {_GO1_TARGET} --minutes 7 --tiny",),
            )
        },
    ),
    "go1-fast-td3": Slice(
        "FastTD3 on Playground's Go1 joystick to a return of 25",
        {
            # As its authors have it for this robot.
            "fast_td3": Training(
                f"fast_td3 {_GO1} --num-evaluations 25 --total-steps 51200000 --updates 8 --target-noise 0.2 "
                "--smallest-noise 0.2 --largest-noise 0.8",
                _GO1_TARGET,
                _ROBOT_TINY,
            )
        },
    ),
    "go1-fast-sac": Slice(
        "FastSAC on Playground's Go1 joystick to a return of 25",
        {
            # As its docstring says for this suite.
            "fast_sac": Training(
                f"fast_sac {_GO1} --num-evaluations 50 --total-steps 100000000 --num-envs 1024 --batch-size 32768 "
                "--warmup-steps 32768 --v-min -10 --v-max 10",
                _GO1_TARGET,
                _ROBOT_TINY,
            )
        },
    ),
    "go1-reppo": Slice(
        "REPPO on Playground's Go1 joystick to a return of 25",
        {
            # As its authors have it for this suite's humanoids.
            "reppo": Training(
                f"reppo {_GO1} --num-evaluations 50 --total-steps 100000000 --reward-scale 1 --critic-width 1024 "
                "--discount 0.97 --v-min -10 --v-max 10 --rollout-steps 32 --minibatches 4 --epochs 8",
                _GO1_TARGET,
                "--total-steps 1024 --num-envs 8 --minibatches 1 --epochs 1 --num-evaluations 1 --num-logs 1 "
                "--eval-episodes 2 --eval-max-steps 8 --env playground/CheetahRun",
            )
        },
    ),
    "dqn-million-frames": Slice(
        "DQN and Rainbow on EnvPool Pong with a replay of a million frames",
        {
            "dqn": Loop("dqn --env envpool/Pong-v5 --warmup-steps 4000", 500, _DQN_TINY),
            "dqn, 2 seeds": Loop("dqn --env envpool/Pong-v5 --num-seeds 2 --warmup-steps 4000", 500, _DQN_TINY),
            "rainbow": Loop("rainbow --env envpool/Pong-v5 --warmup-steps 4000", 500, _DQN_TINY),
        },
    ),
    "replay": Slice(
        "Prioritized replay of a million items beside flashbax's",
        {"replay": Program("replay", ("--rounds 5",), ("--rounds 1",), {"ITEMS": 4_096})},
    ),
    "pqn-minatar": Slice(
        "PQN on MinAtar Breakout: what launching costs, and the same bits",
        _switched("pqn --env gymnax/Breakout-MinAtar", 50, _PQN_TINY),
    ),
    "rainbow-minatar": Slice(
        "Rainbow on MinAtar Breakout: what launching costs, and the same bits",
        _switched("rainbow --env gymnax/Breakout-MinAtar", 500, _DQN_TINY),
    ),
    "pqn-breakout": Slice(
        "PQN on EnvPool Breakout to a return of 100",
        {
            "pqn": Training(
                "pqn --env envpool/Breakout-v5 --total-steps 20000000 --epsilon-steps 0.1 --num-evaluations 100 "
                "--eval-episodes 8",
                100.0,
                _PQN_TINY,
            )
        },
    ),
    "cheetah": Slice(
        "SAC on Brax's halfcheetah, 256 environments",
        {
            "sac": Loop(
                "sac --env brax/halfcheetah --num-envs 256 --batch-size 512 --updates 8 --warmup-steps 8192",
                50,
                "--num-envs 4 --batch-size 16 --updates 1 --warmup-steps 32 --replay-capacity 200",
            )
        },
    ),
}  # fmt: skip
