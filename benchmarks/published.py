"""Published learning figures, to stand beside ours: each with its source.

Figures at the step counts of the suites were looked for in papers and in their authors' repositories. For C51, QR-DQN,
IQN, HL-Gauss, Munchausen-IQN, Rainbow, PQN and iterated networks on MinAtar, and for TQC, DSAC-T, REValueD and i-SAC at
100,000 steps, none were found as numbers.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Published:
    """What somebody has reported of an agent.

    Attributes:
      agent: the script of ours that it is of; None if there is none.
      name: of the method and who reports it.
      seeds: how many runs.
      steps: of each, in environment steps; None if it is not said.
      figures: by task, a mean and its standard deviation over seeds; None where it is not known.
      source: where, so that it can be looked up.
    """

    agent: str | None
    name: str
    seeds: int
    steps: int | None
    figures: dict[str, tuple[float, float | None]]
    source: str


MINATAR = (
    Published(
        "dqn",
        "DQN, MinAtar's authors",
        30,
        1_000_000,
        {
            "Asterix": (7.2, None),
            "Breakout": (9.3, None),
            "Freeway": (47.8, None),
            "Seaquest": (1.0, None),
            "SpaceInvaders": (33.0, None),
        },
        "kenjyoung/MinAtar@4241f24, img/learning_curves.gif, read off the curves: within 0.3, of SpaceInvaders "
        "within 2. Theirs is the harder game, so that a figure below ours does not say who learns better: an action is "
        "replaced by the one before with probability 0.1 (by gymnax never), returns are of exploring with ε = 0.1 "
        "(ours 0.02), all six actions are there, and Seaquest is as it was before an error in it was mended. Their "
        "games have no limit, but for Freeway; gymnax ends an episode after 1,000 steps, of Freeway after 2,500. An "
        "update of 32 is made every step, with RMSProp",
    ),
    Published(
        None,
        "PPO, gymnax's authors",
        1,
        None,
        {"Asterix": (15, None), "Breakout": (28, None), "Freeway": (58, None), "SpaceInvaders": (131, None)},
        "gymnax's list of environments, with far more samples",
    ),
)

_SIMBA = "DAVIAN-Robotics/SimbaV2@86899c2, results/baseline, which does not say who ran it"
# Told by the steps of its evaluations, 300 of 5 million, and by first evaluations that are those of its REDQ and DroQ.
_CROSSQ_CODE = "by its evaluations, one episode a seed, it is of the code of CrossQ's authors (adityab/CrossQ@a318a26)"
CONTROL = (
    Published(
        "sac",
        "SAC with a step size of 1e-3, ours is 3e-4",
        10,
        100_000,
        {"HalfCheetah-v4": (6156, 738), "Hopper-v4": (1103, 388), "Walker2d-v4": (690, 254)},
        f"{_SIMBA}: sac.csv; {_CROSSQ_CODE}",
    ),
    Published(
        "td3",
        "TD3 with a step size of 1e-3, 400 and 300 units and batches of 100, its authors, version 1 of the tasks",
        10,
        100_000,
        {"HalfCheetah-v4": (5514, 584), "Hopper-v4": (659, 793), "Walker2d-v4": (770, 618)},
        "sfujim/TD3@34770cc, learning_curves, the paper's by its README; its code was then c717e75",
    ),
    Published(
        "crossq",
        "CrossQ, widths of 2,048",
        10,
        100_000,
        {"HalfCheetah-v4": (8112, 944), "Hopper-v4": (2764, 823), "Walker2d-v4": (3914, 1729)},
        f"{_SIMBA}: crossq.csv",
    ),
    Published(
        None,
        "MR.Q, its authors",
        10,
        100_000,
        {"HalfCheetah-v4": (7872, 1218), "Hopper-v4": (2249, 911), "Walker2d-v4": (3127, 1163)},
        "facebookresearch/MRQ@8a44a7d, results/gym_results.txt",
    ),
)
