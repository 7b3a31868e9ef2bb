"""The page of several runs: its numbers by numpy and by rliable itself, and the page in a real browser."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from jaxq.errors import InputError, InputWarning
from jaxq.runs.aggregate import interquartile_mean, performance_profile, probability_of_improvement
from jaxq.runs.aggregate import stratified_bootstrap_interval as interval
from jaxq.runs.report import contents, page, write_report
from jaxq.runs.results import KEPT, Result, keep, read

STEPS = np.arange(1, 6) * 1000
# agent, environment, seeds, last return of the first seed
TABLE = [
    ("dqn", "gymnax/A-MinAtar", 4, 10.0),
    ("dqn", "gymnax/B-MinAtar", 3, 200.0),
    ("pqn", "gymnax/A-MinAtar", 4, 14.0),
    ("pqn", "gymnax/B-MinAtar", 2, 150.0),
    ("sac", "gymnax/C-v1", 1, -3.0),
]


def result(agent, env, seeds, last, **config):
    returns = last * STEPS[:, None] / STEPS[-1] + np.arange(seeds)
    columns = {name: [[1.0] * seeds for _ in STEPS] for name in KEPT}
    columns |= {"step": STEPS.tolist(), "eval_return": returns.tolist(), "wall_seconds": (STEPS / 100.0).tolist()}
    columns["episode_return"] = [[None] * seeds, *(0.5 * returns[1:]).tolist()]
    speeds = {"env_steps_per_second": 1000.0 * seeds, "device": "cpu: cpu", "returns": returns[-1].tolist()}
    config = {"experiment": agent, "env": env, "seed": 0, "num_seeds": seeds, "batch_size": 32, **config}
    return Result(f"{agent}-{env}", config, {"command": f"python {agent}.py", "cpu_count": 2}, speeds, columns)


@pytest.fixture
def results():
    return [result(*row) for row in TABLE]


def test_runs_that_ended_no_episode_at_the_same_step_have_no_curve_of_them():
    """Two seeds of one setting, each of which has ended one episode, at another step; and one that has ended none."""
    runs = []
    for seed, when in enumerate((1, 3, None)):
        run = result("dqn", "gymnax/A-MinAtar", 1, 10.0, seed=seed)
        told = [[7.0] if i == when else [None] for i in range(len(STEPS))]
        runs.append(dataclasses.replace(run, name=f"dqn-{seed}", curve={**run.curve, "episode_return": told}))
    for some in (runs[:2], runs, runs[2:]):
        for by in (None, "batch_size"):
            (curve,) = contents(some, by)["curves"]
            assert curve["kinds"]["evaluation"]["steps"] == STEPS.tolist()
            assert "exploring" not in curve["kinds"]


def finals(agent, env):
    seeds, last = next(row[2:] for row in TABLE if row[:2] == (agent, env))
    return last + np.arange(seeds)


# ---- aggregates -----------------------------------------------------------------------------------------------------


def rliable():
    return pytest.importorskip("rliable.library"), pytest.importorskip("rliable.metrics")


def test_aggregates_are_those_of_rliable_itself():
    """Points to the last digit, intervals as near as two bootstraps of one distribution are."""
    library, metrics = rliable()
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(0.0, 1.0, (5, 8)), rng.normal(0.6, 2.0, (5, 8))  # [tasks, runs]; rliable has them turned
    thresholds = np.linspace(-2.0, 2.0, 9)

    point, ends = library.get_interval_estimates(
        {"x": ours.T}, lambda x: np.array([metrics.aggregate_iqm(x)]), reps=2000
    )
    np.testing.assert_allclose(interquartile_mean(ours), point["x"][0], rtol=1e-12)
    np.testing.assert_allclose(interval(ours), ends["x"][:, 0], atol=0.08)

    profile, bands = library.create_performance_profile({"x": ours.T}, thresholds, reps=2000)
    middle, low, high = performance_profile(ours, thresholds)
    np.testing.assert_allclose(middle, profile["x"], rtol=1e-12)
    np.testing.assert_allclose([low, high], bands["x"], atol=0.03)

    both = {"x,y": (ours.T, theirs.T)}
    point, ends = library.get_interval_estimates(both, metrics.probability_of_improvement, reps=300)
    found = probability_of_improvement(ours, theirs)
    np.testing.assert_allclose(found[0], point["x,y"], rtol=1e-12)
    np.testing.assert_allclose(found[1:], ends["x,y"][:, 0], atol=0.05)


def test_a_performance_profile_weighs_tasks_and_not_runs():
    scores = [np.array([0.0, 1.0, 2.0, 3.0]), np.array([5.0])]
    middle, low, high = performance_profile(scores, np.array([-1.0, 0.0, 1.5, 4.0, 5.0]))
    np.testing.assert_allclose(middle, [1.0, (0.75 + 1.0) / 2, (0.5 + 1.0) / 2, 0.5, 0.0])
    # Of four runs drawn with replacement, k of which are above 1.5: a binomial of 4 and 1/2.
    ends = scipy.stats.binom(4, 0.5).ppf([0.025, 0.975]) / 4
    np.testing.assert_allclose([low[2], high[2]], (ends + 1.0) / 2)
    assert low[0] == high[0] == 1.0


def test_intervals_take_tasks_of_unequal_many_runs():
    low, high = interval([np.array([1.0, 3.0]), np.full(6, 2.0)])
    assert low == high == 2.0  # a quarter is left out at either end: the runs that differ
    low, high = interval([np.array([1.0, 3.0]), np.array([2.0])])
    assert (low, high) == (pytest.approx(4 / 3), pytest.approx(8 / 3))


# ---- what is on the page --------------------------------------------------------------------------------------------


def test_scores_speeds_and_curves_are_the_runs_own(results):
    values = contents(results)
    assert values["agents"] == ["dqn", "pqn", "sac"]
    scores = {(score["agent"], score["env"]): score for score in values["scores"]}
    for agent, env, seeds, _ in TABLE:
        score, final = scores[agent, env], finals(agent, env)
        assert score["iqm"] == pytest.approx(scipy.stats.trim_mean(final, 0.25))
        assert (score["lowest"], score["highest"], score["seeds"]) == (final.min(), final.max(), seeds)
        assert (score["low"] is None) == (seeds == 1)
    assert [speed["env_steps_per_second"] for speed in values["speeds"]] == [1000.0 * row[2] for row in TABLE]
    curve = values["curves"][0]["kinds"]
    assert curve["evaluation"]["steps"] == STEPS.tolist()
    assert curve["evaluation"]["seeds"][1] == [3.0, 5.0, 7.0, 9.0, 11.0]
    assert curve["exploring"]["steps"] == STEPS[1:].tolist()  # there is none before the first episode's end
    assert curve["exploring"]["seconds"] == [20.0, 30.0, 40.0, 50.0]


def test_agents_are_compared_on_the_environments_that_they_share(results):
    (found,) = contents(results)["comparisons"]
    assert found["environments"] == ["gymnax/A-MinAtar", "gymnax/B-MinAtar"]
    assert found["ranges"] == {"gymnax/A-MinAtar": [10.0, 17.0], "gymnax/B-MinAtar": [150.0, 202.0]}
    scaled = {
        agent: [(finals(agent, "gymnax/A-MinAtar") - 10) / 7, (finals(agent, "gymnax/B-MinAtar") - 150) / 52]
        for agent in ("dqn", "pqn")
    }
    for point, profile in zip(found["points"], found["profiles"], strict=True):
        tasks = scaled[point["agent"]]
        assert point["iqm"] == pytest.approx(interquartile_mean(np.concatenate(tasks)))
        assert point["low"] <= point["iqm"] <= point["high"]
        at = found["thresholds"].index(0.5)
        assert profile["middle"][at] == pytest.approx(np.mean([(task > 0.5).mean() for task in tasks]))
    (pair,) = found["improvement"]
    assert (pair["agent"], pair["over"]) == ("dqn", "pqn")
    assert pair["probability"] == pytest.approx((0.0 + 1.0) / 2)


def test_one_environment_alone_is_not_scaled():
    values = contents([result("dqn", "gymnax/A", 3, 10.0), result("pqn", "gymnax/A", 3, 20.0)])
    (found,) = values["comparisons"]
    assert not found["scaled"]
    assert [point["iqm"] for point in found["points"]] == [11.0, 21.0]


def test_settings_of_one_experiment_are_told_apart_in_the_same_words_everywhere():
    rows = [("A", 32), ("A", 64), ("B", 64)]
    values = contents([result("dqn", env, 2, 1.0, batch_size=size) for env, size in rows])
    assert values["agents"] == ["dqn, batch_size 32", "dqn, batch_size 64"]
    assert [curve["agent"] for curve in values["curves"] if curve["env"] == "B"] == ["dqn, batch_size 64"]


def test_runs_that_differ_in_seed_alone_are_one_agent_s(tmp_path):
    runs = [result("dqn", "A", 2, 1.0), result("dqn", "A", 2, 5.0, seed=2)]
    values = contents(runs)
    assert [score["seeds"] for score in values["scores"]] == [4]
    assert [run["agent"] for run in values["provenance"]] == ["dqn", "dqn"]


def test_members_with_numbers_of_their_own_are_agents_and_a_diverged_one_is_none():
    run = result("dqn", "A", 4, 1.0, learning_rate=0.1)
    rates = (0.1, 0.1, 0.2, 0.3)
    run.config["population"] = [{"seed": i % 2, "learning_rate": rate} for i, rate in enumerate(rates)]
    for row in run.curve["eval_return"][2:]:
        row[3] = None
    with pytest.warns(InputWarning, match="1 of 1 members of one setting have no last return"):
        values = contents([run])
    assert values["agents"] == ["dqn, learning_rate 0.1", "dqn, learning_rate 0.2"]
    assert [score["iqm"] for score in values["scores"]] == [1.5, 3.0]
    assert [row["values"]["learning_rate"] for row in values["configurations"]["settings"]] == ["0.1", "0.2"]


def test_a_folder_is_read_whole_and_several_programs_as_a_run_each(tmp_path):
    run = result("dqn", "A", 2, 1.0)
    for name in ("all", "all/one", "all/two", "alone"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(run.config))
    keep(tmp_path / "alone", tmp_path / "kept.json")
    assert [found.name for found in read(tmp_path)] == ["one", "two", "alone", "kept"]
    assert [found.name for found in read(tmp_path / "all")] == ["one", "two"]


def test_a_run_without_an_evaluation_is_left_out_and_named(results):
    empty = result("rainbow", "gymnax/A-MinAtar", 2, 1.0)
    empty.curve["eval_return"][:] = [[None, None]] * len(STEPS)
    with pytest.warns(InputWarning, match="rainbow-gymnax/A-MinAtar has no evaluation yet"):
        assert contents([*results, empty])["agents"] == ["dqn", "pqn", "sac"]
    with pytest.warns(InputWarning), pytest.raises(InputError, match="runs of which one has an evaluation"):
        contents([empty])


def test_what_is_no_run_is_named(tmp_path):
    (tmp_path / "other.json").write_text('{"a": 1}')
    for path, said in ((tmp_path / "nothing", "nothing"), (tmp_path / "other.json", "is not a kept run")):
        with pytest.raises(InputError, match=said):
            read(path)
    with pytest.raises(InputError, match=r"a name ending in \.html"):
        write_report([tmp_path], tmp_path / "report.pdf")
    (tmp_path / "other.json").unlink()
    with pytest.raises(InputError, match="a folder of them"):
        read(tmp_path)


def test_no_name_can_end_the_script(results):
    text = page(contents(results), "</script><b>&")
    assert text.count("</script>") == 2
    assert "<title>&lt;/script&gt;&lt;b&gt;&amp;</title>" in text
    assert set(re.findall(r"https?://[^\"'` )]*", text)) == {"http://www.w3.org/2000/svg"}  # a name, never asked for


# ---- in a browser ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("there is no chromium with a chromedriver here")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()


@pytest.fixture
def shown(browser, results, tmp_path):
    """The page, at desktop width, with a film; afterwards, that nothing went wrong and nothing was asked for."""
    from PIL import Image

    film = tmp_path / "video.gif"
    Image.new("RGB", (8, 8), "red").save(film)
    results[0] = Result(**{**vars(results[0]), "film": film})
    path = tmp_path / "report.html"
    path.write_text(page(contents(results), "Three agents"))
    resize(browser, 1280, 900)
    browser.get_log("performance")
    browser.get(path.as_uri())
    yield browser
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
    assert {url for url in asked if not url.startswith("data:")} == {path.as_uri()}


def resize(browser, width, height, scheme="light"):
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)


def find(browser, selector):
    return browser.find_elements("css selector", selector)


def hover(browser, chart, right, below=0):
    from selenium.webdriver import ActionChains

    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
    ActionChains(browser).move_to_element_with_offset(chart, right, below).perform()


def test_every_section_is_there(shown):
    assert [head.text for head in find(shown, "h1, h2")] == [
        "Three agents", "Compared on A, B", "Learning curves", "Returns", "Throughput", "Films", "Configurations",
        "Where it comes from",
    ]  # fmt: skip
    assert find(shown, "#summary")[0].text == "3 agents on 3 environments, 1 to 4 seeds of each"
    assert [row.text.split()[0] for row in find(shown, "#scores tbody tr")] == ["dqn", "pqn", "sac"]
    assert shown.execute_script("return document.querySelector('#films img').naturalWidth") == 8


def test_hovering_shows_the_values_of_the_nearest_step(shown):
    chart = find(shown, "#curves .chart")[0]
    hover(shown, chart, chart.size["width"] // 2 - 20)  # the last step
    tip = find(shown, "#curves .chart .tip")[0]
    assert tip.is_displayed()
    lines = tip.text.splitlines()
    assert lines[0] == "5,000 steps"
    assert [line.split()[:2] for line in lines[1:]] == [["pqn", "15.5"], ["dqn", "11.5"]]  # of 14 to 17, of 10 to 13
    hover(shown, find(shown, "h1")[0], 0)
    assert not tip.is_displayed()


def test_the_crosshair_goes_by_the_keyboard_too(shown):
    from selenium.webdriver.common.keys import Keys

    chart = find(shown, "#curves .chart")[0]
    chart.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert find(shown, "#curves .chart .tip")[0].text.splitlines()[0] == "2,000 steps"


def test_agents_are_hidden_and_curves_drawn_otherwise(shown):
    assert len(find(shown, "#curves .chart")) == 3
    chips = {chip.text: chip for chip in find(shown, ".chip")}
    chips["sac"].click()
    assert chips["sac"].get_attribute("aria-pressed") == "false"
    assert len(find(shown, "#curves .chart")) == 2  # no agent that is shown was on the third environment
    next(button for button in find(shown, "#curves button") if button.text == "seconds").click()
    chart = find(shown, "#curves .chart")[0]
    hover(shown, chart, chart.size["width"] // 2 - 20)
    assert find(shown, "#curves .chart .tip")[0].text.splitlines()[0] == "50 s"
    next(button for button in find(shown, "#curves button") if button.text == "and seeds").click()
    assert len(find(shown, "#curves .seed")) == 4 + 3 + 4 + 2


def test_an_agent_is_shown_alone(shown):
    from selenium.webdriver import ActionChains

    chips = {chip.text: chip for chip in find(shown, ".chip")}
    ActionChains(shown).double_click(chips["pqn"]).perform()
    assert [chip.get_attribute("aria-pressed") for chip in chips.values()] == ["false", "true", "false"]
    assert [row.text.split()[0] for row in find(shown, "#scores tbody tr")] == ["pqn"]
    find(shown, "#agents button:last-child")[0].click()
    assert len(find(shown, "#scores tbody tr")) == 3


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_screen(shown, width):
    resize(shown, width, 800)
    shown.refresh()
    assert shown.execute_script("return document.documentElement.scrollWidth") <= width
    for chart in find(shown, ".chart"):
        hover(shown, chart, 10)
        tip = chart.find_element("css selector", ".tip")
        assert tip.rect["x"] >= 0
        assert tip.rect["x"] + tip.rect["width"] <= width


def test_dark_is_dark(shown):
    brightness = []
    for scheme in ("light", "dark"):
        resize(shown, 1280, 900, scheme)
        colour = shown.execute_script("return getComputedStyle(document.body).backgroundColor")
        brightness.append(sum(map(int, re.findall(r"\d+", colour)[:3])))
    assert brightness[0] > 700
    assert brightness[1] < 100


def test_the_kept_results_make_a_page(tmp_path):
    root = Path(__file__).parent.parent
    kept = sorted((root / "benchmarks" / "results" / "runs").glob("pendulum-*.json"))
    out = write_report(kept, tmp_path / "report.html", title="Pendulum")
    assert 20_000 < out.stat().st_size < 500_000
