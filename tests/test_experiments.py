"""Every experiment script: its configuration parses, its training traces for two seeds, and its help is whole."""

import ast
import contextlib
import dataclasses
import importlib
import re
import sys
import typing
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxq import envs
from jaxq.bellman import Quantile
from jaxq.configs import DRIVER_FIELDS, build_and_tell
from jaxq.errors import InputError
from jaxq.runs import parse, run
from jaxq.runs.attention import draw_attention
from jaxq.runs.catalog import catalog
from jaxq.runs.checkpoints import with_learned
from jaxq.runs.command_line import flags_of, obeying
from jaxq.runs.population import member_keys
from jaxq.runs.scripts import scripts

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
FOLDERS = {name: path.parent.name for name, path in scripts().items()}
SCRIPTS = sorted(FOLDERS)
SMALL = {
    "num_seeds": 2, "num_envs": 2, "replay_capacity": 1000, "warmup_steps": 256, "batch_size": 8, "total_steps": 2000,
    "eval_episodes": 1, "rollout_steps": 8, "minibatches": 2, "sequence_length": 8, "burn_in": 2,
}  # fmt: skip


VECTORS, IMAGES = "gymnax/CartPole-v1", "gymnax/Breakout-MinAtar"
OTHERWISE = {
    "minimax_dqn": "tabular/MarkovGame",
    **{name: "gymnax/Pendulum-v1" for name, folder in FOLDERS.items() if folder == "continuous"},
}


def small(config_class):
    """Flags that make a run small, of those that a script has."""
    fields = {field.name for field in dataclasses.fields(config_class)}
    return [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items() if name in fields]


def load(name):
    """The script and the presets it is run with."""
    module = importlib.import_module(f"experiments.{FOLDERS[name]}.{name}")
    return module, module.PRESETS


@pytest.mark.parametrize("name", SCRIPTS)
def test_training_traces_for_two_seeds(name):
    """The whole program is built and its shapes are checked, which needs no compilation."""
    module, presets = load(name)
    env = OTHERWISE.get(name, "gymnax/Breakout-MinAtar")
    config = parse(module.Config, presets, ["--env", env, *small(module.Config)])
    training = module.build(config)
    plan = training.plan(config.total_steps, 2, 2)
    state = jax.eval_shape(training.warm_up, jax.eval_shape(training.init, member_keys(config)))
    after, metrics = jax.eval_shape(lambda s: training.train_chunk(s, plan.iterations), state)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(lambda x: (x.shape, x.dtype), state)
    assert {"loss", "episode_return"} <= set(metrics)
    assert all(value.shape == (2,) for value in metrics.values())


def named_flags():
    """The flags that scripts name in their docstrings, each with what it is to be given together with."""
    for name, path in scripts().items():  # read and not imported, which every worker would do to collect tests
        for words in re.findall(r"`(--[a-z][^`]*)`", ast.get_docstring(ast.parse(path.read_text())) or ""):
            yield name, " ".join(words.split())


@pytest.mark.parametrize(("name", "flags"), named_flags())
def test_what_a_script_names_can_be_typed(name, flags):
    module, presets = load(name)
    env = OTHERWISE.get(name, "gymnax/Breakout-MinAtar")
    module.build(parse(module.Config, presets, ["--env", env, *flags.split()]))


@pytest.mark.parametrize("name", ["bro", "simba_v2", "maxinforl", "meow", "ppo"])
def test_two_seeds_begin_without_batches_of_lapack(name):
    """On the CPU several batched factorizations at once wait for each other's threads; on two cores for ever."""
    module, presets = load(name)
    config = parse(module.Config, presets, ["--env", "gymnax/Pendulum-v1", *small(module.Config)])
    lowered = jax.jit(module.build(config).init).lower(member_keys(config)).as_text()
    factorized = re.findall(r"@lapack_sgeqrf_ffi\(.*?\) .*?: \(tensor<([0-9x]+)xf32>\)", lowered)
    assert factorized
    assert all(len(shape.split("x")) == 2 for shape in factorized), factorized


