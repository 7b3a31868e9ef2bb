"""Every figure that wants a GPU (`gpu_slices.py`), in slices of under nine minutes, the most wanted first.

    python -m benchmarks.gpu [--only pqn-pong backups] [--minutes 8.5] [--tiny] [--again] [--list]

A slice is a few programs measured beside each other, each in a process of its own. Trainings run until an evaluation
reaches a return; they save themselves when their slice's time is over, and the same command goes on with them.
Segments of training loops are timed in turn, round after round, as `benchmarks.throughput` does, under switches of XLA
and of the loop; rounds that are missing are added by the same command, at the same revision, and other benchmarks go on
with what they have not done. Each slice leaves benchmarks/results/gpu/NAME.json, which is left alone once it says that
it is finished. `--tiny` runs all of them at sizes that a CPU can carry, into .bench/gpu-tiny/, with what is compiled
written in the ways that suit a GPU: then nothing but the hardware is new.
"""

import argparse
import contextlib
import hashlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.baselines.protocol import peak_bytes
from benchmarks.gpu_slices import SLICES, Loop, Program, Training
from benchmarks.interleaved import Contender, Stopped, going_on_later, last_error
from benchmarks.launching import as_typed, script
from jaxq.errors import clean_errors, require
from jaxq.runs.directory import provenance, read_json, read_metrics, write_json
from jaxq.runs.programs import compilers
from jaxq.runs.scripts import scripts

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "gpu"
TINY = ROOT / ".bench" / "gpu-tiny"
UNDER_WAY = ROOT / ".bench" / "gpu"
ROUNDS = 5
TIME_IS_OVER = "its time was over"


def serve(loop: Loop, tiny: bool) -> None:
    """The contender's protocol for a loop: what compiling took, segments; in the end the peak of memory and a digest.

    The digest is of the agent's bits: parts of one slice that have run as many segments can be compared by it.
    """
    import jax

    from benchmarks.timing import warmed_up
    from jaxq import platforms
    from jaxq.runs import parse
    from jaxq.runs.devices import use_device
    from jaxq.runs.scripts import experiment

    use_device("auto")
    if loop.in_turn:
        _take_turns()
    agent, *_ = loop.command.split()
    module = experiment(agent)
    config = parse(module.Config, module.PRESETS, Training(loop.command, None, loop.tiny).flags(tiny))
    # Where a CPU stands in for a GPU, it is handed what the GPU would be.
    with platforms.assume("gpu") if tiny else contextlib.nullcontext():
        training = module.build(config)
        iterations = 2 if tiny else loop.iterations
        plan = training.plan(config.total_steps, 1, 1)
        steps = plan.steps_per_chunk // plan.iterations * iterations * training.num_members
        begun = time.perf_counter()
        state = jax.block_until_ready(warmed_up(training, config))
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
    learned = b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state.agent))
    print("end " + json.dumps({
        "device_peak_bytes": held.get("peak_bytes_in_use"),
        "resident_peak_bytes": peak_bytes(),
        "agent_sha256": hashlib.sha256(learned).hexdigest(),
    }))  # fmt: skip


def _take_turns() -> None:
    """Members one after the other; what else a platform decides stays as it is."""
    from jaxq import lanes
    from jaxq.training import loop as training_loop

    # These two ask the platform for nothing else: the training's members, and networks' lanes.
    turns: Any = SimpleNamespace(on_cpu=lambda: True)
    lanes.platforms = training_loop.platforms = turns


class _Served(Contender):
    """A loop in a process of its own, that says what it took, and is ended when the slice's time is over."""

    def __init__(self, name: str, part: str, environment: Mapping[str, str], tiny: bool, until: float):
        self.until = until
        self.said: dict[str, Any] = {}
        arguments = ["--serve", name, part, *(["--tiny"] if tiny else [])]
        super().__init__(part, [sys.executable, "-m", "benchmarks.gpu", *arguments], ROOT, environment)

    def _read_until(self, start: str) -> str:
        over = threading.Timer(max(self.until - time.monotonic(), 0.0), self.process.kill)
        over.start()
        try:
            line = super()._read_until(start)
        except Stopped:
            if time.monotonic() >= self.until:
                raise TimeoutError(TIME_IS_OVER) from None
            raise
        finally:
            over.cancel()
        if start == "ready":
            self.said = json.loads(line.removeprefix("ready"))
        return line

    def close(self) -> None:
        """End it, and hear the peak of its memory and the digest."""
        out, _ = self.process.communicate("")
        ends = [line for line in out.splitlines() if line.startswith("end ")]
        self.said |= json.loads(ends[-1].removeprefix("end ")) if ends else {}


