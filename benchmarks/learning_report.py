"""The sections of docs/results.md about learning, from the kept runs and the published figures."""

import dataclasses
import json
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np

from benchmarks import curves, walking
from benchmarks.published import CONTROL, MINATAR, Published
from benchmarks.runs import as_typed, command_of, kept
from benchmarks.settings import changed
from benchmarks.suites import (
    CONTROL_AGENTS,
    CONTROL_TASKS,
    EVERYWHERE_AGENTS,
    EVERYWHERE_ROBOTS,
    EVERYWHERE_TASKS,
    HALF_A_MILLION,
    MILLION,
    MINATAR_GAMES,
    suites,
)
from jaxq.runs.aggregate import interquartile_mean, probability_of_improvement, stratified_bootstrap_interval
from jaxq.runs.results import Result

LAST = 0.25  # of a run: the episodes that count while exploring
BOOTSTRAPS = 2_000
Kind = Literal["exploring", "greedy"]


def exploring_returns(run: Result) -> np.ndarray:
    """Mean return of the episodes that ended in the last quarter of a run, exploring, by seed."""
    step = np.array(run.curve["step"])
    counted = step > (1.0 - LAST) * step[-1]
    episodes = np.array(run.curve["episodes"], float)[counted]
    # A part of the run in which no episode ended has a mean of None.
    returns = np.nan_to_num(np.array(run.curve["episode_return"], float)[counted])
    return (returns * episodes).sum(axis=0) / episodes.sum(axis=0)


@dataclasses.dataclass(frozen=True)
class Run:
    """An agent on a task.

    Attributes:
      agent: the experiment.
      task: without backend and suffix.
      steps: of each seed.
      returns: [seeds] while exploring and of the greedy policy in the end.
      command: with GAME for the task.
      changed: its numbers that the command stands for no longer, then and now.
      device: that it ran on.
    """

    agent: str
    task: str
    steps: int
    returns: dict[Kind, np.ndarray]
    command: str
    changed: dict[str, tuple[Any, Any]] = dataclasses.field(default_factory=dict)
    device: str = ""


def runs_of(*prefixes: str) -> list[Run]:
    """All that are kept by names of these beginnings."""
    found = []
    for run in kept(*prefixes):
        env = run.summary["env"].partition("/")[2]
        agent, *_ = command_of(run)
        command = as_typed(run).replace(env, env.replace(env.removesuffix("-MinAtar"), "GAME"))
        returns: dict[Kind, np.ndarray] = {"exploring": exploring_returns(run), "greedy": run.returns}
        steps, task = run.summary["total_steps"], env.removesuffix("-MinAtar")
        device = f"{run.provenance['device'].split(': ')[-1]}, {run.provenance['cpu_count']} cores"
        found.append(Run(agent, task, steps, returns, command, changed(run), device))
    return found


def as_they_are_now(runs: list[Run]) -> list[Run]:
    """Those whose numbers are still those of their commands: what is compared is of the same defaults."""
    return [run for run in runs if not run.changed]


def changes_told(runs: Iterable[tuple[str, dict[str, tuple[Any, Any]]]], then: str = "") -> list[str]:
    """A sentence on those that were run with other numbers than their scripts have now, if there are any.

    Args:
      runs: by agent, what has changed.
      then: what is said besides.
    """
    agents: dict[str, list[str]] = {}
    for agent, changes in runs:
        told = ", ".join(f"{name} {before} (now {now})" for name, (before, now) in changes.items())
        if told and agent not in agents.setdefault(told, []):
            agents[told].append(agent)
    if not agents:
        return []
    told = "; ".join(f"{change}: {', '.join(names)}" for change, names in agents.items())
    return [
        "Some were run before a default of theirs was changed, by commands that stand for other numbers now: "
        f"{told}. {then}".rstrip()
    ]


def devices_told(runs: list[Run]) -> str:
    """Which agents ran on what."""
    agents: dict[str, list[str]] = {}
    for run in runs:
        on = agents.setdefault(run.device, [])
        if run.agent not in on:
            on.append(run.agent)
    return "Run on " + "; on ".join(f"{device}: {', '.join(names)}" for device, names in sorted(agents.items())) + "."


def interval(returns: np.ndarray) -> tuple[float, float]:
    """95%, by stratified bootstrap over seeds."""
    return stratified_bootstrap_interval(returns[None])


