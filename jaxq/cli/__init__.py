"""The `jaxq` command: thin, over the rooms below."""

import os
import signal
from typing import Any


def main() -> None:
    """Entry point of the `jaxq` command.

    Importing what it is made of takes seconds, in which a Ctrl-C ends it as it does later on: by a line. Python's own
    way would be a traceback of whatever was being imported, or, within a function that a library calls, nothing.
    """
    signal.signal(signal.SIGINT, _leave)
    from jaxq.cli.main import main as command

    command()


def _leave(number: int, frame: Any) -> None:
    del frame
    os.write(2, b"stopped\n")
    os._exit(128 + number)
