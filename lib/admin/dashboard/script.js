// The dashboard. Names, clients and reasons come from strangers: they become text, never markup.
"use strict";

/** Seconds that the lines show. */
const SPAN = 60;
const SVG = "http://www.w3.org/2000/svg";
const NOT_SHOWN = "not shown: --query-detail none";
const HEALTHY = { up: "answers", down: "is down", untried: "not asked yet" };

const byId = (id) => document.getElementById(id);
const series = { rate: [], p50: [], own: [], failures: [] };
/** The counts of a list in the report before, and when that was. */
const earlier = new Map();
const numbers = new Intl.NumberFormat("en");
const times = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
let paused = false;

const source = new EventSource("api/events");
source.onopen = () => say("link", "live");
source.onerror = () => say("link", "connection lost, trying again …");
source.onmessage = ({ data }) => {
  if (!paused) show(JSON.parse(data));
};

byId("pause").onclick = () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", `${paused}`);
  say("pause", paused ? "Go on" : "Pause");
  say("link", paused ? "paused" : "live");
};

byId("flush").onsubmit = async (event) => {
  event.preventDefault();
  const how = event.submitter?.value ?? "name";
  const query = new URLSearchParams({ [how]: byId("flush-name").value });
  const response = await fetch(`api/cache/flush?${query}`, { method: "POST" });
  say("flushed", response.ok ? `${(await response.json()).flushed} forgotten` : await response.text());
};

function show(report) {
  const { now, answers, upstreams, cache, top, time } = report;
  say("version", report.version);
  say("uptime", `up ${span(time - report.startedAt)} · ${octets(report.residentOctets)}`);
  say("rate", number(now.queriesPerSecond));
  say("total", `${number(sum(answers.byRcode))} answers in all`);
  say("p50", milliseconds(now.p50));
  say("p95", now.p95 === undefined ? "" : `95 % within ${milliseconds(now.p95)}`);
  say("own", now.ownShare === undefined ? "–" : `${(now.ownShare * 100).toFixed(0)} %`);
  say("cache", cache ? `${number(cache.entries)} cached, ${octets(cache.bytes)}` : "no cache");
  say("failures", number(now.failuresPerSecond));
  say("trouble", trouble(report));
  draw("rate", now.queriesPerSecond);
  draw("p50", now.p50 ?? 0);
  draw("own", now.ownShare ?? 0, 1);
  draw("failures", now.failuresPerSecond);
  showUpstreams(upstreams);
  bars("sources", withRates("sources", entries(answers.bySource), time), "no answers yet");
  bars("rcodes", withRates("rcodes", entries(answers.byRcode), time), "no answers yet");
  bars("turned-away", withRates("turned-away", entries(turnedAway(report)), time), "nobody yet");
  showLatest(report.latest);
  bars("names", counts(top?.names), top ? "nobody asks" : NOT_SHOWN);
  bars("clients", counts(top?.clients), top ? "nobody asks" : NOT_SHOWN);
  byId("cache-section").hidden = !cache;
}

function trouble(report) {
  return `${number(report.retries)} retries, ${number(sum(turnedAway(report)))} turned away`;
}

/** Whoever got no answer by policy, by why and what was said instead. */
function turnedAway({ denied, turnedAway, tcpClientsRefused }) {
  const counts = { "TCP client too many: closed": tcpClientsRefused };
  for (const { transport, reason, answer, count } of denied) {
    const told = reason === "rate limit" && transport === "udp" ? "truncated" : "refused";
    const text = `${reason}: ${answer === "told" ? told : "silence"}`;
    counts[text] = (counts[text] ?? 0) + count;
  }
  for (const [told, count] of Object.entries(turnedAway)) {
    counts[`nothing to resolve: ${told === "none" ? "silence" : told}`] = count;
  }
  return counts;
}

function showLatest(latest) {
  if (!latest?.length) {
    const cell = element("td", latest ? "nobody asks" : NOT_SHOWN, "none");
    cell.colSpan = 7;
    const row = element("tr", "");
    row.append(cell);
    return byId("latest").replaceChildren(row);
  }
  byId("latest").replaceChildren(...latest.map((answer) => {
    const row = element("tr", "", answer.source);
    const name = element("th", answer.name, "name");
    name.scope = "row";
    name.title = answer.name;
    const { list, source, transport } = answer;
    row.append(
      name,
      element("td", answer.type),
      element("td", list === undefined ? source : `${source} by ${list}`, "source"),
      element("td", answer.rcode, answer.rcode === "SERVFAIL" ? "bad" : ""),
      element("td", milliseconds(answer.milliseconds)),
      element("td", `${answer.client} ${transport.toUpperCase()}`),
      element("td", times.format(answer.time)),
    );
    return row;
  }));
}

