"""Critics: values of a state and a continuous action."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxq.networks.linear import Dense, pytorch_dense
from jaxq.networks.modes import SAMPLES, Mode
from jaxq.networks.normalization import LayerNorm
from jaxq.networks.observations import encoded, flattened, parts
from jaxq.networks.regularized import RMSNormMLP
from jaxq.types import PyTree

FEATURES = "features"  # under this name, in the collection `intermediates`, is what a critic's last layer sees
LAST = "Dense_0"  # the name of that layer, whatever it is


class ActionCritic(nn.Module):
    """A value of state and continuous action, `width` outputs for one return. [B, ...], [B, size] -> [B, width].

    Attributes:
      make_torso: for a mode, of the observation's features and the action, side by side.
      width: W.
      make_encoder: for a mode, of the observation; its numbers as they are unless given.
      make_head: the last layer, of so many outputs.
    """

    make_torso: Callable[[Mode], nn.Module]
    width: int = 1
    make_encoder: Callable[[Mode], nn.Module] | None = None
    make_head: Callable[..., nn.Module] = Dense

    @nn.compact
    def __call__(self, observation: PyTree, action: jax.Array, mode: Mode = "learn") -> jax.Array:
        """See the class."""
        seen = encoded(observation, self.make_encoder, mode)
        features = self.make_torso(mode)(jnp.concatenate([seen, action], axis=-1))
        self.sow("intermediates", FEATURES, features)
        return self.make_head(self.width, name=LAST)(features)


class LowPass(nn.Module):
    """A critic that, as a target, is the mean of itself over actions nearby: its high frequencies are filtered out.

    Convolution with a Gaussian, by pairs of opposite samples, those outside the bounds moved to the nearest action
    within. [B, ...], [B, size] -> [B, W].

    Attributes:
      critic: ([B, ...], [B, size], mode) -> [B, W].
      std: of the Gaussian, in units of actions; 0 for no filter.
      pairs: of samples.
    """

    critic: nn.Module
    std: float = 0.1
    pairs: int = 2

    def __call__(self, observation: PyTree, action: jax.Array, mode: Mode = "learn") -> jax.Array:
        """See the class."""
        if mode != "target":
            return self.critic(observation, action, mode)
        noise = self.std * jax.random.normal(self.make_rng(SAMPLES), (self.pairs, *action.shape))
        actions = jnp.clip(action + jnp.concatenate([noise, -noise]), -1.0, 1.0)
        count = 2 * self.pairs
        observations = jax.tree.map(lambda x: jnp.tile(x, (count, *(1,) * (x.ndim - 1))), observation)
        predictions = self.critic(observations, actions.reshape(-1, action.shape[-1]), mode)
        return jnp.mean(predictions.reshape(count, -1, predictions.shape[-1]), axis=0)


class ImplicitQuantileCritics(nn.Module):
    """Quantiles of the return at sampled fractions, the same for all critics (DSAC, Ma et al., 2020, section 3.2).

    [B, ...], [B, size] -> [M, B, 3N], N values, their fractions, and the intervals that they stand for, as
    `bellman.IntervalQuantile` reads them. The fractions are midpoints of intervals, whose lengths are uniform in
    [0.1, 1.1] before they are made to sum to one: so the authors draw them. In evaluations the intervals are equal.

    Attributes:
      size: M.
      width: units of all layers.
      num_fractions: N.
      num_cosines: of the embedding of a fraction.
      make_encoder: as of `ActionCritic`.

    Layers begin as PyTorch's, in which the authors leave them so.
    """

    size: int = 2
    width: int = 256
    num_fractions: int = 32
    num_cosines: int = 64
    make_encoder: Callable[[Mode], nn.Module] | None = None

    @nn.compact
    def __call__(self, observation: PyTree, action: jax.Array, mode: Mode = "learn") -> jax.Array:
        """See the class."""
        shape = (action.shape[0], self.num_fractions)
        lengths = jnp.ones(shape) if mode == "exploit" else 0.1 + jax.random.uniform(self.make_rng(SAMPLES), shape)
        lengths /= jnp.sum(lengths, axis=-1, keepdims=True)
        fractions = jnp.cumsum(lengths, axis=-1) - 0.5 * lengths
        cosines = jnp.cos(jnp.pi * jnp.arange(1, self.num_cosines + 1) * fractions[..., None])

        def critic() -> jax.Array:
            seen = encoded(observation, self.make_encoder, mode)
            seen = jnp.concatenate([seen, action], axis=-1)
            features = nn.relu(LayerNorm()(pytorch_dense(self.width)(seen)))
            embedding = nn.sigmoid(LayerNorm()(pytorch_dense(self.width)(cosines)))
            hidden = nn.relu(LayerNorm()(pytorch_dense(self.width)(features[:, None] * embedding)))
            return jnp.concatenate([pytorch_dense(1)(hidden)[..., 0], fractions, lengths], axis=-1)

        return jnp.stack([critic() for _ in range(self.size)])


class GaussianCritic(nn.Module):
    """Mean and deviation of the return, and what DSAC-T learns with (Duan et al., 2025). [B, ...], [B, size] -> [B, 4].

    The outputs are those that `bellman.ScaledGaussian` reads: mean; standard deviation; its running mean over all
    batches, which is in the collection `statistics` and has no gradient; a sample of a standard normal, kept within
    ± `largest`.

    Attributes:
      make_torso: for a mode, of the observation's features and the action, side by side.
      rate: of the running mean, which begins with the first batch's.
      make_encoder, make_head: as of `ActionCritic`.
      largest: the sample's bound.
    """

    make_torso: Callable[[Mode], nn.Module]
    rate: float = 0.005
    make_encoder: Callable[[Mode], nn.Module] | None = None
    largest: float = 3.0
    make_head: Callable[..., nn.Module] = Dense

    @nn.compact
    def __call__(self, observation: PyTree, action: jax.Array, mode: Mode = "learn") -> jax.Array:
        """See the class."""
        critic = ActionCritic(self.make_torso, 2, self.make_encoder, self.make_head)
        mean, raw = jnp.split(critic(observation, action, mode), 2, axis=1)
        std = nn.softplus(raw)
        # Zero is before the first batch.
        running = self.variable("statistics", "std", jnp.zeros, ())
        if mode == "learn" and not self.is_initializing():
            of_batch = jax.lax.stop_gradient(jnp.mean(std))
            moved = running.value + self.rate * (of_batch - running.value)
            running.value = jnp.where(running.value == 0, of_batch, moved)
        sample = jnp.zeros_like(mean)
        if mode == "target":
            sample = jnp.clip(jax.random.normal(self.make_rng(SAMPLES), mean.shape), -self.largest, self.largest)
        return jnp.concatenate([mean, std, jnp.full_like(mean, running.value), sample], axis=1)


class SelfPredictiveCritic(nn.Module):
    """A value of state and action on an embedding from which the next embedding and the reward are foreseen, too.

    The critic of REPPO's authors' code (Voelcker et al., 2025): hidden layers are a product, normalization by the root
    mean square, and swish; the embedding is a product alone, whose swish the heads begin with.

    Attributes:
      width: W, outputs for one return.
      hidden: units of all layers.
      prior: [W] outputs to begin with; they are learned.
      prior_scale: what they are multiplied by.
      sees: names of the parts of a dictionary of observations that it sees; none for all there is.
    """

    width: int
    hidden: int = 512
    prior: Callable[[], jax.Array] | None = None
    prior_scale: float = 40.0
    sees: tuple[str, ...] = ()

    def setup(self) -> None:
        """Layers."""
        self.first = RMSNormMLP((self.hidden,))
        self.embedding = Dense(self.hidden)
        self.value_layer = RMSNormMLP((self.hidden,))
        self.value_out = Dense(self.width)
        self.foresight_layer = RMSNormMLP((self.hidden,))
        self.foresight_out = Dense(self.hidden + 1)
        prior = self.prior
        self.begin = None if prior is None else self.param("prior", lambda key: prior())

    def embed(self, observation: PyTree, action: jax.Array) -> jax.Array:
        """[B, ...], [B, size] -> [B, hidden]."""
        seen = parts(observation, self.sees) if self.sees else observation
        return self.embedding(self.first(jnp.concatenate([flattened(seen), action], axis=-1)))

    def foresee(self, observation: PyTree, action: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The next embedding [B, hidden] and the reward [B]."""
        out = self.foresight_out(self.foresight_layer(nn.swish(self.embed(observation, action))))
        return out[:, 1:], out[:, 0]

    def __call__(self, observation: PyTree, action: jax.Array, mode: Mode = "learn") -> jax.Array:
        """[B, ...], [B, size] -> [B, W]."""
        del mode
        if self.is_initializing():
            self.foresee(observation, action)
        out = self.value_out(self.value_layer(nn.swish(self.embed(observation, action))))
        return out if self.begin is None else out + self.prior_scale * self.begin