def measure_loops(
    name: str, loops: Mapping[str, Loop], tiny: bool, until: float, before: Mapping[str, Any]
) -> dict[str, Any]:
    """Start all, time them in turn, and say of each: its rates by round, compiling, peak of memory, or its error.

    Args:
      name: of the slice.
      loops: its parts.
      tiny: whether sizes are a CPU's.
      until: on the monotonic clock; rounds end then, and one under way is not counted.
      before: what was found of them, whose rounds are gone on with; of all or of none, for ratios are of rounds.
    """
    found: dict[str, Any] = {}
    contenders: dict[str, _Served] = {}

    def started(part: str) -> _Served:
        environment = {
            **os.environ,
            "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {loops[part].xla}".strip(),
            # Most of a GPU is taken at the start by whoever comes first, unless told otherwise.
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            # Or compiling would be timed once and never again.
            "JAX_ENABLE_COMPILATION_CACHE": "false",
        }
        return _Served(name, part, environment, tiny, until)

    # Starting is importing, tracing and compiling, of which much is work for one processor.
    with compilers(processors=2) as threads:
        starts = {part: threads.submit(started, part) for part in loops}
    for part, start in starts.items():
        try:
            contenders[part] = start.result()
        except (Stopped, TimeoutError) as error:
            found[part] = {"error": str(error)}
    whole = 1 if tiny else ROUNDS
    earlier = {part: before.get(part, {}).get("steps_per_second", []) for part in loops}
    rounds = len(earlier[next(iter(loops))])
    if any("error" in before.get(part, {}) or len(rates) != rounds for part, rates in earlier.items()):
        earlier, rounds = {part: [] for part in loops}, 0
    done = 0
    with contextlib.suppress(TimeoutError):
        while rounds + done < whole and contenders:
            for part, contender in list(contenders.items()):
                try:
                    contender.run()
                except Stopped as error:
                    found[part] = {"error": str(error)}
                    del contenders[part]
            done += 1
    for part, contender in contenders.items():
        contender.close()
        found[part] = {"command": loops[part].command, "xla": loops[part].xla,
                       "in_turn": loops[part].in_turn, "steps_per_second": earlier[part] + contender.rates[:done],
                       "finished": rounds + done >= whole, **contender.said}  # fmt: skip
    return {part: found[part] for part in loops}


def train(
    name: str, part: str, training: Training, tiny: bool, until: float, before: Mapping[str, Any]
) -> dict[str, Any]:
    """Go on with a run until its return is reached or time is over, when it is told to save itself."""
    del before  # its directory knows
    run_dir = _run_dir(name, part, tiny)
    path = scripts(ROOT / "experiments")[training.command.split()[0]].relative_to(ROOT)
    command = script(str(path), *training.flags(tiny), "--run-dir", run_dir.relative_to(ROOT))
    log = run_dir.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None:
            if time.monotonic() > until or _reached(run_dir, training.target) is not None:
                process.send_signal(signal.SIGTERM)
                process.wait()
            time.sleep(0.5)
    # One that is told to stop before it listens just ends.
    failed = process.returncode not in (0, -signal.SIGTERM)
    lines = read_metrics(run_dir)
    reached = _reached(run_dir, training.target)
    tests = [line for line in lines if any(value is not None for value in line["eval_return"])]
    return {
        "command": as_typed(command),
        "target": training.target,
        "reached_seconds": None if reached is None else reached["wall_seconds"],
        "tests": [[line["wall_seconds"], line["step"], _mean(line["eval_return"])] for line in tests],
        **_speed(lines),
        "finished": reached is not None or (run_dir / "summary.json").exists(),
        **({"error": (log.read_text().strip().splitlines() or ["it said nothing"])[-1]} if failed else {}),
    }


