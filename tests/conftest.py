"""Shared by all tests: the CPU, the persistent compilation cache, and small runs that several tests look at."""

import gc
import importlib.metadata
import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.expanduser("~/.cache/jaxq/xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
os.environ.setdefault("WANDB_MODE", "offline")
# Compilation is what most tests are made of. Without optimizations it takes a third of the time; what learns for
# thousands of updates (marked so) is compiled at a level at which it runs as fast as ever.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")
# XLA ends where it does not know a flag, and the last of these is gone in JAX 0.11.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_cpu_opt_preset=FAST_COMPILE --xla_backend_optimization_level=1 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_parallel_codegen_split_count=1"
    + (" --xla_cpu_use_fusion_emitters=false" if importlib.metadata.version("jaxlib").startswith("0.10.") else ""),
)

import jax
import pytest

from jaxq.runs.devices import keep_small_loops_whole

keep_small_loops_whole()  # as a run does, so that tests of runs find what others have compiled

# Tracing makes many small objects that live on; looking through all of them again and again took a tenth of the time.
gc.set_threshold(20_000, 20, 20)


def pytest_collection_finish():
    gc.freeze()


@pytest.fixture(autouse=True)
def optimized(request):
    """Programs of tests that learn for long are optimized; those of processes are not, and can be compared."""
    long = any(request.node.get_closest_marker(name) for name in ("learns", "slow"))
    jax.config.update("jax_disable_most_optimizations", not long)


@pytest.fixture(autouse=True, scope="module")
def forgotten():
    """A file's programs go with it: with all of them at once, memory and the time to look through it only grow."""
    yield
    jax.clear_caches()
    gc.collect()
