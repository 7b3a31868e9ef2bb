"""Writes docs/scaling.md: a plan past one machine, from measured constants and published figures of hardware.

    python -m benchmarks.scaling [--share-of-peak 0.1] [--v5e-price 1.20] [--h100-price 4.916]

The constants are those of benchmarks/results/constants.json (`python -m benchmarks.constants`). Prices are dollars for
one device and an hour, the share of peak is what small products are taken to reach.
"""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import RESULTS

PAGE = Path(__file__).parent.parent / "docs" / "scaling.md"
CORES, LINK, PHYSICS = "environments on the host's cores", "link between host and device", "physics on the device"
ARITHMETIC, MOVED, REPLAY = "arithmetic", "memory: all that is moved", "memory: the replay alone"
GRADIENTS = "sum of gradients"
SHARE_OF_PEAK, V5E_PRICE, H100_PRICE = 0.1, 1.20, 4.916
FREE = 0.9  # of a device's memory, that a run's state may take; the rest is the compiled programs'


@dataclasses.dataclass(frozen=True)
class Machine:
    """Devices with published figures, each of one device.

    Attributes:
      name: of all of it.
      devices: how many.
      peak: FLOP/s of bfloat16 products.
      memory: bytes.
      bandwidth: bytes/s of that memory.
      interconnect: bytes/s that one device sends to the others when all of them sum a gradient.
      link: bytes/s from its host.
      cores: of its host, two virtual ones being one.
      physics: MJX steps/s of a humanoid.
      price: dollars an hour.
    """

    name: str
    devices: int
    peak: float
    memory: float
    bandwidth: float
    interconnect: float
    link: float
    cores: float
    physics: float
    price: float


@dataclasses.dataclass(frozen=True)
class Work:
    """A training, by what each environment step of it takes on the average.

    Attributes:
      name: of the training.
      member: bytes of one member's state.
      floor: bytes of it that each device has of one agent's state, however many share it.
      flops: of acting and learning.
      moved: bytes that its programs read and write.
      replayed: bytes of these that go into the replay and out of it.
      crossing: bytes between host and device; None where environments are on the device.
      updates: of the networks.
      gradient: bytes that an update sums over all devices.
      core: environment steps/s of a core; 0 where it was not measured.
      physics: MJX steps; None where there are none.
      job: members of an example, environment steps of each, and what it is.
    """

    name: str
    member: float
    floor: float
    flops: float
    moved: float
    replayed: float
    crossing: float | None
    updates: float
    gradient: float
    core: float
    physics: int | None
    job: tuple[int, float, str]


JOBS = {
    "atari": (57 * 5, 50e6, "57 games, 5 seeds, 50 million steps (200 million frames) each"),
    "mjx": (512, 100e6, "512 members, 100 million steps each"),
}
TITLES = {
    "atari": "Atari: DQN, environments of EnvPool on the hosts",
    "mjx": "MJX: FastTD3, environments on the devices",
}


def machines(v5e_price: float = V5E_PRICE, h100_price: float = H100_PRICE) -> list[Machine]:
    """Those that are planned for; the page says where each figure is from."""
    return [
        Machine("v5e-256", 256, 197e12, 16e9, 819e9, 200e9, 15e9, 14, 2.7e6 / 8, v5e_price),
        # Between hosts of eight there are 3,200 Gbit/s: 50 GB/s for each device, less than NVLink's 450 within one.
        Machine("64 H100", 64, 989e12, 80e9, 3.35e12, 50e9, 64e9, 12, 950e3, h100_price),
    ]


def core_speed(found: dict[str, Any]) -> float:
    """Environment steps/s of a core, 0 where it was not measured."""
    return 1 / float(np.median(found["alone"]["core_seconds"])) if "alone" in found else 0.0


def work_of(name: str, found: dict[str, Any]) -> Work:
    """From the measured constants of a training."""
    envs, updates = found["num_envs"], found["updates_per_step"]
    act, update, networks = found["act"], found["update"], found["network_bytes"]
    learned = sum(networks.values())
    return Work(
        name=name,
        member=learned + found["replay_bytes"] + found["environment_bytes"],
        floor=learned + found["environment_bytes"],
        flops=act["flops"] / envs + updates * update["flops"],
        moved=act["bytes_accessed"] / envs + updates * update["bytes_accessed"],
        # A batch is read where it lies and written as a batch.
        replayed=found["row_bytes"] + 2 * updates * found["batch_bytes"],
        crossing=found["step_bytes"],
        updates=updates,
        gradient=networks["parameters"],
        core=core_speed(found),
        physics=found["physics_steps"],
        job=JOBS[name],
    )