# Whole numbers that go with what is learned: steps seen by statistics, and rows that effects are told from.
LEARNED = {"count", "written"}


@pytest.mark.parametrize("name", SCRIPTS)
def test_counts_and_keys_of_a_run_are_not_taken_over_from_another(name):
    """All are marked where they are declared, so that an agent with what another has learned begins its own."""
    module, presets = load(name)
    env = OTHERWISE.get(name, "gymnax/Breakout-MinAtar")
    config = parse(module.Config, presets, ["--env", env, *small(module.Config)])
    shapes = jax.eval_shape(module.build(config).agent.init, jax.random.key(0))
    new, old = (jax.tree.map(lambda _, whose=whose: whose, shapes) for whose in ("new", "old"))
    taken = jax.tree.leaves(with_learned(new, old))
    assert {"new", "old"} == set(taken)
    for (path, leaf), whose in zip(jax.tree_util.tree_leaves_with_path(shapes), taken, strict=True):
        place = jax.tree_util.keystr(path)
        if whose == "old" and not jnp.issubdtype(leaf.dtype, jnp.floating) and "optimizer" not in place:
            assert place.rpartition(".")[2] in LEARNED, place


def largest_by_shape(network):
    """The largest numbers of a network's kernels [..., O, I] and of their biases, by (O, I)."""
    leaves = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(network)}
    most = {}
    for name, kernel in leaves.items():
        if name.endswith("['kernel']") and kernel.size > 200:  # enough for its largest to be near its bound
            largest = [float(jnp.max(jnp.abs(x))) for x in (kernel, leaves[name.replace("kernel", "bias")])]
            most[kernel.shape[-2:]] = np.maximum(most.get(kernel.shape[-2:], 0.0), largest)
    return most


# How the authors' layers begin: uniformly within these bounds, for kernels [O, I]; LeCun's normal is cut at two of its
# deviations before that is made whole.
BOUNDS = {
    "pytorch": lambda outputs, inputs: inputs**-0.5,
    "glorot": lambda outputs, inputs: (6 / (inputs + outputs)) ** 0.5,
    "fan out": lambda outputs, inputs: outputs**-0.5,
    "lecun": lambda outputs, inputs: 2 / 0.87962566 * inputs**-0.5,
}
BIASES = {"pytorch": (0.93, 1.0), "fan out": (1.6, 1.6000001)}  # in these bounds; 0.1 where one is 1 / 16
BEGUN = {
    **dict.fromkeys(["td3", "ddpg", "i_td3", "beer", "tqc", "dsac_t", "fast_td3"], ("pytorch", "pytorch")),
    **dict.fromkeys(["redq", "droq", "ace"], ("glorot", "glorot")),
    **dict.fromkeys(["sac", "i_sac", "crossq", "fast_sac"], ("lecun", "lecun")),
    "dsac": ("fan out", "pytorch"),
    "hyper_critic": ("pytorch", None),  # whose own are tested where it is
}


@pytest.mark.parametrize("name", BEGUN)
def test_layers_begin_as_the_authors_do(name):
    module, presets = load(name)
    config = parse(module.Config, presets, ["--env", "gymnax/Pendulum-v1", *small(module.Config), "--num-seeds=1"])
    state = module.build(config).agent.init(jax.random.key(0))
    state = getattr(state, "base", state)
    for network, begun in zip((state.actor, state.critic), BEGUN[name], strict=True):
        if begun is not None:
            kernels = largest_by_shape(network.variables)
            assert len(kernels) >= 2
            for shape, (most, bias) in kernels.items():
                heads = name in ("dsac", "fast_td3", "fast_sac") and network is state.actor and shape[0] == 1
                if not heads:  # which these draw by themselves
                    bound = BOUNDS[begun](*shape)
                    assert 0.93 * bound < most < 1.001 * bound, (shape, most, bound)
                    least, largest = BIASES.get(begun, (0.0, 0.0))
                    # Of many numbers the largest is near the bound; a head has one bias.
                    assert (least * bound if shape[0] > 100 else 0.0) <= bias <= largest * bound, (shape, bias, bound)


