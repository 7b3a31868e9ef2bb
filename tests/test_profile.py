"""Where time goes: what a program's text says, how recorded moments are divided, and that looking changes nothing."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_runs import SMALL, finish, learning_metrics

from jaxq import envs
from jaxq.profiling import (
    environment_alone,
    parts_of_operations,
    products_alone,
    products_of,
    read_operations,
    shares_of,
)
from jaxq.profiling.programs import part_of


def text_of(function, *shapes):
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return jax.jit(function).lower(*arguments).compile().as_text()


def test_products_are_counted_with_the_loops_around_them():
    def program(x, w, v):
        def step(x, _):
            return jnp.tanh(x @ w), None

        x, _ = jax.lax.scan(step, x, None, 5)
        return jnp.einsum("bij,bjk->bik", x.reshape(4, 2, 16), v), x @ w

    found = products_of(text_of(program, (8, 16), (16, 16), (4, 16, 3)))
    assert found == {(1, 8, 16, 16): 6, (4, 2, 16, 3): 1}


def test_what_the_compiler_leaves_out_is_not_counted():
    def program(x, w):
        unused = x @ w
        del unused
        return x @ w + x @ w

    assert products_of(text_of(program, (8, 16), (16, 4))) == {(1, 8, 16, 4): 1}


def test_a_convolution_is_the_product_of_its_patches():
    def program(x, w):
        return jax.lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    found = products_of(text_of(program, (2, 10, 10, 4), (3, 3, 4, 16)))
    assert found == {(1, 2 * 8 * 8, 3 * 3 * 4, 16): 1}


def test_products_of_environments_are_left_out():
    def program(x, w):
        with jax.named_scope("environment"):
            y = x @ w
        with jax.named_scope("learning"):
            return jnp.tanh(y) @ w

    text = text_of(program, (8, 16), (16, 16))
    assert products_of(text) == {(1, 8, 16, 16): 1}
    assert {"environment", "learning"} <= set(parts_of_operations(text).values())


GEMM = """
ENTRY %main.3 (a.1: f32[8,16], b.1: f32[4,16]) -> f32[8,4] {
  %a.1 = f32[8,16]{1,0} parameter(0)
  %b.1 = f32[4,16]{1,0} parameter(1)
  ROOT %gemm = f32[8,4]{1,0} custom-call(%a.1, %b.1), custom_call_target="__cublas$gemm", backend_config={"gemm_backend_config":{"dot_dimension_numbers":{"lhs_contracting_dimensions":["1"],"rhs_contracting_dimensions":["1"],"lhs_batch_dimensions":[],"rhs_batch_dimensions":[]}}}
}
"""  # noqa: E501


def test_a_library_s_products_count():
    assert products_of(GEMM) == {(1, 8, 16, 4): 1}


def test_the_outermost_part_counts():
    assert part_of("jit(f)/while/body/learning/transpose(learning)/jvp(Network)/acting/dot") == "learning"
    assert part_of("jit(f)/while/body/relearning/dot") == "other"


def test_a_moment_is_divided_among_what_runs_in_it():
    parts = {"a": "acting", "b": "learning", "c": "replay"}
    lines = [
        [("while.1", 0.0, 100.0), ("a", 0.0, 4.0), ("b", 6.0, 10.0)],
        [("c", 2.0, 4.0), ("unknown", 8.0, 9.0)],
    ]
    shares = shares_of(lines, parts, untraced=10.0)
    assert shares.seconds == pytest.approx(
        {"acting": 3.0, "learning": 3.5, "replay": 1.0, "other": 0.5, "environment": 0.0}
    )
    assert shares.idle == pytest.approx(2.0)
    assert shares.operations == 4
    halved = shares_of(lines, parts, untraced=4.0)  # recording made the operations themselves longer
    assert sum(halved.seconds.values()) + halved.idle == pytest.approx(4.0)
    assert halved.seconds["acting"] == pytest.approx(1.5)


def test_an_operation_that_holds_others_is_not_counted_beside_them():
    lines = [[("call.1", 0.0, 10.0), ("a", 1.0, 3.0), ("a", 4.0, 6.0)]]
    shares = shares_of(lines, {"a": "acting", "call.1": "replay"}, untraced=10.0)
    assert shares.seconds["acting"] == pytest.approx(4.0)
    assert shares.seconds["replay"] == 0.0


def test_a_trace_names_the_operations_of_the_program(tmp_path):
    def program(x, w):
        with jax.named_scope("learning"):
            return jnp.sin(x @ w)

    x = jnp.ones((256, 256))
    compiled = jax.jit(program).lower(x, x).compile()
    with jax.profiler.trace(str(tmp_path)):
        compiled(x, x).block_until_ready()
    parts = parts_of_operations(compiled.as_text())
    names = [name for line in read_operations(tmp_path) for name, *_ in line]
    assert "learning" in {parts.get(name) for name in names}


def test_alone_says_how_much_was_done():
    assert products_alone({(1, 4, 3, 2): 3, (2, 4, 3, 2): 1, (1, 0, 3, 2): 1}, 7)() == 7
    assert environment_alone(envs.make("gymnax/CartPole-v1", 4), 10)() == 40


@pytest.mark.slow
def test_a_profiled_run_is_the_same_and_tells_where_its_time_went(tmp_path):
    plain, profiled = tmp_path / "plain", tmp_path / "profiled"
    assert finish("--run-dir", plain, *SMALL)[0] == 0
    code, out, err = finish("--run-dir", profiled, *SMALL, "--profile")
    assert code == 0, err
    assert learning_metrics(plain) == learning_metrics(profiled)
    told = json.loads((profiled / "profile.json").read_text())
    seconds = told["seconds_per_iteration"]
    assert set(seconds) == {"environment", "acting", "replay", "learning", "other", "idle", "evaluation"}
    assert all(np.isfinite(value) and value >= 0 for value in seconds.values())
    assert min(seconds[part] for part in ("environment", "acting", "replay", "learning")) > 0
    assert told["alone"]["products"] > 0
    assert told["alone"]["environment"] > 0
    assert told["recorded_operations"] > 100
    assert list((profiled / "profile").rglob("perfetto_trace.json.gz"))
    for words in ("where the time goes", "learning", "matrix products", "ui.perfetto.dev"):
        assert words in out


@pytest.mark.slow
def test_where_there_are_few_iterations_in_a_chunk_a_profile_spans_several(tmp_path):
    args = [*SMALL, "--num-logs", "1000", "--profile"]
    code, out, err = finish("--run-dir", tmp_path / "run", *args)
    assert code == 0, err
    assert "where the time goes" in out
