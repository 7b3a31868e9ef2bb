"""Optimizers, made without a step size, which is a number of the agent's own."""

import dataclasses
from collections.abc import Callable
from typing import Any

import optax

from jaxq.agents import flatten_small
from jaxq.configs.axis import Axis
from jaxq.errors import require
from jaxq.schedules import CosineSchedule, LinearSchedule
from jaxq.types import PyTree


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepSize(Axis):
    """The step size."""

    learning_rate: float = 1e-3
    """Step size of the optimizer at the first update."""
    learning_rate_final: float | None = None
    """Step size at the end of the run, falling linearly unless the method has it otherwise; None keeps it constant."""

    def make_step_sizes(self, updates: float) -> LinearSchedule:
        """The step size by updates, of which the run has so many."""
        initial, final = self.learning_rate, self.learning_rate_final
        return LinearSchedule(initial, initial if final is None else final, updates)

    def make_cosine_step_sizes(self, updates: float) -> CosineSchedule:
        """The same, falling along half a cosine."""
        initial, final = self.learning_rate, self.learning_rate_final
        return CosineSchedule(initial, initial if final is None else final, updates)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GradientClip(Axis):
    """A bound on gradients."""

    max_gradient_norm: float = float("inf")
    """Gradients are scaled down to this global norm."""

    def clipped(self, optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
        """The optimizer, its gradients scaled down first.

        Raises:
          InputError: unless the norm is positive.
        """
        norm = self.max_gradient_norm
        require(norm > 0, "max_gradient_norm", norm, "positive")
        return optimizer if norm == float("inf") else optax.chain(optax.clip_by_global_norm(norm), optimizer)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adam(GradientClip, StepSize):
    """Adam (Kingma and Ba, 2015)."""

    adam_epsilon: float = 1e-8
    """Added to the root of Adam's second moment."""

    def make_adam(self, b1: float = 0.9, b2: float = 0.999) -> optax.GradientTransformation:
        """Adam itself, with no bound on its gradients.

        Args:
          b1, b2: what is kept of the moments at every step.

        Raises:
          InputError: for an ε that it does not allow.
        """
        require(self.adam_epsilon > 0, "adam_epsilon", self.adam_epsilon, "positive")
        return optax.scale_by_adam(b1, b2, eps=self.adam_epsilon)

    def make_optimizer(self) -> optax.GradientTransformation:
        """The optimizer.

        Raises:
          InputError: for numbers that it does not allow.
        """
        return flatten_small(self.clipped(self.make_adam()))


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightDecay(Axis):
    """Adam with decay of the parameters (Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019)."""

    weight_decay: float = 1e-2
    """Decay of all parameters, as a share of the step size."""

    def make_adamw(self, b2: float = 0.999) -> optax.GradientTransformation:
        """The optimizer, of a Config that has the axis `Adam` too.

        Args:
          b2: what is kept of the second moment at every step.

        Raises:
          InputError: for numbers that it does not allow.
        """
        own: Any = self
        return self.decayed(own.clipped(own.make_adam(b2=b2)))

    def decayed(
        self, optimizer: optax.GradientTransformation, which: Callable[[PyTree], PyTree] | None = None
    ) -> optax.GradientTransformation:
        """An optimizer, to whose steps the decay is added; the step size multiplies both.

        Args:
          optimizer: made without a step size.
          which: of a tree of parameters, those that decay; all unless given.

        Raises:
          InputError: for a decay that is negative or infinite.
        """
        require(0 <= self.weight_decay < float("inf"), "weight_decay", self.weight_decay, "0 or more and finite")
        return optax.chain(optimizer, optax.add_decayed_weights(self.weight_decay, which))


@dataclasses.dataclass(frozen=True, kw_only=True)
class RAdam(GradientClip, StepSize):
    """RAdam (Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 2020)."""

    def make_optimizer(self) -> optax.GradientTransformation:
        """The optimizer.

        Raises:
          InputError: for numbers that it does not allow.
        """
        return self.clipped(optax.scale_by_radam())
