"""The errors and warnings that a user meets, each a single line: what was given and what is allowed."""

import contextlib
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


class InputError(ValueError):
    """Something the user gave cannot be used. Its message is one line fit to be shown as it is.

    Attributes:
      field: with which it begins, where it is about one.
    """

    def __init__(self, message: str, field: str | None = None):
        super().__init__(message)
        self.field = field


class DivergedError(RuntimeError):
    """A metric of every member is NaN or infinite; the message names it and the step.

    Attributes:
      steps: at which each member has diverged.
    """

    def __init__(self, message: str, steps: Sequence[int]):
        super().__init__(message)
        self.steps = tuple(steps)


class HostLostError(RuntimeError):
    """Another process of a run has ended or says nothing; the message says how to go on."""


class InputWarning(UserWarning):
    """Something the user gave can be used, but is hardly what was meant. Its message is one line."""


def warn(message: str) -> None:
    """Warn of what the user gave."""
    warnings.warn(message, InputWarning, stacklevel=3)


def require(condition: bool, field: str, value: Any, allowed: str) -> None:
    """Raise `InputError` naming the field, its value and what is allowed, unless the condition holds."""
    if not condition:
        raise InputError(f"{field} is {value!r}, but must be {allowed}", field)


@contextlib.contextmanager
def named(**flags: str) -> Iterator[None]:
    """Within it an `InputError` about a field of some object names the flag that its value came from.

    Args:
      flags: the flag of each field; that of a schedule's final value, `FIELD_final`, is `FLAG_final` unless given.
    """
    names = {**{f"{field}_final": f"{flag}_final" for field, flag in flags.items()}, **flags}
    try:
        yield
    except InputError as error:
        if error.field not in names:
            raise
        flag = names[error.field]
        raise InputError(str(error).replace(error.field, flag, 1), flag) from None


def require_writable(out: Path, *suffixes: str) -> None:
    """Raise `InputError` unless a file of this name can be written: before there is anything to write.

    Args:
      out: the file.
      suffixes: with which its name may end.
    """
    names = f"{', '.join(suffixes[:-1])} or {suffixes[-1]}" if suffixes[1:] else suffixes[0]
    require(out.suffix in suffixes, "out", str(out), f"a name ending in {names}")
    require(out.absolute().parent.is_dir(), "out", str(out), "in a directory that exists")


def missing_extra(backend: str, extra: str, cause: ImportError) -> InputError:
    """The error for a backend whose package is not installed, naming the extra that brings it, or does not load.

    EnvPool's wheels for Python 3.12 and later look for libraries of the system, which no extra brings.
    """
    if not isinstance(cause, ModuleNotFoundError):
        return InputError(f"{backend} needs a package that is installed, but cannot be loaded: {cause}")
    return InputError(f"{backend} needs a package that is not installed ({cause}): pip install 'jaxq[{extra}]'")


@contextlib.contextmanager
def clean_errors() -> Iterator[None]:
    """For the end of a script: these errors become one line on stderr, and exit code 2, or 1 for `DivergedError`.

    Warnings of what the user gave become lines as well.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always", InputWarning)
        others = warnings.showwarning

        def show(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, InputWarning):
                print(f"warning: {message}", file=sys.stderr)
            else:
                others(message, category, *place, **more)

        warnings.showwarning = show
        try:
            yield
        except (InputError, DivergedError) as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2 if isinstance(error, InputError) else 1) from None
