"""Every sample of the replay against the transitions that really took place, kept in plain Python lists."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxq.envs.base import ArraySpec, zero_reward_timestep
from jaxq.errors import InputError
from jaxq.replay import ActionSequenceReplay, PrioritizedReplay, SequenceReplay, UniformReplay
from jaxq.replay.uniform import FINAL
from jaxq.types import TimeStep

ENVS = 3


class Log:
    """Random episodes in several environments, with an identity for every observation."""

    def __init__(self, seed: int, rows: int, end_probability: float = 0.25, frames: int = 0):
        rng = np.random.default_rng(seed)
        self.frames = frames
        self.identity = np.zeros((rows + 1, ENVS), int)
        self.reward = np.zeros((rows + 1, ENVS), np.float32)
        self.terminated = np.zeros((rows + 1, ENVS), bool)
        self.truncated = np.zeros((rows + 1, ENVS), bool)
        self.first = np.zeros((rows + 1, ENVS), bool)
        self.action = rng.integers(0, 200, (rows + 1, ENVS))
        self.first[0] = True
        for e in range(ENVS):
            for t in range(rows + 1):
                self.identity[t, e] = 1 + t * ENVS + e
                if t > 0:
                    self.first[t, e] = self.terminated[t - 1, e] or self.truncated[t - 1, e]
                    if not self.first[t, e]:
                        self.reward[t, e] = rng.normal()
                        ends = rng.random() < end_probability
                        self.terminated[t, e] = ends and rng.random() < 0.5
                        self.truncated[t, e] = ends and not self.terminated[t, e]

    def observation(self, t: int, e: int) -> np.ndarray:
        """[1] or, stacked, [1, frames]: the identities of the episode's last frames, zero before its start."""
        if not self.frames:
            return np.array([self.identity[t, e]], np.float32)
        stack, at, over = [], t, False
        for _ in range(self.frames):
            stack.append(0 if over or at < 0 else self.identity[at, e])
            over = over or at < 0 or self.first[at, e]
            at -= 1
        return np.array([stack[::-1]], np.float32)

    def timestep(self, t: int) -> TimeStep:
        return TimeStep(
            jnp.asarray(np.stack([self.observation(t, e) for e in range(ENVS)])),
            jnp.asarray(self.reward[t]),
            jnp.asarray(self.terminated[t]),
            jnp.asarray(self.truncated[t]),
            jnp.asarray(self.first[t]),
        )

    def window(self, t: int, e: int, n: int):
        """What an n-step transition from row t is, by walking forward."""
        rewards = np.zeros(n, np.float32)
        for i in range(n):
            rewards[i] = self.reward[t + i + 1, e]
            if self.terminated[t + i + 1, e] or self.truncated[t + i + 1, e]:
                break
        m = i + 1
        return (
            self.observation(t, e),
            self.action[t, e],
            rewards,
            m,
            self.terminated[t + m, e],
            self.observation(t + m, e),
        )


def filled(rows_written: int, capacity_rows: int, n: int, frames: int = 0, seed: int = 0, batch: int = 4096):
    log = Log(seed, rows_written, frames=frames)
    spec = ArraySpec((1, frames) if frames else (1,), np.float32, frames)
    replay = UniformReplay(capacity_rows * ENVS, batch, ENVS, spec, n_step=n)
    state = replay.init(log.timestep(0), jnp.asarray(log.action[0], jnp.int32), ())
    add = jax.jit(replay.add)
    for t in range(rows_written):
        state = add(state, log.timestep(t), jnp.asarray(log.action[t], jnp.int32), (), log.timestep(t + 1))
    return log, replay, state


def check_window(batch, i, log, t, e, n):
    observation, action, rewards, steps, terminated, following = log.window(t, e, n)
    np.testing.assert_array_equal(batch.observation[i], observation)
    assert batch.action[i] == action
    np.testing.assert_array_equal(batch.rewards[i], rewards)
    assert batch.steps[i] == steps
    assert batch.terminated[i] == terminated
    np.testing.assert_array_equal(batch.next_observation[i], following)


@pytest.mark.parametrize("frames", [0, 3])
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("rows_written", [12, 20, 21, 47])
def test_samples_are_the_transitions_that_happened(rows_written, n, frames):
    capacity = 20
    log, replay, state = filled(rows_written, capacity, n, frames)
    batch = jax.device_get(jax.jit(replay.sample)(state, jax.random.key(1)))
    last = batch.observation.reshape(len(batch.weight), -1)[:, -1].astype(int)
    drawn = set()
    for i, identity in enumerate(last):
        if batch.weight[i] == 0:
            continue
        t, e = divmod(int(identity) - 1, ENVS)
        drawn.add((t, e))
        assert batch.index[i] == (t % capacity) * ENVS + e
        check_window(batch, i, log, t, e, n)
    # Every start the ring can serve is drawn, and no other.
    oldest = max(rows_written - capacity, 0)
    oldest += max(frames - 1, 0) if rows_written >= capacity else 0
    possible = {
        (t, e)
        for t in range(oldest, rows_written - n)
        for e in range(ENVS)
        if not (log.terminated[t, e] or log.truncated[t, e])
    }
    assert drawn == possible


