"use strict";
// Draws the values that jaxq/runs/report.py computed. Nothing is fetched, and no number is made here but positions.

const values = JSON.parse(document.getElementById("values").textContent);
const state = { hidden: new Set(), kind: "evaluation", x: "steps", seeds: false, comparison: 0, over: null, place: null, all: false };
const COLOURS = 10;
const DASHES = ["", "7 4", "2 3", "9 3 2 3"];

// ---- elements -------------------------------------------------------------------------------------------------------

function make(create, tag, attributes, children) {
  const element = create(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}
const html = (tag, attributes, ...children) => make((t) => document.createElement(t), tag, attributes, children);
const svg = (tag, attributes, ...children) =>
  make((t) => document.createElementNS("http://www.w3.org/2000/svg", t), tag, attributes, children);

const colour = (agent) => `var(--c${values.agents.indexOf(agent) % COLOURS})`;
const dash = (agent) => DASHES[Math.floor(values.agents.indexOf(agent) / COLOURS) % DASHES.length];
const shown = (agent) => !state.hidden.has(agent);
const place = (env) => env.replace(/^[a-z]+\//, "").replace(/-MinAtar$/, "");
const swatch = (agent) =>
  svg("svg", { class: "swatch", viewBox: "0 0 18 8", "aria-hidden": "true" },
    svg("line", { x1: 0, x2: 18, y1: 4, y2: 4, "stroke-width": 3, stroke: colour(agent), "stroke-dasharray": dash(agent) }));

// ---- numbers --------------------------------------------------------------------------------------------------------

function format(x) {
  if (x === null || x === undefined) return "–";
  const size = Math.abs(x);
  if (size >= 10000) return compact(x);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 || x === 0 ? 2 : 3;
  return x.toLocaleString("en", { maximumFractionDigits: digits });
}
const compact = (x) => x.toLocaleString("en", { notation: "compact", maximumFractionDigits: 1 });
const whole = (x) => Math.round(x).toLocaleString("en");
const share = (x) => (x === null ? "–" : x.toFixed(2));
function duration(s) {
  if (s < 120) return `${format(s)} s`;
  return s < 7200 ? `${format(s / 60)} min` : `${format(s / 3600)} h`;
}

function ticks(low, high, count) {
  const raw = (high - low) / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
  const found = [];
  for (let x = Math.ceil(low / step - 1e-9) * step; x <= high + step * 1e-6; x += step) found.push(Math.abs(x) < step * 1e-6 ? 0 : x);
  return found;
}
function extent(numbers) {
  let low = Infinity, high = -Infinity;
  for (const x of numbers) if (x !== null && x !== undefined) { low = Math.min(low, x); high = Math.max(high, x); }
  if (low > high) return [0, 1];
  return low === high ? [low - 1, high + 1] : [low, high];
}
function nearest(sorted, x) {
  let low = 0, high = sorted.length - 1;
  while (high - low > 1) { const middle = (low + high) >> 1; if (sorted[middle] < x) low = middle; else high = middle; }
  return Math.abs(sorted[low] - x) <= Math.abs(sorted[high] - x) ? low : high;
}

// ---- a chart of lines -----------------------------------------------------------------------------------------------
// lines: [{agent, x, middle, low, high, seeds}], each of x's length. `named` writes x in the tip, `number` a value.

function lineChart(label, lines, { xTitle, tick, named, number = format, xLow = null, yDomain = null }) {
  const box = html("div", { class: "chart", tabindex: 0, role: "group", "aria-label": label });
  const tip = html("div", { class: "tip", hidden: true });
  let drawn = null;

  function draw() {
    const width = box.clientWidth;
    if (!width) return;
    const height = Math.round(Math.min(300, Math.max(200, width * 0.62)));
    const seen = lines.filter((line) => shown(line.agent) && line.x.length);
    const [least, x1] = extent(seen.flatMap((line) => line.x)), x0 = xLow ?? least;
    const [y0, y1] = yDomain || padded(extent(seen.flatMap((line) => [...line.middle, ...line.low, ...line.high])));
    const yTicks = ticks(y0, y1, Math.round(height / 55));
    const left = 10 + 7 * Math.max(...yTicks.map((y) => number(y).length), 1);
    const right = 14, top = 6, bottom = 36;
    const X = (x) => left + ((x - x0) / (x1 - x0)) * (width - left - right);
    const Y = (y) => top + (1 - (y - y0) / (y1 - y0)) * (height - top - bottom);
    const path = (xs, ys) => ys.map((y, i) => (y === null ? "" : `${i && ys[i - 1] !== null ? "L" : "M"}${X(xs[i]).toFixed(1)} ${Y(y).toFixed(1)}`)).join("");
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": label });
    for (const y of yTicks) {
      picture.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: Y(y), y2: Y(y) }),
        svg("text", { x: left - 7, y: Y(y) + 4, "text-anchor": "end" }, number(y)));
    }
    for (const x of ticks(x0, x1, Math.round(width / 75))) {
      picture.append(svg("text", { x: X(x), y: height - bottom + 17, "text-anchor": "middle" }, tick(x)));
    }
    picture.append(svg("line", { class: "base", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }),
      svg("text", { x: (left + width - right) / 2, y: height - 3, "text-anchor": "middle" }, xTitle));
    const marks = new Map();
    for (const line of seen) {
      const parts = [];
      if (line.low.length) {
        const back = line.x.map((x, i) => `L${X(x).toFixed(1)} ${Y(line.low[i]).toFixed(1)}`).reverse().join("");
        parts.push(svg("path", { class: "band", fill: colour(line.agent), d: `${path(line.x, line.high)}${back}Z` }));
      }
      if (state.seeds) for (const seed of line.seeds || []) parts.push(svg("path", { class: "seed", stroke: colour(line.agent), d: path(line.x, seed) }));
      const mean = line.x.length > 1
        ? svg("path", { class: "mean", stroke: colour(line.agent), "stroke-dasharray": dash(line.agent), d: path(line.x, line.middle) })
        : svg("circle", { cx: X(line.x[0]), cy: Y(line.middle[0]), r: 4, fill: colour(line.agent) });
      marks.set(line.agent, [...parts, mean]);
    }
    // Bands lie below all lines.
    const everything = [...marks.values()].flat();
    picture.append(...everything.filter((mark) => mark.matches(".band")), ...everything.filter((mark) => !mark.matches(".band")));
    const cross = svg("line", { class: "cross", y1: top, y2: height - bottom, visibility: "hidden" });
    const dots = svg("g");
    picture.append(cross, dots);
    box.replaceChildren(picture, tip);
    drawn = { width, height, left, right, x0, x1, X, Y, seen, marks, cross, dots, at: null };
  }

  function point(pixel, pixelY) {
    if (!drawn || !drawn.seen.length) return;
    const { width, left, right, x0, x1, X, Y, seen, marks, cross, dots } = drawn;
    const x = x0 + ((pixel - left) / (width - left - right)) * (x1 - x0);
    const near = seen.map((line) => { const i = nearest(line.x, x); return { line, i, x: line.x[i], y: line.middle[i] }; }).filter((at) => at.y !== null);
    if (!near.length) return;
    const here = near.reduce((a, b) => (Math.abs(b.x - x) < Math.abs(a.x - x) ? b : a)).x;
    // A run that ended long before is not at this step.
    const found = near.filter((at) => Math.abs(at.x - here) <= (x1 - x0) * 0.06).sort((a, b) => b.y - a.y);
    const closest = pixelY === null ? null : found.reduce((a, b) => (Math.abs(Y(b.y) - pixelY) < Math.abs(Y(a.y) - pixelY) ? b : a));
    for (const [agent, parts] of marks) for (const part of parts) part.classList.toggle("faded", !!closest && found.length > 2 && agent !== closest.line.agent);
    cross.setAttribute("x1", X(here)); cross.setAttribute("x2", X(here)); cross.setAttribute("visibility", "visible");
    dots.replaceChildren(...found.map((at) => svg("circle", { cx: X(at.x), cy: Y(at.y), r: 3.5, fill: colour(at.line.agent) })));
    const most = 12, first = closest ? Math.max(0, Math.min(found.indexOf(closest) - 6, found.length - most)) : 0;
    const rows = found.slice(first, first + most).map((at) => html("tr", { class: at === closest ? "near" : null },
      html("td", {}, swatch(at.line.agent)), html("td", { class: "name" }, at.line.agent), html("td", { class: "number" }, number(at.y)),
      html("td", { class: "soft" }, at.line.low.length ? `${number(at.line.low[at.i])} to ${number(at.line.high[at.i])}` : "")));
    tip.replaceChildren(html("b", {}, named(here)), html("table", {}, html("tbody", {}, rows)));
    if (found.length > most) tip.append(html("div", { class: "soft" }, `${found.length - most} more`));
    tip.hidden = false;
    const room = box.getBoundingClientRect(), w = tip.offsetWidth, page = document.documentElement.clientWidth, gap = 14;
    if (width < 420) { // on a telephone below the chart, which a finger and a tip would cover
      tip.style.left = `${Math.max(8 - room.left, Math.min(X(here) - w / 2, page - room.left - w - 8))}px`;
      tip.style.top = `${drawn.height + 4}px`;
    } else {
      const beside = room.left + X(here) + gap + w > page - 8 ? X(here) - gap - w : X(here) + gap;
      tip.style.left = `${beside}px`;
      tip.style.top = `${Math.max(-20, Math.min(drawn.height - tip.offsetHeight, (pixelY ?? 60) - tip.offsetHeight / 2))}px`;
    }
    drawn.at = here;
  }
  function leave() {
    tip.hidden = true;
    if (!drawn) return;
    drawn.cross.setAttribute("visibility", "hidden");
    drawn.dots.replaceChildren();
    drawn.at = null;
    for (const parts of drawn.marks.values()) for (const part of parts) part.classList.remove("faded");
  }
  const follow = (event) => { const room = box.getBoundingClientRect(); point(event.clientX - room.left, event.clientY - room.top); };
  box.addEventListener("pointermove", follow);
  box.addEventListener("pointerdown", follow);
  box.addEventListener("pointerleave", leave);
  box.addEventListener("blur", leave);
  box.addEventListener("keydown", (event) => {
    if (!drawn || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    event.preventDefault();
    const xs = [...new Set(drawn.seen.flatMap((line) => line.x))].sort((a, b) => a - b);
    const i = drawn.at === null ? -1 : nearest(xs, drawn.at);
    const next = xs[Math.max(0, Math.min(xs.length - 1, event.key === "ArrowRight" ? i + 1 : i - 1))];
    point(drawn.X(next), null);
  });
  new ResizeObserver(() => { if (!drawn || box.clientWidth !== drawn.width) draw(); }).observe(box);
  box.redraw = draw;
  return box;
}
function padded([low, high]) {
  const room = (high - low) * 0.04;
  return [low >= 0 && low - room < 0 ? 0 : low - room, high + room];
}

