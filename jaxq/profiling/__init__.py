"""Where the time of a compiled loop goes, and what parts of it take alone: nothing that runs are made of."""

from jaxq.profiling.alone import environment_alone, products_alone
from jaxq.profiling.attribution import Shares, read_operations, shares_of
from jaxq.profiling.programs import PARTS, Product, parts_of_operations, products_of

__all__ = [
    "PARTS",
    "Product",
    "Shares",
    "environment_alone",
    "parts_of_operations",
    "products_alone",
    "products_of",
    "read_operations",
    "shares_of",
]
