"""Who is trained next: what becomes of the members of a population between chunks, by how they score.

A controller is told scores and asked what every lane goes on with: its own member, a copy of another's with other
numbers, or a new member. It decides on the host, where a study could do so as well; what it decides is done on the
device (`turns.py`). It knows nothing of agents: a setting is a dictionary of numbers.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from jaxq.errors import require

Setting = Mapping[str, Any]
NEW = -1  # in place of a lane: nobody's copy


class Turn(NamedTuple):
    """What each lane goes on with.

    Attributes:
      source: [N] the lane whose member it goes on with, mostly its own; `NEW` for a member that knows nothing yet. A
        lane that is copied keeps its own member.
      settings: [N] the numbers that it has from now on.
    """

    source: list[int]
    settings: list[Setting]


class Controller(Protocol):
    """What a run needs of one."""

    @property
    def period(self) -> int:
        """Evaluations from one turn to the next."""

    @property
    def begins_anew(self) -> bool:
        """Whether a lane whose numbers change goes on with a new member; else it does with a copy."""

    def turn(
        self,
        settings: Sequence[Setting],
        scores: np.ndarray,
        memory: dict[str, Any],
        allowed: Callable[[Setting], bool],
        rng: np.random.Generator,
    ) -> tuple[Turn, dict[str, Any]]:
        """Decide.

        Args:
          settings: [N] the members' numbers.
          scores: [N] what they have come to; minus infinity for members that have diverged.
          memory: what the last turn gave back, JSON values; empty at first.
          allowed: whether a setting is one that can be trained.
          rng: draws of this turn.

        Returns:
          The turn, and what is to be remembered of it.
        """


def _require_period(period: int) -> None:
    require(period >= 1, "turn_evaluations", period, "at least 1")


@dataclasses.dataclass(frozen=True)
class PopulationBased:
    """Population-based training (Jaderberg et al., Population Based Training of Neural Networks, 2017, section 4.1.1).

    Truncation: each of the worst share of the members is replaced by a copy of one of the best share, drawn uniformly,
    whose numbers are each multiplied or divided by `factor`, a coin deciding. Of the paper's rules this is one pair:
    its test of significance, and numbers drawn anew, are not here. The paper multiplies by 1.2 or 0.8, after which
    numbers drift down; here both ways are as far, but for a number whose new value is not allowed, such as a discount
    above 1, which stays as it is. Whole numbers are rounded. A replay is copied with its agent. All members take their
    turn at once, where each of the paper's does when it is ready.

    Attributes:
      fraction: the share, 0.2 in the paper; at most half, so that nobody is both.
      factor: above 1.
      period: evaluations from one turn to the next.
    """

    fraction: float = 0.2
    factor: float = 1.2
    period: int = 1
    begins_anew: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(0 < self.fraction <= 0.5, "turn_fraction", self.fraction, "in (0, 0.5]")
        require(1 < self.factor < math.inf, "perturbation", self.factor, "above 1 and finite")
        _require_period(self.period)

    def turn(
        self,
        settings: Sequence[Setting],
        scores: np.ndarray,
        memory: dict[str, Any],
        allowed: Callable[[Setting], bool],
        rng: np.random.Generator,
    ) -> tuple[Turn, dict[str, Any]]:
        """See `Controller.turn`."""
        count = len(settings)
        replaced = min(max(round(self.fraction * count), 1), count // 2)
        order = np.argsort(-scores, kind="stable")
        # Nothing can be learned from who has no score: only those with one are copied.
        best = [int(i) for i in order[:replaced] if np.isfinite(scores[i])]
        source, new = list(range(count)), list(settings)
        for lane in order[count - replaced :] if best else ():
            source[lane] = int(rng.choice(best))
            new[lane] = self._perturbed(settings[source[lane]], allowed, rng)
        return Turn(source, new), memory

    def _perturbed(self, setting: Setting, allowed: Callable[[Setting], bool], rng: np.random.Generator) -> Setting:
        for name, value in sorted(setting.items()):
            scaled = value * float(self.factor ** rng.choice([-1.0, 1.0]))
            changed = {**setting, name: _whole(scaled, value) if isinstance(value, int) else scaled}
            setting = changed if allowed(changed) else setting
        return setting


@dataclasses.dataclass(frozen=True)
class Halving:
    """Asynchronous successive halving (Li et al., A System for Massively Parallel Hyperparameter Tuning, 2020).

    Rungs are at 1, η, η², ... turns of a member's life, up to whole ones. Whoever reaches one goes on if it is among
    the best there, of all that have ever reached it; else it is stopped and its lane given to a new member. In the
    paper a worker is given the most advanced member that may be promoted, here every lane is trained all the time, so
    members wait for nobody. A new member's numbers are drawn between the smallest and the largest of those that the
    population began with, evenly on a logarithmic scale where these are positive. It begins with the replay that its
    lane holds in place of a warm-up, so with what others have seen, where the paper's begins with nothing.

    Attributes:
      fraction: the share that is stopped, 1 - 1/η.
      period: evaluations from turn to turn.
    """

    fraction: float = 0.5
    period: int = 1
    begins_anew: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(0 < self.fraction < 1, "turn_fraction", self.fraction, "in (0, 1)")
        _require_period(self.period)

    def turn(
        self,
        settings: Sequence[Setting],
        scores: np.ndarray,
        memory: dict[str, Any],
        allowed: Callable[[Setting], bool],
        rng: np.random.Generator,
    ) -> tuple[Turn, dict[str, Any]]:
        """See `Controller.turn`."""
        count = len(settings)
        memory = memory or {"space": _ends(settings), "rungs": [], "ages": [0] * count}
        rungs, ages = [list(rung) for rung in memory["rungs"]], [age + 1 for age in memory["ages"]]
        known = np.where(np.isfinite(scores), scores, -1e300)  # as JSON has it
        reached = [self._rung(age) for age in ages]
        for lane, rung in enumerate(reached):
            if rung is not None:
                rungs += [[] for _ in range(rung + 1 - len(rungs))]
                rungs[rung].append(float(known[lane]))
        source, new = list(range(count)), list(settings)
        for lane, rung in enumerate(reached):
            if (rung is not None and not self._promoted(known[lane], rungs[rung])) or not np.isfinite(scores[lane]):
                source[lane], ages[lane] = NEW, 0
                new[lane] = self._drawn(settings[lane], memory["space"], allowed, rng)
        return Turn(source, new), {**memory, "rungs": rungs, "ages": ages}

    def _rung(self, age: int) -> int | None:
        """Which rung is reached after so many turns; none between two of them."""
        rung, at = 0, 1
        while at < age:
            # Rounding must not lift a whole number, and a share near to nothing must not keep it where it is.
            rung, at = rung + 1, max(math.ceil(at / (1 - self.fraction) - 1e-9), at + 1)
        return rung if at == age else None

    def _promoted(self, score: float, there: Sequence[float]) -> bool:
        best = max(math.floor((1 - self.fraction) * len(there) + 1e-9), 1)  # rounding must not stop one more
        return score >= sorted(there, reverse=True)[best - 1]

    def _drawn(
        self, old: Setting, space: Mapping[str, Any], allowed: Callable[[Setting], bool], rng: np.random.Generator
    ) -> Setting:
        new: dict[str, Any] = {}
        for name, value in sorted(old.items()):
            low, high = space[name]
            logarithmic = low > 0
            ends = (math.log(low), math.log(high)) if logarithmic else (low, high)
            drawn = float(rng.uniform(*ends))
            drawn = math.exp(drawn) if logarithmic else drawn
            new[name] = round(drawn) if isinstance(value, int) else drawn
        return new if allowed(new) else old


def _whole(scaled: float, before: int) -> int:
    """The nearest whole number that is another, so that small ones move too."""
    return max(round(scaled), before + 1) if scaled > before else min(round(scaled), before - 1)


def _ends(settings: Sequence[Setting]) -> dict[str, tuple[float, float]]:
    """The smallest and the largest value of each number."""
    return {name: (min(s[name] for s in settings), max(s[name] for s in settings)) for name in settings[0]}