// ---- rows with a mark on a scale ------------------------------------------------------------------------------------
// rows: [{agent, value, low, high}]; bars begin at zero, dots do not.

function rowChart(rows, { bars = false, domain = null, number = format, tick = number, line = null, label }) {
  const [low, high] = domain || (bars ? [0, extent(rows.map((row) => row.value))[1] * 1.02] : padded(extent(rows.flatMap((row) => [row.value, row.low, row.high]))));
  const at = (x) => `${(100 * (x - low)) / (high - low)}%`;
  const box = html("div", { class: "rows", role: "img", "aria-label": label });
  for (const row of rows) {
    const interval = row.low === null || row.low === undefined ? "" : `${number(row.low)} to ${number(row.high)}`;
    const track = html("div", { class: "track", title: `${row.agent}: ${number(row.value)}${interval && ` (${interval})`}` });
    if (line !== null) track.append(html("i", { style: `left:${at(line)}` }));
    if (bars) track.append(html("div", { class: "bar", style: `width:${at(row.value)};background:${colour(row.agent)}` }));
    else {
      if (interval) track.append(html("div", { class: "range", style: `left:${at(row.low)};width:calc(${at(row.high)} - ${at(row.low)});background:${colour(row.agent)}` }));
      track.append(html("div", { class: "dot", style: `left:${at(row.value)};background:${colour(row.agent)}` }));
    }
    box.append(html("div", { class: "name", title: row.agent }, row.agent), track, html("div", { class: "number" }, number(row.value)));
  }
  const scale = ticks(low, high, 4).map((x) => html("span", { style: `left:${at(x)}` }, tick(x)));
  box.append(html("div", { class: "scale", "aria-hidden": "true" }, scale));
  return box;
}

