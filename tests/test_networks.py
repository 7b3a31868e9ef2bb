"""Networks: the ways of platforms, torsos and trees, heads, ensembles, recurrence."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from experiments.discrete import dqn, iqn
from jaxq import platforms
from jaxq.bellman import Support
from jaxq.bellman.categorical import project
from jaxq.bellman.quantile import midpoints, quantile_huber_loss
from jaxq.envs import ArraySpec
from jaxq.errors import InputError
from jaxq.networks import (
    FRACTIONS,
    GRU,
    LSTM,
    MLP,
    SAMPLES,
    ActionCritic,
    ActionValueHead,
    ActionValueNetwork,
    Conv,
    Dense,
    DuelingHead,
    Ensemble,
    FullyParameterizedHead,
    GaussianPolicyNetwork,
    ImpalaCNN,
    ImplicitQuantileHead,
    LSTMState,
    MinAtarCNN,
    NatureCNN,
    NoisyDense,
    RecurrentActionValueNetwork,
    SkillLuckNetwork,
    StockNetwork,
    by_softplus,
    by_sum,
    product,
    scale_gradient,
    split_torso,
    torso_for,
)
from jaxq.networks.linear import largest_singular_value
from jaxq.networks.normalization import LayerNorm, normalize
from jaxq.networks.torsos import adaptive_max_pool
from jaxq.runs import parse
from jaxq.runs.attention import grey_picture


@pytest.mark.parametrize(("size", "kernel", "stride"), [(10, 3, 1), (9, 4, 2), (21, 8, 4), (11, 3, 2)])
@pytest.mark.parametrize("padding", ["VALID", "SAME"])
def test_patches_and_native_convolution_agree(size, kernel, stride, padding):
    x = jax.random.normal(jax.random.key(0), (2, size, size + 1, 3))
    patches = Conv(5, kernel, stride, padding, "patches")
    native = Conv(5, kernel, stride, padding, "native")
    params = jax.jit(patches.init)(jax.random.key(1), x)

    def loss(module, params, x):
        out = module.apply(params, x)
        return jnp.sum(jnp.sin(out)), out

    for argument in (1, 2):
        grad = jax.jit(jax.grad(loss, argument, has_aux=True), static_argnums=0)
        (ours, out), (theirs, expected) = grad(patches, params, x), grad(native, params, x)
        np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), ours, theirs)


def test_conv_has_the_parameters_of_flax():
    x = jax.random.normal(jax.random.key(0), (2, 10, 10, 3))
    reference = nn.Conv(7, (3, 3), padding="VALID")
    params = jax.jit(reference.init)(jax.random.key(1), x)
    np.testing.assert_allclose(Conv(7, 3).apply(params, x), reference.apply(params, x), rtol=1e-4, atol=1e-5)


def test_torsos_by_observation():
    assert isinstance(torso_for(ArraySpec((84, 84, 4), np.uint8)), NatureCNN)
    assert isinstance(torso_for(ArraySpec((10, 10, 4), np.bool_)), MinAtarCNN)
    assert isinstance(torso_for(ArraySpec((4,))), MLP)
    for shape, dtype, width in (((84, 84, 4), np.uint8, 512), ((10, 10, 4), np.bool_, 128), ((4,), np.float32, 64)):
        torso = torso_for(ArraySpec(shape, dtype))
        x = jax.ShapeDtypeStruct((2, *shape), dtype)
        features, _ = jax.eval_shape(torso.init_with_output, jax.random.key(0), x)
        assert features.shape == (2, width)


def test_bytes_are_scaled_and_booleans_are_not():
    torso = MinAtarCNN()
    planes = jax.random.bernoulli(jax.random.key(0), 0.5, (2, 10, 10, 4))
    params = jax.jit(torso.init)(jax.random.key(1), planes)
    as_bytes = planes.astype(jnp.uint8) * 255
    np.testing.assert_allclose(torso.apply(params, planes), torso.apply(params, as_bytes), rtol=1e-5)


def test_ensemble_members_differ_and_each_equals_its_own_network():
    member = MLP((8, 2))
    ensemble = Ensemble(lambda: MLP((8, 2)), 3)
    x = jax.random.normal(jax.random.key(0), (5, 4))
    out, params = ensemble.init_with_output(jax.random.key(1), x)
    assert out.shape == (3, 5, 2)
    for i, name in enumerate(sorted(params["params"])):
        np.testing.assert_allclose(out[i], member.apply({"params": params["params"][name]}, x), rtol=1e-6)
    assert not np.allclose(out[0], out[1])


def test_the_residual_network_is_the_same_by_patches():
    x = jax.random.randint(jax.random.key(0), (2, 20, 22, 3), 0, 256).astype(jnp.uint8)
    settings = {"channels": (4, 8), "width": 16, "pooled": 3, "spectral_norm": True}
    network = ImpalaCNN(**settings)
    params = jax.jit(network.init)(jax.random.key(1), x)
    out = jax.jit(network.apply)(params, x)
    assert out.shape == (2, 16)
    assert "conv_general" not in str(jax.make_jaxpr(network.apply)(params, x))
    with platforms.assume("gpu"):
        assert "conv_general" in str(jax.make_jaxpr(network.apply)(params, x))
        np.testing.assert_allclose(out, jax.jit(network.apply)(params, x), rtol=1e-3, atol=1e-4)


def test_spectral_norm_divides_by_the_largest_singular_value():
    kernel = jax.random.normal(jax.random.key(0), (3, 3, 4, 6))
    matrix = kernel.reshape(-1, 6)
    found = largest_singular_value(matrix, steps=100)
    np.testing.assert_allclose(found, np.linalg.svd(matrix, compute_uv=False)[0], rtol=1e-3)
    # Its derivative is the outer product of the singular vectors.
    u, _, vt = np.linalg.svd(matrix)
    slope = jax.grad(lambda m: largest_singular_value(m, steps=100))(matrix)
    np.testing.assert_allclose(slope, np.outer(u[:, 0], vt[0]), atol=1e-2)
    layer = Conv(6, 3, spectral_norm=True)
    params = {"params": {"kernel": kernel, "bias": jnp.zeros(6)}}
    x = jax.random.normal(jax.random.key(1), (1, 5, 5, 4))
    plain = Conv(6, 3).apply(params, x)
    np.testing.assert_allclose(layer.apply(params, x), plain / largest_singular_value(matrix), rtol=1e-4, atol=1e-5)
    dense, kernel = Dense(6, spectral_norm=True), matrix.T
    x, bias = jax.random.normal(jax.random.key(2), (4, 36)), jnp.arange(6.0)
    out = dense.apply({"params": {"kernel": kernel, "bias": bias}}, x)
    np.testing.assert_allclose(out, x @ matrix / largest_singular_value(kernel) + bias, rtol=1e-4, atol=1e-5)


def test_layers_divided_by_their_largest_singular_values_are_lipschitz():
    """However large their parameters are."""
    torso, x = MLP((16, 16), spectral_norm=True), jax.random.normal(jax.random.key(0), (200, 5))
    params = jax.tree.map(lambda leaf: 30.0 * leaf, torso.init(jax.random.key(1), x))
    near = x + 1e-2 * jax.random.normal(jax.random.key(2), x.shape)

    def steepest(torso):
        moved = jnp.linalg.norm(torso.apply(params, x) - torso.apply(params, near), axis=-1)
        return float((moved / jnp.linalg.norm(x - near, axis=-1)).max())

    assert steepest(torso) < 1.1
    assert steepest(MLP((16, 16))) > 100


def test_adaptive_pooling_covers_the_image():
    x = jnp.arange(49.0).reshape(1, 7, 7, 1)
    out = np.asarray(adaptive_max_pool(x, 3))[0, :, :, 0]
    # Regions of rows and columns 0-2, 2-4 and 4-6, as PyTorch's adaptive pooling has them.
    np.testing.assert_array_equal(out, [[16, 18, 20], [30, 32, 34], [44, 46, 48]])


@pytest.mark.parametrize("torso", [MLP((8,), layer_norm=True), MinAtarCNN(layer_norm=True)])
def test_layer_norm_makes_features_indifferent_to_the_input_s_scale(torso):
    x = jax.random.normal(jax.random.key(0), (3, 10, 10, 4))
    params = jax.jit(torso.init)(jax.random.key(1), x)
    np.testing.assert_allclose(torso.apply(params, 50.0 * x), torso.apply(params, x), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("shape", [(6, 5, 16), (7, 100)])
def test_layer_norm_equals_flax_s_in_value_and_gradient(shape):
    x = 3.0 + 2.0 * jax.random.normal(jax.random.key(0), shape)
    params = {"params": {"scale": jnp.linspace(0.5, 2.0, shape[-1]), "bias": jnp.linspace(-1.0, 1.0, shape[-1])}}

    def loss(module, params, x):
        return jnp.sum(jnp.sin(module.apply(params, x)))

    for argument in (1, 2):
        ours, theirs = (jax.grad(loss, argument)(module, params, x) for module in (LayerNorm(), nn.LayerNorm()))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), ours, theirs)
    np.testing.assert_allclose(LayerNorm().apply(params, x), nn.LayerNorm().apply(params, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(3, 40, 7), (130, 100), (9, 5), (70, 3, 90)])
@pytest.mark.parametrize("units", [1, 6, 80])
def test_the_product_and_its_gradients_are_those_of_numpy(shape, units):
    """Few inputs and many, one row of slopes and several axes of them."""
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=shape).astype(np.float32), rng.normal(size=(units, shape[-1])).astype(np.float32)
    slope = rng.normal(size=(*shape[:-1], units)).astype(np.float32)
    out, pull = jax.vjp(jax.jit(product), x, kernel)
    np.testing.assert_allclose(out, np.einsum("...i,oi->...o", x, kernel), rtol=1e-4, atol=1e-4)
    by_x, by_kernel = jax.jit(pull)(slope)
    np.testing.assert_allclose(by_x, np.einsum("...o,oi->...i", slope, kernel), rtol=1e-4, atol=1e-4)
    flat = lambda a: a.reshape(-1, a.shape[-1])  # noqa: E731
    np.testing.assert_allclose(by_kernel, np.einsum("bo,bi->oi", flat(slope), flat(x)), rtol=1e-4, atol=1e-3)


def test_dense_is_flax_s_with_its_kernel_transposed():
    x = jax.random.normal(jax.random.key(0), (4, 3, 5))
    params = nn.Dense(7).init(jax.random.key(1), x)["params"]
    ours = {"params": {"kernel": params["kernel"].T, "bias": params["bias"] + 1.0}}
    np.testing.assert_allclose(Dense(7).apply(ours, x), nn.Dense(7).apply({"params": params}, x) + 1.0, rtol=1e-5)
    wide = Dense(400).init(jax.random.key(0), jnp.zeros((1, 100)))["params"]["kernel"]
    np.testing.assert_allclose(wide.std(), 0.1, rtol=0.05)  # one over the root of the inputs


def of_module(module, shape):
    """A function of parameters and of inputs, and examples of both."""
    x = jax.random.normal(jax.random.key(0), shape)
    return module.apply, jax.jit(module.init)(jax.random.key(1), x), x


def of_backup(function, size):
    return function, *jax.random.uniform(jax.random.key(0), (2, 3, size), minval=0.01, maxval=0.99)


ACCELERATED = {
    "conv": lambda: of_module(Conv(3, 3, 2, "SAME"), (2, 9, 8, 3)),
    "layer_norm": lambda: of_module(LayerNorm(), (7, 20)),
    "torso": lambda: of_module(MinAtarCNN(channels=4, width=8, layer_norm=True), (2, 10, 10, 3)),
    "quantiles": lambda: of_backup(lambda target, x: quantile_huber_loss(x, midpoints(6), target, 1.0), 6),
    "projection": lambda: of_backup(lambda masses, x: project(Support(-1.0, 2.0, 7), x, masses), 5),
}


@pytest.mark.parametrize("name", ACCELERATED)
def test_an_accelerator_s_ways_give_the_cpu_s_values_and_gradients(name):
    """In functions traced for one platform alone, and in those that were traced for the other before."""
    function, params, x = ACCELERATED[name]()

    def make():
        def loss(params, x):
            return jnp.sum(jnp.sin(function(params, x)))

        return jax.jit(jax.value_and_grad(loss, (0, 1)))

    def results(platform, function):
        with platforms.assume(platform):
            return function(params, x), str(jax.make_jaxpr(function)(params, x))

    fresh = {platform: results(platform, make()) for platform in ("cpu", "gpu")}
    assert fresh["cpu"][1] != fresh["gpu"][1]  # otherwise a way is compared with itself
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), fresh["cpu"][0], fresh["gpu"][0])
    used = make()
    for platform in ("cpu", "gpu", "cpu"):
        found, program = results(platform, used)
        assert program == fresh[platform][1]
        jax.tree.map(np.testing.assert_array_equal, found, fresh[platform][0])


def test_derivatives_keep_to_the_platform_of_their_values():
    """Pulled back after the platform is no longer assumed, they are those of what was computed under it."""
    x, scale = jax.random.normal(jax.random.key(0), (5, 4)), jnp.ones(4)

    def program(platform):
        with platforms.assume(platform):
            _, pull = jax.vjp(normalize, x, scale, scale)
        return str(jax.make_jaxpr(pull)(x))

    assert program("gpu").count("dot_general") < program("cpu").count("dot_general")


def test_gradients_are_scaled_and_values_are_not():
    x = jnp.array([0.1, -3.0, 7.0])
    value, slope = jax.value_and_grad(lambda x: jnp.sum(scale_gradient(x, 0.25) ** 2))(x)
    np.testing.assert_array_equal(value, jnp.sum(x**2))
    np.testing.assert_allclose(slope, 0.25 * 2 * x)


def test_noise_of_layers_is_factorized_and_absent_in_evaluation():
    layer, x = NoisyDense(4), jnp.eye(5)
    params = layer.init({"params": jax.random.key(0), SAMPLES: jax.random.key(1)}, x)["params"]
    for name in ("kernel_noise", "bias_noise"):
        np.testing.assert_allclose(params[name], 0.5 / np.sqrt(5), rtol=1e-6)
    largest = max(np.abs(params[name]).max() for name in ("kernel", "bias"))
    assert 0.25 < largest <= 5**-0.5
    plain = x @ params["kernel"].T + params["bias"]
    np.testing.assert_allclose(layer.apply({"params": params}, x, "exploit"), plain, rtol=1e-5)
    # Of the identity, with noise of the kernel alone and of one size, what comes out is ε_in ε_outᵀ.
    loud = {**params, "kernel_noise": jnp.ones((4, 5)), "bias_noise": jnp.zeros(4)}

    @jax.vmap
    def noise(key):
        return layer.apply({"params": loud}, x, "act", rngs={SAMPLES: key}) - plain

    drawn = np.asarray(jax.jit(noise)(jax.random.split(jax.random.key(2), 4000)))
    assert np.linalg.matrix_rank(drawn[0], tol=1e-4) == 1
    np.testing.assert_allclose(np.mean(drawn**2), 2 / np.pi, rtol=0.05)  # (E|z|)², f(z)² being |z|
    np.testing.assert_allclose(drawn.mean(axis=0), 0.0, atol=0.05)


def test_heads_by_their_equations():
    features = np.asarray(jax.random.normal(jax.random.key(0), (5, 6)))

    def relu(x):
        return np.maximum(x, 0.0)

    def made(head):
        out, variables = head.init_with_output(jax.random.key(1), jnp.asarray(features), "exploit")
        return np.asarray(out), variables["params"]

    def dense(params, k, x):
        layer = params[f"Dense_{k}"]
        return x @ np.asarray(layer["kernel"]).T + np.asarray(layer["bias"])

    out, params = made(DuelingHead(3, width=2, hidden=4))
    value = dense(params, 1, relu(dense(params, 0, features))).reshape(5, 1, 2)
    advantage = dense(params, 3, relu(dense(params, 2, features))).reshape(5, 3, 2)
    np.testing.assert_allclose(out, value + advantage - advantage.mean(axis=1, keepdims=True), rtol=1e-4, atol=1e-5)

    def quantiles(params, fractions):  # [B, N] -> [B, A, N]
        cosines = np.cos(np.pi * np.arange(8) * fractions[..., None])
        embedded = features[:, None] * relu(dense(params, 0, cosines))
        return np.moveaxis(dense(params, 2, relu(dense(params, 1, embedded))), 1, 2)

    out, params = made(ImplicitQuantileHead(3, 7, 9, 4, 8))
    evenly = np.tile((np.arange(4) + 0.5) / 4, (5, 1))
    np.testing.assert_allclose(out[..., :4], quantiles(params["_QuantileFunction_0"], evenly), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(out[:, 1, 4:], evenly, rtol=1e-6)
    out, params = made(FullyParameterizedHead(3, 7, 4, 8))
    proposed = features @ np.asarray(params[FRACTIONS]["kernel"]).T + np.asarray(params[FRACTIONS]["bias"])
    ends = np.cumsum(scipy.special.softmax(proposed, axis=1), axis=1)
    middles = ends - np.diff(ends, axis=1, prepend=0.0) / 2
    np.testing.assert_allclose(out[:, 0, 4:8], ends, rtol=1e-5)
    for part, at in ((out[..., :4], middles), (out[..., 8:], ends[:, :-1])):
        np.testing.assert_allclose(part, quantiles(params["_QuantileFunction_0"], at), rtol=1e-4, atol=1e-5)


def test_bounds_of_deviations_by_hand():
    x = np.linspace(-8.0, 4.0, 9)
    softly = by_softplus(1e-3)(jnp.asarray(x))
    np.testing.assert_allclose(softly, np.log(np.log1p(np.exp(x)) + 1e-3), rtol=1e-4, atol=1e-4)
    added = by_sum(0.1)(jnp.asarray(x))
    np.testing.assert_allclose(added, np.log(np.exp(x) + 0.1), rtol=1e-4, atol=1e-4)


def test_a_dueling_head_scales_what_goes_into_the_torso_and_nothing_else():
    plain = ActionValueNetwork(MLP((6,)), DuelingHead(3, hidden=5))
    scaled = ActionValueNetwork(MLP((6,)), DuelingHead(3, hidden=5, torso_gradient=2**-0.5))
    x = jax.random.normal(jax.random.key(0), (4, 2))
    params = jax.jit(plain.init)(jax.random.key(1), x)
    np.testing.assert_array_equal(plain.apply(params, x), scaled.apply(params, x))
    before, after = (jax.grad(lambda p, n=n: jnp.sum(n.apply(p, x) ** 2))(params)["params"] for n in (plain, scaled))
    jax.tree.map(np.testing.assert_array_equal, before["head"], after["head"])
    for ours, theirs in zip(jax.tree.leaves(after["torso"]), jax.tree.leaves(before["torso"]), strict=True):
        np.testing.assert_allclose(ours, theirs / np.sqrt(2), rtol=1e-5)
        assert np.abs(theirs).max() > 1e-3


# Observations that are trees.


@dataclasses.dataclass(frozen=True)
class ArrayLike:
    """The spec of one array."""

    shape: tuple
    dtype: object = np.float32


MIXED = {"camera": ArrayLike((10, 10, 3), np.bool_), "body": {"joints": ArrayLike((2, 3)), "speed": ArrayLike((1,))}}


def example(spec, batch=2):
    return jax.tree.map(
        lambda leaf: jax.random.normal(jax.random.key(0), (batch, *leaf.shape)).astype(leaf.dtype), spec
    )


def test_fractions_that_choose_actions_lie_where_risk_is_measured_and_those_that_are_learned_do_not():
    """As the script puts it together, by the fractions that stand behind the values."""
    flags = ["--env", "gymnax/CartPole-v1", "--risk", "cvar", "--risk-level", "0.2", "--num-act-fractions", "16"]
    network = iqn.build(parse(iqn.Config, iqn.PRESETS, [*flags, "--num-fractions", "16"])).agent.network
    observation = jnp.ones((64, 4))
    params = network.init({"params": jax.random.key(0), SAMPLES: jax.random.key(1)}, observation, "learn")
    for mode, most in {"learn": 1.0, "target": 1.0, "act": 0.2, "exploit": 0.2}.items():
        prediction = network.apply(params, observation, mode, rngs={SAMPLES: jax.random.key(2)})
        values, fractions = np.split(np.asarray(prediction), 2, axis=-1)
        assert values.shape == fractions.shape == (64, 2, 16)
        assert 0.9 * most < fractions.max() <= most
        assert fractions.min() < 0.1 * most
        np.testing.assert_allclose(fractions.mean(), most / 2, atol=0.03 * most)


def test_images_go_through_dense_layers_alone_where_that_is_asked_for():
    config = dqn.Config(env="gymnax/Breakout-MinAtar", torso="mlp", hidden_widths=(8, 5), layer_norm=True)
    torso = config.make_torso(config.make_environments()[0])
    features, variables = torso.init_with_output(jax.random.key(0), jnp.ones((2, 10, 10, 4), bool))
    kernels = [leaf.shape for leaf in jax.tree.leaves(variables) if leaf.ndim > 1]
    assert features.shape == (2, 5)
    assert kernels == [(8, 400), (5, 8)]  # units first


def test_a_tree_s_torso_joins_convolutions_and_vectors():
    torso = torso_for(MIXED, (9,))
    observation = example(MIXED)
    params = jax.jit(torso.init)(jax.random.key(0), observation)
    own = params["params"]
    pixels = MinAtarCNN(width=0).apply({"params": own["images_camera"]}, observation["camera"])
    vectors = [observation["body"]["joints"].reshape(2, 6), observation["body"]["speed"]]
    joint = own["joint"]["Dense_0"]
    # In the order of the tree's leaves: body.joints, body.speed, camera; joined by MinAtar's dense layer.
    expected = jnp.concatenate([*vectors, pixels], axis=-1) @ joint["kernel"].T + joint["bias"]
    assert expected.shape == (2, 128)
    np.testing.assert_allclose(torso.apply(params, observation), nn.relu(expected), rtol=1e-4, atol=1e-5)
    rest, units = split_torso(torso)
    assert units == 128
    assert rest.init_with_output(jax.random.key(0), observation)[0].shape == (2, 1024 + 7)


def test_a_tree_of_vectors_is_one_vector_to_all_that_take_one():
    spec = {"goal": ArrayLike((2,)), "state": ArrayLike((3,))}
    observation = example(spec)
    joined = jnp.concatenate([observation["goal"], observation["state"]], axis=-1)
    action = jnp.ones((2, 1))
    for module, rest in (
        (torso_for(spec, (4,)), ()),
        (GaussianPolicyNetwork(lambda mode: MLP((4,)), 1), ()),
        (ActionCritic(lambda mode: MLP((4,))), (action,)),
    ):
        params = module.init(jax.random.key(0), observation, *rest)
        found, expected = (module.apply(params, seen, *rest) for seen in (observation, joined))
        jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_network_sees_only_what_it_names():
    observation = example(MIXED)
    for names, part in ((("body",), MIXED["body"]), (("body", "camera"), MIXED)):
        torso = torso_for(MIXED, (4,), sees=names)
        params = jax.jit(torso.init)(jax.random.key(0), observation)
        alone = torso_for(part, (4,))
        seen = observation["body"] if names == ("body",) else observation
        expected = alone.apply({"params": params["params"]["network"]}, seen)
        np.testing.assert_array_equal(torso.apply(params, observation), expected)
    assert torso_for(MIXED, sees=("camera",)).network == MinAtarCNN()  # one part is no tree
    rest, units = split_torso(torso_for(MIXED, (5, 4), sees=("body",)))
    assert units == 4
    assert rest.init_with_output(jax.random.key(0), observation)[0].shape == (2, 5)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: torso_for(MIXED, sees=("joints",)), "sees is 'joints', but must be one of body, camera"),
        (lambda: torso_for(ArrayLike((3,)), sees=("body",)), "no parts"),
        (lambda: torso_for({}), "at least one array"),
        (lambda: StockNetwork(MLP((4,)), ActionValueHead(2)).init(jax.random.key(0), example(MIXED)), "StockNetwork"),
        (lambda: MinAtarCNN().init(jax.random.key(0), example(MIXED)), r"\['body.joints', 'body.speed', 'camera'\]"),
        (
            lambda: SkillLuckNetwork(MLP((4,)), 2).init(
                jax.random.key(0), example(MIXED), jnp.zeros(2, int), example(MIXED), method="transition"
            ),
            "SkillLuckNetwork",
        ),
    ],
)
def test_impossible_observations_are_named(make, named):
    with pytest.raises(InputError, match=named):
        make()


def test_the_model_of_luck_reconstructs_bytes_as_torsos_see_them():
    network = SkillLuckNetwork(MinAtarCNN(2, 4), 2, 3, 4, decoded_size=9)
    image = jax.random.randint(jax.random.key(0), (2, 3, 3, 1), 0, 256).astype(jnp.uint8)
    action = jnp.array([0, 1])
    params = network.init(jax.random.key(1), image, action, image, method="everything")
    by_bytes, by_floats = (
        network.apply(params, seen, action, seen, method="transition") for seen in (image, image / jnp.float32(255.0))
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), by_bytes, by_floats)


# Recurrence.


def packed(kernels, biases):
    """Our kernels have their units first, and one for all the gates."""
    return {"kernel": jnp.concatenate([k.T for k in kernels]), "bias": jnp.concatenate(biases)}


def gru_of_flax(theirs):
    params = {
        "Dense_0": packed(*([theirs[n][part] for n in ("iz", "ir", "in")] for part in ("kernel", "bias"))),
        "recurrent": jnp.concatenate([theirs[n]["kernel"].T for n in ("hz", "hr", "hn")]),
        "recurrent_bias": theirs["hn"]["bias"],
    }
    return params, lambda state: state


def lstm_of_flax(theirs):
    # The bias of our forget gate is counted from 1.
    biases = [theirs[n]["bias"] - (n == "hf") for n in ("hi", "hf", "hg", "ho")]
    params = {
        "Dense_0": packed([theirs[n]["kernel"] for n in ("ii", "if", "ig", "io")], biases),
        "recurrent": jnp.concatenate([theirs[n]["kernel"].T for n in ("hi", "hf", "hg", "ho")]),
    }
    return params, lambda state: LSTMState(hidden=state[1], cell=state[0])


@pytest.mark.parametrize(
    ("ours", "theirs", "translated"),
    [(GRU(5), nn.GRUCell(5), gru_of_flax), (LSTM(5), nn.OptimizedLSTMCell(5), lstm_of_flax)],
    ids=["gru", "lstm"],
)
def test_cores_equal_flax_s_cells_step_by_step_with_resets(ours, theirs, translated):
    x = jax.random.normal(jax.random.key(0), (5, 2, 4))
    reset = jnp.zeros((5, 2), bool).at[2, 0].set(True).at[0, 1].set(True)
    zero = theirs.initialize_carry(jax.random.key(0), x[0].shape)
    state = jax.tree.map(lambda leaf: leaf + jax.random.normal(jax.random.key(1), leaf.shape), zero)
    params = jax.jit(theirs.init)(jax.random.key(2), state, x[0])["params"]
    params = jax.tree.map(lambda leaf: leaf + 0.1 * jax.random.normal(jax.random.key(3), leaf.shape), params)
    own, as_ours = translated(params)
    out, last = ours.apply({"params": own}, x, reset, as_ours(state))
    for t in range(5):
        state = jax.tree.map(lambda begun, kept, t=t: jnp.where(reset[t][:, None], begun, kept), zero, state)
        state, expected = theirs.apply({"params": params}, state, x[t])
        np.testing.assert_allclose(out[t], expected, rtol=1e-4, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), last, as_ours(state))
    jax.tree.map(np.testing.assert_array_equal, ours.initial_state(2), as_ours(zero))
    assert jax.tree.map(jnp.shape, own) == jax.tree.map(
        jnp.shape, ours.init(jax.random.key(0), x, reset, ours.initial_state(2))["params"]
    )


def test_recurrent_values_see_the_step_before_but_never_the_episode_before():
    """Over time as step by step, on a tree of observations; previous action and reward count, but for a first step."""
    spec = {"a": ArrayLike((2,)), "b": ArrayLike((1,))}
    network = RecurrentActionValueNetwork(torso_for(spec, (4,)), ActionValueHead(3), LSTM(5), num_actions=3)
    observation = jax.tree.map(lambda leaf: leaf.reshape(4, 2, -1), example(spec, 8))
    reset = jnp.zeros((4, 2), bool).at[0, 0].set(True).at[2, 1].set(True)
    action, reward = jnp.array([[1, 2], [0, -1], [2, 1], [1, 0]]), jnp.arange(8.0).reshape(4, 2)
    state = network.initial_state(2)
    params = network.init(jax.random.key(0), observation, reset, state, "learn", action, reward)
    # The core is told features, reward and action in this order.
    assert params["params"]["core"]["Dense_0"]["kernel"].shape == (20, 4 + 1 + 3)

    def values(reset=reset, action=action, reward=reward):
        return network.apply(params, observation, reset, state, "learn", action, reward)

    whole, last = values()
    carried = state
    for t in range(4):
        now = jax.tree.map(lambda leaf, t=t: leaf[t : t + 1], (observation, reset, action, reward))
        out, carried = network.apply(params, *now[:2], carried, "learn", *now[2:])
        np.testing.assert_allclose(out[0], whole[t], rtol=1e-4, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), last, carried)
    for changed in ({"action": action.at[2, 1].set(0)}, {"reward": reward.at[2, 1].set(99.0)}):
        np.testing.assert_array_equal(values(**changed)[0], whole)  # a first step: nothing led to it
    for changed in ({"action": action.at[2, 0].set(0)}, {"reward": reward.at[2, 0].set(99.0)}):
        moved = np.abs(values(**changed)[0] - whole).max(axis=(2, 3)) > 1e-6
        np.testing.assert_array_equal(moved, [[False, False], [False, False], [True, False], [True, False]])
    with pytest.raises(InputError, match="previous_action"):
        network.apply(params, observation, reset, state)


def test_planes_are_not_taken_for_frames_in_pictures():
    planes = np.zeros((2, 2, 4), bool)
    planes[0, 0, 0], planes[1, 0, 2], planes[1, 1, 3] = True, True, True
    np.testing.assert_array_equal(grey_picture(planes, 0), [[1, 0], [3, 4]])
    stack = np.arange(16, dtype=np.uint8).reshape(2, 2, 4)
    np.testing.assert_array_equal(grey_picture(stack, 4), stack[..., 3])
