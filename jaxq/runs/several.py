"""Members that are no single program: one run after the other, each in a directory of its own within that of all."""

import dataclasses
import inspect
import json
import shlex
from pathlib import Path
from typing import Any

from jaxq.configs import SESSION_FIELDS, Run
from jaxq.errors import DivergedError, InputError, warn
from jaxq.runs.directory import going_on, load_config, to_json, write_json
from jaxq.runs.hosts import claimed, connect, first, is_first, noticing_lost_hosts, require_agreement
from jaxq.runs.population import Build, ConfigT, programs
from jaxq.runs.run import Watch, default_run_dir, require_population, run


def train(build: Build[ConfigT], config: ConfigT, watch: Watch | None = None) -> dict[str, Any]:
    """Train all members of a configuration, or go on with it.

    Where they differ in what is compiled in (widths, atoms, batches) there is a run for each program. The directory of
    all then holds config.json and summary.json, whose `members` are those of all runs, and a run directory for each,
    named after what it has otherwise. One all of whose members diverge disturbs no other.

    Args:
      build, config, watch: as of `run`.

    Returns:
      The values of summary.json.

    Raises:
      InputError, SystemExit: as of `run`.
      DivergedError: if all members of every program have diverged.
    """
    connect(config.coordinator, config.num_processes, config.process_id)
    with noticing_lost_hosts(config.run_dir):
        require_agreement(config)
        parts = programs(build, config)
        return run(build, parts[0], watch) if len(parts) == 1 else _in_turn(build, config, parts, watch)


def _in_turn(build: Build[ConfigT], config: ConfigT, parts: list[ConfigT], watch: Watch | None) -> dict[str, Any]:
    """Train the programs one after the other."""
    experiment = Path(inspect.getfile(inspect.unwrap(build))).stem
    config = going_on(config, experiment)
    for part in parts:
        require_population(part)
    path = config.run_dir or default_run_dir(config, experiment)
    directory = claimed(path, resume=config.resume)
    try:
        with first() as writes:
            if writes:
                whole = dataclasses.replace(config, run_dir=path)
                began = load_config(path) if config.resume else {"experiment": experiment, **to_json(whole)}
                write_json(path / "config.json", {**began, "total_steps": config.total_steps})
                (path / "summary.json").unlink(missing_ok=True)
        summaries: list[dict[str, Any]] = []
        diverged: list[DivergedError] = []
        for name, part in zip(_names(parts), parts, strict=True):
            place = path / name
            if (place / "summary.json").exists() and load_config(place)["total_steps"] >= part.total_steps:
                summaries.append(json.loads((place / "summary.json").read_text()))
                continue
            begun = (place / "config.json").exists()
            if is_first():
                print(f"program {len(summaries) + 1} of {len(parts)}: {name}")
            try:
                summaries.append(run(build, dataclasses.replace(part, run_dir=place, resume=begun), watch))
            except SystemExit:
                print(f"to go on with all programs: --run-dir {shlex.quote(str(path))} --resume")
                raise
            except DivergedError as error:
                diverged.append(error)
                if len(diverged) == len(parts):
                    raise
                warn(f"program {name}: {error}")
                summaries.append(_of_diverged(part, error))
        members = [
            {**row, "setting": {**shared, **row["setting"]}, "run_dir": name}
            for name, shared, summary in zip(_names(parts), _apart(parts), summaries, strict=True)
            for row in summary["members"]
        ]
        summary = {"agent": experiment, "env": config.env, "members": members}
        with first() as writes:
            if writes:
                write_json(path / "summary.json", summary)
        return summary
    except InputError:
        begun = any((path / name / "config.json").exists() for name in _names(parts))
        if is_first() and not (config.resume or begun):
            (path / "config.json").unlink(missing_ok=True)  # for a corrected command
        raise
    finally:
        directory.close()


def _of_diverged(part: Run, error: DivergedError) -> dict[str, Any]:
    """What stands in place of the summary of a program of which no member is left."""
    rows = zip(part.all_members, error.steps, strict=True)
    return {
        "members": [
            {"seed": member.seed, "setting": dict(member.setting), "return": None, "diverged": step}
            for member, step in rows
        ]
    }


def _apart(parts: list[ConfigT]) -> list[dict[str, Any]]:
    """What each of several configurations has otherwise than others."""
    names = [field.name for field in dataclasses.fields(parts[0]) if field.name not in (*SESSION_FIELDS, "population")]
    differing = [name for name in names if len({repr(getattr(part, name)) for part in parts}) > 1]
    return [{name: getattr(part, name) for name in differing} for part in parts]


def _names(parts: list[ConfigT]) -> list[str]:
    """A directory's name for each."""
    names = ["_".join(f"{name}-{_word(value)}" for name, value in apart.items()) for apart in _apart(parts)]
    return names if all(names) and len({*names}) == len(names) else [f"program-{i}" for i in range(len(parts))]


def _word(value: Any) -> str:
    """A value as a part of a name that no shell takes for anything else."""
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
