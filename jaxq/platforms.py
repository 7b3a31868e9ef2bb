"""The platform that programs are made for, resolved once from the chosen device.

Some computations are written in more than one way, each giving the same numbers: convolutions, layer normalization,
projections, members of a population side by side or in turn. Which way suits is a matter of the platform. It is asked
for here and nowhere else, so that a program can be made for a platform that is not at hand, and looked at.
"""

import contextlib
from collections.abc import Iterator
from typing import Literal, get_args

import jax

from jaxq.errors import require

Platform = Literal["cpu", "gpu", "tpu"]

# Part of the keys of JAX's caches, so that no program traced for one platform is taken for another's.
_assumed = jax.make_user_context(default_value=None)


def device() -> jax.Device:
    """The first that everything runs on: JAX's default device, which `--device` sets, one of this process's own."""
    chosen = jax.config.jax_default_device  # type: ignore[attr-defined]
    return chosen if isinstance(chosen, jax.Device) else jax.local_devices(backend=chosen)[0]


def current() -> Platform:
    """The platform that whatever is traced now is meant for: of `assume`, else that of `device`."""
    assumed: Platform | None = _assumed.value
    if assumed is not None:
        return assumed
    platform = device().platform
    return "gpu" if platform in ("cuda", "rocm") else platform


def on_cpu() -> bool:
    """Whether that is the CPU, whose ways differ most from those of accelerators."""
    return current() == "cpu"


@contextlib.contextmanager
def assume(platform: Platform) -> Iterator[None]:
    """Within this context everything that is traced is meant for `platform`, whatever is at hand.

    What `jax.jit` has traced for another platform is traced anew.

    Raises:
      InputError: for a platform that is not known.
    """
    allowed = get_args(Platform)
    require(platform in allowed, "platform", platform, f"one of {', '.join(allowed)}")
    with _assumed(platform):
        yield
