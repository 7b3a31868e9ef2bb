"""Writes docs/results.md from the raw results: every number in the documentation comes from here.

python -m benchmarks.report
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.runs import kept
from benchmarks.timing import RESULTS, cells
from jaxq.runs.aggregate import interquartile_mean, probability_of_improvement, stratified_bootstrap_interval
from jaxq.runs.results import Result

ROOT = Path(__file__).parent.parent

SETTINGS = {
    "dqn-cartpole-1": "DQN, CartPole, 1 environment, 64-64, an update of 64 every 4 steps",
    "dqn-cartpole-128": "DQN, CartPole, 128 environments, 64-64, an update of 256 every step of the batch",
    "sac-halfcheetah": "SAC, EnvPool HalfCheetah-v4, 256-256, an update of 256 a step",
    "dqn-minatar": "DQN, MinAtar Breakout, 16 environments, an update of 32 every step of the batch",
    "dqn-minatar-128": "The same with an update of 128",
    "pqn-minatar": "PQN, MinAtar Breakout, 128 environments × 32 steps, 2 epochs of 32 minibatches",
    "dqn-pong": "DQN, EnvPool Pong, 4 environments, Nature network, an update of 32 every 4 steps",
}

METHOD = (
    "Contenders of a setting run in turn, round after round; steps per second are medians, ratios are medians of the "
    "rounds' own ratios, compilation excluded. *floor* is the hand-written scan of `benchmarks/floor.py`, *sbx* is "
    "Stable-Baselines-Jax, *environment alone* steps with random actions, *products alone* does the matrix products of "
    "acting and learning and nothing else: jaxq's speed over these two is the share of its time that they would take."
)


def throughput_table(results: dict[str, Any]) -> str:
    """Median steps per second of each contender, and the median over rounds of jaxq's ratio to it."""
    lines = ["| setting | contender | steps/s | jaxq's speed over it |", "| --- | --- | ---: | ---: |"]
    for setting, title in SETTINGS.items():
        if setting not in results:
            continue
        rates = results[setting]["steps_per_second"]
        ours = np.array(next(iter(rates.values())))
        for i, (name, values) in enumerate(rates.items()):
            ratio = float(np.median(ours / np.array(values)))
            lines.append(f"| {title if i == 0 else ''} | {name} | {np.median(values):,.0f} | {ratio:.2f} |")
    return "\n".join(lines)


def ratio_table(rates: dict[str, list[float]], unit: str) -> str:
    """Median rate of each contender, and the median over rounds of the first one's ratio to it."""
    ours = np.array(next(iter(rates.values())))
    lines = [f"| contender | {unit} | jaxq's speed over it |", "| --- | ---: | ---: |"]
    for name, values in rates.items():
        ratio = float(np.median(ours / np.array(values)))
        lines.append(f"| {name} | {np.median(values):,.0f} | {ratio:.2f} |")
    return "\n".join(lines)


