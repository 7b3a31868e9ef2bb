"""Checkpoints of a whole TrainState, by Orbax: written array by array, whole or not at all."""

import logging
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from jaxq import platforms
from jaxq.errors import InputError, require
from jaxq.types import PyTree

KEPT = 2


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _to_saved(tree: PyTree) -> dict[str, Any]:
    """The leaves by number: typed random keys as the data under them, and without the empty arrays Orbax refuses."""
    leaves = enumerate(jax.tree.leaves(tree))
    return {f"{i:04d}": jax.random.key_data(x) if _is_key(x) else x for i, x in leaves if x.size}


def _from_saved(saved: dict[str, Any], like: PyTree) -> PyTree:
    examples, structure = jax.tree.flatten(like)

    def leaf(i: int, example: Any) -> jax.Array:
        if not example.size:
            return jnp.zeros(example.shape, example.dtype)
        value = saved[f"{i:04d}"]
        return jax.random.wrap_key_data(value) if _is_key(example) else value

    return jax.tree.unflatten(structure, [leaf(i, example) for i, example in enumerate(examples)])


def _shapes(tree: PyTree) -> dict[str, Any]:
    """The shapes of what `_to_saved` makes of a tree, or of its shapes, each with the place it is to lie in."""

    def shape(leaf: Any) -> jax.ShapeDtypeStruct:
        place = getattr(leaf, "sharding", None) or jax.sharding.SingleDeviceSharding(platforms.device())
        saved = jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf
        return jax.ShapeDtypeStruct(saved.shape, saved.dtype, sharding=place)

    return {f"{i:04d}": shape(leaf) for i, leaf in enumerate(jax.tree.leaves(tree)) if leaf.size}


def _items(state: PyTree) -> dict[str, dict[str, Any]]:
    return {"agent": _to_saved(state.agent), "rest": _to_saved(state.replace(agent=()))}


class Checkpoints:
    """The checkpoints of one run, numbered by chunk."""

    def __init__(self, run_dir: Path):
        # Orbax reports every save, and logs the trace of errors that it also raises.
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        self.path = (run_dir / "checkpoints").absolute()
        self._manager = ocp.CheckpointManager(
            self.path,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=KEPT, cleanup_tmp_directories=True, enable_async_checkpointing=False
            ),
            # Named, so that a process that has saved nothing can tell the shapes of what another has.
            item_handlers={
                "agent": ocp.StandardCheckpointHandler(),
                "rest": ocp.StandardCheckpointHandler(),
                "notes": ocp.JsonCheckpointHandler(),
            },
        )

    @property
    def empty(self) -> bool:
        """Whether no checkpoint has been written whole."""
        return self._manager.latest_step() is None

    def save(self, chunk: int, state: PyTree, notes: dict[str, Any]) -> None:
        """Write a checkpoint; returns when it is on the disk and the state may be donated.

        Array by array and from where they lie: a copy of the whole state, which would let training go on meanwhile,
        takes as much memory again, and a full Atari replay is most of what there is.

        Args:
          chunk: chunks done.
          state: the TrainState. Its agent is an item of its own, to be read without the replay.
          notes: what else the run must remember, JSON values.
        """
        items = jax.block_until_ready(_items(state))
        saves = {name: ocp.args.StandardSave(leaves) for name, leaves in items.items()}
        self._manager.save(chunk, args=ocp.args.Composite(**saves, notes=ocp.args.JsonSave(notes)))

    def restore(self, like: PyTree) -> tuple[PyTree, dict[str, Any]]:
        """The newest checkpoint's state and notes.

        Args:
          like: a TrainState, or its shapes, of the same structure.

        Raises:
          InputError: if there is none, or it is damaged or of another kind of run.
        """
        shapes = {"agent": _shapes(like.agent), "rest": _shapes(like.replace(agent=()))}
        restored = self._read(shapes, notes=ocp.args.JsonRestore())
        state = _from_saved(restored["rest"], like.replace(agent=()))
        return state.replace(agent=_from_saved(restored["agent"], like.agent)), restored["notes"]

    def restore_agent(self, like: PyTree) -> PyTree:
        """Only the newest checkpoint's agents, [N, ...].

        Args:
          like: agents, or their shapes, of the same structure.

        Raises:
          InputError: as of `restore`.
        """
        return _from_saved(self._read({"agent": _shapes(like)})["agent"], like)

    def _read(self, shapes: dict[str, Any], **others: Any) -> Any:
        chunk = self._manager.latest_step()
        if chunk is None:
            raise InputError(f"{self.path} holds no whole checkpoint to resume from")
        try:
            for name, expected in shapes.items():
                self._require_same_shapes(chunk, expected, self._manager.item_metadata(chunk)[name])
            items = {name: ocp.args.StandardRestore(leaves) for name, leaves in shapes.items()}
            return self._manager.restore(chunk, args=ocp.args.Composite(**items, **others))
        except InputError:
            raise
        except Exception as error:  # Orbax raises whatever its storage layers do
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"checkpoint {self.path / str(chunk)} is damaged and cannot be restored: {reason}"
            ) from None

    def _require_same_shapes(self, chunk: int, shapes: dict[str, Any], metadata: Any) -> None:
        saved = dict(metadata.items()) if metadata is not None else {}
        expected = {name: (tuple(leaf.shape), str(leaf.dtype)) for name, leaf in shapes.items()}
        found = {name: (tuple(leaf.shape), str(leaf.dtype)) for name, leaf in saved.items()}
        if found and found != expected:
            raise InputError(
                f"checkpoint {self.path / str(chunk)} is of another kind of run: "
                f"{len(found)} arrays of other shapes than the {len(expected)} expected"
            )

    def wait(self) -> None:
        """Until what was started is written."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Finish and release."""
        self._manager.close()


def learned_by(run_dir: Path, agents: PyTree) -> PyTree:
    """What the agents of another run have learned, with the numbers and counts of these new ones.

    Args:
      run_dir: of the other run.
      agents: new ones, or their shapes: then only whether they fit is checked.

    Raises:
      InputError: if there is no such run, or its agents are of another kind.
    """
    require((run_dir / "checkpoints").is_dir(), "init_from", str(run_dir), "a directory with a run in it")
    checkpoints = Checkpoints(run_dir)
    try:
        learned = checkpoints.restore_agent(agents)
    finally:
        checkpoints.close()

    def taken(path: Any, new: jax.Array, old: jax.Array) -> jax.Array:
        names = {getattr(part, "name", None) for part in path}
        return new if names & {"hyper", "updates", "horizon", "resets"} else old

    return jax.tree_util.tree_map_with_path(taken, agents, learned)