def test_draws_are_uniform_over_the_transitions():
    log, replay, state = filled(rows_written=30, capacity_rows=20, n=1, batch=30_000)
    batch = jax.device_get(replay.sample(state, jax.random.key(2)))
    counted = batch.observation[batch.weight > 0, 0].astype(int)
    _, counts = np.unique(counted, return_counts=True)
    expected = counts.sum() / len(counts)
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert chi_squared < len(counts) + 4 * np.sqrt(2 * len(counts))
    # What has weight zero has met no transition four times: rows 10 to 28 can be met.
    lost = len(batch.weight) * (log.terminated | log.truncated)[10:29].mean() ** 4
    assert lost > 40
    assert abs((batch.weight == 0).sum() - lost) < 4 * np.sqrt(lost)


def test_sealed_ring_is_not_sampled_across_the_seal():
    """What stands before the seal was truncated in its newest row, for returns and for sequences of actions."""
    log, replay, state = filled(rows_written=15, capacity_rows=40, n=3)
    sealed, other = jax.jit(replay.seal)(state), Log(7, 15)
    log.truncated[14] |= ~log.terminated[14]
    other.identity += 1000
    other.action += 1000
    add = jax.jit(replay.add)
    for t in range(15):
        action = jnp.asarray(other.action[t], jnp.int32)
        sealed = add(sealed, other.timestep(t), action, (), other.timestep(t + 1))
    batch = jax.device_get(jax.jit(replay.sample)(sealed, jax.random.key(0)))
    actions = ActionSequenceReplay(*(40 * ENVS, 4096, ENVS), replay.observation_spec, 3, action_steps=3)
    sequences = jax.device_get(jax.jit(actions.sample)(sealed, jax.random.key(0))).action
    starts = set()
    for i in np.nonzero(batch.weight)[0]:
        identity = int(batch.observation[i, 0])
        episodes = log if identity < 1000 else other
        t, e = divmod(identity % 1000 - 1, ENVS)
        starts.add(t if identity < 1000 else 15 + t)
        check_window(batch, i, episodes, t, e, 3)
        last = t + batch.steps[i] - 1
        np.testing.assert_array_equal(sequences[i], [episodes.action[min(t + k, last), e] for k in range(3)])
    assert starts == set(range(27)) - {14}


def test_the_shortest_warm_up_leaves_one_window_in_each_environment():
    least = UniformReplay(20 * ENVS, 64, ENVS, ArraySpec((1,)), n_step=3).minimum_size
    _, replay, state = filled(rows_written=-(-least // ENVS), capacity_rows=20, n=3, batch=64)
    assert int(state.size) * ENVS == least
    batch = jax.jit(replay.sample)(state, jax.random.key(0))
    assert set(np.asarray(batch.index)) == set(range(ENVS))


def test_members_and_environments_lie_where_their_axes_say():
    """A population of stacked members writes what each writes alone, and so does each environment of a ring."""
    logs = [Log(seed, 25) for seed in (0, 1)]
    whole = PrioritizedReplay(UniformReplay(20 * ENVS, 8, ENVS, ArraySpec((1,))))
    alone = UniformReplay(20, 8, 1, ArraySpec((1,)))

    def row(log, t):
        identity = jnp.asarray(log.identity[t])
        return log.timestep(t), jnp.asarray(log.action[t]), {"record": -identity}, log.timestep(t + 1)

    def filled(replay, member, part=slice(None)):
        add = jax.jit(replay.add)
        rows = [jax.tree.map(lambda leaf: leaf[part], row(logs[member], t)) for t in range(24)]
        state = replay.init(*rows[0][:3])
        for one in rows:
            state = add(state, *one)
        return state

    states = [filled(whole, member) for member in (0, 1)]
    axes = whole.population_axes
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    population = stacked.replace(ring=stacked.ring.replace(position=states[0].ring.position, size=states[0].ring.size))
    rows = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(row(log, 24) for log in logs))
    population = jax.jit(jax.vmap(whole.add, (axes, 0, 0, 0, 0), axes))(population, *rows)
    assert (population.ring.position.shape, population.ring.size.shape) == ((), ())
    add = jax.jit(whole.add)
    for member, state in enumerate(states):
        expected = add(state, *row(logs[member], 24))
        for ours, theirs in zip(jax.tree.leaves(population), jax.tree.leaves(expected), strict=True):
            np.testing.assert_array_equal(ours[member] if ours.ndim > theirs.ndim else ours, theirs)
    for e in range(ENVS):
        rings = jax.device_get((filled(alone, 0, slice(e, e + 1)), states[0].ring))
        own, together = (jax.tree.leaves(ring) for ring in rings)
        for axis, ours, theirs in zip(jax.tree.leaves(alone.environment_axes), together, own, strict=False):
            np.testing.assert_array_equal(np.take(ours, [e], axis), theirs)


def test_each_frame_is_stored_once():
    spec = ArraySpec((84, 84, 4), np.uint8, 4)
    replay = UniformReplay(1_000_000, 32, 1, spec)
    timestep = zero_reward_timestep(jax.ShapeDtypeStruct((1, 84, 84, 4), np.uint8), 1)
    state = jax.eval_shape(replay.init, timestep, jax.ShapeDtypeStruct((1,), np.int32), ())
    assert sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state)) < 8e9


