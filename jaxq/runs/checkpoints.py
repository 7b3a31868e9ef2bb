"""Checkpoints of a whole TrainState, by Orbax: written array by array, whole or not at all."""

import contextlib
import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from jaxq import platforms
from jaxq.errors import InputError, require
from jaxq.hyperparameters import OF_THE_RUN, Hyperparameters
from jaxq.runs.directory import load_config
from jaxq.types import PyTree

KEPT = 2
# An array is encoded and written in parts of this size, or the encoded whole would lie beside it in memory.
PART_BYTES = 2**26
FILE_BYTES = 2**27


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


def _items(state: PyTree, chunk: PyTree | None, of: Callable[[PyTree], Any]) -> dict[str, Any]:
    """What a checkpoint consists of."""
    items = {"agent": of(state.agent), "rest": of(state.replace(agent=()))}
    return items if chunk is None else {**items, "chunk": of(chunk)}


def _saving(leaves: dict[str, Any]) -> ocp.args.PyTreeSave:
    parts = {name: ocp.SaveArgs(chunk_byte_size=PART_BYTES) for name in leaves}
    return ocp.args.PyTreeSave(leaves, save_args=parts, ocdbt_target_data_file_size=FILE_BYTES)


def _restoring(leaves: dict[str, Any]) -> ocp.args.PyTreeRestore:
    places = {name: ocp.ArrayRestoreArgs(sharding=leaf.sharding, dtype=leaf.dtype) for name, leaf in leaves.items()}
    return ocp.args.PyTreeRestore(leaves, restore_args=places)