# Where flags are obeyed that are not in a script's other environment: layers of vectors, a choice of those of images.
BESIDE = {"btr": VECTORS, "minimax_dqn": IMAGES}

# Numbers that all choices allow.
ALLOWED = {"temperature": 0.5, "risk_level": 0.5, "epsilon_final": 0.01}


def variants(config):
    """Configurations that between them make every choice that a script has."""
    hints = typing.get_type_hints(type(config))
    names = [field.name for field in dataclasses.fields(config) if field.name not in DRIVER_FIELDS]
    yield config
    for name in names:
        if typing.get_origin(hints[name]) is typing.Literal:
            for value in typing.get_args(hints[name]):
                yield dataclasses.replace(config, **{name: value}, **{k: v for k, v in ALLOWED.items() if k in names})
    for name, value in (("priority_exponent", 0.5), ("target_rate", 0.1)):
        if name in names:
            yield dataclasses.replace(config, **{name: value})
    if "initial_cost_weight" in names:
        below = {"v_min": -1.0} if "v_min" in names else {}
        yield dataclasses.replace(config, env="envpool/BarkourJoystick-v1", initial_cost_weight=0.5, **below)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_flag_is_obeyed(name):
    """There is a choice under which `build` reads it; what the driver of a run reads is tested there."""
    module, presets = load(name)
    read = set(DRIVER_FIELDS)
    env = OTHERWISE.get(name, IMAGES)
    for env_name in {env, BESIDE.get(name, env)}:
        for variant in variants(parse(module.Config, presets, ["--env", env_name, *small(module.Config)])):
            if not (name == "retrace_dqn" and variant.exploration == "epsilon_z"):  # whose probabilities are not known
                read |= build_and_tell(module.build, variant)[1]
    assert {field.name for field in dataclasses.fields(module.Config)} - read == set()


@pytest.mark.parametrize(
    ("name", "env", "flags", "said"),
    [
        ("dqn", IMAGES, "--hidden-widths 8", "hidden_widths"),
        ("dqn", IMAGES, "--torso mlp --hidden-widths 8", None),
        ("dqn", VECTORS, "--torso mlp", "torso"),
        ("dqn", VECTORS, "--hidden-widths 8 --layer-norm", None),
        ("btr", IMAGES, "--hidden-widths 8", "hidden_widths"),
        ("btr", IMAGES, "--layer-norm", "layer_norm"),
        ("btr", VECTORS, "--layer-norm", None),
        ("btr", VECTORS, "--scale 1", "scale"),
    ],
)
def test_layers_that_an_observation_does_not_have_are_refused(name, env, flags, said):
    module, presets = load(name)
    config = parse(module.Config, presets, ["--env", env, *small(module.Config), *flags.split()])
    refused = contextlib.nullcontext() if said is None else pytest.raises(InputError, match=f"^{said} is .* no effect")
    with refused:
        obeying(module.build, config, presets)(config)


NOT_ALLOWED = ("--weight-decay=inf", "--weight-decay=-1", "--target-noise=-1", "--noise=-1")


@pytest.mark.parametrize("flag", NOT_ALLOWED)
def test_decay_and_noise_that_cannot_be_are_named_by_their_fields_everywhere(flag):
    field, value = flag.removeprefix("--").split("=")
    field, having = field.replace("-", "_"), 0
    for name in SCRIPTS:
        module, presets = load(name)
        if field not in {one.name for one in dataclasses.fields(module.Config)}:
            continue
        having += 1
        config = parse(module.Config, presets, ["--env", OTHERWISE.get(name, IMAGES), *small(module.Config), flag])
        with pytest.raises(InputError, match=f"^{field} is {float(value)}, but must be 0 or more"):
            module.build(config)
    assert having >= 4