@pytest.mark.parametrize(
    ("sizes", "named"),
    [
        ({"capacity": 4}, "replay_capacity"),
        ({"batch_size": 0}, "batch_size"),
        ({"n_step": 0}, "n_step"),
        ({"n_step": 200}, "replay_capacity"),
        ({"num_envs": 0}, "num_envs"),
    ],
)
def test_impossible_sizes_are_named(sizes, named):
    good = {"capacity": 100, "batch_size": 8, "num_envs": 2, "observation_spec": ArraySpec((1,))}
    with pytest.raises(InputError, match=named):
        UniformReplay(**{**good, **sizes})


def test_the_smallest_ring_holds_a_window_its_stack_and_the_row_being_written():
    spec = ArraySpec((1, 4), frames=4)
    for reach, steps in ((3, {"n_step": 3}), (1, {})):
        smallest = 2 * (reach + 3 + 2)
        make = functools.partial(UniformReplay, batch_size=8, num_envs=2, observation_spec=spec, **steps)
        make(smallest)
        with pytest.raises(InputError, match=f"replay_capacity is {smallest - 1}, but must be at least {smallest}"):
            make(smallest - 1)


@pytest.mark.parametrize("frames", [0, 3])
@pytest.mark.parametrize("prioritized", [False, True])
def test_segments_are_what_happened(frames, prioritized):
    """Step by step against the log, over episodes' ends and past the ring's first turn."""
    length, capacity, written = 5, 40, 61
    log = Log(3, written, frames=frames)
    spec = ArraySpec((1, frames) if frames else (1,), np.float32, frames)
    ring = SequenceReplay(capacity * ENVS, 256, ENVS, spec, n_step=length)
    replay = PrioritizedReplay(ring) if prioritized else ring
    state = replay.init(log.timestep(0), jnp.asarray(log.action[0], jnp.int32), jnp.asarray(log.identity[0]))
    add = jax.jit(replay.add)
    for t in range(written):
        action, record = jnp.asarray(log.action[t], jnp.int32), jnp.asarray(-log.identity[t])
        state = add(state, log.timestep(t), action, record, log.timestep(t + 1))
    batch = jax.tree.map(np.asarray, jax.jit(replay.sample)(state, jax.random.key(0)))
    newest = batch.observation[:, :, 0, -1] if frames else batch.observation[:, :, 0]
    assert (len(newest), len(batch.action)) == (length + 1, length)
    np.testing.assert_array_equal(batch.record, -newest[:-1])
    np.testing.assert_array_equal(batch.index, (newest[0] - 1) % (capacity * ENVS))
    starts = set()
    for b in np.nonzero(batch.weight)[0]:
        t, e = divmod(int(newest[0, b]) - 1, ENVS)
        starts.add((t, e))
        assert not log.terminated[t, e]
        assert not log.truncated[t, e]
        assert written - capacity <= t < written - length
        for i in range(length + 1):
            np.testing.assert_array_equal(batch.observation[i, b], log.observation(t + i, e))
        for i in range(length):
            ended = log.terminated[t + i, e] or log.truncated[t + i, e]
            assert batch.action[i, b] == log.action[t + i, e]
            assert batch.final[i, b] == ended
            np.testing.assert_allclose(batch.reward[i, b], log.reward[t + i + 1, e])
            assert batch.terminated[i, b] == log.terminated[t + i + 1, e]
            assert batch.truncated[i, b] == log.truncated[t + i + 1, e]
    assert len(starts) > 30


