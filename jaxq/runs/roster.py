"""The members of a run as they stand: the numbers that they have now, who has diverged, and who is trained next."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxq.configs import Member, Run
from jaxq.errors import DivergedError, require
from jaxq.runs.population import Renumbering
from jaxq.training.controllers import Turn

# Metrics that are NaN where nothing was there to average; any other NaN means that learning has diverged.
MAY_BE_MISSING = ("episode_return", "episode_length", "eval_return", "eval_length")

Values = Mapping[str, list[float]]  # a metric of each member


class Roster:
    """The members of a run as they stand.

    Attributes:
      members: with the numbers that they have now.
      diverged: the step at which each was found to have diverged; None for the others.
      controller: which decides who is trained next; None for nobody.
    """

    def __init__(self, config: Run, renumbering: Renumbering):
        self.config, self.renumbering = config, renumbering
        self.members = config.all_members
        self.diverged: list[int | None] = [None] * config.num_members
        self.controller = config.make_controller()
        self._remembered: dict[str, Any] = {}  # by the controller
        self._played: list[list[float]] = []  # the training returns of each chunk since it was last asked

    @property
    def going(self) -> list[bool]:
        """Who has not diverged."""
        return [step is None for step in self.diverged]

    @property
    def lost(self) -> list[Member]:
        """Those who have."""
        return [member for member, going in zip(self.members, self.going, strict=True) if not going]

    def notes(self) -> dict[str, Any]:
        """What a checkpoint is to say of them, JSON values."""
        return {
            "diverged": self.diverged,
            "members": [member.to_json() for member in self.members],
            "controller": self._remembered,
            "played": self._played,
        }

    def restore(self, notes: Mapping[str, Any], run_dir: str) -> None:
        """Stand as a checkpoint says.

        Raises:
          InputError: if it is of other members, which only a controller can have made of these.
        """
        members = tuple(Member.from_json(member) for member in notes["members"])
        same = self.controller is not None or members == self.members
        require(same, "run_dir", run_dir, "of this population: its checkpoint is of another")
        self.members, self.diverged = members, notes["diverged"]
        self._remembered, self._played = notes["controller"], notes.get("played", [])

    def settings(self) -> list[dict[str, Any]]:
        """Each member's value of every field that some members have of their own."""
        names = sorted({name for member in self.members for name in member.setting})
        return [{name: m.setting.get(name, getattr(self.config, name)) for name in names} for m in self.members]

    def columns(self) -> dict[str, list[Any]]:
        """The same as metrics: of each field every member's value."""
        settings = self.settings()
        return {f"setting/{name}": [setting[name] for setting in settings] for name in settings[0]}

    def counted(self, values: Values) -> dict[str, list[float]]:
        """Metrics, with NaN for who has diverged."""
        return {
            name: [v if going else math.nan for v, going in zip(value, self.going, strict=True)]
            for name, value in values.items()
        }

    def note_diverged(self, values: Values, step: int) -> list[int]:
        """The numbers of the members that, by these metrics of a step, have diverged since; the program froze them.

        Raises:
          DivergedError: if no other is left.
        """
        found = []
        for name, value in values.items():
            if name in MAY_BE_MISSING or all(math.isfinite(v) for v in value):
                continue
            new = [i for i, v in enumerate(value) if not math.isfinite(v) and self.diverged[i] is None]
            for i in new:
                self.diverged[i] = step
            steps = [step for step in self.diverged if step is not None]
            if len(steps) == len(self.diverged):
                raise DivergedError(f"{name} is {value} at step {step:,}: learning has diverged", steps)
            found += new
        return found

    def note_played(self, values: Values) -> None:
        """Remember what a chunk's episodes of training came to, for the controller."""
        if self.controller is not None:
            self._played.append(values["episode_return"])

    def decide(self, values: Values, chunk: int) -> Turn:
        """Ask the controller, after a chunk with these metrics, evaluation and all."""
        assert self.controller is not None
        scores = np.where(self.going, np.nan_to_num(self._scores(values), nan=-np.inf), -np.inf)
        self._played = []
        rng = np.random.default_rng([self.config.seed, chunk])
        turn, self._remembered = self.controller.turn(
            self.settings(), scores, self._remembered, self.renumbering.allows, rng
        )
        return turn

    def _scores(self, evaluated: Values) -> np.ndarray:
        """[N] what each member has come to, by the episodes that it learned from since the controller was last asked.

        Those are many more than an evaluation's. Where a member has ended none, all are scored by their evaluations.
        """
        played = np.array(self._played)
        count = np.isfinite(played).sum(axis=0)
        means = np.where(np.isfinite(played), played, 0.0).sum(axis=0) / np.maximum(count, 1)
        return means if count[np.array(self.going)].all() else np.array(evaluated["eval_return"])

    def turn(self, turn: Turn) -> bool:
        """Stand as the controller decided; whether that changes anything."""
        changed = [lane != source for lane, source in enumerate(turn.source)]
        pairs = zip(self.members, turn.settings, changed, strict=True)
        self.members = tuple(Member(m.seed, setting) if new else m for m, setting, new in pairs)
        self.diverged = [None if new else step for step, new in zip(self.diverged, changed, strict=True)]
        return any(changed)
