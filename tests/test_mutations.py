"""The tool that plants defects."""

import ast

import pytest

from benchmarks import mutations

SOURCE = '''
def choose(q: jax.Array, n: int = 2) -> jax.Array:
    """Words with 1 number."""
    require(n >= 1, "n", n, "at least 1")
    return jnp.where(q < 0, jnp.minimum(q, 1.0), -q)
'''


def test_each_defect_is_one_change_of_behaviour():
    planted = [(m.before, m.after) for m in mutations.mutations("file.py", SOURCE)]
    assert sorted(planted) == sorted([
        ("2", "3"),
        ("jnp.where(q < 0, jnp.minimum(q, 1.0), -q)", "jnp.where(q < 0, -q, jnp.minimum(q, 1.0))"),
        ("q < 0", "q <= 0"),
        ("0", "1"),
        ("jnp.minimum", "jnp.maximum"),
        ("1.0", "2.0"),
        ("-q", "q"),
    ])  # fmt: skip
    for mutation in mutations.mutations("file.py", SOURCE):
        assert ast.dump(ast.parse(mutation.source)) != ast.dump(ast.parse(SOURCE))
        assert mutation.line == (2 if mutation.before == "2" else 5)


def test_every_room_has_places_and_tests():
    for room in mutations.ROOMS:
        assert mutations.room_of(next(mutations.places_in(room)).file) == room
    assert "tests/test_prioritized.py" in " ".join(mutations.likely_tests("jaxq/replay/prioritized.py"))


def test_a_copy_has_all_modules_and_imports_no_others(tmp_path):
    mutations.copy_to(tmp_path)
    for module in (mutations.ROOT / "jaxq").rglob("*.py"):
        assert (tmp_path / module.relative_to(mutations.ROOT)).read_text() == module.read_text()
    assert not (tmp_path / ".git").exists()


def test_tests_that_cannot_be_run_catch_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="pytest ended with 4"):
        mutations.first_failure(tmp_path, ["tests/test_that_is_not_there.py"])


def test_a_planted_defect_is_caught_and_taken_out_again(tmp_path):
    (tmp_path / "jaxq" / "replay").mkdir(parents=True)
    (tmp_path / "tests").mkdir()
    sound = "def double(x):\n    return x * 2\n"
    (tmp_path / "double.py").write_text(sound)
    test = "from double import double\n\n\ndef test_double():\n    assert double(2) == 4\n"
    (tmp_path / "tests" / "test_double.py").write_text(test)
    for mutation in mutations.mutations("double.py", sound):
        (tmp_path / "double.py").write_text(mutation.source)
        assert mutations.first_failure(tmp_path, ["tests/test_double.py"]) == "tests/test_double.py::test_double"
    (tmp_path / "double.py").write_text(sound)
    assert mutations.first_failure(tmp_path, ["tests/test_double.py"]) is None
