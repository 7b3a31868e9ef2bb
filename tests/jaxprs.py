"""What programs are made of."""

import jax


def equations(jaxpr, *names, branches=True):
    """All equations of a jaxpr, and of those within, whose primitives' names begin so; `branches` may be left out."""
    for equation in jaxpr.eqns:
        if equation.primitive.name.startswith(names):
            yield equation
        if equation.primitive.name == "cond" and not branches:
            continue
        for inner in jax.tree.leaves(tuple(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from equations(inner, *names, branches=branches)


def precisions(function, *args):
    """How precise each product of matrices is in a function's program."""
    found = equations(jax.make_jaxpr(function)(*args).jaxpr, "dot_general", "conv_general_dilated")
    return [equation.params["precision"] for equation in found]
