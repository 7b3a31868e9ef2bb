"""Actor-critics for continuous actions without replay and without target networks, from soft λ-returns of rollouts.

REPPO (Voelcker et al., Relative Entropy Pathwise Policy Optimization, 2025, arXiv:2507.11019) is this with `HLGauss`, a
bound on the policy's step (`KLBound`) and a critic that foresees its own embedding (`SelfPrediction`).
"""

import dataclasses
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxq.agents.base import Epochs, Learner, example_action, init_params
from jaxq.agents.policies import SquashedGaussian
from jaxq.bellman import ScalarTarget, lambda_return
from jaxq.envs.base import Continuous, ObservationSpec, example_observation
from jaxq.hyperparameters import (
    AT_FIRST,
    FINITE,
    OF_THE_RUN,
    POSITIVE,
    Hyperparameters,
    NonNegative,
    Positive,
    Share,
    StepSize,
    Within,
    as_leaves,
    require_in,
)
from jaxq.keys import streams
from jaxq.lanes import flat
from jaxq.networks import SAMPLES, Mode
from jaxq.types import Metrics, Network, PyTree, Rollout, TimeStep


class KLBound(Hyperparameters):
    """A bound on how far the policy goes from the one that a rollout was made with, state by state.

    Where it has gone farther than that it turns back, for a price that rises while the mean is above the bound.

    Attributes:
      bound: on the divergence KL(old ‖ new), in nats.
      initial: β, the price before tuning.
      samples: actions of the old policy by which the divergence is estimated.
    """

    bound: Positive = 0.1
    initial: Positive = struct.field(metadata=AT_FIRST, default=0.01)
    samples: int = struct.field(pytree_node=False, default=16)

    def divergence(self, policy: SquashedGaussian, old: PyTree, new: PyTree, key: jax.Array) -> jax.Array:
        """An estimate of KL(old ‖ new) of policies with these outputs, [B].

        Before squashing, which takes the same off both densities. The authors' code in JAX has actions clipped to
        0.9999 for the new density alone, so that a saturated policy diverges from itself and is turned back; that in
        PyTorch has not, nor has this.
        """

        def one(key: jax.Array) -> jax.Array:
            drawn = jax.lax.stop_gradient(policy.draw(old, key))
            return policy.log_probability(old, drawn) - policy.log_probability(new, drawn)

        return jnp.mean(jax.vmap(one)(jax.random.split(key, self.samples)), axis=0)

    def held(self, loss: jax.Array, divergence: jax.Array, log_price: jax.Array) -> jax.Array:
        """A policy's loss [B] where it is within the bound, its way back where it is not, and the price's own loss."""
        price, seen = jnp.exp(log_price), jax.lax.stop_gradient(divergence)
        held = jnp.where(seen < self.bound, loss, jax.lax.stop_gradient(price) * divergence)
        return held - price * (seen - self.bound)


class SelfPrediction(Hyperparameters):
    """A critic's auxiliary task: its embedding of the next state and action, and the reward on the way there.

    The critic then has two methods besides itself: `embed(observation, action)` -> [B, F], and
    `foresee(observation, action)` -> next embedding [B, F] and reward [B].

    Attributes:
      weight: of its loss.
    """

    weight: NonNegative = 1.0

    def loss(self, embedding: jax.Array, reward: jax.Array, lesson: "Lesson") -> jax.Array:
        """Squared errors of what was foreseen, their mean over its numbers, [B]; none where there is no next state."""
        errors = (jnp.concatenate([embedding, reward[:, None]], axis=1) - lesson.foreseen) ** 2
        return self.weight * lesson.goes_on * jnp.mean(errors, axis=1)


class LambdaActorCriticHyperparameters(Hyperparameters):
    """The numbers of the agent; each is a leaf of its state. Defaults are those of REPPO's authors' code.

    Attributes:
      learning_rate: step size of both optimizers, by updates.
      target_entropy: of the policy, in nats.
      temperature: α, the price of entropy, before tuning.
      discount: γ in [0, 1].
      trace: λ in [0, 1].
      reward_scale: rewards are multiplied by this before learning.
      constraint: on the policy's steps; None for none.
      auxiliary: task of the critic; None for none.
    """

    learning_rate: StepSize
    target_entropy: Annotated[Any, Within(-FINITE, FINITE)]
    temperature: Positive = struct.field(metadata=AT_FIRST)
    discount: Share
    trace: Share
    reward_scale: Positive = 1.0
    constraint: KLBound | None = None
    auxiliary: SelfPrediction | None = None


class LambdaActorCriticState(struct.PyTreeNode):
    """All of the agent that changes.

    Attributes:
      actor: its parameters are those of the `policy`, `log_temperature` and, with a constraint, `log_price`.
      critic: the critic.
      updates: int32, learning steps taken.
      hyper: the agent's hyperparameters.
    """

    actor: Learner
    critic: Learner
    updates: jax.Array = struct.field(metadata=OF_THE_RUN)
    hyper: LambdaActorCriticHyperparameters