def place(figure: float, low: float, high: float) -> str:
    """Where a published figure lies by our interval."""
    return "below ours" if figure < low else "above ours" if figure > high else "within ours"


def comparison(
    runs: list[Run],
    agents: list[str],
    tasks: tuple[str, ...],
    published: tuple[Published, ...],
    kind: Kind,
    digits: int,
) -> str:
    """A row an agent, a column a task: IQM and interval; under it what others published of it, and where that lies.

    Args:
      runs: of any agents and tasks.
      agents: in order.
      tasks: in order.
      published: what of an agent, or of none of ours, has been reported.
      kind: of return.
      digits: after the point.
    """
    found = {(run.agent, run.task): run for run in runs}
    columns = [task for task in tasks if any((agent, task) in found for agent in agents)]
    lines = [
        f"| agent | seeds | steps of each | {' | '.join(columns)} |",
        "| --- | ---: | ---: |" + " ---: |" * len(columns),
    ]

    def row(name: str, seeds: int, steps: str, cells: list[str]) -> None:
        lines.append(f"| {name} | {seeds} | {steps} | {' | '.join(cells)} |")

    def reported(one: Published, intervals: dict[str, tuple[float, float]]) -> None:
        cells = []
        for task in columns:
            if task not in one.figures:
                cells.append("")
                continue
            mean, deviation = one.figures[task]
            spread = "" if deviation is None else f" ± {deviation:,.{digits}f}"
            where = f", {place(mean, *intervals[task])}" if task in intervals else ""
            cells.append(f"{mean:,.{digits}f}{spread}{where}")
        row(f"*published: {one.name}*", one.seeds, "" if one.steps is None else f"{one.steps:,}", cells)

    for agent in agents:
        ours = {task: found[agent, task] for task in columns if (agent, task) in found}
        if not ours:
            continue
        intervals = {task: interval(run.returns[kind]) for task, run in ours.items()}
        cells = []
        for task in columns:
            shown = ""
            if task in ours:
                low, high = intervals[task]
                mean = interquartile_mean(ours[task].returns[kind])
                shown = f"{mean:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"
            cells.append(shown)
        steps = " or ".join(f"{n:,}" for n in sorted({run.steps for run in ours.values()}))
        row(agent, max(len(run.returns[kind]) for run in ours.values()), steps, cells)
        for one in published:
            if one.agent == agent:
                reported(one, intervals)
    for one in published:
        if one.agent is None:
            reported(one, {})
    return "\n".join(lines)


def sources(published: tuple[Published, ...]) -> str:
    """Where published figures are from."""
    return "Sources of what is published:\n\n" + "\n".join(f"- {one.name}: {one.source}" for one in published)


def over_tasks(runs: list[Run], agents: list[str], tasks: tuple[str, ...], unit: str, kind: Kind) -> str:
    """A row an agent that has all tasks: rliable's IQM over tasks and seeds, in units of one agent's mean on each task.

    Args:
      runs: of any agents and tasks.
      agents: in order.
      tasks: all that count.
      unit: the agent that makes 1 on each.
      kind: of return.
    """
    from rliable import library, metrics

    found = {(run.agent, run.task): run.returns[kind] for run in runs}
    whole = [agent for agent in dict.fromkeys([unit, *agents]) if all((agent, task) in found for task in tasks)]
    if unit not in whole:
        return ""
    seeds = {agent: min(len(found[agent, task]) for task in tasks) for agent in whole}
    scores = {  # [seeds, tasks]
        agent: np.stack([found[agent, task][: seeds[agent]] / found[unit, task].mean() for task in tasks], axis=1)
        for agent in whole
    }

    def aggregates(values: np.ndarray) -> np.ndarray:
        return np.array([metrics.aggregate_iqm(values), metrics.aggregate_median(values)])

    np.random.seed(0)  # noqa: NPY002 - rliable draws from the one of all, whatever it is given
    points, intervals = library.get_interval_estimates(scores, aggregates, reps=BOOTSTRAPS)
    lines = ["| agent | IQM over games | 95% interval | median |", "| --- | ---: | ---: | ---: |"]
    for agent in sorted(scores, key=lambda name: -points[name][0]):
        low, high = intervals[agent][:, 0]
        lines.append(f"| {agent} | {points[agent][0]:.2f} | {low:.2f} to {high:.2f} | {points[agent][1]:.2f} |")
    return "\n".join(lines)


