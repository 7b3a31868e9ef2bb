"""How much of a loop to dispatch at a time, so that a run that is told to stop need not wait for long."""

SECONDS = 5.0  # what a dispatch is to take
LONGEST_SECONDS = 12.0  # and at most, if beginning one takes long (members of a large population are laid out anew)
FASTER = 8  # by how much the next one may be longer than the last


class Pace:
    """Follows what dispatches took, and says how long the next one should be.

    Attributes:
      count: of the next dispatch.
    """

    def __init__(self) -> None:
        self.count = 1
        self._last: tuple[int, float] | None = None

    def took(self, count: int, seconds: float) -> None:
        """A dispatch of so many took so long."""
        each, beginning = seconds / count, 0.0
        if self._last is not None and self._last[0] != count:
            slope = (seconds - self._last[1]) / (count - self._last[0])
            if 0.0 < slope < each:
                each, beginning = slope, seconds - slope * count
        self._last = (count, seconds)
        wanted = min(max(SECONDS, 10.0 * beginning), LONGEST_SECONDS) - beginning
        found = min(wanted / max(each, 1e-9), FASTER * count)
        self.count = max(int(found), 1)