// ---- controls -------------------------------------------------------------------------------------------------------

function choice(label, name, options) {
  const buttons = options.map(([value, text]) => html("button", { type: "button", "aria-pressed": String(state[name] === value), onclick: () => {
    state[name] = value;
    for (const [i, button] of buttons.entries()) button.setAttribute("aria-pressed", String(options[i][0] === value));
    render();
  } }, text));
  return html("div", { class: "choice", role: "group", "aria-label": label }, buttons);
}
function select(label, name, options) {
  return html("select", { "aria-label": label, onchange: (event) => { state[name] = options[event.target.selectedIndex][0]; render(); } },
    options.map(([value, text]) => html("option", { selected: state[name] === value }, text)));
}
function section(id, title, about, controls, body) {
  return html("section", { id }, html("div", { class: "head" }, html("h2", {}, title), controls), about && html("p", {}, about), body);
}

// ---- the sections ---------------------------------------------------------------------------------------------------

const called = (comparison) => {
  const names = comparison.environments.map(place);
  return `${names.slice(0, 3).join(", ")}${names.length > 3 ? ` and ${names.length - 3} more` : ""}`;
};

function comparison() {
  if (!values.comparisons.length) return null;
  const found = values.comparisons[state.comparison];
  const agents = found.points.map((row) => row.agent).filter(shown);
  const points = found.points.filter((row) => shown(row.agent)).sort((a, b) => b.iqm - a.iqm);
  if (!points.length) return null;
  if (!agents.includes(state.over)) state.over = points[points.length - 1].agent;
  const pairs = [];
  for (const pair of found.improvement) {
    if (pair.over === state.over && shown(pair.agent)) pairs.push({ agent: pair.agent, value: pair.probability, low: pair.low, high: pair.high });
    if (pair.agent === state.over && shown(pair.over)) pairs.push({ agent: pair.over, value: 1 - pair.probability, low: 1 - pair.high, high: 1 - pair.low });
  }
  pairs.sort((a, b) => b.value - a.value);
  const score = found.scaled ? "scaled score" : "return";
  const scaled = "Scores are scaled within each environment, so that the lowest and the highest of any run here are 0 and 1. ";
  const steps = found.steps[0] === found.steps[1] ? `after ${whole(found.steps[0])} steps` : `after ${whole(found.steps[0])} to ${whole(found.steps[1])} steps: agents had unequal shares`;
  const about = `Of the last evaluations, ${steps}. ${found.scaled ? scaled : ""}Shaded: 95% intervals, runs being drawn again${found.scaled ? " within each environment" : ""}.`;
  const number = found.scaled ? (x) => x.toFixed(3) : format;
  const which = values.comparisons.length > 1 && select("Comparison", "comparison",
    values.comparisons.map((c, i) => [i, `${called(c)}: ${c.points.length} agents`]));
  return section("comparison", `Compared on ${called(found)}`, about, which, html("div", { class: "panels" },
    html("div", {}, html("h3", {}, `Interquartile mean of the ${score}`),
      rowChart(points.map((row) => ({ ...row, value: row.iqm })), { number, tick: format, label: "Interquartile mean by agent" })),
    html("div", {}, html("h3", {}, "Performance profile: share of runs above"),
      lineChart("Performance profile", found.profiles.map((p) => ({ ...p, x: found.thresholds })),
        { xTitle: score, tick: format, named: (x) => `above ${format(x)}`, number: share, yDomain: [0, 1] })),
    agents.length > 1 && html("div", {}, html("h3", {}, "Probability of improvement over ",
      select("Compared with", "over", agents.map((agent) => [agent, agent]))),
      rowChart(pairs, { domain: [0, 1], number: share, tick: format, line: 0.5, label: `Probability of improvement over ${state.over}` }))));
}