def improvement_table(runs: list[Run], pairs: tuple[tuple[str, str], ...], kind: Kind) -> str:
    """A row a chain: how likely one of its runs has a higher return than one of its base agent; empty without any.

    Where one of the two was run before a default was changed, and the other was not, they are not compared.
    """
    returns = {(run.agent, run.task): run.returns[kind] for run in runs}
    changes = {(run.agent, run.task): run.changed for run in runs}
    tasks = sorted({run.task for run in runs})
    columns = [*tasks, "all of them"]
    lines = [f"| chain | base | {' | '.join(columns)} |", "| --- | --- |" + " ---: |" * len(columns)]
    for chain, base in pairs:
        both = [task for task in tasks if (chain, task) in returns and (base, task) in returns]
        both = [task for task in both if changes[chain, task] == changes[base, task]]
        if not both:
            continue
        sides = {task: ([returns[chain, task]], [returns[base, task]]) for task in both}
        cells = [f"{probability_of_improvement(*sides[task])[0]:.2f}" if task in sides else "" for task in tasks]
        ours, theirs = ([returns[agent, task] for task in both] for agent in (chain, base))
        mean, low, high = probability_of_improvement(ours, theirs)
        lines.append(f"| {chain} | {base} | {' | '.join(cells)} | {mean:.2f} ({low:.2f} to {high:.2f}) |")
    return "\n".join(lines) if len(lines) > 2 else ""


def commands_of(runs: list[Run]) -> str:
    """How they were run, once for all tasks."""
    commands = sorted({(run.steps, run.agent, run.command) for run in runs})
    return "The commands:\n\n" + "\n".join(f"    {command}" for _, _, command in commands)


def minatar_section() -> str:
    """The main agents at a million steps, and at half a million."""
    runs = runs_of("million-", "half-")
    agents = [*MILLION, *HALF_A_MILLION]
    alike = as_they_are_now(runs)
    improved = improvement_table(runs, (("i_dqn", "dqn"), ("i_iqn", "iqn")), "exploring")
    whole = over_tasks([run for run in alike if run.agent in MILLION], list(MILLION), MINATAR_GAMES, "dqn", "exploring")
    return "\n\n".join(
        [
            "### MinAtar\n\n"
            "Run by `make reproduce SUITE=minatar`, in each script's own defaults but for PQN's exploration and "
            "QR-DQN's 51 quantiles (see [Settings](settings.md)). "
            "Interquartile mean over seeds, with 95% bootstrap intervals, of the mean return of the episodes that "
            "ended in the last quarter of each run, while exploring, as the papers of these agents report it. "
            "Agents with replay learn from 32 transitions after every 16 steps. An empty cell has not been run. What "
            "others published is said to be above or below ours where it lies outside our interval.",
            comparison(runs, agents, MINATAR_GAMES, MINATAR, "exploring", 1),
            *curves.shown("minatar"),
            devices_told(runs),
            *changes_told(
                ((_named(run, runs), run.changed) for run in runs), "They are compared with their like alone."
            ),
            sources(MINATAR),
            *(
                [
                    "Over the five games, in units of DQN's mean on each, by rliable: agents that have all games at a "
                    "million steps.",
                    whole,
                ]
                if whole
                else []
            ),
            *(
                [
                    "How likely a run of an iterated chain has a higher return than one of its base agent, at equal "
                    "samples and settings (1 would be always, 0.5 is no difference), with the 95% interval over all "
                    "games:",
                    improved,
                ]
                if improved
                else []
            ),
            "Of the greedy policy in the end, 16 episodes a seed. Some games draw little or nothing at random, so that "
            "one greedy policy plays nearly the same episode 16 times; these figures waver more than those above.",
            comparison(runs, agents, MINATAR_GAMES, (), "greedy", 1),
            commands_of(runs),
        ]
    )


def _named(run: Run, runs: list[Run]) -> str:
    """By its agent, and by its game where the agent's others were run with other numbers."""
    alike = all(other.changed == run.changed for other in runs if other.agent == run.agent)
    return run.agent if alike else f"{run.agent} on {run.task}"


