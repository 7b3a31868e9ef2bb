"""The pictures of the documentation that a browser draws: `jaxq report` of kept results, into docs/images/report.png.

python -m benchmarks.pictures [path/to/chromium]
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from benchmarks.runs import RUNS
from jaxq.errors import clean_errors, require
from jaxq.runs.report import write_report

IMAGES = Path(__file__).parent.parent / "docs" / "images"
FLAGS = (
    "headless=new",
    "no-sandbox",
    "disable-gpu",
    "no-first-run",
    "disable-background-networking",
    "hide-scrollbars",
)


def photograph(page: Path, picture: Path, *, width: int, height: int, chromium: str) -> None:
    """Write what a browser window of this size shows of a page as a png."""
    with tempfile.TemporaryDirectory() as profile:
        flags = [f"--{flag}" for flag in FLAGS]
        flags += [f"--user-data-dir={profile}", f"--window-size={width},{height}", f"--screenshot={picture}"]
        subprocess.run([chromium, *flags, page.as_uri()], check=True, stderr=subprocess.DEVNULL, timeout=120)
    in_few_colours(picture)


def in_few_colours(picture: Path) -> None:
    """Give a picture that is drawn a palette of 256 colours, with which it is less than half as large."""
    Image.open(picture).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(picture, optimize=True)


def main() -> None:
    """Draw them."""
    chromium = sys.argv[1] if len(sys.argv) > 1 else shutil.which("chromium")
    require(chromium is not None, "chromium", chromium, "the path of one, or on the PATH")
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        # Those of one budget.
        page = write_report(
            sorted(RUNS.glob("million-*.json")), Path(directory) / "report.html", title="MinAtar, a million steps"
        )
        photograph(page, IMAGES / "report.png", width=1240, height=960, chromium=str(chromium))
    print(IMAGES / "report.png")


if __name__ == "__main__":
    with clean_errors():
        main()
