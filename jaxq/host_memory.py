"""The host's memory: what is free of it, and what this process has."""

import ctypes
import os
import sys
from pathlib import Path


def free_bytes() -> int | None:
    """What may still be taken, by the host and by the container; None where nobody says (not Linux)."""
    free = [available for available in (_of_host(), _of_container()) if available is not None]
    return min(free) if free else None


def taken_bytes() -> int | None:
    """What this process has taken of it; None where nobody says (not Linux)."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def give_back() -> None:
    """Give back what was freed and is kept by the allocator (glibc's): what is made out of it seems to take nothing."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _of_host() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    of = dict(line.split(":") for line in lines)
    return int(of["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in of else None


def _of_container(group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What a container may still take, its cached files being given back when they must."""
    try:
        limit = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
        of = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except OSError:
        return None
    return None if limit == "max" else int(limit) - used + int(of.get("inactive_file", 0))


def readable(size: float) -> str:
    """As a person reads it."""
    if size < 1e6:
        return f"{size / 1e3:.3g} kB"
    return f"{size / 1e6:,.0f} MB" if size >= 1e7 else f"{size / 1e6:.2g} MB"