function curves() {
  const exploring = state.kind === "exploring", bySeconds = state.x === "seconds";
  const panels = values.environments.map((env) => {
    const lines = values.curves.filter((curve) => curve.env === env && curve.kinds[state.kind]).map((curve) => {
      const kind = curve.kinds[state.kind];
      return { agent: curve.agent, ...kind, x: kind[state.x] };
    });
    if (!lines.some((line) => shown(line.agent))) return null;
    return html("div", {}, html("h3", {}, env), lineChart(`Returns on ${env}`, lines, {
      xLow: 0,
      xTitle: bySeconds ? "wall-clock, all seeds together" : "environment steps of each seed",
      tick: bySeconds ? duration : compact,
      named: (x) => (bySeconds ? duration(x) : `${whole(x)} steps`),
    }));
  });
  const about = exploring
    ? "Mean return of the episodes that ended since the last point, while exploring: interquartile mean over seeds, and 95% bootstrap intervals."
    : "Evaluations of the exploiting policy: interquartile mean over seeds, and 95% bootstrap intervals.";
  return section("curves", "Learning curves", about, [
    choice("Which returns", "kind", [["evaluation", "evaluation"], ["exploring", "exploring"]]),
    choice("Against", "x", [["steps", "steps"], ["seconds", "seconds"]]),
    choice("Seeds", "seeds", [[false, "interval"], [true, "and seeds"]]),
  ], html("div", { class: "panels" }, panels));
}

