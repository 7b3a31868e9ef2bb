"""The axes of a mesh of devices, and the one thing that what is written for one device says about it.

Programs are written as for one device. A mesh has two axes: members of a `population` lie on devices of their own and
exchange nothing; of one large agent, environments, replay and batches lie over `data`. Along `data` a program keeps its
meaning to the letter: the compiler cuts it up, and what was a sum over a batch becomes a sum over devices.
"""

import jax
from jax.sharding import AxisType, PartitionSpec

from jaxq.types import PyTree

POPULATION, DATA = "population", "data"


def over_data(tree: PyTree, axis: int) -> PyTree:
    """Arrays whose `axis`, of samples in a batch, is laid over the devices of `data`; as they are where there are none.

    Whatever is computed of the batch then lies there too.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.shape.get(DATA, 1) == 1 or mesh.axis_types[mesh.axis_names.index(DATA)] != AxisType.Auto:
        return tree
    spec = PartitionSpec(*(None,) * axis, DATA)
    return jax.tree.map(lambda leaf: jax.lax.with_sharding_constraint(leaf, spec), tree)
