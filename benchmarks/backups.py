"""The categorical and the quantile backup against rlax's and Dopamine's: from head outputs to loss and gradient.

    python -m benchmarks.backups [--dopamine CHECKOUT] [--rounds 5] [--only categorical-32-51]

Everything that lies between the outputs of a network and the gradient by them is timed: means, greedy actions, the
backup, its projection, the loss and its gradient. Contenders of a setting run in turn inside a scan whose steps depend
on each other. Dopamine is not on a package registry for this JAX: its functions are read from the checkout given.
"memory alone" is no backup but the least traffic of one, and so the limit of an accelerator's memory bandwidth.
Writes benchmarks/results/backups.json; seconds are of one backup and gradient.
"""

import ast
import functools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import rlax

from benchmarks.timing import arguments, measure, segment
from jaxq.bellman import Categorical, Quantile, Representation, Support
from jaxq.bellman.operators import greedy
from jaxq.bellman.quantile import midpoints
from jaxq.errors import clean_errors, require

ACTIONS = 4
DISCOUNT = 0.99
BATCHES = (32, 256, 1024, 4096)
ATOMS = (51, 101, 201)
QUANTILES = (32, 64, 200)

# (prediction [B, A, N], next prediction [B, A, N], action [B], reward [B]) -> gradient by the prediction, [B, A, N].
Gradient = Callable[[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]


def ours(representation: Representation) -> Gradient:
    """jaxq's."""

    def loss(prediction: jax.Array, following: jax.Array, action: jax.Array, reward: jax.Array) -> jax.Array:
        discount = jnp.full(reward.shape, DISCOUNT)
        weights = greedy(representation.value(following))
        target = jax.lax.stop_gradient(representation.target(reward, discount, following, weights))
        taken = jnp.einsum("baw,ba->bw", prediction, jax.nn.one_hot(action, ACTIONS))
        return jnp.mean(representation.loss(taken, target))

    return jax.grad(loss)


def memory_alone(prediction: jax.Array, following: jax.Array, action: jax.Array, reward: jax.Array) -> jax.Array:
    """No backup, only its least traffic: both predictions read, and one array of their size written."""
    del action, reward
    return prediction + following


def rlax_categorical(support: Support) -> Gradient:
    """rlax's categorical Q-learning, vmapped."""
    atoms = support.atoms

    def loss(prediction: jax.Array, following: jax.Array, action: jax.Array, reward: jax.Array) -> jax.Array:
        each = jax.vmap(rlax.categorical_q_learning, (None, 0, 0, 0, 0, None, 0, None))
        discount = jnp.full(reward.shape, DISCOUNT)
        return jnp.mean(each(atoms, prediction, action, reward, discount, atoms, following, jnp.array(True)))

    return jax.grad(loss)


def rlax_quantile(size: int) -> Gradient:
    """rlax's quantile Q-learning, vmapped; its layout is [N, A]."""
    fractions = midpoints(size)

    def loss(prediction: jax.Array, following: jax.Array, action: jax.Array, reward: jax.Array) -> jax.Array:
        now, then = jnp.moveaxis(prediction, 1, 2), jnp.moveaxis(following, 1, 2)
        discount, stop = jnp.full(reward.shape, DISCOUNT), jnp.array(True)
        each = jax.vmap(lambda p, a, r, g, f: rlax.quantile_q_learning(p, fractions, a, r, g, f, f, 1.0, stop))
        return jnp.mean(each(now, action, reward, discount, then))

    return jax.grad(loss)


def _functions_of(checkout: Path, file: str) -> dict[str, Any]:
    """The top-level functions of a module in a checkout, without its classes and the packages that only those need."""
    path = checkout / "dopamine" / "jax" / file
    require(path.exists(), "dopamine", str(checkout), f"a checkout of Dopamine (there is no {path.name} in it)")
    kept = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    names: dict[str, Any] = {"jax": jax, "jnp": jnp, "np": np, "onp": np, "nn": nn}
    names |= {"optax": optax, "functools": functools}
    if "losses" not in names and file != "losses.py":
        names["losses"] = SimpleNamespace(**_functions_of(checkout, "losses.py"))
    for function in kept:
        # What needs gin is configuration, and not what is measured.
        function.decorator_list = [d for d in function.decorator_list if "gin" not in ast.unparse(d)]
        exec(compile(ast.Module([function], []), str(path), "exec"), names)
    return names


class _Outputs(NamedTuple):
    """What Dopamine expects of a network."""

    logits: jax.Array
    q_values: jax.Array
    probabilities: jax.Array | None = None


class _Heads:
    """A network in Dopamine's sense whose parameters are its outputs: a state is an index into them."""

    def __init__(self, outputs: Callable[[jax.Array], Any]):
        self.outputs = outputs

    def apply(self, params: jax.Array, state: jax.Array, support: Any = None) -> Any:
        """The outputs of one state."""
        del support
        return self.outputs(params[state])


def _whole_training_step(train: Callable[..., Any], network: _Heads, arguments: tuple[Any, ...]) -> Gradient:
    """Dopamine's train function with an optimizer that hands on the gradient."""
    hand_on = optax.scale(1.0)

    def gradient(prediction: jax.Array, following: jax.Array, action: jax.Array, reward: jax.Array) -> jax.Array:
        states = jnp.arange(reward.shape[0])
        terminals = jnp.zeros(reward.shape, jnp.uint8)
        moved = train(
            network, prediction, following, hand_on, hand_on.init(prediction), states, action, states, reward,
            terminals, *arguments,
        )[1]  # fmt: skip
        return moved - prediction

    return gradient


def dopamine_categorical(checkout: Path, support: Support) -> Gradient:
    """Dopamine's Rainbow update, with equal weights."""
    train = _functions_of(checkout, "agents/rainbow/rainbow_agent.py")["train"]

    def outputs(logits: jax.Array) -> Any:
        probabilities = jax.nn.softmax(logits)
        return _Outputs(logits, probabilities @ support.atoms, probabilities)

    def gradient(prediction: jax.Array, following: jax.Array, action: jax.Array, reward: jax.Array) -> jax.Array:
        arguments = (jnp.ones(reward.shape), support.atoms, DISCOUNT)
        step = _whole_training_step(train, _Heads(outputs), arguments)
        return step(prediction, following, action, reward)

    return gradient


def dopamine_quantile(checkout: Path, size: int) -> Gradient:
    """Dopamine's quantile update."""
    train = _functions_of(checkout, "agents/quantile/quantile_agent.py")["train"]

    def outputs(values: jax.Array) -> Any:
        return _Outputs(values, values.mean(axis=-1))

    return _whole_training_step(train, _Heads(outputs), (1.0, size, DISCOUNT))


def contenders(kind: str, size: int, dopamine: Path | None) -> dict[str, Gradient]:
    """All that are measured against each other, ours first."""
    support = Support(-10.0, 10.0, size) if kind == "categorical" else None
    if support is not None:
        found = {"jaxq": ours(Categorical(support)), "rlax": rlax_categorical(support)}
        return found if dopamine is None else {**found, "dopamine": dopamine_categorical(dopamine, support)}
    found = {"jaxq": ours(Quantile(size)), "rlax": rlax_quantile(size)}
    return found if dopamine is None else {**found, "dopamine": dopamine_quantile(dopamine, size)}


def timed(gradient: Gradient, batch: int, size: int) -> Callable[[], float]:
    """A segment of backups and gradients."""
    keys = jax.random.split(jax.random.key(0), 4)
    prediction, following = (jax.random.normal(k, (batch, ACTIONS, size)) for k in keys[:2])
    action = jax.random.randint(keys[2], (batch,), 0, ACTIONS)
    reward = jax.random.normal(keys[3], (batch,))

    def step(prediction: jax.Array, following: jax.Array) -> tuple[jax.Array, jax.Array]:
        # The next predictions must change too, or XLA would move all of the target out of the loop.
        moving = following + 1e-9 * prediction[0, 0, 0]
        return prediction - 1e-3 * gradient(prediction, moving, action, reward), following

    return segment(step, prediction, following)


def check_agreement(gradients: dict[str, Gradient], size: int) -> None:
    """All contenders must compute the same gradient, but for a constant factor of the loss."""
    keys = jax.random.split(jax.random.key(1), 4)
    prediction, following = (jax.random.normal(k, (16, ACTIONS, size)) for k in keys[:2])
    action, reward = jax.random.randint(keys[2], (16,), 0, ACTIONS), jax.random.normal(keys[3], (16,))
    first: np.ndarray | None = None
    for name, gradient in gradients.items():
        value = np.asarray(jax.jit(gradient)(prediction, following, action, reward))
        if name == "dopamine":  # whose optimizer adds what it is handed
            value = value if first is None or np.vdot(value, first) > 0 else -value
        value = value / np.abs(value).max()
        first = value if first is None else first
        np.testing.assert_allclose(value, first, atol=2e-3, err_msg=f"{name} computes something else")


def main() -> None:
    """Measure and write the results."""
    settings = [f"categorical-{b}-{n}" for b in BATCHES for n in ATOMS]
    settings += [f"quantile-{b}-{n}" for b in BATCHES for n in QUANTILES]
    parser = arguments(__doc__, settings)
    parser.add_argument("--dopamine", type=Path, help="a checkout of github.com/google/dopamine")
    args = parser.parse_args()
    for setting in args.only or settings:
        kind, batch, size = setting.split("-")
        gradients = contenders(kind, int(size), args.dopamine)
        check_agreement(gradients, int(size))
        gradients["memory alone"] = memory_alone
        segments = {name: timed(gradient, int(batch), int(size)) for name, gradient in gradients.items()}
        measure("backups.json", setting, segments, args.rounds)


if __name__ == "__main__":
    with clean_errors():
        main()
