"""jaxq: value-based deep reinforcement learning, end to end in JAX.

Rooms, each importing only from those after it: `cli`, `runs`, `training`, `agents`, `replay`, `envs`, `networks`,
`bellman`, `types`. `docs/architecture.md` tells what lives where.
"""
