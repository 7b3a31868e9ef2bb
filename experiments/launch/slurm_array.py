"""Workers of a sweep as a SLURM array, by submitit; each is an ordinary `jaxq sweep --resume` on one study.

    python experiments/launch/slurm_array.py --workers 8 --partition gpu -- \
        dqn --env gymnax/Asterix-MinAtar --study asterix --space space.yaml --trials 400 --population 16 \
        --storage postgresql://user@host/studies

Before a job's time is up SLURM tells it to stop: the run saves, the worker ends, and submitit has the job queued again.
With `--cluster local` the workers are processes of this host, with `debug` they run one after another in this one.
Needs `pip install submitit`.
"""

import argparse
import os
import signal
import subprocess
import sys
from typing import Any

STOP_SECONDS = 60  # before the end of a job's time


class SweepWorker:
    """A worker; told to stop it hands the signal on, and has itself queued again."""

    def __init__(self, args: list[str]):
        self.args = args
        self.process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """The worker's exit code."""
        self.process = subprocess.Popen([sys.executable, "-m", "jaxq.cli.main", "sweep", *self.args, "--resume"])
        return self.process.wait()

    def checkpoint(self) -> Any:
        """What submitit asks for when a job is told to stop: how it goes on."""
        import submitit

        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()
        return submitit.helpers.DelayedSubmission(SweepWorker(self.args))


def worst(codes: list[int]) -> int:
    """The worst of workers' exit codes; that of one that was killed is its signal, negative."""
    return max(abs(code) for code in codes)


def main() -> None:
    """Submit the workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--cluster", choices=("slurm", "local", "debug"), default="slurm")
    parser.add_argument("--partition", default=None)
    parser.add_argument("--minutes", type=int, default=60, help="of each job")
    parser.add_argument("--gpus", type=int, default=0, help="of each worker")
    parser.add_argument("--folder", default="submitit", help="of logs")
    parser.add_argument("--wait", action="store_true", help="for all workers, and end with the worst of their codes")
    parser.add_argument("sweep", nargs="+", help="what follows jaxq sweep")
    args = parser.parse_args()
    import submitit

    executor = submitit.AutoExecutor(folder=args.folder, cluster=args.cluster)
    executor.update_parameters(timeout_min=args.minutes, gpus_per_node=args.gpus, name="jaxq-sweep")
    if args.cluster == "slurm":
        executor.update_parameters(
            slurm_partition=args.partition,
            slurm_array_parallelism=args.workers,
            slurm_signal_delay_s=STOP_SECONDS,
        )
    with executor.batch():
        jobs = [executor.submit(SweepWorker(args.sweep)) for _ in range(args.workers)]
    print("\n".join(job.job_id for job in jobs))
    if args.wait:
        raise SystemExit(worst([job.result() for job in jobs]))


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
