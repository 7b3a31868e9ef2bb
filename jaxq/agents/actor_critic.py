"""Actor-critics for continuous actions: DDPG, TD3, SAC and all that is composed like them.

The agent is put together from one object on each axis: actor and policy, critic and representation of the return,
reduction of several critics, target schedule, entropy, exploration. SAC (Haarnoja et al., 2018, arXiv:1812.05905) is
`SquashedGaussian`, `Scalar`, `Minimum`, `PolyakUpdate`, `TunedTemperature` and `PolicySample`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, Self, TypeVar

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxq.agents.base import Learner, RecordsNothing, example_action
from jaxq.agents.entropy import Entropy, FixedTemperature
from jaxq.agents.noise import ActionNoise, PolicySample, Smoothing
from jaxq.agents.policies import Policy, SquashedGaussian
from jaxq.agents.targets import PolyakUpdate, SoftWindow
from jaxq.bellman import Representation, n_step_return
from jaxq.bellman.reductions import Minimum, Reduction, reduced_value
from jaxq.envs.base import Continuous, ObservationSpec, example_observation
from jaxq.errors import require
from jaxq.hyperparameters import OF_THE_RUN, Hyperparameters, Positive, Share, StepSize, as_leaves
from jaxq.keys import stream, streams
from jaxq.lanes import where_due
from jaxq.networks import SAMPLES, Mode
from jaxq.schedules import LinearSchedule
from jaxq.types import Metrics, Network, PyTree, TimeStep, Transition

StateT = TypeVar("StateT", bound="ActorCriticState")


class ActorCriticHyperparameters(Hyperparameters):
    """The numbers of an actor-critic; each is a leaf of its state.

    Attributes:
      actor_learning_rate, critic_learning_rate: step sizes, by updates.
      target: the schedule of the target critics; None for none, and then what is learned is also the target.
      actor_target: the schedule of a target actor; None where targets are made with the actor as it is.
      entropy: its price.
      exploration: the behaviour's strategy.
      smoothing: noise on the actions of targets.
      discount: γ in [0, 1].
      reward_scale: rewards are multiplied by this before learning.
    """

    actor_learning_rate: StepSize = LinearSchedule.constant(3e-4)
    critic_learning_rate: StepSize = LinearSchedule.constant(3e-4)
    target: Any = dataclasses.field(default_factory=lambda: PolyakUpdate(0.005))
    actor_target: Any = None
    entropy: Entropy = dataclasses.field(default_factory=FixedTemperature)
    exploration: ActionNoise = dataclasses.field(default_factory=PolicySample)
    smoothing: Smoothing | None = None
    discount: Share = 0.99
    reward_scale: Positive = 1.0


class Regularizer(Protocol):
    """What else critics learn, beside their returns."""

    def __call__(
        self, agent: "ActorCritic", state: "ActorCriticState", params: PyTree, batch: Transition, next_action: jax.Array
    ) -> jax.Array:
        """A loss [], differentiable by the critics' `params`; `next_action` [B, size] is that of targets."""


class Resets(Protocol):
    """When and how networks are made to forget."""

    def step(
        self, agent: "ActorCritic", state: "ActorCriticState", batch: Transition, key: jax.Array
    ) -> "ActorCriticState":
        """The state with which the next update begins, `state.updates` having been done."""


class ActorCriticState(struct.PyTreeNode):
    """All of an actor-critic that changes.

    Attributes:
      actor, critic: the networks; the critic is an ensemble.
      entropy: what is tuned of entropy's price.
      updates: int32, learning steps taken.
      hyper: the agent's hyperparameters.
    """

    actor: Learner
    critic: Learner
    entropy: PyTree
    updates: jax.Array = struct.field(metadata=OF_THE_RUN)
    hyper: ActorCriticHyperparameters

    def extended(self, kind: type[StateT], **more: Any) -> StateT:
        """The same as a state of this kind, which has these fields more."""
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return kind(**own, **more)