function scores() {
  const agents = values.agents.filter(shown);
  const by = new Map(values.scores.map((score) => [`${score.agent}\n${score.env}`, score]));
  const best = new Map(values.environments.map((env) => [env, Math.max(...values.scores.filter((s) => s.env === env && shown(s.agent)).map((s) => s.iqm))]));
  const environments = values.environments.filter((env) => Number.isFinite(best.get(env)));
  const cell = (score, env) => score === undefined ? html("td", {}) : html("td",
    { class: score.iqm === best.get(env) ? "best" : null, title: `mean ${format(score.mean)}, ${format(score.lowest)} to ${format(score.highest)} over ${score.seeds} seeds, after ${whole(score.steps)} steps` },
    format(score.iqm), html("small", {}, score.low === null ? "" : `${format(score.low)} to ${format(score.high)}`));
  return section("scores", "Returns", "Last evaluation: interquartile mean over seeds, and its 95% interval. Bold: the highest.", null,
    html("div", { class: "wide" }, html("table", { class: "data" },
      html("thead", {}, html("tr", {}, html("th", {}, "agent"), environments.map((env) => html("th", {}, place(env))))),
      html("tbody", {}, agents.map((agent) => html("tr", {}, html("td", { title: agent }, agent), environments.map((env) => cell(by.get(`${agent}\n${env}`), env))))))));
}

function speeds() {
  const rows = values.speeds.filter((speed) => shown(speed.agent));
  if (!rows.length) return null;
  const machines = [...new Set(rows.map((speed) => `${speed.device}${speed.cores ? `, ${speed.cores} cores` : ""}`))];
  const panels = [...new Set(rows.map((speed) => speed.env))].map((env) => {
    const here = rows.filter((speed) => speed.env === env);
    const bars = here.map((speed) => ({ agent: speed.agent, value: speed.env_steps_per_second })).sort((a, b) => b.value - a.value);
    return html("div", {}, html("h3", {}, env), rowChart(bars, { bars: true, number: whole, tick: compact, label: `Steps per second on ${env}` }));
  });
  return section("speeds", "Throughput", `Environment steps a second of all members of its run together, learning included, the median over each run; on ${machines.join("; ")}. Runs were not timed side by side.`, null,
    html("div", { class: "panels" }, panels));
}

function films() {
  const found = values.films.filter((film) => shown(film.agent));
  if (!found.length) return null;
  const motion = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  const moving = (video) => { video.muted = true; video.autoplay = motion; return video; }; // only muted films may begin by themselves
  return section("films", "Films", "An episode of each trained policy.", null, html("div", { class: "films" }, found.map((film) =>
    html("figure", {}, film.type === "image/gif"
      ? html("img", { src: film.data, alt: `${film.agent} on ${film.env}` })
      : moving(html("video", { src: film.data, controls: !motion, loop: true, playsinline: true, onclick: (event) => { const film = event.target; if (motion) film.paused ? film.play() : film.pause(); }, "aria-label": `${film.agent} on ${film.env}` })),
      html("figcaption", {}, `${film.agent}, ${place(film.env)}`)))));
}

