"""Convolutions, torsos and ensembles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxq.envs import ObservationSpec
from jaxq.networks import MLP, Conv, Dense, Ensemble, ImpalaCNN, MinAtarCNN, NatureCNN, product, torso_for
from jaxq.networks.convolution import largest_singular_value
from jaxq.networks.normalization import LayerNorm
from jaxq.networks.torsos import adaptive_max_pool


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
    import flax.linen as nn

    x = jax.random.normal(jax.random.key(0), (2, 10, 10, 3))
    reference = nn.Conv(7, (3, 3), padding="VALID")
    params = reference.init(jax.random.key(1), x)
    np.testing.assert_allclose(Conv(7, 3).apply(params, x), reference.apply(params, x), rtol=1e-4, atol=1e-5)


def test_torsos_by_observation():
    assert isinstance(torso_for(ObservationSpec((84, 84, 4), np.uint8)), NatureCNN)
    assert isinstance(torso_for(ObservationSpec((10, 10, 4), np.bool_)), MinAtarCNN)
    assert isinstance(torso_for(ObservationSpec((4,))), MLP)
    for shape, dtype, width in (((84, 84, 4), np.uint8, 512), ((10, 10, 4), np.bool_, 128), ((4,), np.float32, 64)):
        torso = torso_for(ObservationSpec(shape, dtype))
        x = jax.ShapeDtypeStruct((2, *shape), dtype)
        features, _ = jax.eval_shape(torso.init_with_output, jax.random.key(0), x)
        assert features.shape == (2, width)


def test_bytes_are_scaled_and_booleans_are_not():
    torso = MinAtarCNN()
    planes = jax.random.bernoulli(jax.random.key(0), 0.5, (2, 10, 10, 4))
    params = torso.init(jax.random.key(1), planes)
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
    patches, native = ImpalaCNN(convolution="patches", **settings), ImpalaCNN(convolution="native", **settings)
    params = jax.jit(patches.init)(jax.random.key(1), x)
    out = jax.jit(patches.apply)(params, x)
    assert out.shape == (2, 16)
    np.testing.assert_allclose(out, jax.jit(native.apply)(params, x), rtol=1e-3, atol=1e-4)


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


def test_adaptive_pooling_covers_the_image():
    x = jnp.arange(49.0).reshape(1, 7, 7, 1)
    out = np.asarray(adaptive_max_pool(x, 3))[0, :, :, 0]
    # Regions of rows and columns 0-2, 2-4 and 4-6, as PyTorch's adaptive pooling has them.
    np.testing.assert_array_equal(out, [[16, 18, 20], [30, 32, 34], [44, 46, 48]])


@pytest.mark.parametrize("torso", [MLP((8,), layer_norm=True), MinAtarCNN(layer_norm=True)])
def test_layer_norm_makes_features_indifferent_to_the_input_s_scale(torso):
    x = jax.random.normal(jax.random.key(0), (3, 10, 10, 4))
    params = torso.init(jax.random.key(1), x)
    np.testing.assert_allclose(torso.apply(params, 50.0 * x), torso.apply(params, x), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("shape", [(6, 5, 16), (7, 100)])
def test_layer_norm_equals_flax_s_in_value_and_gradient(shape):
    import flax.linen as nn

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
    import flax.linen as nn

    x = jax.random.normal(jax.random.key(0), (4, 3, 5))
    params = nn.Dense(7).init(jax.random.key(1), x)["params"]
    ours = {"params": {"kernel": params["kernel"].T, "bias": params["bias"] + 1.0}}
    np.testing.assert_allclose(Dense(7).apply(ours, x), nn.Dense(7).apply({"params": params}, x) + 1.0, rtol=1e-5)
    wide = Dense(400).init(jax.random.key(0), jnp.zeros((1, 100)))["params"]["kernel"]
    np.testing.assert_allclose(wide.std(), 0.1, rtol=0.05)  # one over the root of the inputs