function showUpstreams(upstreams) {
  const states = upstreams.map(({ state }) => state);
  byId("health").className = `dot ${
    states.includes("up") ? "up" : states.every((each) => each === "down") ? "down" : ""
  }`;
  byId("upstream-list").replaceChildren(...upstreams.map(upstreamItem));
}

function upstreamItem(upstream) {
  const { label, state, lastError, latencyMs, p95, inFlight, connections } = upstream;
  const item = element("li", "", state);
  item.append(
    element("span", "", "dot"),
    element("strong", label),
    element("span", HEALTHY[state], "state"),
  );
  if (lastError) item.append(element("p", lastError, "reason"));
  const facts = [
    `${milliseconds(latencyMs)} now`,
    `95 % within ${milliseconds(p95)}`,
    `${number(upstream.exchanges)} answers`,
    `${inFlight} waiting`,
    `${connections} open of ${number(upstream.opened)} connections`,
    `handshake ${milliseconds(upstream.handshake)}`,
    `certificate ${expiry(upstream.certificateExpires)}`,
  ];
  item.append(element("p", facts.join(" · "), "facts"));
  return item;
}

function expiry(time) {
  if (time === null) return "not known";
  const hours = Math.floor((time - Date.now()) / 3_600_000);
  if (hours < 0) return "expired";
  return hours < 48 ? `for ${hours} more hours` : `for ${Math.floor(hours / 24)} more days`;
}

/** A line over the last moments; its top is the greatest value, or `most`. */
function draw(name, value, most) {
  const values = series[name];
  values.push(value);
  if (values.length > SPAN) values.shift();
  const top = most ?? Math.max(...values, 1e-9);
  const points = values.map((each, i) =>
    `${(120 * (SPAN - values.length + i) / (SPAN - 1)).toFixed(2)},${(31 - 30 * each / top).toFixed(2)}`
  );
  const left = points[0].split(",")[0];
  byId(`${name}-line`).replaceChildren(
    shape("polygon", `${left},32 ${points.join(" ")} 120,32`),
    shape("polyline", points.join(" ")),
  );
}

function shape(kind, points) {
  const made = document.createElementNS(SVG, kind);
  made.setAttribute("points", points);
  return made;
}

/** Rows of counts that only grow, each with how many a second there were since the report before. */
function withRates(id, rows, time) {
  const { counts, at } = earlier.get(id) ?? { counts: new Map(rows), at: 0 };
  earlier.set(id, { counts: new Map(rows), at: time });
  const seconds = Math.max(time - at, 1) / 1000;
  // Fewer than before: the proxy has been started anew.
  return rows.map(([text, count]) => [text, count, Math.max(0, count - (counts.get(text) ?? 0)) / seconds]);
}

/** Each text with its count, its rate where it has one, and a bar as long as its part of the greatest. */
function bars(id, rows, otherwise) {
  if (rows.length === 0) return byId(id).replaceChildren(element("li", otherwise, "none"));
  const most = Math.max(...rows.map(([, count]) => count), 1);
  byId(id).replaceChildren(...rows.map(([text, count, rate = 0]) => {
    const item = element("li", "");
    const bar = element("span", "", "bar");
    bar.style.width = `${100 * count / most}%`;
    const name = element("span", text, "text");
    name.title = text;
    const perSecond = element("span", rate > 0 ? `${number(rate)}/s` : "", "rate");
    item.append(bar, name, perSecond, element("span", number(count), "count"));
    return item;
  }));
}

function element(kind, text, name = "") {
  const made = document.createElement(kind);
  made.textContent = text;
  made.className = name;
  return made;
}

function say(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

function entries(counts) {
  return Object.entries(counts).filter(([, count]) => count > 0).sort(([, a], [, b]) => b - a);
}

function counts(rows = []) {
  return rows.map(({ text, count }) => [text, count]);
}

function sum(counts) {
  return Object.values(counts).reduce((total, each) => total + each, 0);
}

function number(value) {
  return numbers.format(value < 10 ? Math.round(value * 10) / 10 : Math.round(value));
}

function milliseconds(value) {
  if (value === undefined || value === null) return "–";
  if (value < 1) return `${Math.max(1, Math.round(value * 1000))} µs`;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

function octets(value) {
  return value < 1e6 ? `${Math.round(value / 1e3)} kB` : `${Math.round(value / 1e6)} MB`;
}

function span(ms) {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return `${Math.floor(ms / 1000)} s`;
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} days`;
}