def samples_section() -> str:
    """All at 200,000 steps."""
    runs = runs_of("minatar-")
    agents = [*sorted({run.agent for run in runs if run.agent != "pqn"}), "pqn"]
    return "\n\n".join(
        [
            "### MinAtar, 200,000 steps",
            "The agents with replay share one small budget of samples and the settings of DQN, with the larger of two "
            "step sizes tried on Breakout with other seeds; PQN has a budget of its own paper's kind. While exploring:",
            comparison(runs, agents, MINATAR_GAMES, (), "exploring", 1),
            *changes_told((run.agent, run.changed) for run in runs),
            improvement_table(runs, (("i_dqn", "dqn"), ("i_iqn", "iqn")), "exploring"),
            "Of the greedy policy in the end:",
            comparison(runs, agents, MINATAR_GAMES, (), "greedy", 1),
            commands_of(runs),
        ]
    )


def control_section() -> list[str]:
    """Actor-critics on MuJoCo's tasks, and i-SAC against SAC; empty where nothing was run."""
    runs = runs_of("control-")
    if not runs:
        return []
    parts = [
        "### Continuous control at 100,000 steps",
        "Run by `make reproduce SUITE=control`, in each script's own defaults, CrossQ's and TQC's critics with widths "
        "of 256. Interquartile mean over seeds, with 95% bootstrap intervals, of the last evaluation's mean return "
        "over ten episodes; published figures are means with standard deviations over seeds.",
        comparison(runs, list(CONTROL_AGENTS), CONTROL_TASKS, CONTROL, "greedy", 0),
        *curves.shown("control"),
        devices_told(runs),
        *changes_told((_named(run, runs), run.changed) for run in runs),
        sources(CONTROL),
    ]
    if {"sac", "i_sac"} <= {run.agent for run in runs}:
        parts += [
            "How likely a run of i-SAC has a higher return than one of SAC, at equal samples:",
            improvement_table([run for run in runs if run.agent in ("sac", "i_sac")], (("i_sac", "sac"),), "greedy"),
        ]
    return ["\n\n".join([*parts, commands_of(runs)])]


WALKING = 25.0  # a mean return that robots which stand are far from


def robots_section() -> list[str]:
    """Robots that walk; empty where none was trained, or none was tried afterwards."""
    runs = {run.name: run for run in kept("go1-")}
    if not runs or not walking.RESULT.exists():
        return []
    tried = json.loads(walking.RESULT.read_text())
    terms = {"reward_tracking_lin_vel": "speed", "reward_tracking_ang_vel": "turning"}
    lines = [
        f"| robot | seed | steps | on | minutes | to {WALKING:g} | return | lowest | {' | '.join(terms.values())} |",
        "| --- | ---: | ---: | --- |" + " ---: |" * (4 + len(terms)),
    ]

    def row(name: str, *cells: str, of: dict[str, Any]) -> None:
        returns, followed = np.array(of["returns"]), of["followed"]
        shares = " | ".join(f"{followed[term]:.0%}" for term in terms)
        lines.append(f"| {' | '.join([name, *cells])} | {returns.mean():.1f} | {returns.min():.1f} | {shares} |")

    for env, of in tried["still"].items():
        row(f"{env.removesuffix('-v1')}, standing still", "", "", "", "", "", of=of)
    commands = []
    for name, run in runs.items():
        if name not in tried["walks"]:
            continue
        walk = tried["walks"][name]
        (seed,) = (member["seed"] for member in run.summary["members"])
        seen = zip(run.curve["eval_return"], run.curve["wall_seconds"], strict=True)
        over = [seconds for (value,), seconds in seen if value is not None and value >= WALKING]
        first = f"{over[0] / 60:.0f}" if over else "not yet"
        minutes = f"{run.summary['wall_seconds'] / 60:.0f}"
        on = run.provenance["processor"].partition(",")[0].removesuffix(" Processor")
        row(run.summary["agent"], str(seed), f"{run.summary['total_steps']:,}", on, minutes, first, of=walk)
        commands.append(as_typed(run))
    return [
        "### A quadruped that walks, on one core a seed\n\n"
        "Trained by the commands below, as `make reproduce SUITE=robots LEAVE=1` does one after the other; here each "
        "was held to one of two cores (`taskset -c 0`), with other work on the other. Tried by "
        f"`python -m benchmarks.walking`: {tried['robots']} robots for an episode of 20 seconds with commands of their "
        "own, through EnvPool's own interface and in the environment's rewards. *On*: the processor. *Speed* and "
        "*turning*: how much of what following the commands is worth at most is paid, on average. Little more than 40 "
        "can be had: 20 for speed, 10 for turning, 10 for the pose. Of what others reach no numbers are published for "
        "this robot. "
        f"*To {WALKING:g}*: minutes to the first evaluation with that return, compilation included.",
        "\n".join(lines),
        *curves.shown("robots"),
        "\n".join(f"    {command}" for command in commands),
    ]


