"""Which baselines there are, what each is installed from, and the settings of `contenders.py` that each runs."""

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.baselines.venvs import REQUIREMENTS, NotInstalled, python_of


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A program of others.

    Attributes:
      name: in tables, and of its environment.
      settings: those of its module; of `contenders.py`, or growth's.
      requirements: files of `requirements/` that its environment is installed from, in order; none where this
        project's environment serves.
      module: in this package, which speaks the protocol; none where no release installs and there is only its error.
      differs: what of the work is not the same, in a sentence; nothing where all is.
      checkout: the repository that must be given as a checkout, where no registry has it.
      quick: belongs to the quick benchmark.
    """

    name: str
    settings: tuple[str, ...]
    requirements: tuple[str, ...]
    module: str | None
    differs: str = ""
    checkout: str | None = None
    quick: bool = False

    def python(self) -> Path:
        """The Python that runs it.

        Raises:
          NotInstalled: where pip cannot install it.
        """
        if not self.requirements:
            return Path(sys.executable)
        return python_of(self.name, [REQUIREMENTS / f"{name}.txt" for name in self.requirements])

    def command(self, setting: str, checkouts: Mapping[str, Path]) -> list[str]:
        """What serves a setting, run in the root of this repository.

        Raises:
          NotInstalled: where it cannot be had, or its checkout was not given.
        """
        given: list[str] = []
        if self.checkout is not None:
            if self.name not in checkouts:
                raise NotInstalled(f"not measured: no checkout of {self.checkout} was given")
            given = [str(checkouts[self.name])]
        python = self.python()
        if self.module is None:
            raise NotInstalled("installs again, but its contender is not written")
        return [str(python), "-m", f"benchmarks.baselines.{self.module}", setting, *given]


BASELINES = (
    Baseline(
        "sbx",
        (
            "dqn-cartpole-1",
            "dqn-cartpole-128",
            "sac-halfcheetah",
            "td3-halfcheetah",
            "tqc-halfcheetah",
            "crossq-halfcheetah",
        ),
        ("torch-cpu", "sbx"),
        "sbx",
        "Steps Gymnasium's CartPole, in Python; replay in the host's memory.",
        quick=True,
    ),
    Baseline(
        "sb3",
        ("dqn-cartpole-1", "dqn-cartpole-128", "qr-dqn-cartpole"),
        ("torch-cpu", "sb3"),
        "sb3",
        "Steps Gymnasium's CartPole, in Python; products by PyTorch on one thread, no compiler.",
        quick=True,
    ),
    Baseline(
        "rejax",
        ("dqn-cartpole-1", "dqn-cartpole-128"),
        ("rejax",),
        "rejax",
        "Updates after each step of all environments, so that an update every 4 steps of one environment is one every "
        "step of 4.",
        quick=True,
    ),
    Baseline(
        "dopamine",
        ("dqn-cartpole-1",),
        ("dopamine",),
        "dopamine",
        "Steps Gymnasium's CartPole, in Python; acts and learns in two compiled calls.",
    ),
    # The newest release; it wants Python 3.10 at most, which this project does not run on.
    Baseline("cleanrl", ("dqn-cartpole-1",), ("cleanrl",), None),
    Baseline(
        "brax",
        ("sac-brax",),
        (),
        "brax_sac",
        "Actor and target entropy are Brax's own; episodes end and begin in the same step.",
    ),
    Baseline(
        "purejaxql",
        ("pqn-minatar",),
        ("purejaxql",),
        "purejaxql",
        "JAX 0.4.38, as it pins; every segment begins the training anew.",
        checkout="github.com/mttga/purejaxql",
    ),
)


def named(name: str) -> Baseline:
    """The baseline of a name."""
    return next(baseline for baseline in BASELINES if baseline.name == name)


def of_setting(setting: str, *, quick: bool = False) -> list[Baseline]:
    """The baselines of a setting, in order; of the quick benchmark's those that belong to it."""
    return [baseline for baseline in BASELINES if setting in baseline.settings and (baseline.quick or not quick)]
