// The dashboard. Names, clients and reasons are untrusted: they are inserted as text, never as markup.
"use strict";

/** Number of points of a line chart, one per second. */
const CHART_POINTS = 60;
const SVG = "http://www.w3.org/2000/svg";
const NOT_SHOWN = "not shown: --query-detail none";
const STATES = { up: "up", down: "down", untried: "not used yet" };

const byId = (id) => document.getElementById(id);
const series = { rate: [], p50: [], own: [], failures: [] };
/** For each list: the counts in the previous report, and its time. */
const previous = new Map();
const numbers = new Intl.NumberFormat("en");
const times = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
let paused = false;

const source = new EventSource("api/events");
source.onopen = () => setText("link", "live");
source.onerror = () => setText("link", "connection lost, reconnecting …");
source.onmessage = ({ data }) => {
  if (!paused) show(JSON.parse(data));
};

byId("pause").onclick = () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", `${paused}`);
  setText("pause", paused ? "Resume" : "Pause");
  setText("link", paused ? "paused" : "live");
};

byId("flush").onsubmit = async (event) => {
  event.preventDefault();
  const how = event.submitter?.value ?? "name";
  const query = new URLSearchParams({ [how]: byId("flush-name").value });
  const response = await fetch(`api/cache/flush?${query}`, { method: "POST" });
  setText("flushed", response.ok ? `${(await response.json()).flushed} removed` : await response.text());
};

function show(report) {
  const { now, answers, upstreams, cache, top, time } = report;
  setText("version", report.version);
  setText("uptime", `up ${span(time - report.startedAt)} · ${bytes(report.residentBytes)}`);
  setText("rate", number(now.queriesPerSecond));
  setText("total", `${number(sum(answers.byRcode))} answers in total`);
  setText("p50", milliseconds(now.p50));
  setText("p95", now.p95 === undefined ? "" : `95 % within ${milliseconds(now.p95)}`);
  setText("own", now.ownShare === undefined ? "–" : `${(now.ownShare * 100).toFixed(0)} %`);
  setText("cache", cache ? `${number(cache.entries)} cached, ${bytes(cache.bytes)}` : "no cache");
  setText("failures", number(now.failuresPerSecond));
  setText("trouble", `${number(report.retries)} retries, ${number(sum(rejected(report)))} rejected`);
  draw("rate", now.queriesPerSecond);
  draw("p50", now.p50 ?? 0);
  draw("own", now.ownShare ?? 0, 1);
  draw("failures", now.failuresPerSecond);
  showUpstreams(upstreams);
  bars("sources", withRates("sources", entries(answers.bySource), time), "no answers yet");
  bars("rcodes", withRates("rcodes", entries(answers.byRcode), time), "no answers yet");
  bars("rejected", withRates("rejected", entries(rejected(report)), time), "none yet");
  bars("validations", withRates("validations", entries(report.validations), time), "none yet");
  byId("dnssec-section").hidden = entries(report.validations).length === 0;
  showLatest(report.latest);
  bars("names", counts(top?.names), top ? "no queries" : NOT_SHOWN);
  bars("clients", counts(top?.clients), top ? "no queries" : NOT_SHOWN);
  byId("cache-section").hidden = !cache;
}

/** Returns the numbers of rejected connections, queries and messages, by reason and response. */
function rejected({ deniedQueries, rejectedMessages, rejectedConnections }) {
  const counts = { "connection limit: closed": rejectedConnections };
  for (const { reason, response, count } of deniedQueries) {
    const text = `${reason}: ${response === "none" ? "no response" : response}`;
    counts[text] = (counts[text] ?? 0) + count;
  }
  for (const [rcode, count] of Object.entries(rejectedMessages)) {
    counts[`not resolvable: ${rcode === "none" ? "no response" : rcode}`] = count;
  }
  return counts;
}

function showLatest(latest) {
  if (!latest?.length) {
    const cell = element("td", latest ? "no queries" : NOT_SHOWN, "none");
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
    element("span", STATES[state], "state"),
  );
  if (lastError) item.append(element("p", lastError, "reason"));
  const facts = [
    `latency ${milliseconds(latencyMs)}`,
    `95 % within ${milliseconds(p95)}`,
    `${number(upstream.exchanges)} answers`,
    `${inFlight} in flight`,
    `${connections} of ${number(upstream.opened)} connections open`,
    `handshake ${milliseconds(upstream.handshake)}`,
    `certificate ${expiry(upstream.certificateExpires)}`,
  ];
  item.append(element("p", facts.join(" · "), "facts"));
  return item;
}

function expiry(time) {
  if (time === null) return "expiry unknown";
  const hours = Math.floor((time - Date.now()) / 3_600_000);
  if (hours < 0) return "expired";
  return hours < 48 ? `expires in ${hours} hours` : `expires in ${Math.floor(hours / 24)} days`;
}

/** Adds a value to a line chart and draws it. The top is `max`, or the greatest value. */
function draw(name, value, max) {
  const values = series[name];
  values.push(value);
  if (values.length > CHART_POINTS) values.shift();
  const top = max ?? Math.max(...values, 1e-9);
  const points = values.map((each, i) =>
    `${(120 * (CHART_POINTS - values.length + i) / (CHART_POINTS - 1)).toFixed(2)},${
      (31 - 30 * each / top).toFixed(2)
    }`
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

/** Adds to each row its rate per second since the previous report. */
function withRates(id, rows, time) {
  const { counts, at } = previous.get(id) ?? { counts: new Map(rows), at: 0 };
  previous.set(id, { counts: new Map(rows), at: time });
  const seconds = Math.max(time - at, 1) / 1000;
  // The count is smaller after a restart of the proxy.
  return rows.map(([text, count]) => [text, count, Math.max(0, count - (counts.get(text) ?? 0)) / seconds]);
}

/** Shows rows of text, count and optional rate, with bars relative to the greatest count. */
function bars(id, rows, textIfEmpty) {
  if (rows.length === 0) return byId(id).replaceChildren(element("li", textIfEmpty, "none"));
  const greatest = Math.max(...rows.map(([, count]) => count), 1);
  byId(id).replaceChildren(...rows.map(([text, count, rate = 0]) => {
    const item = element("li", "");
    const bar = element("span", "", "bar");
    bar.style.width = `${100 * count / greatest}%`;
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

function setText(id, text) {
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

function bytes(value) {
  return value < 1e6 ? `${Math.round(value / 1e3)} kB` : `${Math.round(value / 1e6)} MB`;
}

function span(ms) {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return `${Math.floor(ms / 1000)} s`;
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} days`;
}
