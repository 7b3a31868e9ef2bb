"""Small MDPs, each whole in four arrays."""

import dataclasses
from collections.abc import Callable

import numpy as np

from jaxq.errors import require


@dataclasses.dataclass(frozen=True, eq=False)
class MDP:
    """A finite Markov decision process, or a zero-sum Markov game whose actions are pairs.

    Attributes:
      transition: [S, A, S] probabilities of the next state.
      reward: [S, A, S] on the way there, or [S, A, S, C] where rewards have several channels.
      terminal: [S] bool; nothing follows such a state.
      initial: [S] probabilities of the first state.
      max_steps: where an episode is cut off.
      rows: of a game, the maximizing player's actions; action `i * columns + j` is the pair (i, j). 0 for no game.

    Raises:
      InputError: if probabilities are negative or do not add up to one.
    """

    transition: np.ndarray
    reward: np.ndarray
    terminal: np.ndarray
    initial: np.ndarray
    max_steps: int = 100
    rows: int = 0

    def __post_init__(self) -> None:
        for name, p in (("transition", self.transition), ("initial", self.initial)):
            valid = bool((p >= 0).all() and np.allclose(p.sum(axis=-1), 1.0))
            require(valid, name, "not a distribution", "non-negative with a sum of 1 over its last axis")

    @property
    def num_states(self) -> int:
        """S."""
        return self.transition.shape[0]

    @property
    def num_actions(self) -> int:
        """A."""
        return self.transition.shape[1]

    @property
    def channels(self) -> tuple[int, ...]:
        """`(C,)` where rewards have several channels, else `()`."""
        return self.reward.shape[3:]

    @property
    def expected_reward(self) -> np.ndarray:
        """[S, A] or [S, A, C]."""
        return np.einsum("sat,sat...->sa...", self.transition, self.reward)


def _deterministic(following: np.ndarray, reward: np.ndarray, terminal: np.ndarray, start: int, **rest: int) -> MDP:
    """From next states [S, A] and rewards [S, A] or [S, A, C]."""
    states, actions = following.shape
    transition = np.eye(states)[following]
    spread = np.broadcast_to(reward[:, :, None], (states, actions, states, *reward.shape[2:]))
    return MDP(transition, spread.astype(float), terminal, np.eye(states)[start], **rest)


def chain(length: int = 8) -> MDP:
    """States in a row; left pays 0.1 at the near end and right 1 at the far one, where episodes end."""
    states = np.arange(length)
    following = np.stack([np.maximum(states - 1, 0), np.minimum(states + 1, length - 1)], axis=1)
    reward = np.zeros((length, 2))
    reward[1, 0], reward[length - 2, 1] = 0.1, 1.0
    terminal = (states == 0) | (states == length - 1)
    return _deterministic(following, reward, terminal, start=min(2, length - 2))


_MOVES = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])  # up, right, down, left


def gridworld(layout: tuple[str, ...] = ("S..", ".#.", "..G"), step_reward: float = -0.1, slip: float = 0.0) -> MDP:
    """Moves in four directions on a map: `S` start, `G` goal (pays 1, ends), `H` hole (pays -1, ends), `#` wall.

    Args:
      layout: rows of equal length.
      step_reward: of every move.
      slip: probability that a move goes in a random direction instead.
    """
    cells = np.array([list(row) for row in layout])
    height, width = cells.shape
    flat = cells.ravel()
    row, column = np.divmod(np.arange(flat.size), width)
    following = np.zeros((flat.size, 4), int)
    for action, (down, right) in enumerate(_MOVES):
        r, c = np.clip(row + down, 0, height - 1), np.clip(column + right, 0, width - 1)
        target = r * width + c
        following[:, action] = np.where(flat[target] == "#", np.arange(flat.size), target)
    sure = np.eye(flat.size)[following]
    transition = (1 - slip) * sure + slip * sure.mean(axis=1, keepdims=True)
    arrival = step_reward + np.where(flat == "G", 1.0, 0.0) - np.where(flat == "H", 1.0, 0.0)
    reward = np.broadcast_to(arrival, transition.shape).copy()
    initial = (flat == "S") / (flat == "S").sum()
    return MDP(transition, reward, (flat == "G") | (flat == "H"), initial)