class Checkpoints:
    """The checkpoints of one run, numbered in their order.

    Args:
      run_dir: of the run.
      read_only: whether they are another's, who may be writing one: nothing is made or cleared away.

    Raises:
      InputError: if there are none to be read.
    """

    def __init__(self, run_dir: Path, *, read_only: bool = False):
        # Orbax reports every save, and logs the trace of errors that it also raises.
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        self.path = (run_dir / "checkpoints").absolute()
        if read_only and not self.path.is_dir():
            raise InputError(f"{self.path} holds no whole checkpoint to begin from")
        writing = {} if read_only else {"max_to_keep": KEPT, "cleanup_tmp_directories": True}
        self._manager = ocp.CheckpointManager(
            self.path,
            options=ocp.CheckpointManagerOptions(read_only=read_only, enable_async_checkpointing=False, **writing),
            # Named, so that a process that has saved nothing can tell the shapes of what another has.
            item_handlers={
                **{name: ocp.PyTreeCheckpointHandler() for name in ("agent", "rest", "chunk")},
                "notes": ocp.JsonCheckpointHandler(),
            },
        )

    @property
    def empty(self) -> bool:
        """Whether no checkpoint has been written whole."""
        return self._manager.latest_step() is None

    def save(self, state: PyTree, notes: dict[str, Any], chunk: PyTree | None = None) -> None:
        """Write a checkpoint; returns when it is on the disk and the state may be donated.

        From where the arrays lie, part by part: a copy of the whole state, which would let training go on meanwhile,
        takes as much memory again, and a full Atari replay is most of what there is.

        Args:
          state: the TrainState. Its agent is an item of its own, to be read without the replay.
          notes: what else the run must remember, JSON values.
          chunk: the ChunkState, if one is under way.
        """
        items = jax.block_until_ready(_items(state, chunk, _to_saved))
        saves = {name: _saving(leaves) for name, leaves in items.items()}
        last = self._manager.latest_step()
        number = 1 if last is None else last + 1
        self._manager.save(number, args=ocp.args.Composite(**saves, notes=ocp.args.JsonSave(notes)))

    def restore(self, like: PyTree, chunk_like: PyTree = ()) -> tuple[PyTree, PyTree | None, dict[str, Any]]:
        """The newest checkpoint's state, the chunk that was under way, if one was, and the notes.

        Args:
          like: a TrainState, or its shapes, of the same structure.
          chunk_like: a ChunkState, likewise, needed where one may be under way.

        Raises:
          InputError: if there is none, or it is damaged or of another kind of run.
        """
        under_way = chunk_like if self._holds_chunk() else None
        restored = self._read(_items(like, under_way, _shapes), notes=ocp.args.JsonRestore())
        state = _from_saved(restored["rest"], like.replace(agent=()))
        state = state.replace(agent=_from_saved(restored["agent"], like.agent))
        chunk = None if under_way is None else _from_saved(restored["chunk"], chunk_like)
        return state, chunk, restored["notes"]

    def _holds_chunk(self) -> bool:
        last = self._manager.latest_step()
        return last is not None and (self.path / str(last) / "chunk").is_dir()

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
            items = {name: _restoring(leaves) for name, leaves in shapes.items()}
            return self._manager.restore(chunk, args=ocp.args.Composite(**items, **others))
        except InputError:
            raise
        except Exception as error:  # Orbax raises whatever its storage layers do
            reason = " ".join(str(error).split())[:200]
            older = max((step for step in self._manager.all_steps() if step < chunk), default=None)
            instead = "" if older is None else f"; move it away to go on from checkpoint {older}, which is beside it"
            raise InputError(
                f"checkpoint {self.path / str(chunk)} is damaged and cannot be restored: {reason}{instead}"
            ) from None

    def _require_same_shapes(self, chunk: int, shapes: dict[str, Any], metadata: Any) -> None:
        saved = dict(metadata.items()) if metadata is not None else {}
        expected = {name: (tuple(leaf.shape), str(leaf.dtype)) for name, leaf in shapes.items()}
        found = {name: (tuple(leaf.shape), str(leaf.dtype)) for name, leaf in saved.items()}
        if found and found != expected:
            told = f"{len(found)} arrays, where {len(expected)} are expected"
            if found.keys() == expected.keys():  # it is a width, an observation or an action that has changed
                (shape, dtype), (ours, kind) = next((found[k], expected[k]) for k in found if found[k] != expected[k])
                told = f"an array {shape} of {dtype}, where {ours} of {kind} is expected"
            raise InputError(f"checkpoint {self.path / str(chunk)} is of another kind of run: {told}")

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
      agents: new ones, or their shapes: then only whether they fit is checked. Each goes on from the one of its place,
        or all from the only one.

    Raises:
      InputError: if there is no such run, it has another number of members, or its agents are of another kind.
    """
    require((run_dir / "checkpoints").is_dir(), "init_from", str(run_dir), "a directory with a run in it")
    saved = load_config(run_dir)
    theirs, ours = len(saved["population"]) or saved["num_seeds"], jax.tree.leaves(agents)[0].shape[0]
    if theirs not in (1, ours):
        told = f"init_from is '{run_dir}', a run of {theirs} members, but must be one of a single member"
        raise InputError(f"{told}, or of as many as this has, {ours}", "init_from")
    with contextlib.closing(Checkpoints(run_dir, read_only=True)) as checkpoints:
        if theirs == ours:
            learned = checkpoints.restore_agent(agents)
        else:
            one = jax.eval_shape(lambda tree: jax.tree.map(lambda leaf: leaf[:1], tree), agents)
            learned = jax.tree.map(_like, agents, checkpoints.restore_agent(one))
    return with_learned(agents, learned)


def _like(many: jax.Array, one: jax.Array) -> jax.Array:
    """The only lane in all of them, where they are."""
    repeated = jnp.broadcast_to(one, many.shape)
    return jax.device_put(repeated, many.sharding) if isinstance(many, jax.Array) else repeated


def with_learned(new: PyTree, old: PyTree) -> PyTree:
    """A state with what another one has learned: all of it but hyperparameters and what is `OF_THE_RUN`."""
    return jax.tree.map(_with_learned, new, old, is_leaf=dataclasses.is_dataclass)


def _with_learned(new: PyTree, old: PyTree) -> PyTree:
    if isinstance(new, Hyperparameters):
        return new
    if not dataclasses.is_dataclass(new):
        return old
    fields = [field for field in dataclasses.fields(new) if field.metadata.get("pytree_node", True)]
    names = [field.name for field in fields if not OF_THE_RUN.items() <= field.metadata.items()]
    learned = {name: with_learned(getattr(new, name), getattr(old, name)) for name in names}
    return dataclasses.replace(new, **learned)  # type: ignore[type-var]