@pytest.mark.parametrize("name", ["crossq", "dsac", "hyper_critic", "tqc"])
def test_widths_are_the_actor_s_where_critics_have_layers_of_their_own(name, capsys):
    module, presets = load(name)
    with pytest.raises(SystemExit):
        parse(module.Config, presets, ["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert text.split("--hidden-widths", 1)[1].split("(default", 1)[0].count("Hidden layers of the actor;") == 1


@pytest.mark.parametrize(("name", "shifts"), [("bootstrapped_dqn", [-1.0, -1.0]), ("reward_shifting", [-1.5, -0.75])])
def test_members_of_an_ensemble_have_the_shift_of_all(name, shifts):
    module, presets = load(name)
    more = ["--members=2"] if name == "bootstrapped_dqn" else ["--shifts", "-0.5", "0.25"]
    flags = ["--env", "gymnax/CartPole-v1", "--reward-shift=-1", *small(module.Config), *more]
    agent = module.build(parse(module.Config, presets, flags)).agent
    np.testing.assert_allclose(agent.init(jax.random.key(0)).members.hyper.reward_shift, shifts)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_flag_is_explained(name, capsys):
    module, presets = load(name)
    with pytest.raises(SystemExit) as stop:
        parse(module.Config, presets, ["--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--resumption" not in text
    text = text[text.index("-h, --help") :]  # what stands before it may name flags too
    for name in flags_of(module.Config):
        flag = "--" + name.replace("_", "-")
        # Between a flag and its default there is a sentence.
        explained = re.search(rf"{flag}(?![\w-])(.*?)\(default", text)
        assert explained, flag
        assert len(explained[1].split()) >= 3, flag


def test_i_sac_with_one_link_is_sac_bit_for_bit():
    """The scripts, with whatever is their default, on the same batches."""
    learners = []
    for name, flags in (("sac", []), ("i_sac", ["--links=1"])):
        module, presets = load(name)
        args = ["--env", "gymnax/Pendulum-v1", *small(module.Config), "--num-seeds=1", "--hidden-widths=8", *flags]
        training = module.build(parse(module.Config, presets, args))

        def learn(key, training=training):
            state = training.warm_up(training.init(key[None]))
            return training.train_chunk(state, 5)[0].agent

        learners.append(jax.jit(learn)(jax.random.key(0)))
    sac, chain = learners
    one = jax.tree.map(lambda leaf: leaf[:, 0], (chain.critic.variables, chain.critic.target))
    for ours, theirs in (
        (sac.actor, chain.actor),
        (sac.entropy, chain.entropy),
        ((sac.critic.variables, sac.critic.target), one),
    ):
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_continuous_agents_refuse_discrete_actions_and_the_reverse():
    for name, env, needed in (("sac", "gymnax/CartPole-v1", "continuous"), ("dqn", "gymnax/Pendulum-v1", "discrete")):
        module, presets = load(name)
        with pytest.raises(InputError, match=rf"env is '{env}'.* needs {needed}"):
            module.build(parse(module.Config, presets, ["--env", env]))


def test_the_catalog_reads_every_experiment_s_choices_from_what_it_builds():
    rows = {row["experiment"]: row for row in catalog()}
    assert sorted(rows) == SCRIPTS
    assert all(re.search(r"(19|20)\d\d", row["paper"]) for row in rows.values())
    assert rows["rainbow"]["replay"] == "PrioritizedReplay(UniformReplay)"
    assert rows["rainbow"]["exploration"] == "noise"
    assert rows["i_iqn"]["targets"] == "WindowShift"
    assert rows["log_dqn"]["representation"] == "Decomposed(Mapped(Scalar, Logarithmic))"
    assert (rows["pqn"]["targets"], rows["pqn"]["replay"]) == ("none", "none")
    assert rows["minimax_dqn"]["operator"] == "Minimax"
    assert rows["redq"]["operator"] == "RandomSubset"
    assert rows["simba"]["agent"] == "Normalized of ActorCritic"
    assert {name: row["group"] for name, row in rows.items()} == FOLDERS


def test_a_script_without_a_description_is_one_all_the_same(tmp_path, capsys):
    from jaxq.cli.main import Agents

    plain = (ROOT / "experiments" / "discrete" / "dqn.py").read_text().split('"""', 2)[2]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "plain.py").write_text(plain)
    Agents(directory=tmp_path)()
    assert capsys.readouterr().out.startswith("mine\nplain  without a description\n")
    with pytest.raises(SystemExit):
        parse(sys.modules["jaxq_catalog_plain"].Config, {}, ["--help"])
    assert "--learning-rate" in capsys.readouterr().out


def test_attention_is_drawn_from_a_run_and_from_no_other(tmp_path):
    config = ["--env", "gymnax/Breakout-MinAtar", "--run-dir", str(tmp_path / "run"), "--num-evaluations", "1"]
    module, presets = load("action_q_transformer")
    flags = [*small(module.Config), "--num-seeds=1", "--total-steps=400", "--layers=1", "--features=8", "--heads=2"]
    run(module.build, parse(module.Config, presets, [*config, *flags]))
    picture = draw_attention(tmp_path / "run", None, frames=2, every=2)
    assert picture.stat().st_size > 5_000
    script = tmp_path / "run" / "experiment.py"
    script.write_text(script.read_text() + "\n# changed\n")
    with pytest.raises(InputError, match="may not be executed"):
        draw_attention(tmp_path / "run", None, run_code=False)
    other, presets = load("dqn")
    plain = ["--env", "gymnax/CartPole-v1", "--run-dir", str(tmp_path / "other"), *small(other.Config)]
    run(other.build, parse(other.Config, presets, [*plain, "--num-seeds=1", "--total-steps=400"]))
    with pytest.raises(InputError, match="action_q_transformer"):
        draw_attention(tmp_path / "other", None)


def test_a_risk_level_that_the_measure_does_not_allow_is_named_by_its_flag():
    module, presets = load("iqn")
    config = parse(module.Config, presets, ["--env", "gymnax/CartPole-v1", "--risk", "cvar", "--risk-level", "2"])
    with pytest.raises(InputError, match=r"risk_level.*cvar.*2\.0.*\(0, 1\]"):
        module.build(config)


def test_every_measure_of_risk_has_a_number_of_its_own_which_is_averse():
    """A coin of 0 or 1 is worth less than a half; to cpw, as the IQN paper samples it, either tail counts for less."""
    module, presets = load("iqn")
    coin, rare = (jnp.array([0.0, 1.0]), jnp.array([0.5, 0.5])), (jnp.array([0.0, 1.0]), jnp.array([0.99, 0.01]))
    for name in typing.get_args(typing.get_type_hints(module.Config)["risk"])[1:]:
        config = parse(module.Config, presets, ["--env", "gymnax/CartPole-v1", "--risk", name])
        measure = config.valued(Quantile(2)).measure
        assert measure(*coin) < 0.5, name
        if name == "cpw":
            assert 0 < measure(*rare) < 0.005
            assert 0.995 < -measure(-rare[0][::-1], rare[1]) < 1


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("iqn", "num_fractions", "0"),
        ("bbf", "channels", "0"),
        ("sac", "num_critics", "-1"),
        ("r2d2", "recurrent_width", "0"),
        ("dqn", "hidden_widths", "0"),
        ("dqn", "collect_steps", "0"),
        ("bbf", "weight_decay", "nan"),
        ("reward_shifting", "shifts", "nan"),
        ("pqn", "max_gradient_norm", "0"),
        ("dqn", "adam_epsilon", "-1"),
        ("fqf", "fraction_rate", "-1"),
        ("bbf", "shift", "-1"),
        ("recurrent_pqn", "burn_in", "-1"),
        ("tqc", "dropped_atoms", "-1"),
        ("tqc", "dropped_atoms", "25"),
        ("redq", "subset", "11"),
        ("redq", "updates", "1002"),
        ("td3", "target_noise", "-1"),
        ("td3", "largest_target_noise", "-1"),
        ("i_td3", "target_noise", "-1"),
        ("dsac", "temperature", "-1"),
        ("dsac_t", "temperature_learning_rate", "-1"),
        ("sac", "initial_temperature", "0"),
        ("sac", "target_entropy_per_dimension", "0.5"),
        ("reppo", "target_entropy_per_dimension", "0.5"),
        ("bang_bang", "target_entropy_per_dimension", "-1"),
        ("td3", "learning_rate", "-1"),
        ("sac", "learning_rate_final", "-1"),
        ("hyper_critic", "critic_learning_rate", "-1"),
        ("reppo", "initial_temperature", "0"),
        ("off_policy_dae", "policy_temperature", "0"),
        ("ppo", "observation_clip", "-1"),
        ("log_dqn", "log_scale", "0"),
        ("log_dqn", "discount", "0"),
        ("orchestrated_dqn", "log_offset", "0"),
        ("mrq", "adam_epsilon", "-1"),
        ("bro", "adam_epsilon", "-1"),
    ],
)
def test_sizes_and_numbers_that_cannot_be_are_named_before_anything_starts(name, field, value):
    module, presets = load(name)
    env = OTHERWISE.get(name, "gymnax/Breakout-MinAtar")
    with pytest.raises(InputError, match=rf"^{field} is .*{value}"):
        module.build(parse(module.Config, presets, ["--env", env, f"--{field.replace('_', '-')}", value]))


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_agent_checks_its_discount_its_step_size_and_its_bound_on_rewards(name):
    module, presets = load(name)
    env = OTHERWISE.get(name, "gymnax/Breakout-MinAtar")
    fields = {field.name for field in dataclasses.fields(module.Config)}
    for field, value in (("discount", "1.5"), ("learning_rate", "-1.0"), ("reward_clip", "0.0")):
        if field in fields:
            with pytest.raises(InputError, match=rf"(?s)^{field} is .*{value.rstrip('0').rstrip('.')}"):
                module.build(parse(module.Config, presets, ["--env", env, f"--{field.replace('_', '-')}", value]))


def test_no_burn_in_no_shift_and_no_dropped_atom_are_allowed():
    """Zero is out of the question only where nothing says otherwise."""
    for name, flag in (
        ("recurrent_pqn", "--burn-in"),
        ("bbf", "--shift"),
        ("dqn", "--seed"),
        ("tqc", "--dropped-atoms"),
    ):
        module, presets = load(name)
        env = OTHERWISE.get(name, "gymnax/Breakout-MinAtar")
        module.build(parse(module.Config, presets, ["--env", env, flag, "0"]))


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_presets_fit_together(name):
    """A warm-up is held by the replay, ε does not rise, chains are renewed within their period, and periods come round.

    In every domain, with what is a default there.
    """
    module, found = load(name)
    for domain in envs.DOMAINS:
        config = module.Config(**found.get(domain, {}))
        of = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
        assert of.get("warmup_steps", 0) <= of.get("replay_capacity", float("inf")), domain
        assert of.get("epsilon_final", 0) <= of.get("epsilon_initial", 1), domain
        assert of.get("sync_period", 1) <= of.get("target_period", float("inf")), domain
        learned = min(of["total_steps"] - of.get("warmup_steps", 0), getattr(config, "total_updates", float("inf")))
        assert all(value < learned for name, value in of.items() if name.endswith("_period")), domain