class Lesson(struct.PyTreeNode):
    """What a minibatch holds, [B, ...].

    Attributes:
      observation, action, weight: `weight` is zero where the action was ignored.
      target: what the critic learns, as its representation encodes it.
      goes_on: zero where the step ended in a terminal state.
      foreseen: [B, F + 1] the next embedding and the reward; `()` without auxiliary task.
    """

    observation: PyTree
    action: jax.Array
    weight: jax.Array
    target: PyTree
    goes_on: jax.Array
    foreseen: PyTree


@dataclasses.dataclass(frozen=True)
class LambdaActorCritic:
    """A squashed Gaussian that climbs, by pathwise gradients, a critic of soft λ-returns; both on-policy.

    What is tuned of the policy, the price of entropy and that of its constraint, is in its optimizer, and so under the
    same bound on gradients. Where an episode is cut off, its return ends in the value of the true final observation;
    the authors of REPPO, who do not see it, leave out that step.

    Attributes:
      actor: ([B, ...], mode) -> the policy's outputs.
      critic: ([B, ...], [B, size], mode) -> [B, W], W being the representation's width.
      observation_spec, action_spec: of one environment.
      optimizer: made without a learning rate; actor and critic have one each.
      hyper: initial hyperparameters.
      representation: of the return; one that learns a scalar target.
      epochs: in which a rollout is learned from.
      largest_action: actions are clipped to ± this, as REPPO's authors do.
      policy: what the actor's outputs mean.
    """

    actor: Network
    critic: Network
    observation_spec: ObservationSpec
    action_spec: Continuous
    optimizer: optax.GradientTransformation
    hyper: LambdaActorCriticHyperparameters
    representation: ScalarTarget
    epochs: Epochs = Epochs(128, 4)  # noqa: RUF009
    largest_action: float = 0.999
    policy: SquashedGaussian = dataclasses.field(default_factory=SquashedGaussian)

    def __post_init__(self) -> None:
        require_in(POSITIVE, 1.0, largest_action=self.largest_action)

    @property
    def updates_per_rollout(self) -> int:
        """See `OnPolicyAgent.updates_per_rollout`."""
        return self.epochs.updates

    def init(self, key: jax.Array) -> LambdaActorCriticState:
        """See `Agent.init`."""
        actor_key, critic_key = streams(key, "actor", "critic")
        observation, action = example_observation(self.observation_spec), example_action(self.action_spec)
        hyper = as_leaves(self.hyper)
        tuned = {"log_temperature": jnp.log(hyper.temperature)}
        if hyper.constraint is not None:
            tuned["log_price"] = jnp.log(hyper.constraint.initial)
        policy = init_params(self.actor, actor_key, observation)["params"]
        critic = init_params(self.critic, critic_key, observation, action)
        return LambdaActorCriticState(
            actor=Learner.start({"params": {"policy": policy, **tuned}}, self.optimizer, has_target=False),
            critic=Learner.start(critic, self.optimizer, has_target=False),
            updates=jnp.int32(0),
            hyper=hyper,
        )

    def init_memory(self, num_envs: int) -> PyTree:
        """See `Agent.init_memory`: none."""
        del num_envs
        return ()

    def _policy(self, actor: PyTree, observation: PyTree, mode: Mode) -> PyTree:
        return self.actor.apply({"params": actor["params"]["policy"]}, observation, mode)

    def _critic(self, critic: PyTree, *inputs: Any, key: jax.Array, method: str = "__call__") -> Any:
        return self.critic.apply(critic, *inputs, rngs={SAMPLES: key}, method=method)  # type: ignore[call-arg]

    def act(
        self, state: LambdaActorCriticState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree, PyTree]:
        """See `Agent.act`: a sample of the policy."""
        outputs = self._policy(state.actor.variables, timestep.observation, "act")
        action = self.policy.action(self.policy.draw(outputs, key))
        return jnp.clip(action, -self.largest_action, self.largest_action), memory, ()

    def exploit(
        self, state: LambdaActorCriticState, memory: PyTree, timestep: TimeStep, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """See `Agent.exploit`: the policy's mode."""
        del key
        return self.policy.mode(self._policy(state.actor.variables, timestep.observation, "exploit")), memory

    def lessons(self, state: LambdaActorCriticState, rollout: Rollout, key: jax.Array) -> Lesson:
        """A rollout as what is to be learned from it, [T * E, ...].

        With a' of the policy at s', the reward is `r - γ α log π(a'|s')`, also on the way to a terminal state, as in
        REPPO's code, and the value that follows is q(s', a').
        """
        hyper = state.hyper

        # A step of all environments at a time: a long rollout's activations would not fit all at once.
        def following(now: tuple[PyTree, jax.Array]) -> tuple[jax.Array, jax.Array, PyTree]:
            observation, key = now
            sample_key, critic_key, embed_key = streams(key, "next action", "next value", "next embedding")
            outputs = self._policy(state.actor.variables, observation, "target")
            action, log_densities = self.policy.sample(outputs, sample_key)
            prediction = self._critic(state.critic.variables, observation, action, "target", key=critic_key)
            embedding: PyTree = ()
            if hyper.auxiliary is not None:
                embedding = self._critic(state.critic.variables, observation, action, key=embed_key, method="embed")
            return self.representation.value(prediction), jnp.sum(log_densities, axis=-1), embedding

        steps = rollout.timestep.first.shape[0]
        value, log_density, embedding = jax.lax.map(
            following, (rollout.arrived("observation"), jax.random.split(key, steps))
        )
        temperature = jnp.exp(state.actor.variables["params"]["log_temperature"])
        reward = hyper.reward_scale * rollout.arrived("reward")
        goes_on = 1.0 - rollout.arrived("terminated")
        trace = hyper.trace * (1.0 - rollout.arrived("truncated"))
        soft_reward = reward - hyper.discount * temperature * log_density
        returns = lambda_return(soft_reward, hyper.discount * goes_on, value, trace)
        foreseen: PyTree = ()
        if hyper.auxiliary is not None:
            foreseen = jnp.concatenate([embedding, reward[..., None]], axis=-1)
        lesson = Lesson(
            observation=rollout.timestep.observation,
            action=rollout.action,
            weight=1.0 - rollout.timestep.last,
            target=returns,
            goes_on=goes_on,
            foreseen=foreseen,
        )
        return flat(lesson)

    def update(
        self, state: LambdaActorCriticState, rollout: Rollout, key: jax.Array
    ) -> tuple[LambdaActorCriticState, Metrics]:
        """See `OnPolicyAgent.update`: by minibatches the critic, and then the actor against the new critic."""
        lessons_key, epochs_key = streams(key, "lessons", "epochs")
        lessons = self.lessons(state, rollout, lessons_key)
        behaviour = state.actor.variables

        def learn(
            state: LambdaActorCriticState, now: tuple[Lesson, jax.Array]
        ) -> tuple[LambdaActorCriticState, Metrics]:
            lesson, key = now
            critic_key, actor_key = streams(key, "critic", "actor")
            rate = state.hyper.learning_rate.at(state.updates)
            gradient, metrics = jax.grad(self.critic_loss, has_aux=True)(
                state.critic.params, state.hyper, lesson, critic_key
            )
            critic = state.critic.descend(self.optimizer, gradient, {}, rate)
            gradient, of_actor = jax.grad(self.actor_loss, has_aux=True)(
                state.actor.params, behaviour, critic.variables, state.hyper, lesson, actor_key
            )
            actor = state.actor.descend(self.optimizer, gradient, {}, rate)
            return state.replace(actor=actor, critic=critic, updates=state.updates + 1), {**metrics, **of_actor}

        return self.epochs.learn(learn, state, lessons, epochs_key)

    def critic_loss(
        self, params: PyTree, hyper: LambdaActorCriticHyperparameters, lesson: Lesson, key: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        """Of the λ-returns, and of the auxiliary task."""
        learn_key, foresee_key = streams(key, "learn", "foresee")
        seen = lesson.observation, lesson.action
        prediction = self._critic(params, *seen, "learn", key=learn_key)
        losses = self.representation.loss(prediction, self.representation.encode(lesson.target))
        if hyper.auxiliary is not None:
            embedding, reward = self._critic(params, *seen, key=foresee_key, method="foresee")
            losses += hyper.auxiliary.loss(embedding, reward, lesson)
        loss = jnp.mean(lesson.weight * losses)
        return loss, {"loss": loss, "mean_q": jnp.mean(self.representation.value(prediction))}

    def actor_loss(
        self,
        params: PyTree,
        behaviour: PyTree,
        critic: PyTree,
        hyper: LambdaActorCriticHyperparameters,
        lesson: Lesson,
        key: jax.Array,
    ) -> tuple[jax.Array, Metrics]:
        """Of the policy, which climbs the soft value as far as its constraint lets it, and of what is tuned.

        Where an action was ignored the critic has learned nothing, and so there is nothing to climb: only those that
        count are averaged.
        """
        sample_key, critic_key, divergence_key = streams(key, "action", "critic of actor", "divergence")
        observation, share = lesson.observation, lesson.weight / jnp.maximum(jnp.sum(lesson.weight), 1.0)
        outputs = self._policy(params, observation, "learn")
        action, log_densities = self.policy.sample(outputs, sample_key)
        log_density = jnp.sum(log_densities, axis=-1)
        prediction = self._critic(critic, observation, action, "act", key=critic_key)
        temperature = jnp.exp(params["params"]["log_temperature"])
        losses = jax.lax.stop_gradient(temperature) * log_density - self.representation.value(prediction)
        entropy = -jax.lax.stop_gradient(jnp.sum(share * log_density))
        metrics = {"entropy": entropy, "temperature": temperature}
        if hyper.constraint is not None:
            old = self._policy(behaviour, observation, "act")
            divergence = hyper.constraint.divergence(self.policy, old, outputs, divergence_key)
            log_price = params["params"]["log_price"]
            losses = hyper.constraint.held(losses, divergence, log_price)
            metrics |= {"divergence": jnp.sum(share * divergence), "divergence_price": jnp.exp(log_price)}
        loss = jnp.sum(share * losses) + temperature * (entropy - hyper.target_entropy)
        return loss, {"actor_loss": loss, **metrics}
