"""The examples run, and end as they should."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("own_environment", "the end after 5 steps"),
        ("embedding", "return 1.00 in 5.0 steps"),
        ("sweep", "the best step size is 0.001, with returns of [1.0, 1.0]"),
    ],
)
def test_examples_run(name, said):
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
