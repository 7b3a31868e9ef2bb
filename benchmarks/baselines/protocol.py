"""How a contender speaks to the runner. Only the standard library: it is imported in every baseline's environment.

It prepares, runs a segment, says `ready`, and for each line on its standard input runs a segment and prints a line of
JSON: so several can be kept ready side by side, and timed in turn. A program that learns to a return prints
`{"step": ..., "return": ...}` for each test instead.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

# Runs, waits, and returns the environment steps taken; of a program that times itself, these and the seconds.
Segment = Callable[[], int | tuple[int, float]]


def serve(prepare: Callable[[], Segment]) -> None:
    """Prepare, run one segment to warm up, then one for each line of standard input."""
    segment = prepare()
    segment()
    print("ready", flush=True)
    for _ in sys.stdin:
        begun = time.perf_counter()
        done = segment()
        seconds = time.perf_counter() - begun
        steps, seconds = (done, seconds) if isinstance(done, int) else done
        print(json.dumps({"steps": steps, "seconds": seconds, "peak_mb": peak_bytes() / 1e6}), flush=True)


def peak_bytes() -> int:
    """The most memory that this program has had resident.

    On Linux by its status: `getrusage` counts the process that this one was started from.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    peak = next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if peak is None else peak


def tested(step: int, value: float) -> None:
    """Print a test: the environment steps so far and a mean return."""
    print(json.dumps({"step": int(step), "return": float(value)}), flush=True)
