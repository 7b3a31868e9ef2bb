"""What there is to run: every experiment with its choice along each axis, read from what it builds: `jaxq agents`."""

import dataclasses
from pathlib import Path
from typing import Any

from jaxq.errors import InputError
from jaxq.runs.command_line import parse
from jaxq.runs.scripts import load_script, scripts

# Tried in turn, after the experiment's own environment if that is no classic one.
ENVIRONMENTS = ("gymnax/Breakout-MinAtar", "gymnax/CartPole-v1", "gymnax/Pendulum-v1")
AXES = ("agent", "network", "representation", "operator", "targets", "exploration", "replay")


def describe(script: Path) -> dict[str, str]:
    """An experiment's choices by axis, and the first line of its description, which names the paper.

    Raises:
      InputError: if the script takes none of `ENVIRONMENTS`.
    """
    module: Any = load_script(script, f"jaxq_catalog_{script.stem}")
    own = module.Config.env
    error: InputError | None = None
    for env in ENVIRONMENTS if own in ENVIRONMENTS else (own, *ENVIRONMENTS):
        try:
            training = module.build(parse(module.Config, module.PRESETS, ["--env", env]))
        except InputError as reason:
            error = error or reason
            continue
        description = (module.__doc__ or "without a description").strip().splitlines()
        return {"experiment": script.stem, "group": script.parent.name, **_axes(training), "paper": description[0]}
    assert error is not None
    raise error


def catalog(directory: Path | None = None) -> list[dict[str, str]]:
    """All experiments of a directory, or the installed ones, by group, which is the folder that they are in, and name.

    Raises:
      InputError: if there are none.
    """
    return [describe(script) for script in scripts(directory).values()]


def _axes(training: Any) -> dict[str, str]:
    agent = training.agent
    wrappers = []
    outermost = agent
    while hasattr(agent, "base"):
        wrappers.append(type(agent).__name__)
        agent = agent.base
    hyper = agent.hyper
    targets = getattr(outermost, "window", None) or getattr(hyper, "target", None)
    network = getattr(agent, "network", None) or getattr(agent, "critic", None)
    noisy = getattr(getattr(network, "head", None), "noisy", False)
    # What makes one target of several values: of a next state's actions, or of several critics.
    operator = getattr(hyper, "operator", None) or getattr(agent, "target_reduction", None)
    strategy = type(getattr(hyper, "exploration", None)).__name__
    return {
        "agent": " of ".join([*wrappers, type(agent).__name__]),
        "network": "of its own" if network is None else _network(network),
        "representation": _nested(getattr(agent, "representation", None)),
        "operator": _or_none(type(operator).__name__),
        "targets": _or_none(type(targets).__name__),
        "exploration": "noise" if noisy else {"NoneType": "policy"}.get(strategy, strategy),
        "replay": _nested(getattr(training, "replay", None)),
    }


def _or_none(name: str) -> str:
    return "none" if name == "NoneType" else name


def _network(network: Any) -> str:
    parts = [getattr(network, part, None) for part in ("torso", "encoder", "head")]
    names = " × ".join(type(part).__name__ for part in parts if part is not None)
    kind = type(network).__name__
    if not names:
        return kind
    return names if kind == "ActionValueNetwork" else f"{kind}({names})"


def _nested(thing: Any) -> str:
    """A composed object by the names of its classes."""
    if thing is None:
        return "none"
    inner = [
        _nested(item)
        for field in dataclasses.fields(thing)
        for item in _parts(getattr(thing, field.name))
        if dataclasses.is_dataclass(item)
        and type(item).__module__.startswith(("jaxq.bellman", "jaxq.replay"))
        and type(item).__name__ != "Support"
    ]
    return type(thing).__name__ + (f"({', '.join(dict.fromkeys(inner))})" if inner else "")


def _parts(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
