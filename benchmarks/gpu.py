"""Every figure that wants a GPU, in slices of under nine minutes, the most wanted first.

    python -m benchmarks.gpu [--only pqn-pong backups] [--minutes 8.5] [--tiny] [--again] [--list]

A slice is a few programs measured beside each other, each in a process of its own. Trainings run until an evaluation
reaches a return; they save themselves when their slice's time is over, and the same command goes on with them.
Segments of training loops are timed in turn, round after round, as `benchmarks.throughput` does, under switches of XLA
and of the loop. Each slice leaves benchmarks/results/gpu/NAME.json, and is left alone once that says it is finished.
`--tiny` runs all of them at sizes that a CPU can carry, into .bench/gpu-tiny/: then nothing but the hardware is new.
"""

import argparse
import contextlib
import dataclasses
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.interleaved import Contender, Stopped
from jaxq.errors import clean_errors, require
from jaxq.runs.directory import provenance, read_metrics, write_json
from jaxq.runs.scripts import scripts

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "gpu"
TINY = ROOT / ".bench" / "gpu-tiny"
UNDER_WAY = ROOT / ".bench" / "gpu"
ROUNDS = 5

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
      flags: of XLA.
      block: the most iterations that are unrolled into one, None for the library's choice.
      in_turn: members one after the other, as on a CPU, and not side by side.
    """

    command: str
    iterations: int
    tiny: str = ""
    xla: str = ""
    block: int | None = None
    in_turn: bool = False


@dataclasses.dataclass(frozen=True)
class Program:
    """Another benchmark of this folder, which writes its own file.

    Attributes:
      module: of `benchmarks`.
      arguments: of its command; `tiny` in their place on a CPU.
      settings: names of the module that are something else when tiny.
    """

    module: str
    arguments: str
    tiny: str
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
_GO1 = "--env playground/Go1JoystickFlatTerrain --eval-episodes 64 --num-evaluations 100 --total-steps 100000000"
_CARTPOLE = "dqn --env gymnax/CartPole-v1 --num-envs 128 --batch-size 256 --total-steps 100000000"


def _overhead(command: str, iterations: int) -> dict[str, Training | Loop | Program]:
    tiny = "--num-envs 4 --batch-size 16 --total-steps 100000"
    parts: dict[str, Training | Loop | Program] = {
        name: Loop(command, iterations, tiny, xla=xla) for name, xla in BUFFERS.items()
    }
    return parts | {f"unrolled {n}": Loop(command, iterations, tiny, block=n) for n in (1, 2, 8)}


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
        {"backups": Program("backups", "--rounds 5", "--rounds 1 --only categorical-32-51 --only quantile-32-32")},
    ),
    "overhead": Slice(
        "DQN on CartPole, 128 environments: what launching costs", _overhead(_CARTPOLE, 2_000)
    ),
    "population": Slice(
        "1 to 1,024 members of DQN on CartPole",
        {
            "populations": Program(
                "populations",
                "--sizes 1 4 16 64 256 1024 --rounds 3 --iterations 200",
                "--sizes 1 2 --rounds 1 --iterations 5",
            )
        },
    ),
    "members": Slice(
        "16 members of DQN on CartPole, side by side and in turn",
        {
            "side by side": Loop(f"{_CARTPOLE} --num-seeds 16", 500, "--num-seeds 2 --num-envs 4 --batch-size 16"),
            "in turn": Loop(
                f"{_CARTPOLE} --num-seeds 16", 500, "--num-seeds 2 --num-envs 4 --batch-size 16", in_turn=True
            ),
        },
    ),
    "go1": Slice(
        "Playground's Go1 joystick to a return of 20, FlashSAC and FastTD3 beside Brax's PPO",
        {
            "flash_sac": Training(f"flash_sac {_GO1}", 20.0, _ROBOT_TINY),
            "fast_td3": Training(f"fast_td3 {_GO1}", 20.0, _ROBOT_TINY),
            "brax ppo": Program(
                "brax_playground",
                "--env Go1JoystickFlatTerrain --target 20 --minutes 7",
                "--env CheetahRun --target 20 --minutes 7 --tiny",
            ),
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
        {"replay": Program("replay", "--rounds 5", "--rounds 1", {"ITEMS": 4_096})},
    ),
    "pqn-minatar": Slice(
        "PQN on MinAtar Breakout: what launching costs",
        {
            name: Loop("pqn --env gymnax/Breakout-MinAtar", 50, _PQN_TINY, xla=xla) for name, xla in BUFFERS.items()
        },
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


def serve(loop: Loop, tiny: bool) -> None:
    """The contender's protocol for a loop: what compiling took, segments, and in the end the peak of memory."""
    import jax

    from jaxq import lanes, platforms
    from jaxq.runs import parse
    from jaxq.runs.devices import use_device
    from jaxq.runs.population import member_keys
    from jaxq.runs.scripts import experiment
    from jaxq.training import loop as training_loop

    use_device("auto")
    if loop.block is not None:
        training_loop.LONGEST_BLOCK = loop.block
    if loop.in_turn:
        # The training's own members as well as networks' lanes.
        lanes.platforms.on_cpu = training_loop.platforms.on_cpu = lambda: True
    agent, *_ = loop.command.split()
    module = experiment(agent)
    config = parse(module.Config, module.PRESETS, Training(loop.command, None, loop.tiny).flags(tiny))
    training = module.build(config)
    iterations = 2 if tiny else loop.iterations
    plan = training.plan(config.total_steps, 1, 1)
    steps = plan.steps_per_chunk // plan.iterations * iterations * training.num_members
    begun = time.perf_counter()
    state = jax.jit(training.warm_up, donate_argnums=0)(jax.jit(training.init)(member_keys(config)))
    jax.block_until_ready(state)
    warmed = time.perf_counter()
    chunk = jax.jit(lambda s: training.train_chunk(s, iterations), donate_argnums=0).lower(state).compile()
    compiled = time.perf_counter()
    state, _ = jax.block_until_ready(chunk(state))
    print("ready " + json.dumps({"start_seconds": warmed - begun, "compile_seconds": compiled - warmed}), flush=True)
    for _ in sys.stdin:
        begun = time.perf_counter()
        state, _ = jax.block_until_ready(chunk(state))
        print(json.dumps({"steps": steps, "seconds": time.perf_counter() - begun}), flush=True)
    held = platforms.device().memory_stats() or {}
    resident = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print("end " + json.dumps({"device_peak_bytes": held.get("peak_bytes_in_use"), "resident_peak_bytes": resident}))


