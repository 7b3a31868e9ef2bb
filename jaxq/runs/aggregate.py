"""Aggregates over seeds, by the method of rliable.

Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical Precipice, 2021.
"""

from collections.abc import Sequence

import numpy as np


def interquartile_mean(scores: np.ndarray) -> float:
    """Mean of the middle half of all scores, any shape: a quarter, rounded down, is left out at either end."""
    ordered = np.sort(np.asarray(scores, dtype=np.float64), axis=None)
    cut = ordered.size // 4
    kept = ordered[cut : ordered.size - cut]
    return float(kept.mean()) if kept.size else float("nan")


def stratified_bootstrap_interval(
    scores: np.ndarray, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the IQM when the runs of each task are drawn again, with replacement.

    Args:
      scores: [tasks, runs]; one task per row, so that resampling is stratified by task.
      confidence: probability mass of the interval.
      resamples: bootstrap replicates.
      seed: of the resampling.

    Returns:
      Lower and upper end.
    """
    scores = np.asarray(scores, dtype=np.float64)
    tasks, runs = scores.shape
    index = np.random.default_rng(seed).integers(0, runs, (resamples, tasks, runs))
    drawn = np.sort(np.take_along_axis(scores[None], index, axis=2).reshape(resamples, -1), axis=1)
    cut = drawn.shape[1] // 4
    return _percentiles(drawn[:, cut : drawn.shape[1] - cut].mean(axis=1), confidence)


def _percentiles(replicates: np.ndarray, confidence: float) -> tuple[float, float]:
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(replicates, [tail, 1.0 - tail])
    return float(low), float(high)


def probability_of_improvement(
    ours: Sequence[np.ndarray],
    theirs: Sequence[np.ndarray],
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """How likely a run of ours scores higher than one of theirs, a tie counting half; the mean over tasks.

    Args:
      ours, theirs: scores [runs] of each task; the runs of a task are compared all with all.
      confidence, resamples, seed: of the percentile interval, runs being drawn again by task.

    Returns:
      The probability, and the lower and upper end of its interval.
    """
    rng = np.random.default_rng(seed)

    def higher(x: np.ndarray, y: np.ndarray) -> np.ndarray:  # [..., R], [..., S] -> [...]
        signs = np.sign(x[..., :, None] - y[..., None, :])
        return (0.5 + 0.5 * signs).mean(axis=(-2, -1))

    def redrawn(scores: np.ndarray) -> np.ndarray:
        return scores[rng.integers(0, len(scores), (resamples, len(scores)))]

    pairs = [(np.asarray(x, np.float64), np.asarray(y, np.float64)) for x, y in zip(ours, theirs, strict=True)]
    drawn = np.mean([higher(redrawn(x), redrawn(y)) for x, y in pairs], axis=0)
    return float(np.mean([higher(x, y) for x, y in pairs])), *_percentiles(drawn, confidence)
