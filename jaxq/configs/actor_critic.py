"""The axes that all actor-critics with replay have, and their assembly."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, ClassVar

import flax.linen as nn
import optax

from jaxq.agents import (
    ActorCritic,
    ActorCriticHyperparameters,
    DelayedPolyakUpdate,
    FixedTemperature,
    GaussianNoise,
    PolicySample,
    Smoothing,
    SquashedGaussian,
    TunedTemperature,
)
from jaxq.agents.entropy import Entropy
from jaxq.agents.noise import ActionNoise
from jaxq.agents.policies import Policy
from jaxq.bellman import Representation
from jaxq.configs.axis import Axis
from jaxq.configs.environments import ContinuousEnvironments
from jaxq.configs.loops import FromReplay
from jaxq.configs.optimizers import Adam
from jaxq.configs.parallel import seeing, seen_of
from jaxq.configs.replay import NStep
from jaxq.configs.rewards import Discount
from jaxq.configs.targets import Averaging
from jaxq.envs import Continuous, Environment
from jaxq.errors import named, require
from jaxq.networks import (
    ActionCritic,
    Dense,
    Ensemble,
    GaussianPolicyNetwork,
    Mode,
    PolicyNetwork,
    after_convolutions,
    encoder_maker,
    glorot_dense,
    pytorch_dense,
    torso_for,
)
from jaxq.networks.observations import has_images
from jaxq.networks.torsos import MLP
from jaxq.types import Network

MakeLayers = Callable[[Mode], nn.Module]  # what makes hidden layers for a mode


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActorCriticLearner(NStep, Discount, Adam, FromReplay, ContinuousEnvironments):
    """Actor and critics from replay. What is not given to its functions is made by the axis of that name.

    Such an axis comes before this among the bases of a `Config`: what it makes takes the place of what is made here.
    """

    env: str = "gymnax/Pendulum-v1"
    total_steps: int = 1_000_000
    eval_episodes: int = 8
    learning_rate: float = 3e-4
    """Step size of the optimizer, for actor, critics and what is tuned, but for those that have one of their own."""
    batch_size: int = 256
    warmup_steps: int = 5_000
    replay_capacity: int = 1_000_000

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        after = cls.__mro__[cls.__mro__.index(ActorCriticLearner) + 1 :]
        makers = ("make_targets", "make_noise", "make_smoothing", "make_entropy")
        late = [kind.__name__ for kind in after if not vars(kind).keys().isdisjoint(makers)]
        if late:
            raise TypeError(f"{cls.__name__}: {', '.join(late)} must come before ActorCriticLearner among the bases")

    def make_targets(self) -> Any:
        """The schedule of the target critics: none, and then what is learned is also the target."""
        return None

    def make_noise(self) -> ActionNoise:
        """The behaviour's strategy: the policy is its own exploration."""
        return PolicySample()

    def make_smoothing(self) -> Smoothing | None:
        """Noise on the actions of targets: none."""
        return None

    def make_entropy(self, actions: Continuous) -> Entropy:
        """The price of entropy, of a policy with so many actions: none is paid."""
        del actions
        return FixedTemperature()

    def make_actor_critic(
        self,
        environment: Environment,
        actor: Network,
        critic: Network,
        representation: Representation,
        *,
        policy: Policy = SquashedGaussian(),  # noqa: B008
        optimizer: optax.GradientTransformation | None = None,
        hyper: dict[str, Any] | None = None,
        kind: type[ActorCritic] = ActorCritic,
        **choices: Any,
    ) -> ActorCritic:
        """The agent of these objects.

        Args:
          environment: in which it acts.
          actor, critic, representation, policy: as of `ActorCritic`.
          optimizer: Adam unless given.
          hyper: fields of `ActorCriticHyperparameters` that no axis of the configuration makes.
          kind: of the agent.
          choices: further fields of it.

        Raises:
          InputError: for numbers that are not allowed.
        """
        actions: Any = environment.action_spec
        given = hyper or {}
        rate = self.make_step_sizes(self.total_updates)
        rates = {"actor_learning_rate": rate, "critic_learning_rate": rate}
        axes: dict[str, Callable[[], Any]] = {
            "target": self.make_targets,
            "exploration": self.make_noise,
            "smoothing": self.make_smoothing,
            "entropy": lambda: self.make_entropy(actions),
        }
        made = {name: make() for name, make in axes.items() if name not in given}
        with named(**{name: "learning_rate" for name in rates if name not in vars(self)}):
            numbers = ActorCriticHyperparameters(**{**rates, "discount": self.discount, **made, **given})
        return kind(
            actor=actor,
            critic=critic,
            observation_spec=environment.observation_spec,
            action_spec=actions,
            optimizer=self.make_optimizer() if optimizer is None else optimizer,
            hyper=numbers,
            representation=representation,
            policy=policy,
            **choices,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Critics(Axis):
    """An ensemble of critics."""

    num_critics: int = 2
    """Critics, each a network of its own."""

    def make_critics(
        self,
        environment: Environment,
        representation: Representation,
        layers: MakeLayers,
        make_head: Callable[..., nn.Module] = Dense,
        sees: tuple[str, ...] = (),
    ) -> Ensemble:
        """The critics.

        Args:
          environment: whose observations they see.
          representation: of the return.
          layers: what makes a critic's torso for a mode.
          make_head: the last layer, of so many outputs.
          sees: the parts of observations that they see; none given: all.
        """
        encoder = encoder_maker(seen_of(environment.observation_spec, sees))
        width = representation.width
        return Ensemble(lambda: seeing(sees, ActionCritic(layers, width, encoder, make_head)), self.num_critics)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blocks(Critics):
    """Actor and critics that are towers of residual blocks."""

    actor_width: int = 128
    """Units of the actor's layers."""
    actor_blocks: int = 1
    """Residual blocks of the actor."""
    critic_width: int = 512
    """Units of a critic's layers."""
    critic_blocks: int = 2
    """Residual blocks of a critic."""

    @property
    def actor_sizes(self) -> tuple[int, int]:
        """Width and blocks."""
        return self.actor_width, self.actor_blocks

    @property
    def critic_sizes(self) -> tuple[int, int]:
        """Width and blocks."""
        return self.critic_width, self.critic_blocks


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActorCriticLayers(Critics):
    """Plain hidden layers of actor and critics."""

    hidden_widths: tuple[int, ...] = (256, 256)
    """Hidden layers of actor and critics; images go through the convolutions of their size first."""
    make_layer: ClassVar[Callable[..., Dense]] = Dense
    """What makes a layer of so many units, and so how it begins."""

    def make_gaussian_actor(self, environment: Environment) -> GaussianPolicyNetwork:
        """Mean and standard deviation."""
        return GaussianPolicyNetwork(self.actor_torso(environment), action_size(environment), make_head=self.make_layer)

    def make_deterministic_actor(self, environment: Environment) -> PolicyNetwork:
        """One action."""
        return PolicyNetwork(self.actor_torso(environment), action_size(environment), self.make_layer)

    def actor_torso(self, environment: Environment, layers: MakeLayers | None = None) -> Any:
        """What makes the actor's torso for a mode: `layers`, after the convolutions of images; plain unless given."""
        spec = environment.observation_spec
        if layers is not None:
            return lambda mode: after_convolutions(spec, layers(mode))
        if has_images(spec):  # whose dense layer is that of their convolutions
            return lambda mode: torso_for(spec)
        widths, make_layer = self.hidden_widths, self.make_layer
        return lambda mode: torso_for(spec, widths, make_layer=make_layer)

    def make_critics(
        self,
        environment: Environment,
        representation: Representation,
        layers: MakeLayers | None = None,
        make_head: Callable[..., nn.Module] | None = None,
        sees: tuple[str, ...] = (),
    ) -> Ensemble:
        """See `Critics.make_critics`: with plain layers and a plain last one unless others are given."""
        made = self._plain_layers() if layers is None else layers
        head = self.make_layer if make_head is None else make_head
        return super().make_critics(environment, representation, made, head, sees)

    def _plain_layers(self) -> MakeLayers:
        """Read where they are used alone: widths that have no effect are to be refused."""
        widths, make_layer = self.hidden_widths, self.make_layer
        return lambda mode: MLP(widths, make_layer=make_layer)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PyTorchLayers(ActorCriticLayers):
    """The same, which begin as PyTorch's do, in whose code some authors leave them so.

    Three layers so come to a fifth of what they would else, and a deterministic policy begins unsaturated.
    """

    make_layer: ClassVar[Callable[..., Dense]] = staticmethod(pytorch_dense)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GlorotLayers(ActorCriticLayers):
    """The same, which begin uniformly by Glorot and Bengio (2010)."""

    make_layer: ClassVar[Callable[..., Dense]] = staticmethod(glorot_dense)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActorLayers(ActorCriticLayers):
    """Plain hidden layers of the actor, beside critics that have layers of their own."""

    hidden_widths: tuple[int, ...] = (256, 256)
    """Hidden layers of the actor; the network of images has its own."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Temperature(Axis):
    """A price of entropy that is tuned."""

    target_entropy_per_dimension: float = -1.0
    """Target entropy in nats, for each action dimension."""
    initial_temperature: float = 1.0
    """α before tuning."""

    def make_entropy(self, actions: Continuous) -> TunedTemperature:
        """The price.

        Raises:
          InputError: for a temperature that is not positive, or a target that the policy's entropy cannot have.
        """
        own: Any = self
        self.check_target_entropy()
        with named(initial="initial_temperature"):
            return TunedTemperature(
                target=self.target_entropy_per_dimension * actions.size,
                learning_rate=own.make_step_sizes(own.total_updates),
                initial=self.initial_temperature,
                optimizer=own.make_optimizer(),
            )

    def check_target_entropy(self) -> None:
        """Raise `InputError` for a target of the wrong sign: that of a density on [-1, 1], whose entropy is small."""
        require_target_entropy(self.target_entropy_per_dimension)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DelayedActor(Averaging):
    """An actor, and targets with it, that move less often than the critics."""

    actor_period: int = 2
    """Updates of the critics to one of actor and targets."""

    def make_targets(self) -> DelayedPolyakUpdate:  # type: ignore[override]
        """The schedule.

        Raises:
          InputError: for numbers that it does not allow.
        """
        with named(rate="target_rate", period="actor_period"):
            return DelayedPolyakUpdate(self.target_rate, self.actor_period)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Noise(Axis):
    """Gaussian noise on actions."""

    noise: float = 0.1
    """Standard deviation of the noise on actions, which are in [-1, 1]."""

    def make_noise(self) -> GaussianNoise:
        """The strategy.

        Raises:
          InputError: for a negative number.
        """
        with named(std="noise"):
            return GaussianNoise(self.noise)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetNoise(Axis):
    """Clipped Gaussian noise on the actions of targets."""

    target_noise: float = 0.2
    """Standard deviation of the noise on the actions of targets."""
    largest_target_noise: float = 0.5
    """To plus or minus this that noise is clipped."""

    def make_smoothing(self) -> Smoothing:
        """The noise.

        Raises:
          InputError: for a negative number.
        """
        with named(std="target_noise", largest="largest_target_noise"):
            return Smoothing(self.target_noise, self.largest_target_noise)


def require_target_entropy(target: float) -> None:
    """Check a target entropy in nats, for each dimension of actions with a density.

    Raises:
      InputError: if it is positive. Uniform actions in [-1, 1] have log 2, which is the most there is.
    """
    allowed = "0 or less: of actions in [-1, 1] the entropy is at most log 2 a dimension, and -1 is customary"
    require(-math.inf < target <= 0, "target_entropy_per_dimension", target, allowed)


def action_size(environment: Environment) -> int:
    """The size of an environment's continuous actions."""
    spec: Any = environment.action_spec
    return int(spec.size)