class _Served(Contender):
    """A loop in a process of its own, that says what it took."""

    def __init__(self, name: str, part: str, environment: Mapping[str, str], tiny: bool):
        arguments = ["--serve", name, part, *(["--tiny"] if tiny else [])]
        super().__init__(part, [sys.executable, "-m", "benchmarks.gpu", *arguments], ROOT, environment)
        self.said: dict[str, Any] = {}

    def _read_until(self, start: str) -> str:
        line = super()._read_until(start)
        if start == "ready":
            self.took = json.loads(line.removeprefix("ready"))
        return line

    def close(self) -> None:
        """End it, and hear the peak of its memory."""
        out, _ = self.process.communicate("")
        ends = [line for line in out.splitlines() if line.startswith("end ")]
        self.said = {**self.took, **(json.loads(ends[-1].removeprefix("end ")) if ends else {})}


def measure_loops(name: str, loops: Mapping[str, Loop], tiny: bool, until: float) -> dict[str, Any]:
    """Start all, time them in turn, and say of each: its rates by round, compiling, peak of memory, or its error.

    Args:
      name: of the slice.
      loops: its parts.
      tiny: whether sizes are a CPU's.
      until: on the monotonic clock; rounds end then.
    """
    found: dict[str, Any] = {}
    contenders: dict[str, _Served] = {}
    for part, loop in loops.items():
        # Half of a GPU is taken at the start by whoever comes first, unless told otherwise.
        xla = f"{os.environ.get('XLA_FLAGS', '')} {loop.xla}".strip() if not tiny else os.environ.get("XLA_FLAGS", "")
        environment = {**os.environ, "XLA_FLAGS": xla, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        try:
            contenders[part] = _Served(name, part, environment, tiny)
        except Stopped as error:
            found[part] = {"error": str(error)}
    for _ in range(1 if tiny else ROUNDS):
        if time.monotonic() > until:
            break
        for part, contender in list(contenders.items()):
            try:
                contender.run()
            except Stopped as error:
                found[part] = {"error": str(error)}
                del contenders[part]
    for part, contender in contenders.items():
        contender.close()
        found[part] = {"command": loops[part].command, "xla": loops[part].xla,
                       "steps_per_second": contender.rates, **contender.said}  # fmt: skip
    return found


def train(name: str, part: str, training: Training, tiny: bool, until: float) -> dict[str, Any]:
    """Go on with a run until its return is reached or time is over, when it is told to save itself."""
    run_dir = (TINY if tiny else UNDER_WAY) / "runs" / f"{name}-{part}"
    script = scripts(ROOT / "experiments")[training.command.split()[0]]
    flags = training.flags(tiny)
    command = [sys.executable, str(script.relative_to(ROOT)), *flags, "--run-dir", str(run_dir.relative_to(ROOT))]
    log = run_dir.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None:
            if time.monotonic() > until or _reached(run_dir, training.target) is not None:
                process.send_signal(signal.SIGTERM)
                process.wait()
            time.sleep(0.5)
    lines = read_metrics(run_dir)
    reached = _reached(run_dir, training.target)
    summary = run_dir / "summary.json"
    whole = json.loads(summary.read_text()) if summary.exists() else {}
    tests = [line for line in lines if any(value is not None for value in line["eval_return"])]
    return {
        "command": " ".join(["python", *command[1:]]),
        "target": training.target,
        "reached_seconds": None if reached is None else reached["wall_seconds"],
        "tests": [[line["wall_seconds"], line["step"], float(np.mean(line["eval_return"]))] for line in tests],
        "compile_seconds": whole.get("compile_seconds"),
        "steps_per_second": whole.get("env_steps_per_second"),
        "finished": reached is not None or summary.exists(),
        **({"error": log.read_text().strip().splitlines()[-1]} if process.returncode else {}),
    }


def _reached(run_dir: Path, target: float | None) -> dict[str, Any] | None:
    if target is None:
        return None
    for line in read_metrics(run_dir):
        values = [value for value in line["eval_return"] if value is not None]
        if values and float(np.mean(values)) >= target:
            return line
    return None


def call(name: str, part: str, program: Program, tiny: bool, until: float) -> dict[str, Any]:
    """Run another benchmark and take what it wrote."""
    folder = (TINY if tiny else UNDER_WAY) / "programs" / f"{name}-{part.replace(' ', '-')}"
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.gpu", "--program", name, part, str(folder)]
    begun = time.monotonic()
    try:
        done = subprocess.run(
            [*command, *(["--tiny"] if tiny else [])],
            cwd=ROOT, capture_output=True, text=True, timeout=max(until - begun, 1.0), check=False,
        )  # fmt: skip
        failed = None if done.returncode == 0 else done.stderr.strip().splitlines()[-1]
    except subprocess.TimeoutExpired:
        failed = "its time was over"
    written = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    return {**written, "seconds": time.monotonic() - begun, **({"error": failed} if failed else {})}


def run_program(program: Program, folder: Path, tiny: bool) -> None:
    """In a process of its own: the benchmark's `main`, with its results in a folder."""
    from benchmarks import timing

    module: Any = importlib.import_module(f"benchmarks.{program.module}")
    for target in (module, timing):
        vars(target)["RESULTS"] = folder
    if tiny:
        for setting, value in program.settings.items():
            setattr(module, setting, value)
    arguments = (program.tiny if tiny else program.arguments).split()
    out = ["--out", str(folder / f"{program.module}.json")] if program.module == "populations" else []
    sys.argv = [program.module, *arguments, *out]
    module.main()


def run(name: str, minutes: float, tiny: bool) -> dict[str, Any]:
    """A slice: its parts one after the other, loops in turn."""
    until = time.monotonic() + 60.0 * minutes
    parts = SLICES[name].parts
    loops = {part: what for part, what in parts.items() if isinstance(what, Loop)}
    found = measure_loops(name, loops, tiny, until) if loops else {}
    others = [(part, what) for part, what in parts.items() if not isinstance(what, Loop)]
    for i, (part, what) in enumerate(others):
        # What is left is shared by those that are left.
        now = time.monotonic()
        by = now + (until - now) / (len(others) - i)
        run_part: Callable[..., dict[str, Any]] = train if isinstance(what, Training) else call
        found[part] = run_part(name, part, what, tiny, by)
    finished = all(part.get("finished", "error" not in part) for part in found.values())
    return {"title": SLICES[name].title, "finished": finished, "parts": found, "provenance": provenance()}


def main() -> int:
    """Run what is not finished; 1 if anything of it failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="SLICE")
    parser.add_argument("--minutes", type=float, default=8.5, help="that a slice may take")
    parser.add_argument("--tiny", action="store_true", help="at sizes that a CPU can carry, into .bench/gpu-tiny/")
    parser.add_argument("--again", action="store_true", help="also what is finished")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--program", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        part = SLICES[args.serve[0]].parts[args.serve[1]]
        assert isinstance(part, Loop)
        serve(part, args.tiny)
        return 0
    if args.program:
        program = SLICES[args.program[0]].parts[args.program[1]]
        assert isinstance(program, Program)
        run_program(program, Path(args.program[2]), args.tiny)
        return 0
    for name in args.only or ():
        require(name in SLICES, "only", name, f"one of {', '.join(SLICES)}")
    folder = TINY if args.tiny else RESULTS
    failed = False
    for name in args.only or SLICES:
        path = folder / f"{name}.json"
        finished = path.exists() and json.loads(path.read_text())["finished"]
        if args.list or (finished and not args.again):
            print(f"{name:20} {'there' if finished else 'to do':6} {SLICES[name].title}")
            continue
        begun = time.monotonic()
        found = run(name, args.minutes, args.tiny)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, found)
        errors = {part: what["error"] for part, what in found["parts"].items() if "error" in what}
        failed = failed or bool(errors)
        said = "; ".join(f"{part}: {error}" for part, error in errors.items())
        print(
            f"{name:20} {time.monotonic() - begun:5.0f} s  {said or ('' if found['finished'] else 'goes on')}",
            flush=True,
        )
    return 1 if failed else 0


if __name__ == "__main__":
    with clean_errors(), contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
