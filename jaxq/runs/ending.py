"""What is written and said of a run that has come to its end."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxq.configs import Member, in_words
from jaxq.errors import warn
from jaxq.runs.aggregate import interquartile_mean, mean_and_error
from jaxq.runs.roster import Roster

BEST_TOLD = 10  # settings of a population, in the end


def outcome(roster: Roster, returns: Sequence[float | None]) -> dict[str, Any]:
    """What the members have come to, for summary.json.

    Args:
      roster: the members.
      returns: [N] of the last evaluation, None where it is not finite.
    """
    # Of what has diverged there is no return, and means over the others would say too much.
    whole = None not in returns and not roster.lost
    return {
        "members": [
            {"seed": member.seed, "setting": dict(member.setting), "return": score, "diverged": step}
            for member, score, step in zip(roster.members, returns, roster.diverged, strict=True)
        ],
        "returns": list(returns),
        "return_mean": float(np.mean(np.array(returns))) if whole else None,
        "return_iqm": interquartile_mean(np.array(returns)) if whole else None,
    }


def score_of(roster: Roster, returns: Sequence[float | None]) -> str:
    """The same in words, of those who have not diverged."""
    counted = {i: score for i, (score, going) in enumerate(zip(returns, roster.going, strict=True)) if going}
    known = {i: score for i, score in counted.items() if score is not None}
    return scored(roster.members, known) if len(known) == len(counted) else "- (the last evaluation is not finite)"


def scored(members: Sequence[Member], returns: Mapping[int, float]) -> str:
    """The mean return, or that of each setting where members have several, the best of them first; in words.

    Args:
      members: of the run.
      returns: of the last evaluation, by the numbers of the members that count.
    """
    of_settings: dict[str, list[float]] = {}
    for number, score in returns.items():
        of_settings.setdefault(in_words(members[number].setting), []).append(score)

    def told(scores: list[float]) -> str:
        if len(scores) == 1:
            return f"{scores[0]:.4g} (mean return of the last evaluation)"
        return f"{mean_and_error(scores)} (mean return of the last evaluation over {len(scores)} seeds)"

    if len(of_settings) == 1:
        return told(list(returns.values()))
    best = sorted(of_settings.items(), key=lambda item: -np.mean(item[1]))
    rows = [f"{told(scores)}, {setting or 'as configured'}" for setting, scores in best[:BEST_TOLD]]
    left = len(best) - len(rows)
    return "\n       ".join([*rows, *([f"and {left} more, in summary.json"] if left else [])])


def warn_of_what_was_not_finite(lines: Sequence[Mapping[str, Any]], steps: int, episodes: int) -> None:
    """Warn of steps that taught nothing, and of evaluations that were broken off.

    Args:
      lines: of the run's metrics.
      steps: of all members together.
      episodes: of one evaluation.
    """
    lost = sum(int(value or 0) for line in lines for value in line.get("non_finite_steps", ()))
    if lost:
        warn(f"of {steps:,} steps {lost:,} came to a reward or observation that is not finite: they taught nothing")
    broken = sum(int(value or 0) for value in lines[-1].get("eval_broken_off", ()))
    if broken:
        warn(
            f"of the last evaluation's {episodes} episodes {broken} were broken off by such a step: they count "
            "with what they had come to, and a member of whom all were has no return"
        )


def warn_of_the_diverged(roster: Roster) -> None:
    """Warn of members that have diverged."""
    if roster.lost:
        rows = "; ".join(str(member) for member in roster.lost)
        warn(f"{len(roster.lost)} of {len(roster.members)} members diverged and were frozen: {rows}")