@dataclasses.dataclass(frozen=True)
class ActorCritic(RecordsNothing):
    """An actor-critic, off-policy from replay.

    Actions are in [-1, 1] for actor, critics and densities, whatever the environment's bounds are. The authors of TD3
    (and DDPG's), REDQ, ACE and hypernetwork critics show critics those of the environment, which differs where its
    bounds are not ±1: on MuJoCo's Humanoid (±0.4), InvertedPendulum (±3) and Pusher (±2), and Pendulum (±2).

    Attributes:
      actor: ([B, ...], mode) -> the policy's outputs.
      critic: an ensemble, ([B, ...], [B, size], mode) -> [M, B, W], W being the representation's width.
      observation_spec, action_spec: of one environment.
      optimizer: made without a learning rate (`optax.scale_by_adam()`); actor and critic have one each.
      hyper: initial hyperparameters.
      representation: of the return, for the critics.
      policy: what the actor's outputs mean.
      target_reduction: how the target critics become one target.
      actor_reduction: what of the critics the actor climbs.
      actor_value: by which representation's `value` the actor's actions are valued, if not by the critics' own: a
        measure of risk, say.
      actor_period: updates of the critics to one of actor and temperature.
      actor_first: whether, in an update, the actor goes before the critics, whose targets it then makes.
      critic_optimizer: the critics', if not that of the actor.
      joint: whether critics see a batch and what follows it in one pass, so that both are normalized alike (CrossQ,
        Bhatt et al., 2024); target critics do too.
      actor_joint: whether the actor does when it learns.
      constraint: what parameters are brought back to when they are made and after every step.
      regularizer: of the critics.
      resets: of the networks.
      tuned_by_targets: whether entropy's price is tuned with every update of the critics, by the actions of targets,
        and not with those of the actor by its own.
    """

    has_a_chain: ClassVar[bool] = False  # of critics, whose targets are those of a chain

    actor: Network
    critic: Network
    observation_spec: ObservationSpec
    action_spec: Continuous
    optimizer: optax.GradientTransformation
    hyper: ActorCriticHyperparameters
    representation: Representation
    policy: Policy = dataclasses.field(default_factory=SquashedGaussian)
    target_reduction: Reduction = dataclasses.field(default_factory=Minimum)
    actor_reduction: Reduction = dataclasses.field(default_factory=Minimum)
    actor_value: Representation | None = None
    actor_period: int = 1
    actor_first: bool = False
    critic_optimizer: optax.GradientTransformation | None = None
    joint: bool = False
    actor_joint: bool = False
    constraint: Callable[[PyTree], PyTree] | None = None
    regularizer: Regularizer | None = None
    resets: Resets | None = None
    tuned_by_targets: bool = False

    def __post_init__(self) -> None:
        require(self.actor_period >= 1, "actor_period", self.actor_period, "at least 1")
        # A chain's targets would shift the critics of an ensemble into each other, and no others make a chain.
        fits = isinstance(self.hyper.target, SoftWindow) == self.has_a_chain
        chain, no_chain = "SoftWindow, which makes a chain of critics", "that of an IteratedActorCritic alone"
        require(fits, "target", type(self.hyper.target).__name__, chain if self.has_a_chain else no_chain)
        size = getattr(self.critic, "size", 1)
        for reduction in (self.target_reduction, self.actor_reduction):
            reduction.check(self.representation, size)

    def init(self, key: jax.Array) -> ActorCriticState:
        """See `OffPolicyAgent.init`."""
        actor_key, critic_key, samples_key = streams(key, "actor", "critic", SAMPLES)
        observation = example_observation(self.observation_spec)
        actor = self.actor.init(actor_key, observation)
        action = example_action(self.action_spec)
        critic = self.critic.init({"params": critic_key, SAMPLES: samples_key}, observation, action)
        hyper = as_leaves(self.hyper)
        return ActorCriticState(
            actor=self._start(actor, self.optimizer, hyper.actor_target),
            critic=self._start(critic, self.critic_optimizer or self.optimizer, hyper.target),
            entropy=hyper.entropy.init(),
            updates=jnp.int32(0),
            hyper=hyper,
        )

    def _start(self, variables: PyTree, optimizer: optax.GradientTransformation, target: Any) -> Learner:
        return Learner.start(self._constrained(variables), optimizer, target is not None)

    def _constrained(self, variables: PyTree) -> PyTree:
        return variables if self.constraint is None else {**variables, "params": self.constraint(variables["params"])}

    def _descend(
        self, learner: Learner, optimizer: optax.GradientTransformation, gradient: PyTree, statistics: PyTree, rate: Any
    ) -> Learner:
        """A learner after one step down a gradient of its parameters."""
        learner = learner.descend(optimizer, gradient, statistics, rate)
        return learner.replace(variables=self._constrained(learner.variables))

    def like(self, state: ActorCriticState) -> Self:
        """The same agent with the numbers of a state, which each member of a population may have of its own."""
        return dataclasses.replace(self, hyper=state.hyper)

    def init_memory(self, num_envs: int) -> PyTree:
        """See `OffPolicyAgent.init_memory`."""
        return self.hyper.exploration.init(num_envs)

    def act(
        self, state: ActorCriticState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree, PyTree]:
        """See `OffPolicyAgent.act`."""
        outputs = self.actor.apply(state.actor.variables, timestep.observation, "act")
        return *state.hyper.exploration.explore(memory, self.policy, outputs, timestep, key), ()

    def exploit(
        self, state: ActorCriticState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """See `OffPolicyAgent.exploit`: the policy's mode."""
        del key
        return self.policy.mode(self.actor.apply(state.actor.variables, timestep.observation, "exploit")), memory

    def update(
        self, state: ActorCriticState, batch: Transition, key: jax.Array
    ) -> tuple[ActorCriticState, Metrics, jax.Array]:
        """See `OffPolicyAgent.update`: critics, actor and temperature against the new critics, and then targets."""
        if self.resets is not None:
            state = self.resets.step(self, state, batch, stream(key, "resets"))
        updates = state.updates + 1
        if self.actor_first:
            state, actor_metrics = self._now_and_then(updates, state, batch, key)
        state, metrics, priority = self._improve_critic(state, batch, key)
        if not self.actor_first:
            state, actor_metrics = self._now_and_then(updates, state, batch, key)
        state = state.replace(
            actor=state.actor.follow(state.hyper.actor_target, updates),
            critic=state.critic.follow(state.hyper.target, updates),
            updates=updates,
        )
        return state, {**metrics, **actor_metrics}, priority

    def _now_and_then(
        self, updates: jax.Array, state: ActorCriticState, batch: Transition, key: jax.Array
    ) -> tuple[ActorCriticState, Metrics]:
        """`_improve_actor` once in `actor_period` updates; its metrics count so often, to have the right means."""
        if self.actor_period == 1:
            return self._improve_actor(state, batch, key)
        _, shapes = jax.eval_shape(self._improve_actor, state, batch, key)

        def improved() -> tuple[ActorCriticState, Metrics]:
            after, metrics = self._improve_actor(state, batch, key)
            return after, jax.tree.map(lambda metric: self.actor_period * metric, metrics)

        none = jax.tree.map(lambda metric: jnp.zeros(metric.shape, metric.dtype), shapes)
        return where_due(updates % self.actor_period == 0, improved, (state, none))

    def _climbed(self, state: ActorCriticState, key: jax.Array) -> PyTree:
        """The variables of the critics that the actor climbs."""
        del key
        return state.critic.variables

    def _improve_critic(
        self, state: ActorCriticState, batch: Transition, key: jax.Array
    ) -> tuple[ActorCriticState, Metrics, jax.Array]:
        next_action, log_densities = self._next_action(state, batch, key)

        def loss(params: PyTree) -> tuple[jax.Array, Any]:
            return self._loss(state, params, batch, next_action, log_densities, key)

        (_, (statistics, metrics, priority)), gradient = jax.value_and_grad(loss, has_aux=True)(state.critic.params)
        rate = state.hyper.critic_learning_rate.at(state.updates)
        critic = self._descend(state.critic, self.critic_optimizer or self.optimizer, gradient, statistics, rate)
        state = state.replace(critic=critic)
        if self.tuned_by_targets:
            state = self._tune(state, log_densities)
        return state, metrics, priority

    def _loss(
        self,
        state: ActorCriticState,
        params: PyTree,
        batch: Transition,
        next_action: jax.Array,
        log_densities: jax.Array,
        key: jax.Array,
    ) -> tuple[jax.Array, Any]:
        """What the critics' parameters descend; results as of `_critic_loss`."""
        variables = {**params, **state.critic.statistics}
        return self._critic_loss(state, variables, state.critic.target, batch, next_action, log_densities, key)

    def _critic_loss(
        self,
        state: ActorCriticState,
        variables: PyTree,
        target_variables: PyTree,
        batch: Transition,
        next_action: jax.Array,
        log_densities: jax.Array,
        key: jax.Array,
    ) -> tuple[jax.Array, Any]:
        """The critics' loss, summed over them; also their statistics, scalars to log and the samples' priorities."""
        target_key, learn_key, reduce_key = streams(key, "target", "learn", "reduce targets")
        representation = self.representation
        if self.joint:
            observations, actions = jax.tree.map(
                lambda *x: jnp.concatenate(x),
                (batch.observation, batch.action),
                (batch.next_observation, next_action),
            )
            together, statistics = self._critic(variables, observations, actions, "learn", learn_key)
            predictions, then = jnp.split(together, 2, axis=1)
            if target_variables != ():
                together, _ = self._critic(target_variables, observations, actions, "learn", target_key)
                then = jnp.split(together, 2, axis=1)[1]
        else:
            followed = variables if target_variables == () else target_variables
            then, _ = self._critic(followed, batch.next_observation, next_action, "target", target_key)
            predictions, statistics = self._critic(variables, batch.observation, batch.action, "learn", learn_key)
        target = self._backup(state, batch, jax.lax.stop_gradient(then), next_action, log_densities, reduce_key)
        target_axis = None if target.ndim == 2 else 0
        losses = jax.vmap(representation.loss, (0, target_axis))(predictions, target)  # [M, B]
        loss = jnp.sum(jnp.mean(batch.weight * losses, axis=1))
        if self.regularizer is not None:
            loss += self.regularizer(self, state, {"params": variables["params"]}, batch, next_action)
        priority = jax.vmap(representation.priority, (0, target_axis))(predictions, target).mean(axis=0)
        return loss, (statistics, {"loss": loss, "mean_q": jnp.mean(representation.value(predictions))}, priority)

    def _improve_actor(
        self, state: ActorCriticState, batch: Transition, key: jax.Array
    ) -> tuple[ActorCriticState, Metrics]:
        (value, (statistics, log_densities)), gradient = self.actor_gradient(state, batch, key)
        rate = state.hyper.actor_learning_rate.at(state.updates)
        temperature = state.hyper.entropy.temperature(state.entropy)
        metrics = {"actor_loss": value, "entropy": self._entropy(state, log_densities), "temperature": temperature}
        if not self.tuned_by_targets:
            state = self._tune(state, log_densities)
        return state.replace(actor=self._descend(state.actor, self.optimizer, gradient, statistics, rate)), metrics

    def actor_gradient(self, state: ActorCriticState, batch: Transition, key: jax.Array) -> tuple[Any, PyTree]:
        """The actor's loss, its statistics and its actions' log-densities [B, D]; and the gradient of its parameters.

        Returns:
          `(loss, (statistics, log_densities)), gradient`.
        """
        sample_key, critic_key, reduce_key = streams(key, "action", "critic of actor", "reduce")
        representation = self.actor_value or self.representation

        def loss(params: PyTree) -> tuple[jax.Array, Any]:
            variables = {**params, **state.actor.statistics}
            outputs, statistics = self._policy_outputs(variables, batch)
            sample = getattr(self.policy, "relaxed", self.policy.sample)
            action, log_densities = sample(outputs, sample_key)
            predictions, _ = self._critic(self._climbed(state, key), batch.observation, action, "act", critic_key)
            mixture = self.actor_reduction(representation, jnp.moveaxis(predictions, 0, 1), reduce_key)
            worth = reduced_value(representation, mixture) + self._bonus(
                state, batch.observation, action, log_densities
            )
            return -jnp.mean(worth), (statistics, log_densities)

        return jax.value_and_grad(loss, has_aux=True)(state.actor.params)

    def _policy_outputs(self, variables: PyTree, batch: Transition) -> tuple[PyTree, PyTree]:
        """The actor's outputs for the observations of a batch, and its statistics."""
        if not self.actor_joint:
            return self._learning(self.actor, variables, (batch.observation, "learn"))
        both = jax.tree.map(lambda *x: jnp.concatenate(x), batch.observation, batch.next_observation)
        outputs, statistics = self._learning(self.actor, variables, (both, "learn"))
        return jax.tree.map(lambda leaf: jnp.split(leaf, 2)[0], outputs), statistics

    def _bonus(
        self, state: ActorCriticState, observation: PyTree, action: jax.Array, log_densities: jax.Array
    ) -> jax.Array:
        """What actions [B, size] with these log-densities [B, D] are worth beside their returns, [B]: their entropy."""
        del observation, action
        entropy = state.hyper.entropy
        return -entropy.temperature(state.entropy) * entropy.log_density(state.entropy, log_densities)

    def _entropy(self, state: ActorCriticState, log_densities: jax.Array) -> jax.Array:
        return -jnp.mean(state.hyper.entropy.log_density(state.entropy, log_densities))

    def _tune(self, state: ActorCriticState, log_densities: jax.Array) -> ActorCriticState:
        entropy = self._entropy(state, log_densities)
        return state.replace(entropy=state.hyper.entropy.step(state.entropy, entropy, state.updates))

    def _next_action(self, state: ActorCriticState, batch: Transition, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The actions that targets value, [B, size], and their log-densities [B, D]."""
        sample_key, smooth_key = streams(key, "next action", "smoothing")
        outputs = self.actor.apply(state.actor.following, batch.next_observation, "target")
        action, log_densities = self.policy.sample(outputs, sample_key)
        smoothing = state.hyper.smoothing
        return (action if smoothing is None else smoothing(action, smooth_key)), log_densities

    def _backup(
        self,
        state: ActorCriticState,
        batch: Transition,
        following: jax.Array,
        next_action: jax.Array,
        log_densities: jax.Array,
        key: jax.Array,
    ) -> jax.Array:
        """The soft Bellman backup of the reduced target critics [M, B, W] (Haarnoja et al., 2018, eq. 3).

        Between the steps of a window the entropy of the actions is not known, and so not counted.

        Returns:
          [B, T], or [M, B, T] where every critic has a target of its own.
        """
        hyper = state.hyper
        rewards = hyper.reward_scale * batch.rewards
        reward, discount = n_step_return(rewards, batch.steps, batch.terminated, hyper.discount)
        reward += discount * self._bonus(state, batch.next_observation, next_action, log_densities)
        predictions, weights = self.target_reduction(self.representation, jnp.moveaxis(following, 0, 1), key)
        if weights.ndim == 2:
            return self.representation.target(reward, discount, predictions, weights)
        return jax.vmap(self.representation.target, (None, None, None, 1))(reward, discount, predictions, weights)

    def _critic(
        self, variables: PyTree, observation: PyTree, action: jax.Array, mode: Mode, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """Predictions [M, B, W], and the statistics, which only learning moves."""
        return self._learning(self.critic, variables, (observation, action, mode), rngs={SAMPLES: key})

    @staticmethod
    def _learning(network: Any, variables: PyTree, inputs: tuple[Any, ...], **rngs: Any) -> tuple[Any, PyTree]:
        """A network's outputs, and its statistics afterwards."""
        kept = [name for name in variables if name != "params"]
        return network.apply(variables, *inputs, **rngs, mutable=kept)