def cliff(width: int = 12) -> MDP:
    """The cliff of Sutton and Barto (example 6.6): -1 a step; a step over the edge costs 100 and leads to the start."""
    plain = gridworld(("." * width,) * 3 + ("S" + "." * (width - 2) + "G",), step_reward=-1.0)
    edge = np.arange(3 * width + 1, 4 * width - 1)
    start = 3 * width
    transition, reward = plain.transition.copy(), np.full_like(plain.reward, -1.0)
    fallen = transition[:, :, edge].sum(axis=2)
    transition[:, :, start] += fallen
    transition[:, :, edge] = 0.0
    # A fall is told from a step to the start only by where it came from: no cell of the edge is ever entered.
    for s, a in zip(*np.nonzero(fallen), strict=True):
        reward[s, a, start] = -100.0
    return MDP(transition, reward, plain.terminal, plain.initial, max_steps=200)


def gamble() -> MDP:
    """A sure reward of 1, or a gamble for 2.4 with even odds; then the same choice once more, and the end.

    The gamble has the higher mean, the sure reward the higher lower tail, so that attitudes to risk part here.
    """
    # A win is told from a loss by the state that it leads to.
    states = {"first": 0, "second": 1, "won, second": 2, "end": 3, "won, end": 4}
    size = len(states)
    transition, reward = np.zeros((size, 2, size)), np.zeros((size, 2, size))
    for at, after, won in (("first", "second", "won, second"), ("second", "end", "won, end")):
        origins = (at,) if at == "first" else ("second", "won, second")
        for origin in origins:
            s = states[origin]
            transition[s, 0, states[after]], reward[s, 0, states[after]] = 1.0, 1.0
            transition[s, 1, states[after]], transition[s, 1, states[won]] = 0.5, 0.5
            reward[s, 1, states[won]] = 2.4
    for end in ("end", "won, end"):
        transition[states[end], :, states[end]] = 1.0
    terminal = np.array([name.endswith("end") for name in states])
    return MDP(transition, reward, terminal, np.eye(size)[0])


def vector_maze() -> MDP:
    """A 4 × 3 grid with rewards of three channels: moving (-0.1 each), a treasure of 1 far off, one of 0.6 nearby."""
    plain = gridworld(("S..", "...", "H..", "..G"), step_reward=0.0)
    reward = np.zeros((*plain.transition.shape, 3))
    reward[..., 0] = -0.1
    reward[:, :, 11, 1] = 1.0
    reward[:, :, 6, 2] = 0.6
    return MDP(plain.transition, reward, plain.terminal, plain.initial)


def garnet(seed: int = 0, states: int = 8, actions: int = 3, branching: int = 3, terminal: bool = True) -> MDP:
    """A random MDP (Archibald et al., 1995): each action leads to `branching` states, with standard normal rewards.

    Args:
      seed: of the draw.
      states, actions, branching: sizes.
      terminal: whether the last state ends the episode.
    """
    require(1 <= branching <= states, "branching", branching, f"in 1 .. {states}")
    rng = np.random.default_rng(seed)
    transition = np.zeros((states, actions, states))
    for s in range(states):
        for a in range(actions):
            cuts = np.sort(rng.uniform(size=branching - 1))
            transition[s, a, rng.choice(states, branching, replace=False)] = np.diff([0.0, *cuts, 1.0])
    reward = np.broadcast_to(rng.normal(size=(states, actions, 1)), transition.shape).copy()
    ends = np.zeros(states, bool)
    ends[-1] = terminal
    return MDP(transition, reward, ends, np.eye(states)[0])


def markov_game(seed: int = 0, states: int = 4, rows: int = 3, columns: int = 3) -> MDP:
    """A random zero-sum Markov game (Littman, 1994): a stage game in each state, which also decides where to go."""
    plain = garnet(seed, states, rows * columns, min(2, states))
    return dataclasses.replace(plain, rows=rows)


MDPS: dict[str, Callable[[], MDP]] = {
    "Chain": chain,
    "Cliff": cliff,
    "Gamble": gamble,
    "Garnet": garnet,
    "GridWorld": gridworld,
    "MarkovGame": markov_game,
    "VectorMaze": vector_maze,
}
