"""Agents whose products of matrices are of less precise numbers where the hardware is made for those."""

import contextlib
import dataclasses
from typing import Any

import jax

from jaxq import platforms
from jaxq.agents.base import AgentWrapper, OffPolicyAgent, observed
from jaxq.types import PyTree, TimeStep


@dataclasses.dataclass(frozen=True)
class MixedPrecision(AgentWrapper):
    """An agent whose products on GPUs are of bfloat16 numbers, summed in float32; everything else stays float32.

    Parameters, optimizers, normalization and losses are left alone, so no gradient need be scaled. TPUs multiply so by
    themselves, and CPUs have nothing to gain.
    """

    @staticmethod
    def _precision() -> contextlib.AbstractContextManager[Any]:
        if platforms.current() == "gpu":
            return jax.default_matmul_precision("BF16_BF16_F32")
        return contextlib.nullcontext()

    def init(self, key: jax.Array) -> PyTree:
        """See `Agent.init`."""
        return self.base.init(key)

    def act(self, state: Any, memory: Any, timestep: TimeStep, key: jax.Array) -> tuple[jax.Array, PyTree, PyTree]:
        """See `Agent.act`."""
        with self._precision():
            return self.base.act(state, memory, timestep, key)

    def exploit(self, state: Any, memory: Any, timestep: TimeStep, key: jax.Array) -> tuple[jax.Array, PyTree]:
        """See `Agent.exploit`."""
        with self._precision():
            return self.base.exploit(state, memory, timestep, key)

    def watch(
        self, state: Any, memory: Any, timestep: TimeStep, action: jax.Array, key: jax.Array
    ) -> tuple[PyTree, PyTree]:
        """See `OffPolicyAgent.watch`."""
        agent: OffPolicyAgent = self.base
        return agent.watch(state, memory, timestep, action, key)

    def observe(self, state: Any, memory: Any, timestep: TimeStep) -> tuple[PyTree, PyTree]:
        """See `Agent.observe`."""
        return observed(self.base, state, memory, timestep)

    def update(self, state: Any, batch: Any, key: jax.Array) -> Any:
        """See `OffPolicyAgent.update` and `OnPolicyAgent.update`."""
        with self._precision():
            return self.base.update(state, batch, key)