def learning_table() -> str:
    """A row a run directory kept under results/runs: final evaluation returns over seeds, and the command."""
    lines = [
        "| environment | agent | seeds | steps of each | IQM | 95% interval | mean | lowest | steps/s | command |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for run in kept(but=("minatar-", "family-", "million-", "before-", "control-")):
        summary, returns, command = run.summary, run.returns, run.command.split(" --run-dir")[0]
        low, high = stratified_bootstrap_interval(returns[None])
        interval = f"{low:,.1f} to {high:,.1f}" if len(returns) > 1 else ""
        lines.append(
            f"| {summary['env']} | {summary['agent']} | {len(returns)} | {summary['total_steps']:,} "
            f"| {interquartile_mean(returns):,.1f} | {interval} | {returns.mean():,.1f} | {returns.min():,.1f} "
            f"| {summary['env_steps_per_second']:,.0f} | `{command}` |"
        )
    return "\n".join(lines)


# From gymnax's own documentation (its list of environments): PPO, trained by its authors with far more samples.
PUBLISHED = {"Asterix": 15, "Breakout": 28, "Freeway": 58, "SpaceInvaders": 131}


LAST = 0.25  # of a run: the episodes that count while exploring


def exploring_returns(run: Result) -> np.ndarray:
    """Mean return of the episodes that ended in the last quarter of a run, exploring, by seed."""
    step = np.array(run.curve["step"])
    counted = step > (1.0 - LAST) * step[-1]
    episodes = np.array(run.curve["episodes"], float)[counted]
    # A part of the run in which no episode ended has a mean of None.
    returns = np.nan_to_num(np.array(run.curve["episode_return"], float)[counted])
    return (returns * episodes).sum(axis=0) / episodes.sum(axis=0)


@dataclasses.dataclass(frozen=True)
class MinAtarRun:
    """An agent on a game: its returns by seed, and how it was run."""

    agent: str
    game: str
    steps: int
    exploring: np.ndarray
    greedy: np.ndarray
    command: str


def minatar_runs(prefix: str) -> list[MinAtarRun]:
    """All that are kept by names of this beginning."""
    runs = []
    for run in kept(prefix):
        summary = run.summary
        game = summary["env"].removeprefix("gymnax/").removesuffix("-MinAtar")
        command = run.command.split(" --run-dir")[0].replace(f"{game}-MinAtar", "GAME-MinAtar")
        returns = exploring_returns(run), run.returns
        runs.append(MinAtarRun(summary["agent"], game, summary["total_steps"], *returns, command))
    return runs


def minatar_table(runs: list[MinAtarRun], kind: Literal["exploring", "greedy"]) -> str:
    """A row an agent, a column a game: IQM and interval of one kind of return."""
    games = sorted({run.game for run in runs})
    found: dict[tuple[int, str], dict[str, np.ndarray]] = {}
    for run in runs:
        found.setdefault((run.steps, run.agent), {})[run.game] = getattr(run, kind)

    def cell(returns: np.ndarray | None) -> str:
        if returns is None:
            return ""
        low, high = stratified_bootstrap_interval(returns[None])
        return f"{interquartile_mean(returns):,.1f} ({low:,.1f} to {high:,.1f})"

    lines = [
        "| agent | seeds | steps of each | " + " | ".join(games) + " |",
        "| --- | ---: | ---: |" + " ---: |" * len(games),
    ]
    for (steps, agent), columns in sorted(found.items()):
        seeds = " or ".join(str(count) for count in sorted({len(returns) for returns in columns.values()}))
        lines.append(f"| {agent} | {seeds} | {steps:,} | {' | '.join(cell(columns.get(game)) for game in games)} |")
    published = " | ".join(str(PUBLISHED.get(game, "")) for game in games)
    return "\n".join([*lines, f"| *published: PPO of gymnax's authors* |  |  | {published} |"])


def iterated_table(runs: list[MinAtarRun]) -> str:
    """A row a chain: how likely one of its runs has a higher return while exploring than one of its base agent."""
    returns = {(run.agent, run.game): run.exploring for run in runs}
    games = sorted({run.game for run in runs})
    columns = [*games, "all games"]
    lines = [f"| chain | base | {' | '.join(columns)} |", "| --- | --- |" + " ---: |" * len(columns)]
    for chain, base in (("i_dqn", "dqn"), ("i_iqn", "iqn")):
        both = [game for game in games if (chain, game) in returns and (base, game) in returns]
        pairs = {game: ([returns[chain, game]], [returns[base, game]]) for game in both}
        cells = [f"{probability_of_improvement(*pairs[game])[0]:.2f}" if game in pairs else "" for game in games]
        ours, theirs = ([returns[agent, game] for game in both] for agent in (chain, base))
        mean, low, high = probability_of_improvement(ours, theirs)
        lines.append(f"| {chain} | {base} | {' | '.join(cells)} | {mean:.2f} ({low:.2f} to {high:.2f}) |")
    return "\n".join(lines)


def minatar_section() -> str:
    """Returns while exploring and of the greedy policy, chains against their base, and the commands."""
    runs = minatar_runs("minatar-")
    return "\n\n".join(
        [
            MINATAR,
            minatar_table(runs, "exploring"),
            ITERATED,
            iterated_table(runs),
            GREEDY,
            minatar_table(runs, "greedy"),
            *commands_of(runs),
        ]
    )


def commands_of(runs: list[MinAtarRun]) -> list[str]:
    """How they were run, once for all games."""
    commands = sorted({(run.steps, run.agent, run.command) for run in runs})
    return ["The commands:", "\n".join(f"    {command}" for _, _, command in commands)]


# Of ten seeds each, at 100,000 steps: TD3 on version 1 of the tasks from the learning curves in its authors' repository
# (sfujim/TD3), MR.Q on version 4 from the results in its authors' (facebookresearch/MRQ).
PUBLISHED_CONTROL = {
    "TD3, its authors": {"HalfCheetah-v4": (5514, 554), "Hopper-v4": (659, 752), "Walker2d-v4": (770, 586)},
    "MR.Q, its authors": {"HalfCheetah-v4": (7872, 1155), "Hopper-v4": (2249, 864), "Walker2d-v4": (3127, 1103)},
}
CONTROL = (
    "### Continuous control at 100,000 steps\n\n"
    "Interquartile mean over seeds, with 95% bootstrap intervals, of the last evaluation's mean return, in each "
    "script's own defaults. Published figures are means of ten seeds with their standard deviations."
)


def control_section() -> str:
    """Actor-critics on MuJoCo's tasks, i-SAC against SAC, and the commands; empty where nothing was run."""
    runs = {(run.summary["agent"], run.summary["env"].partition("/")[2]): run for run in kept("control-")}
    if not runs:
        return ""
    agents, tasks = (list(dict.fromkeys(key[i] for key in runs)) for i in (0, 1))

    def cell(agent: str, task: str) -> str:
        run = runs.get((agent, task))
        if run is None:
            return ""
        low, high = stratified_bootstrap_interval(run.returns[None])
        return f"{interquartile_mean(run.returns):,.0f} ({low:,.0f} to {high:,.0f})"

    lines = [f"| agent | seeds | {' | '.join(tasks)} |", "| --- | ---: |" + " ---: |" * len(tasks)]
    for agent in agents:
        seeds = max(len(run.returns) for (name, _), run in runs.items() if name == agent)
        lines.append(f"| {agent} | {seeds} | {' | '.join(cell(agent, task) for task in tasks)} |")
    for source, figures in PUBLISHED_CONTROL.items():
        published = [f"{figures[t][0]:,} ± {figures[t][1]:,}" if t in figures else "" for t in tasks]
        lines.append(f"| *published: {source}* | 10 | {' | '.join(published)} |")
    parts = [CONTROL, "\n".join(lines)]
    pairs = [t for t in tasks if ("i_sac", t) in runs and ("sac", t) in runs]
    if pairs:
        chain, base = ([runs[agent, task].returns for task in pairs] for agent in ("i_sac", "sac"))
        mean, low, high = probability_of_improvement(chain, base)
        parts.append(
            f"A run of i_sac has a higher return than one of sac, at equal samples, with probability {mean:.2f} "
            f"({low:.2f} to {high:.2f}), over {len(pairs)} tasks."
        )
    parts.append("The commands:\n\n" + "\n".join(f"    {run.command.split(' --run-dir')[0]}" for run in runs.values()))
    return "\n\n".join(parts)


def time_to_return_section(results: dict[str, Any]) -> str:
    """Seconds from starting each program to a return."""
    lines = [
        "| task and return | program | seconds, by seed | median | jaxq is faster by |",
        "| --- | --- | --- | ---: | ---: |",
    ]
    for setting in results.values():
        seconds: dict[str, list[float | None]] = {}
        for run in setting["runs"]:
            seconds.setdefault(run["contender"], []).append(run["seconds"])
        ours = None
        for i, (name, values) in enumerate(seconds.items()):
            shown = ", ".join("not reached" if v is None else f"{v:,.0f}" for v in values)
            median = float(np.median([np.inf if v is None else v for v in values]))
            ours = ours or median
            measured = f"{median:,.0f} | {median / ours:.1f}" if np.isfinite(median) else "- | -"
            lines.append(f"| {setting['title'] if i == 0 else ''} | {name} | {shown} | {measured} |")
    commands = dict.fromkeys(run["command"] for setting in results.values() for run in setting["runs"])
    return "\n\n".join(
        [
            "### Time to a return",
            f"Measured by `python -m benchmarks.time_to_return` on: {machine(results)}. Wall-clock from starting a "
            "program to the first test of five episodes with that mean return; imports, compilation (with whatever a "
            "cache holds from before) and tests count. Each seed's programs ran one after the other.",
            "\n".join(lines),
            "\n".join(f"    {command}" for command in commands),
        ]
    )


def million_section() -> str:
    """Returns after a million steps in each script's own defaults."""
    runs = minatar_runs("million-")
    return "\n\n".join(
        [
            "### MinAtar, a million steps",
            "In each script's own defaults. While exploring, over the last quarter's episodes:",
            minatar_table(runs, "exploring"),
            "Of the greedy policy in the end:",
            minatar_table(runs, "greedy"),
            *commands_of(runs),
        ]
    )


def mutations_section(results: dict[str, Any]) -> str:
    """How many planted defects the tests catch, and those that they do not."""
    planted = results["planted"]
    caught = sum(row["caught_by"] is not None for row in planted)
    survivors = [row for row in planted if row["caught_by"] is None]
    same = sum(str(row.get("reason", "")).startswith("the same") for row in survivors)
    gaps = sum(str(row.get("reason", "")).startswith("a gap") for row in survivors)
    lines = ["| survivor | planted | why it survives |", "| --- | --- | --- |"]
    for row in survivors:
        change = f"`{row['before']}` → `{row['after']}`".replace("|", "\\|").replace("\n", " ")
        lines.append(f"| `{row['file']}:{row['line']}` | {change} | {row.get('reason', 'not read yet')} |")
    return "\n\n".join(
        [
            "## Defects planted",
            f"`python -m benchmarks.mutations` planted {len(planted)} defects, drawn at random from the "
            f"{results['places']:,} places in `bellman/`, `replay/`, `agents/`, `training/` and `envs/base.py` where "
            f"one can be: the tests of the room caught {caught}. Of the others {same} change nothing; of those that "
            f"do, {caught / max(len(planted) - same, 1):.0%} were caught, and {gaps} more since, by tests made for "
            "them. Lines are those of the revision it ran on.",
            "\n".join(lines),
        ]
    )


def family_table() -> str:
    """A row an agent that was run by the one command."""
    lines = ["| agent | seeds | steps of each | mean return | lowest | highest |", "| --- |" + " ---: |" * 5]
    for run in kept("family-"):
        summary, returns = run.summary, run.returns
        lines.append(
            f"| {summary['agent']} | {len(returns)} | {summary['total_steps']:,} | {returns.mean():,.1f} "
            f"| {returns.min():,.1f} | {returns.max():,.1f} |"
        )
    return "\n".join(lines)


def returns_section(results: dict[str, Any]) -> str:
    """Both implementations' returns by seed."""
    lines = ["| implementation | exploring | greedy |", "| --- | ---: | ---: |"]
    for name, found in results["returns"].items():
        by_seed = [", ".join(f"{value:.1f}" for value in found[kind]) for kind in ("exploring", "greedy")]
        lines.append(f"| {name} | {by_seed[0]} | {by_seed[1]} |")
    return (
        "### PQN beside purejaxql\n\n"
        f"Measured by `python -m benchmarks.pqn_returns`: MinAtar Breakout, {results['steps']:,} steps of each seed, "
        "the same settings. Means over the last tenth's episodes while exploring, and of the greedy policy at the end, "
        "by seed.\n\n"
    ) + "\n".join(lines)


def timing_table(results: dict[str, Any], columns: str, described: Callable[[str, dict[str, Any]], str]) -> str:
    """Median microseconds of each contender, and how many times longer than the first.

    Args:
      results: what `benchmarks.timing.measure` wrote.
      columns: titles of the first columns, with bars between them.
      described: the same columns of a row, from the setting's name and results.
    """
    names = list(dict.fromkeys(name for measured in results.values() for name in measured["seconds"]))
    count = columns.count("|") + len(names)
    lines = [f"| {columns} | {' | '.join(f'{name}, µs' for name in names)} |", "| --- |" + " ---: |" * count]
    for setting, measured in results.items():
        found = cells(measured["seconds"])
        lines.append(f"| {described(setting, measured)} | {' | '.join(found.get(name, '') for name in names)} |")
    return "\n".join(lines)


def backups_section(results: dict[str, Any]) -> str:
    """Backup and gradient."""

    def described(setting: str, measured: dict[str, Any]) -> str:
        del measured
        kind, batch, size = setting.split("-")
        return f"{kind} | {int(batch):,} | {size}"

    return (
        "## Backups\n\n"
        "Measured by `python -m benchmarks.backups`: from the outputs of a head (4 actions) to the gradient by them, "
        "on the CPU; medians of rounds in turn, and in brackets how many times longer than jaxq's. *memory alone* "
        "reads both predictions and writes one array like them, and computes nothing.\n\n"
    ) + timing_table(results, "backup | batch | size", described)


def convolutions_section(results: dict[str, Any]) -> str:
    """Ways of convolving."""

    def described(setting: str, measured: dict[str, Any]) -> str:
        side, channels, features, kernel, stride, _ = measured["layer"]
        return f"{setting} | {side} | {channels} → {features} | {kernel}×{kernel} | {stride}"

    return (
        "## Convolutions\n\n"
        "Measured by `python -m benchmarks.convolutions`: forward and backward in a scan, 32 images, on the CPU; "
        "medians of rounds in turn, and in brackets how many times longer than the library's patches.\n\n"
    ) + timing_table(results, "layer | side | channels | kernel | stride", described)


def products_section(results: dict[str, Any]) -> str:
    """Ways of keeping a kernel."""

    def described(setting: str, measured: dict[str, Any]) -> str:
        rows, inputs, units = measured["layer"]
        return f"{setting} | {rows:,} | {inputs:,} | {units:,}"

    return (
        "## Products\n\n"
        "Measured by `python -m benchmarks.products`: forward and backward in a scan, on the CPU; medians of rounds in "
        "turn, and in brackets how many times longer than the library's.\n\n"
    ) + timing_table(results, "layer | rows | inputs | units", described)


def resets_section(results: dict[str, Any]) -> str:
    """What resets cost."""

    def described(setting: str, measured: dict[str, Any]) -> str:
        name = setting.removesuffix(f"-{measured['environments']}")
        return f"{name} | {measured['environments']:,} | {100 * measured['share_ended']:.2g}%"

    return (
        "## Resets\n\n"
        "Measured by `python -m benchmarks.resets`: a step of all environments under random actions on the CPU, with a "
        "pool of first states, with resets of the whole batch whenever an episode ends, and with every episode of an "
        "environment beginning in the one state it first had; medians of rounds in turn, and in brackets how many "
        "times longer than with a pool.\n\n"
    ) + timing_table(results, "environment | environments | ended in a step", described)


def reset_returns_section(results: dict[str, Any]) -> str:
    """What cached first states cost in returns."""
    rows = []
    for name, measured in results.items():
        config = measured["config"]
        cells = []
        for kind in ("pool", "full", "cached"):
            found = measured[kind]["returns"]
            cells.append(f"{np.mean(found):,.0f} ({min(found):,.0f} to {max(found):,.0f})")
        sizes = f"{config['num_envs']} | {config['total_steps']:,} | {config['updates']}"
        rows.append(f"| {name} | {sizes} | {len(found)} | {' | '.join(cells)} |")
    return (
        "### Returns of SAC by resets\n\n"
        "Measured by `python -m benchmarks.resets --returns`: the mean over seeds, and from the worst to the best, of "
        "evaluations with full resets after training with each.\n\n"
        "| environment | environments | steps | updates | seeds | pool | full | cached |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
    ) + "\n".join(rows)


def replay_section(results: dict[str, Any]) -> str:
    """Prioritized replay against flashbax's."""
    return (
        "## Prioritized replay\n\n"
        "Measured by `python -m benchmarks.replay`: add 64, sample 32 and update 32 on one million items, inside a "
        "scan on the CPU; medians, and medians of the rounds' ratios.\n\n"
    ) + ratio_table(results["iterations_per_second"], "iterations/s")


def memory_section(values: dict[str, Any]) -> str:
    """What a full replay and a long run take."""
    return (
        "## Memory\n\n"
        f"Measured by `python -m benchmarks.memory`. A replay of {values['frames']:,} Atari frames, written full: "
        f"{values['replay_resident_gb']:.2f} GB resident. Resident memory of a run on CartPole after the first "
        f"tenth and at the end of {values['chunks']:,} chunks: {values['resident_mb_early']:,.0f} and "
        f"{values['resident_mb_late']:,.0f} MB."
    )


def throughput_section(results: dict[str, Any]) -> str:
    """Steps per second of whole loops."""
    return (
        "## Throughput\n\n"
        f"Measured by `python -m benchmarks.throughput` on: {machine(results)}. {METHOD}\n\n{throughput_table(results)}"
    )


def machine(results: dict[str, Any]) -> str:
    """Where the throughput was measured."""
    seen = []
    for setting in results.values():
        p = setting["provenance"]
        line = f"{p['device']}, {p['cpu_count']} cores, Python {p['python']}, JAX {p['packages']['jax']}"
        if line not in seen:
            seen.append(line)
    return "; ".join(seen)


LEARNING = (
    "## Learning\n\n"
    "Final evaluations; each row's run is a file under `benchmarks/results/runs/`. Steps per second are of all "
    "seeds together.\n\n"
)
MINATAR = (
    "### MinAtar\n\n"
    "Interquartile mean over seeds, with 95% bootstrap intervals, of the mean return of the episodes that ended in the "
    "last quarter of each run, while exploring, as the papers of these agents report it. The agents with replay share "
    "one small budget of samples and the settings of DQN, at which an update follows every 16 steps, with the larger "
    "of two step sizes tried on Breakout with other seeds; none was tuned otherwise. Published figures at such budgets "
    "are not known to us; those given are of a policy gradient method at its own, larger one."
)
ITERATED = (
    "How likely a run of an iterated chain has a higher return than one of its base agent, at equal samples and "
    "settings (1 would be always, 0.5 is no difference), and over all games the mean with its 95% interval:"
)
GREEDY = (
    "The same of the final evaluations: 16 episodes a seed, greedy. Some games draw little or nothing at random, so "
    "that one greedy policy plays nearly the same episode 16 times; these figures waver more than those above."
)
FAMILY = (
    "### Every agent\n\n"
    "`python experiments/discrete/AGENT.py --env gymnax/Breakout-MinAtar --num-seeds 2 --total-steps 100000`, each in "
    "its own defaults, most of which are made for many more steps. The table shows that they run, not which is best: "
    "some have not yet left the level of random actions.\n\n"
)


def section(file: str, write: Callable[[dict[str, Any]], str]) -> list[str]:
    """A section from a file of raw results; none where there is no such file."""
    path = RESULTS / file
    return [write(json.loads(path.read_text()))] if path.exists() else []


def revisions_section(results: dict[str, Any]) -> str:
    """This revision beside an earlier one."""
    lines = ["| setting | steps/s | before | ratio, median of rounds |", "| --- | ---: | ---: | ---: |"]
    for setting, rates in results["steps_per_second"].items():
        after, before = (np.array(rates[name]) for name in ("after", "before"))
        ratio = np.median(after / before)
        lines.append(f"| {setting} | {np.median(after):,.0f} | {np.median(before):,.0f} | {ratio:.3f} |")
    ours = (results["provenance"].get("git_revision") or "")[:7]
    intro = f"`python -m benchmarks.revisions` of {ours} and {results['before'][:7]}, in turn on one machine."
    return "\n\n".join(["### Beside an earlier revision", intro, "\n".join(lines)])


def page() -> str:
    """All that the raw results say."""
    parts = [
        "# Results",
        "Made by `python -m benchmarks.report` from the files in `benchmarks/results/`.",
        *section("throughput.json", throughput_section),
        *section("revisions.json", revisions_section),
        LEARNING + learning_table(),
        minatar_section(),
        million_section(),
        *filter(None, [control_section()]),
        *section("time_to_return.json", time_to_return_section),
        *section("pqn_returns.json", returns_section),
        FAMILY + family_table(),
        *section("backups.json", backups_section),
        *section("convolutions.json", convolutions_section),
        *section("products.json", products_section),
        *section("resets.json", resets_section),
        *section("reset_returns.json", reset_returns_section),
        *section("replay.json", replay_section),
        *section("memory.json", memory_section),
        *section("mutations.json", mutations_section),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write the page."""
    (ROOT / "docs" / "results.md").write_text(page())
    print(ROOT / "docs" / "results.md")


if __name__ == "__main__":
    main()