@pytest.mark.parametrize("rows_written", [12, 47])
def test_a_tree_is_replayed_leaf_by_leaf(rows_written):
    """Stacked and single arrays side by side: each as in a replay of its own, where the longest stack is whole."""
    logs = [Log(0, rows_written, frames=frames) for frames in (4, 2, 0)]
    spec = {"images": (ArraySpec((1, 4), frames=4), ArraySpec((1, 2), frames=2)), "one": ArraySpec((1,))}
    replay = PrioritizedReplay(UniformReplay(20 * ENVS, 512, ENVS, spec, n_step=2))

    def timestep(t):
        long, short, one = (log.timestep(t) for log in logs)
        return one.replace(observation={"images": (long.observation, short.observation), "one": one.observation})

    state = replay.init(timestep(0), jnp.zeros(ENVS, jnp.int32), ())
    add = jax.jit(replay.add)
    for t in range(rows_written):
        state = add(state, timestep(t), jnp.zeros(ENVS, jnp.int32), (), timestep(t + 1))
    assert state.ring.observation["images"][0].shape == (20, ENVS, 1), "frames are stored once"
    for sample in (replay.sample(state, jax.random.key(0)), replay.ring.sample(state.ring, jax.random.key(0))):
        batch, starts = jax.tree.map(np.asarray, sample), set()
        for i in np.nonzero(batch.weight)[0]:
            t, e = divmod(int(batch.observation["one"][i, 0]) - 1, ENVS)
            after = t + int(batch.steps[i])
            starts.add(t)
            for seen, at in ((batch.observation, t), (batch.next_observation, after)):
                (long, short), one = seen["images"], seen["one"]
                for log, leaf in zip(logs, (long, short, one), strict=True):
                    np.testing.assert_array_equal(leaf[i], log.observation(at, e))
        assert min(starts) == (0 if rows_written < 20 else rows_written - 20 + 3), "the longest stack is whole"


def test_rewards_of_several_channels_are_kept_apart():
    replay = UniformReplay(40, 64, 2, ArraySpec((1,)), n_step=3)
    no = jnp.zeros(2, bool)

    def timestep(t):
        reward = jnp.array([[t, 10.0 * t], [-t, 5.0]], jnp.float32)
        return TimeStep(jnp.full((2, 1), t, jnp.float32), reward, no, no, no)

    state = replay.init(timestep(0), jnp.zeros(2, jnp.int32), ())
    for t in range(15):
        state = replay.add(state, timestep(t), jnp.zeros(2, jnp.int32), (), timestep(t + 1))
    batch = replay.sample(state, jax.random.key(0))
    assert batch.rewards.shape == (64, 3, 2)
    t = np.asarray(batch.observation[:, 0])[:, None] + np.arange(1, 4)
    first = np.asarray(batch.index) % 2 == 0
    np.testing.assert_allclose(batch.rewards[first, :, 1], 10.0 * t[first])
    np.testing.assert_allclose(batch.rewards[~first, :, 0], -t[~first])


@pytest.mark.parametrize("frames", [0, 3])
@pytest.mark.parametrize("kind", [UniformReplay, SequenceReplay, ActionSequenceReplay])
def test_nothing_is_drawn_by_priority_that_begins_where_an_episode_has_ended(kind, frames):
    """However often the replay is sealed: where a leaf is not zero, there is a transition."""
    spec = ArraySpec((1, frames) if frames else (1,), np.float32, frames)
    more = {"action_steps": 4} if kind is ActionSequenceReplay else {"n_step": 3}
    replay = PrioritizedReplay(kind(20 * ENVS, 8, ENVS, spec, **more))
    rng, observation, no = np.random.default_rng(0), jnp.zeros((ENVS, *spec.shape)), jnp.zeros(ENVS, bool)

    def step(last, first):
        return TimeStep(observation, jnp.ones(ENVS), jnp.asarray(last), no, jnp.asarray(first))

    now = step(np.zeros(ENVS, bool), np.ones(ENVS, bool))
    state = replay.init(now, jnp.zeros(ENVS, jnp.int32), ())
    add, seal, drawn = jax.jit(replay.add), jax.jit(replay.seal), 0
    for _ in range(90):
        first = np.asarray(now.last) | (rng.random(ENVS) < 0.05)
        following = step((rng.random(ENVS) < 0.2) & ~first, first)
        state, now = add(state, now, jnp.zeros(ENVS, jnp.int32), (), following), following
        state = seal(state) if rng.random() < 0.2 else state
        leaves = np.asarray(state.tree.levels[0]).ravel()[: 20 * ENVS].reshape(20, ENVS)
        assert not ((leaves > 0) & (np.asarray(state.ring.flags) & FINAL != 0)).any()
        drawn += (leaves > 0).sum()
    assert drawn > 1000
