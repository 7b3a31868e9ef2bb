"""Aggregates over seeds, by the method of rliable.

Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical Precipice, 2021.
"""

from collections.abc import Sequence

import numpy as np

Scores = Sequence[np.ndarray] | np.ndarray  # [runs] of each task; or [tasks, runs]


def mean_and_error(scores: Sequence[float] | np.ndarray) -> str:
    """The mean and its standard error, in words; of one score there is none."""
    values = np.asarray(scores, np.float64)
    if len(values) < 2:
        return f"{values.mean():.4g}"
    error = float(f"{values.std(ddof=1) / len(values) ** 0.5:.2g}")  # two digits say as much as is known
    return f"{values.mean():.4g} ± {error:g}"


def interquartile_mean(scores: np.ndarray) -> float:
    """Mean of the middle half of all scores, any shape: a quarter, rounded down, is left out at either end."""
    ordered = np.sort(np.asarray(scores, dtype=np.float64), axis=None)
    cut = ordered.size // 4
    kept = ordered[cut : ordered.size - cut]
    return float(kept.mean()) if kept.size else float("nan")


def stratified_bootstrap_interval(
    scores: Scores, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the IQM when the runs of each task are drawn again, with replacement.

    Args:
      scores: [runs] of each task, so that resampling is stratified by task.
      confidence: probability mass of the interval.
      resamples: bootstrap replicates.
      seed: of the resampling.

    Returns:
      Lower and upper end.
    """
    rng = np.random.default_rng(seed)
    drawn = np.sort(np.concatenate([_redrawn(task, resamples, rng) for task in scores], axis=1), axis=1)
    cut = drawn.shape[1] // 4
    return _percentiles(drawn[:, cut : drawn.shape[1] - cut].mean(axis=1), confidence)


def performance_profile(
    scores: Scores, thresholds: np.ndarray, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The share of runs that score above each threshold, the mean over tasks (run-score distribution), [thresholds].

    Args:
      scores: [runs] of each task.
      thresholds: [thresholds] of the score.
      confidence, resamples, seed: of the percentile interval, runs being drawn again by task.

    Returns:
      The shares, and the lower and upper ends of their pointwise intervals.
    """
    rng = np.random.default_rng(seed)
    above = [np.asarray(task, np.float64)[:, None] > thresholds for task in scores]  # [runs, thresholds] each
    shares = np.mean([task.mean(axis=0) for task in above], axis=0)
    # How often each run of a task is drawn, [resamples, runs], makes the shares of all replicates one product.
    counts = [_counts(len(task), resamples, rng) for task in above]
    drawn = np.mean([count @ task / len(task) for count, task in zip(counts, above, strict=True)], axis=0)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(drawn, [tail, 1.0 - tail], axis=0)
    return shares, low, high


def _redrawn(scores: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:  # [resamples, runs]
    scores = np.asarray(scores, dtype=np.float64)
    return scores[rng.integers(0, len(scores), (resamples, len(scores)))]


def _counts(runs: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    return rng.multinomial(runs, np.full(runs, 1.0 / runs), resamples).astype(np.float64)


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

    pairs = [(np.asarray(x, np.float64), np.asarray(y, np.float64)) for x, y in zip(ours, theirs, strict=True)]
    drawn = np.mean([higher(_redrawn(x, resamples, rng), _redrawn(y, resamples, rng)) for x, y in pairs], axis=0)
    return float(np.mean([higher(x, y) for x, y in pairs])), *_percentiles(drawn, confidence)
