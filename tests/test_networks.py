"""Convolutions, torsos and ensembles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxq.envs import ObservationSpec
from jaxq.networks import MLP, Conv, Ensemble, MinAtarCNN, NatureCNN, torso_for


@pytest.mark.parametrize(("size", "kernel", "stride"), [(10, 3, 1), (9, 4, 2), (21, 8, 4), (11, 3, 2)])
@pytest.mark.parametrize("padding", ["VALID", "SAME"])
def test_patches_and_native_convolution_agree(size, kernel, stride, padding):
    x = jax.random.normal(jax.random.key(0), (2, size, size + 1, 3))
    patches = Conv(5, kernel, stride, padding, "patches")
    native = Conv(5, kernel, stride, padding, "native")
    params = patches.init(jax.random.key(1), x)

    def loss(module, params, x):
        out = module.apply(params, x)
        return jnp.sum(jnp.sin(out)), out

    for argument in (1, 2):
        grad = jax.grad(loss, argument, has_aux=True)
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
        x = jnp.zeros((2, *shape), dtype)
        features, _ = torso.init_with_output(jax.random.key(0), x)
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