def _speed(lines: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Seconds until the first line of the metrics, most of them compiling, and from there on steps of all members."""
    first = lines[0]["wall_seconds"] if lines else None
    rate = None
    if len(lines) > 1:
        steps = (lines[-1]["step"] - lines[0]["step"]) * len(lines[0]["eval_return"])
        rate = steps / (lines[-1]["wall_seconds"] - lines[0]["wall_seconds"])
    return {"first_line_seconds": first, "steps_per_second_with_evaluations": rate}


def _mean(returns: Sequence[float | None]) -> float:
    """Over the members that have one."""
    return float(np.mean([value for value in returns if value is not None]))


def _reached(run_dir: Path, target: float | None) -> dict[str, Any] | None:
    if target is None:
        return None
    for line in read_metrics(run_dir):
        if any(value is not None for value in line["eval_return"]) and _mean(line["eval_return"]) >= target:
            return line
    return None


def call(name: str, part: str, program: Program, tiny: bool, until: float, before: Mapping[str, Any]) -> dict[str, Any]:
    """Make the calls of another benchmark that are left and take what it wrote; one that is cut is made again."""
    folder = _folder(name, part, tiny)
    folder.mkdir(parents=True, exist_ok=True)
    calls = program.tiny if tiny else program.calls
    done, begun, failed = int(before.get("done", 0)), time.monotonic(), None
    command = [sys.executable, "-m", "benchmarks.gpu", *(["--tiny"] if tiny else []), "--program", name, part]
    started = done
    while done < len(calls) and failed is None:
        try:
            ended = subprocess.run(
                [*command, str(done), str(folder)],
                cwd=ROOT, capture_output=True, text=True, timeout=max(until - time.monotonic(), 0.0), check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            # A call that all of the time is too short for will never be made.
            failed = TIME_IS_OVER if done == started else None
            break
        if ended.returncode:
            failed = last_error(ended.stderr)
        else:
            done += 1
    return {
        **{path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))},
        "seconds": before.get("seconds", 0.0) + time.monotonic() - begun,
        "done": done,
        "finished": done == len(calls),
        **({"error": failed} if failed else {}),
    }


def run_program(program: Program, index: int, folder: Path, tiny: bool) -> None:
    """In a process of its own: a call of the benchmark's `main`, with its results in a folder."""
    from benchmarks import timing

    module: Any = importlib.import_module(f"benchmarks.{program.module}")
    for target in (module, timing):
        vars(target)["RESULTS"] = folder
    if tiny:
        for setting, value in program.settings.items():
            setattr(module, setting, value)
    arguments = (program.tiny if tiny else program.calls)[index].split()
    out = ["--out", str(folder / f"{program.module}.json")] if program.module == "populations" else []
    sys.argv = [program.module, *arguments, *out]
    module.main()


def _run_dir(name: str, part: str, tiny: bool) -> Path:
    return (TINY if tiny else UNDER_WAY) / "runs" / f"{name}-{part}"


def _folder(name: str, part: str, tiny: bool) -> Path:
    return (TINY if tiny else UNDER_WAY) / "programs" / f"{name}-{part.replace(' ', '-')}"


def forget(name: str, tiny: bool) -> None:
    """Begin a slice anew: without what its trainings and benchmarks have left."""
    for part in SLICES[name].parts:
        for folder in (_run_dir(name, part, tiny), _folder(name, part, tiny)):
            shutil.rmtree(folder, ignore_errors=True)
        _run_dir(name, part, tiny).with_suffix(".log").unlink(missing_ok=True)


def _provenance(name: str, tiny: bool) -> dict[str, Any]:
    """Asked for in another process: one that has seen a GPU keeps most of its memory from all that it starts."""
    arguments = ["--only", name, *(["--tiny"] if tiny else []), "--provenance"]
    command = [sys.executable, "-m", "benchmarks.gpu", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def run(name: str, minutes: float, tiny: bool, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A slice: its parts one after the other, loops in turn.

    Args:
      name: of the slice.
      minutes: that it may take.
      tiny: whether sizes are a CPU's.
      before: its result so far. Parts of it that are finished are not run again; of another revision only trainings,
        which have a directory, go on.
    """
    until = time.monotonic() + 60.0 * minutes
    now = _provenance(name, tiny)
    earlier: Mapping[str, Any] = {}
    if before and now["git_revision"] and before["provenance"]["git_revision"] == now["git_revision"]:
        earlier = before["parts"]
    parts = SLICES[name].parts
    loops = {part: what for part, what in parts.items() if isinstance(what, Loop)}
    found = {part: what for part, what in earlier.items() if part not in loops and what.get("finished")}
    if loops:
        found |= measure_loops(name, loops, tiny, until, earlier)
    others = [(part, what) for part, what in parts.items() if part not in loops and part not in found]
    for i, (part, what) in enumerate(others):
        # What is left is shared by those that are left.
        begun = time.monotonic()
        by = begun + (until - begun) / (len(others) - i)
        if isinstance(what, Training):
            found[part] = train(name, part, what, tiny, by, earlier.get(part, {}))
        else:
            assert isinstance(what, Program)
            found[part] = call(name, part, what, tiny, by, earlier.get(part, {}))
    found = {part: found[part] for part in parts}
    finished = all(part.get("finished", False) for part in found.values())
    return {"title": SLICES[name].title, "finished": finished, "parts": found, "provenance": now}


def main() -> int:
    """Run what is not finished; 1 if anything of it failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="SLICE")
    parser.add_argument("--minutes", type=float, default=8.5, help="that a slice may take")
    parser.add_argument("--tiny", action="store_true", help="at sizes that a CPU can carry, into .bench/gpu-tiny/")
    parser.add_argument("--again", action="store_true", help="also what is finished")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--program", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--provenance", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        part = SLICES[args.serve[0]].parts[args.serve[1]]
        assert isinstance(part, Loop)
        serve(part, args.tiny)
        return 0
    if args.program:
        name, part_name, index, place = args.program
        program = SLICES[name].parts[part_name]
        assert isinstance(program, Program)
        run_program(program, int(index), Path(place), args.tiny)
        return 0
    if args.provenance:
        sys.argv.remove("--provenance")
        print(json.dumps(provenance()))
        return 0
    for name in args.only or ():
        require(name in SLICES, "only", name, f"one of {', '.join(SLICES)}")
    folder = TINY if args.tiny else RESULTS
    failed = False
    for name in args.only or SLICES:
        path = folder / f"{name}.json"
        before = read_json(path)
        finished = before.get("finished", False)
        if args.list or (finished and not args.again):
            state = "there" if finished else "goes on" if before else "to do"
            print(f"{name:20} {state:7} {SLICES[name].title}")
            continue
        if args.again:
            forget(name, args.tiny)
            before = {}
        begun = time.monotonic()
        found = run(name, args.minutes, args.tiny, before)
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
    with clean_errors(), going_on_later():
        sys.exit(main())
