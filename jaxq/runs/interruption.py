"""Being told to stop: noticed at once, also while a program is compiled or waited for.

Python runs the handlers of signals between two of its own instructions, and a compilation is one. So a thread of its
own hears of them.
"""

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGTERM, signal.SIGINT)

_last_acts: list[Callable[[str], None]] = []
_ways: list[str] = []


@contextlib.contextmanager
def before_leaving(act: Callable[[str], None]) -> Iterator[None]:
    """Within it `act` is called, with the signal's name, if the process ends at once; the last entered goes first."""
    _last_acts.append(act)
    try:
        yield
    finally:
        _last_acts.remove(act)


@contextlib.contextmanager
def going_on_by(way: str) -> Iterator[None]:
    """Within it a run that is stopped tells that it is gone on with in this way, and not by its own command."""
    _ways.append(way)
    try:
        yield
    finally:
        _ways.remove(way)


def way_of_going_on(own: str) -> str:
    """How what is stopped now is gone on with; `own` is the run's own command."""
    return _ways[-1] if _ways else own


class Interruption:
    """Whether this process was told to stop (SIGTERM, SIGINT), within `with`.

    Until `hold`, being told ends the process at once and with code 0: there is nothing to save. After it, the program
    has to look, and to stop by itself; told twice, it is interrupted. Signals belong to the main thread: entered in
    another, this is never told.

    Args:
      ends: whether the process may be ended so; it may not where somebody types at it, as in a notebook, who has more
        to lose than this run.
    """

    def __init__(self, *, ends: bool = True) -> None:
        self.signal: int | None = None
        self._ends = ends
        self._heard = 0
        self._holding = False
        self._lock = threading.Lock()
        self._previous: dict[int, Any] = {}
        self._previous_pipe = -1
        self._pipe: int | None = None

    def __bool__(self) -> bool:
        """Whether it was told."""
        return self.signal is not None

    @property
    def name(self) -> str:
        """Of the signal."""
        return "nothing" if self.signal is None else signal.Signals(self.signal).name

    def hold(self) -> None:
        """From now on the program looks by itself whether it was told."""
        with self._lock:
            self._holding = True

    def __enter__(self) -> Self:
        """Begin to listen."""
        if threading.current_thread() is threading.main_thread():
            read, self._pipe = os.pipe()
            os.set_blocking(self._pipe, False)
            threading.Thread(target=self._listen, args=(read,), daemon=True).start()
            self._previous_pipe = signal.set_wakeup_fd(self._pipe, warn_on_full_buffer=False)
            self._previous = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Signals do what they did before."""
        if self._pipe is not None:
            for number, handler in self._previous.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(self._previous_pipe)
            os.close(self._pipe)  # which ends the listener
            self._pipe = None

    def _listen(self, pipe: int) -> None:
        while number := os.read(pipe, 1):
            if number[0] in SIGNALS:
                self._told(number[0])
        os.close(pipe)

    def _told(self, number: int) -> None:
        with self._lock:
            self.signal = self.signal or number
            if self._ends and not self._holding:
                try:
                    self._leave(signal.Signals(number).name)
                finally:
                    os._exit(0)  # the main thread may be deep in a compiler

    def _leave(self, name: str) -> None:
        for act in reversed(_last_acts):
            try:
                act(name)
            except Exception:  # the others' turn comes all the same
                traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()

    def _on_signal(self, number: int, frame: Any) -> None:
        """In the main thread, when it comes to it."""
        del frame
        self._heard += 1
        self.signal = self.signal or number
        if self._heard > 1:
            raise KeyboardInterrupt