def ceilings(machine: Machine, work: Work, share_of_peak: float, together: bool) -> dict[str, float]:
    """Environment steps/s of a device that each part of it would allow were it the only one.

    Args:
      machine: whose device it is.
      work: what is trained.
      share_of_peak: that they reach.
      together: whether all devices train one agent, so that each update sums gradients over all of them.
    """
    found = {}
    if work.crossing is not None:
        found[CORES] = machine.cores * work.core
        found[LINK] = machine.link / work.crossing
    if work.physics is not None:
        found[PHYSICS] = machine.physics / work.physics
    found[ARITHMETIC] = share_of_peak * machine.peak / work.flops
    found[MOVED] = machine.bandwidth / work.moved
    found[REPLAY] = machine.bandwidth / work.replayed
    if together:
        found[GRADIENTS] = 1 / (work.updates * summing_seconds(machine, work))
    return found


def summing_seconds(machine: Machine, work: Work) -> float:
    """Of a gradient over all devices by a ring, of which each sends 2 (n - 1) / n times its bytes; no latencies."""
    return 2 * (machine.devices - 1) / machine.devices * work.gradient / machine.interconnect


def number(value: float) -> str:
    """Three digits, with a unit of thousands where it is large."""
    for size, unit in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g} "


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; all columns but the first are numbers."""
    lines = [f"| {' | '.join(head)} |", f"| --- | {' | '.join('---:' for _ in head[1:])} |"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def constants_table(found: dict[str, Any]) -> str:
    """What was counted and measured."""

    def row(title: str, of: Any) -> list[str]:
        return [title, *(of(found[name]) for name in TITLES)]

    def networks(part: str) -> Any:
        return lambda one: f"{number(one['network_bytes'][part])}B"

    rows = [
        row("environment", lambda one: f"`{one['env']}`"),
        row("environments, batch", lambda one: f"{one['num_envs']:,}, {one['batch_size']:,}"),
        row("updates an environment step", lambda one: f"{one['updates_per_step']:.4g}"),
        row("replay: transitions", lambda one: f"{one['replay_capacity']:,}"),
        row("replay: bytes a transition", lambda one: f"{one['row_bytes']:,.0f}"),
        row(
            "state of an environment on the device",
            lambda one: f"{number(one['environment_bytes'] / one['num_envs'])}B",
        ),
        *(row(f"networks: {part}", networks(part)) for part in ("parameters", "targets", "optimizer")),
        row("a batch", lambda one: f"{number(one['batch_bytes'])}B"),
        row("arithmetic of an update", lambda one: f"{number(one['update']['flops'])}FLOP"),
        row("moved by an update", lambda one: f"{number(one['update']['bytes_accessed'])}B"),
        row(
            "arithmetic of acting, an environment",
            lambda one: f"{number(one['act']['flops'] / one['num_envs'])}FLOP",
        ),
        row(
            "between host and device, a step", lambda one: f"{number(one['step_bytes'])}B" if one["step_bytes"] else "–"
        ),
        row("physics steps, a step", lambda one: str(one["physics_steps"] or "–")),
        row("environment steps/s of a core here", lambda one: f"{core_speed(one):,.0f}" if "alone" in one else "–"),
    ]
    return table(["", *(TITLES[name].split(":")[0] for name in TITLES)], rows)


def machines_table(them: list[Machine]) -> str:
    """The published figures, of one device."""
    rows = [
        ["devices", *(str(m.devices) for m in them)],
        ["products, bfloat16", *(f"{number(m.peak)}FLOP/s" for m in them)],
        ["memory", *(f"{number(m.memory)}B" for m in them)],
        ["its bandwidth", *(f"{number(m.bandwidth)}B/s" for m in them)],
        ["sent to the others", *(f"{number(m.interconnect)}B/s" for m in them)],
        ["link to the host", *(f"{number(m.link)}B/s" for m in them)],
        ["cores of the host", *(f"{m.cores:g}" for m in them)],
        ["MJX steps of a humanoid", *(f"{number(m.physics)}/s" for m in them)],
        ["price", *(f"${m.price:g} an hour" for m in them)],
    ]
    return table(["of one device", *(m.name for m in them)], rows)


SOURCES = """
- v5e: Google Cloud's page *TPU v5e* (cloud.google.com/tpu/docs/v5e): 197 TFLOP/s, 16 GB at 819 GB/s, 400 GB/s between
  chips in both directions together, of which half is sent; its virtual machines have 112 virtual cores for 4 chips. The
  link to the host is no figure of that page: about 15 GB/s by *How to Scale Your Model*
  (jax-ml.github.io/scaling-book).
