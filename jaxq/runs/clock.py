"""What the time of a session goes into."""

import time

import numpy as np


class Clock:
    """Seconds, by what they went into.

    Attributes:
      compiling: before anything was learned.
      earlier: of the sessions before this one.
      chunks: of each chunk of this one, without what came between them.
    """

    def __init__(self) -> None:
        self.begun = self._since = time.monotonic()
        self.compiling = self.earlier = 0.0
        self.chunks: list[float] = []
        self._evaluating = 0.0

    def go_on(self) -> float:
        """What comes next is timed from now, which is given back."""
        self._since = time.monotonic()
        return self._since

    def chunk_done(self) -> float:
        """The seconds of a chunk whose metrics are there now."""
        begun = self._since
        self.chunks.append(self.go_on() - begun)
        return self.chunks[-1]

    def evaluation_done(self, begun: float) -> None:
        """An evaluation that began then has ended now."""
        self._evaluating += self.go_on() - begun

    @property
    def wall(self) -> float:
        """Of this and all earlier sessions, so far."""
        return self.earlier + time.monotonic() - self.begun

    @property
    def evaluation_share(self) -> float:
        """What evaluations have taken of this session."""
        return self._evaluating / max(time.monotonic() - self.begun, 1e-9)

    def rate(self, steps: int) -> float | None:
        """Steps a second, of chunks of so many: the median over this session's; None before the first."""
        return steps / float(np.median(self.chunks)) if self.chunks else None
