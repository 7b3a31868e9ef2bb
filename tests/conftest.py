"""Shared by all tests: the CPU, the persistent compilation cache, and small runs that several tests look at."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.expanduser("~/.cache/jaxq/xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
os.environ.setdefault("WANDB_MODE", "offline")
# Compilation is what most tests are made of. Unoptimized code is compiled sooner still, but would learn for longer.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_parallel_codegen_split_count=1 --xla_llvm_disable_expensive_passes=true")