- H100 SXM: NVIDIA's data sheet: 989 TFLOP/s dense, 80 GB at 3.35 TB/s, NVLink 900 GB/s and PCIe 128 GB/s in both
  directions together. Hosts are EC2's p5.48xlarge: 8 devices, 192 virtual cores, 3,200 Gbit/s to other hosts, which is
  50 GB/s a device and less than NVLink, so it is what a sum over 64 devices has.
- Two virtual cores are counted as one core.
- MJX: MuJoCo's documentation of MJX: 2.7 million steps a second of its humanoid on 8 chips of "v5 TPU", 950 thousand
  on an A100, which is taken for an H100 too, for want of a figure. Contacts are what such figures depend on most.
- Prices: $1.20 a chip and hour is Google's list price of v5e on demand when it came out (2023), $4.916 a device and
  hour that of EC2's capacity blocks of p5.48xlarge in 2024. Both are flags of the command; today's are other ones.
"""


def design(title: str, said: str, them: list[Machine], work: Work, share: float, together: bool) -> str:
    """The ceilings of a design on every machine, what it takes of a device, and what it costs."""
    limits = {m.name: ceilings(m, work, share, together) for m in them}
    first = {name: min(found, key=lambda part: found[part]) for name, found in limits.items()}
    speeds = {name: limits[name][part] for name, part in first.items()}

    def marked(machine: Machine, part: str) -> str:
        value = f"{limits[machine.name][part]:,.0f}"
        return f"**{value}**" if first[machine.name] == part else value

    rows = [[part, *(marked(m, part) for m in them)] for part in limits[them[0].name]]
    ceiling = table(["environment steps/s of a device, by", *(m.name for m in them)], rows)

    def memory(machine: Machine) -> str:
        if together:
            return f"{number(work.floor + (work.member - work.floor) / machine.devices)}B"
        count = int(FREE * machine.memory // work.member)
        return (
            f"{count} members, {number(count * work.member)}B" if count else f"none: a member is {number(work.member)}B"
        )

    def taken(machine: Machine, each: float | None) -> str:
        return "–" if each is None else f"{number(speeds[machine.name] * each)}B/s"

    def job(machine: Machine) -> str:
        # A device with one member more than others is waited for.
        members, steps, _ = work.job
        hours = -(-members // machine.devices) * steps / speeds[machine.name] / 3600
        return f"{hours:,.1f} h, ${hours * machine.price * machine.devices:,.0f}"

    sent = 2 * work.updates * work.gradient if together else None
    use = [
        ["memory taken", *(memory(m) for m in them)],
        ["memory bandwidth", *(taken(m, work.moved) for m in them)],
        ["of it the replay's", *(taken(m, work.replayed) for m in them)],
        ["between host and device", *(taken(m, work.crossing) for m in them)],
        ["sent to other devices", *(taken(m, sent) for m in them)],
        ["all devices, steps/s", *(number(speeds[m.name] * m.devices).strip() for m in them)],
        ["a thousand million steps", *(f"${m.price * 1e9 / speeds[m.name] / 3600:,.2f}" for m in them)],
    ]
    if not together:
        use.append([work.job[2], *(job(m) for m in them)])
    used = table(["at that speed, of one device", *(m.name for m in them)], use)
    return f"### {title}\n\n{said}\n\n{ceiling}\n\n{used}\n\n{' '.join(told(m, limits[m.name], work) for m in them)}"


def told(machine: Machine, found: dict[str, float], work: Work) -> str:
    """In a sentence, where it saturates and what comes next."""
    first, second = sorted(found, key=lambda part: found[part])[:2]
    ratio = found[second] / found[first]
    text = f"{machine.name} saturates at {first}; the next limit, {second}, is {ratio:.1f} times as high."
    if first == CORES:
        text += f" It would take {found[second] / work.core:,.0f} cores a device to reach that."
    return text


def arithmetic(machine: Machine, work: Work, share: float) -> str:
    """One column of ceilings, written out."""
    found = ceilings(machine, work, share, together=True)
    many = f"{machine.devices - 1}/{machine.devices}"
    micros = 1e6 * summing_seconds(machine, work)
    sums = {
        CORES: f"{machine.cores:g} cores × {work.core:,.0f} steps/s",
        LINK: f"{machine.link:.4g} B/s / {work.crossing or 0:,.0f} B a step",
        PHYSICS: f"{machine.physics:,.0f} MJX steps/s / {work.physics} a step",
        ARITHMETIC: f"{share:g} × {machine.peak:.4g} FLOP/s / {work.flops:.4g} FLOP a step",
        MOVED: f"{machine.bandwidth:.4g} B/s / {work.moved:.4g} B a step",
        REPLAY: f"{machine.bandwidth:.4g} B/s / {work.replayed:.4g} B a step",
        GRADIENTS: f"1 / ({work.updates:.4g} updates a step × {micros:.4g} µs)",
    }
    lines = [f"{part:32} {sums[part]} = {rate:,.0f}" for part, rate in found.items()]
    ring = f"2 × {many} × {work.gradient:.4g} B / {machine.interconnect:.4g} B/s = {micros:.4g} µs"
    return "\n".join(["```text", *lines, f"{'an update sums gradients in':32} {ring}", "```"])


POPULATION = (
    "Every device trains as many members as its memory holds, with nothing exchanged: a sweep, seeds, or "
    "population-based training, whose copies are rare. The ceilings are of all members of a device. The example's "
    "hours and dollars are those of the whole machine, until the device that has most members is done."
)
TOGETHER = (
    "Every device has the environments and the batch that the script has, so that a batch is as many times larger as "
    "there are devices; the replay is spread over them, and each update sums gradients. Whether an agent learns more "
    "from such a batch is another question, and not answered here."
)


def page(found: dict[str, Any], them: list[Machine], share: float = SHARE_OF_PEAK) -> str:
    """The whole page."""
    revision = found["atari"]["provenance"]["git_revision"][:10]
    parts = [
        "# Past one machine",
        "A plan for a v5e pod of 256 chips and for 64 H100, made by `python -m benchmarks.scaling` from what was "
        "counted and measured here and from published figures of hardware. Nobody has run it: jaxq was measured on "
        "CPUs and, in parts, on one H200, and sharding was tested on devices made of CPUs. Each ceiling is what one "
        "part of a device would allow were it the only one, so the lowest is a bound from above and no promise.",
        "## What was counted and measured",
        constants_table(found),
        f"By `python -m benchmarks.constants` at revision {revision}. Bytes are of the shapes of a run's state. "
        "Arithmetic and bytes moved are what XLA's cost analysis counts in compiled programs, made as for a TPU and "
        "compiled for a CPU: what an accelerator's compiler fuses is counted as moved, so *moved* is too high rather "
        "than too low. The speed of a core is that of one core of this machine, by the seconds that it worked.",
        "## What is published",
        machines_table(them) + "\n" + SOURCES.rstrip(),
        f"Arithmetic is taken to reach {share:.0%} of the peak. This is an assumption (`--share-of-peak`), which "
        "decides where arithmetic is found to be the limit; it may well be too low for FastTD3, whose products are "
        "large.",
    ]
    for name, title in TITLES.items():
        work = work_of(name, found[name])
        parts += [
            f"## {title}",
            design("A population", POPULATION, them, work, share, together=False),
            design("One agent on all devices", TOGETHER, them, work, share, together=True),
            f"The arithmetic of that table, for {them[0].name}:",
            arithmetic(them[0], work, share),
        ]
    parts += [
        "## What is not counted",
        "Latencies: a sum over 256 chips has dozens of hops, and for gradients of a few megabytes they count beside "
        "the bytes. Compilation, evaluations and checkpoints, which are minutes in a run of hours. That cores "
        "which step environments also have the runtime's threads to serve. Memory that compiled programs take beside "
        f"the state, for which {1 - FREE:.0%} are left.",
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share-of-peak", type=float, default=SHARE_OF_PEAK)
    parser.add_argument("--v5e-price", type=float, default=V5E_PRICE)
    parser.add_argument("--h100-price", type=float, default=H100_PRICE)
    parser.add_argument("--constants", type=Path, default=RESULTS / "constants.json")
    parser.add_argument("--out", type=Path, default=PAGE)
    args = parser.parse_args()
    found = json.loads(args.constants.read_text())
    args.out.write_text(page(found, machines(args.v5e_price, args.h100_price), args.share_of_peak))


if __name__ == "__main__":
    main()