function configurations() {
  if (!values.environments.includes(state.place)) state.place = values.environments[0];
  const here = values.configurations.settings.filter((setting) => setting.env === state.place && shown(setting.agent));
  const fields = values.configurations.fields.filter((name) => here.some((setting) => name in setting.values))
    .filter((name) => state.all || new Set(here.map((setting) => setting.values[name]).filter((value) => value !== undefined)).size > 1);
  const table = fields.length ? html("div", { class: "wide" }, html("table", { class: "data text" },
    html("thead", {}, html("tr", {}, html("th", {}, "field"), here.map((setting) => html("th", { title: setting.agent }, setting.agent)))),
    html("tbody", {}, fields.map((name) => html("tr", {}, html("td", {}, html("code", {}, name)), here.map((setting) => html("td", {}, setting.values[name] ?? "")))))))
    : html("p", { class: "soft" }, here.length > 1 ? "They do not differ." : "There is one alone.");
  return section("configuration", "Configurations", "An empty cell: the agent has no such field.", [
    values.environments.length > 1 && select("Environment", "place", values.environments.map((env) => [env, env])),
    choice("Which fields", "all", [[false, "that differ"], [true, "all"]])], table);
}

function provenance() {
  const runs = values.provenance.filter((run) => shown(run.agent));
  return section("provenance", "Where it comes from", null, null, html("details", {}, html("summary", {}, `${runs.length} run${runs.length === 1 ? "" : "s"}, with commands, revisions and machines`),
    runs.map((run) => html("p", {}, html("b", {}, `${run.agent}, ${run.env}`), html("br", {}), html("code", {}, run.command ?? run.name), html("br", {}),
      html("span", { class: "soft" }, [run.date, run.revision && `revision ${run.revision}`, run.machine, run.versions].filter(Boolean).join(" · "))))));
}

// ---- the page -------------------------------------------------------------------------------------------------------

const bar = document.getElementById("agents");
const chips = values.agents.map((agent) => html("button", {
  type: "button", class: "chip", title: `${agent}: shown or not; clicked twice, alone`,
  onclick: () => { if (!state.hidden.delete(agent)) state.hidden.add(agent); show(); },
  ondblclick: () => { state.hidden = new Set(values.agents.filter((other) => other !== agent)); show(); },
}, swatch(agent), html("span", {}, agent)));
const every = html("button", { type: "button", onclick: () => { state.hidden = new Set(state.hidden.size ? [] : values.agents); show(); } });
if (values.agents.length > 1) bar.append(...chips, every);
else bar.remove();

function show() {
  for (const [i, chip] of chips.entries()) chip.setAttribute("aria-pressed", String(shown(values.agents[i])));
  every.textContent = state.hidden.size ? "all" : "none";
  render();
}

function render() {
  // Focus stays where it was, though everything is drawn anew.
  const focused = document.activeElement, held = focused && focused.closest("main") ? [focused.getAttribute("aria-label") || focused.textContent, focused.tagName] : null;
  const open = [...document.querySelectorAll("main details")].some((details) => details.open);
  document.querySelector("main").replaceChildren(...[comparison, curves, scores, speeds, films, configurations, provenance].map((part) => part()).filter(Boolean));
  for (const chart of document.querySelectorAll(".chart")) chart.redraw();
  if (open) for (const details of document.querySelectorAll("main details")) details.open = true;
  if (held) for (const element of document.querySelectorAll(`main ${held[1]}`)) if ((element.getAttribute("aria-label") || element.textContent) === held[0]) { element.focus({ preventScroll: true }); break; }
}

const count = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
const seeds = values.scores.map((score) => score.seeds), fewest = Math.min(...seeds), most = Math.max(...seeds);
document.getElementById("summary").textContent =
  `${count(values.agents.length, "agent")} on ${count(values.environments.length, "environment")}, ${fewest === most ? "" : `${fewest} to `}${count(most, "seed")} of each`;
document.getElementById("footer").textContent =
  `Made by jaxq ${values.version} on ${values.made}. Interquartile means, performance profiles, probabilities of improvement and intervals are those of Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical Precipice, 2021; intervals from 2,000 resamples.`;
show();