SUITES = ("minatar-", "family-", "everywhere-", "million-", "half-", "before-", "control-", "go1-")


# Kept runs of a few thousand steps, of what takes hours.
SHORT = ("atari-", "pong-", "halfcheetah-brax-", "cheetahrun-")


def learning_table(runs: Iterable[Result]) -> str:
    """A row a kept run: final evaluations over seeds, and the command."""
    lines = [
        "| environment | agent | seeds | steps of each | IQM | 95% interval | mean | lowest | steps/s | command |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for run in runs:
        summary, returns, command = run.summary, run.returns, as_typed(run)
        low, high = interval(returns)
        shown = f"{low:,.1f} to {high:,.1f}" if len(returns) > 1 else ""
        lines.append(
            f"| {summary['env']} | {summary['agent']} | {len(returns)} | {summary['total_steps']:,} "
            f"| {interquartile_mean(returns):,.1f} | {shown} | {returns.mean():,.1f} | {returns.min():,.1f} "
            f"| {summary['env_steps_per_second']:,.0f} | `{command}` |"
        )
    return "\n".join(lines)


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


def everywhere_section() -> list[str]:
    """A row an agent with continuous actions, a column an environment: the returns with one seed and with two."""
    runs = {run.name: run for run in kept("everywhere-")}
    if not runs:
        return []
    names = [*EVERYWHERE_TASKS, *EVERYWHERE_ROBOTS]
    lines = [f"| agent | {' | '.join(names)} |", "| --- |" + " ---: |" * len(names)]
    for agent in sorted(EVERYWHERE_AGENTS):
        cells = []
        for name in names:
            found = [runs.get(f"everywhere-{name}-{agent}-{seeds}") for seeds in (1, 2)]
            told = [["diverged" if x is None else f"{x:,.1f}" for x in run.returns] for run in found if run is not None]
            cells.append("; ".join(", ".join(returns) for returns in told))
        lines.append(f"| {agent} | {' | '.join(cells)} |")
    environments = ", ".join(f"*{name}* `{env}`" for name, env in {**EVERYWHERE_TASKS, **EVERYWHERE_ROBOTS}.items())
    diverged = [run.name for run in runs.values() if any(m["diverged"] is not None for m in run.summary["members"])]
    return [
        "### Every agent with continuous actions\n\n"
        f"`make reproduce SUITE=everywhere`: 20,000 steps of {environments}, the last two with critics that see what "
        "their actors do not; 16 environments, networks and batches of 64. Returns in the end, of a run with one seed; "
        "and of one with two. They show that all run, not which is best: what is to be learned by so few updates is "
        f"little. {len(runs)} of {len(suites([])['everywhere'])} are there; "
        f"{'of none' if not diverged else 'of ' + ', '.join(diverged)} was any number not finite.\n\n"
        + "\n".join(lines),
        *changes_told((run.name, changed(run)) for run in runs.values()),
    ]


def returns_section(results: dict[str, Any]) -> str:
    """PQN's returns by seed, of both implementations."""
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


def sections() -> list[str]:
    """All that the kept runs say."""
    return [
        "## Learning",
        minatar_section(),
        *control_section(),
        *robots_section(),
        "### Single tasks\n\nFinal evaluations; each row's run is a file under `benchmarks/results/runs/`. Steps per "
        "second are of all seeds together.\n\n" + learning_table(kept(but=(*SUITES, *SHORT))),
        *changes_told((run.name, changed(run)) for run in kept(but=(*SUITES, *SHORT))),
        "That it runs, and no more: of so few steps nothing is to be learned.\n\n" + learning_table(kept(*SHORT)),
        *changes_told((run.name, changed(run)) for run in kept(*SHORT)),
        samples_section(),
        "### Every agent with discrete actions\n\n"
        "`python experiments/discrete/AGENT.py --env gymnax/Breakout-MinAtar --num-seeds 2 --total-steps 100000`, each "
        "in its own defaults, most of which are made for many more steps. The table shows that they run, not which is "
        "best: some have not yet left the level of random actions.\n\n" + family_table(),
        *changes_told((run.summary["agent"], changed(run)) for run in kept("family-")),
        *everywhere_section(),
    ]
