import { AccessControl } from "../../lib/admin/access.ts";
import type { CacheControl } from "../../lib/admin/cache_api.ts";
import { ReadinessCheck } from "../../lib/admin/readiness.ts";
import { EventStream } from "../../lib/admin/live_stream.ts";
import { statusReport } from "../../lib/admin/status_report.ts";
import { AdminServer } from "../../lib/admin/admin_server.ts";
import { Counters } from "../../lib/observe/counters.ts";
import type { Event } from "../../lib/core/event.ts";
import { metrics } from "../../lib/observe/metrics.ts";
import { Subscribers } from "../../lib/observe/subscribers.ts";
import { answered } from "../observe/answers.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../support/assert.ts";

const TOKEN = "correct-horse-battery";

class Rig implements AsyncDisposable {
  readonly counters = new Counters();
  readonly subscribers = new Subscribers(this.counters.observe);
  readonly flushed: unknown[] = [];
  readonly events: Event[] = [];
  answers = true;
  readonly server: AdminServer;

  constructor(options: { token?: string; cacheControl?: CacheControl } = {}) {
    const state = {
      counters: this.counters,
      upstreams: () => [],
      cache: () => undefined,
      residentBytes: () => 1,
      queryLogDropped: () => 0,
      version: "1.2.3",
    };
    const now = () => 0;
    const refresh = () => Promise.resolve();
    this.server = new AdminServer({
      hostname: "127.0.0.1",
      port: 0,
      accessControl: new AccessControl(options.token),
      metrics: metrics(state),
      readinessCheck: new ReadinessCheck({ ...state, probe: () => this.#probe(), now }),
      eventStream: new EventStream({
        ...state,
        subscribers: this.subscribers,
        redaction: "full",
        refresh,
        now,
      }),
      statusReport: () => statusReport(state),
      refresh,
      cacheControl: () => options.cacheControl,
      maxConnections: 100,
      observe: (event) => this.events.push(event),
    });
  }

  fetch(path: string, options: RequestInit = {}): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.server.address.port}${path}`, options);
  }

  /** Returns status and body, and checks the headers that every response must have. */
  async ask(path: string, options: RequestInit = {}): Promise<[number, string]> {
    const response = await this.fetch(path, options);
    assertEquals(response.headers.get("x-content-type-options"), "nosniff");
    assertEquals(response.headers.get("cache-control"), "no-store");
    assertStringIncludes(response.headers.get("content-security-policy") ?? "", "default-src 'none'");
    return [response.status, await response.text()];
  }

  #probe(): Promise<boolean> {
    if (this.answers) this.counters.observe({ kind: "exchanged", upstream: "a", milliseconds: 1 });
    return Promise.resolve(this.answers);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.stop();
  }
}

Deno.test("AdminServer answers each path with its content, and refuses all others", async () => {
  await using rig = new Rig();
  const cases: [string, string, number, RegExp][] = [
    ["GET", "/", 200, /^<!DOCTYPE html>/],
    ["GET", "/metrics", 200, /^# HELP dot_proxy_/],
    ["GET", "/healthz", 200, /^\{"alive":true\}$/],
    ["GET", "/readyz", 200, /^\{"ready":true,"reasons":\["an upstream answers"\]\}$/],
    ["GET", "/api/status", 200, /^\{"version":"1\.2\.3"/],
    ["HEAD", "/metrics", 200, /^$/],
    ["GET", "/api/cache?name=a", 404, /^the cache is off$/m],
    ["POST", "/api/cache/flush?all", 404, /^the cache is off$/m],
    ["GET", "/api/cache/flush?all", 405, /^use POST$/m],
    ["POST", "/metrics", 405, /^use GET$/m],
    ["GET", "/..%2f..%2fetc/passwd", 404, /^no such path$/m],
    ["GET", "/__proto__", 404, /^no such path$/m],
  ];
  for (const [method, path, status, body] of cases) {
    const [actual, text] = await rig.ask(path, { method });
    assertEquals(actual, status, path);
    assertMatch(text, body);
  }
});

Deno.test("/readyz is 503 when no upstream answers", async () => {
  await using rig = new Rig();
  rig.answers = false;
  assertEquals(await rig.ask("/readyz"), [503, '{"ready":false,"reasons":[]}']);
});

Deno.test("AdminServer with a token opens only /healthz and /readyz, without reasons", async () => {
  await using rig = new Rig({ token: TOKEN });
  const paths = ["/", "/metrics", "/api/status", "/api/events", "/api/cache", "/api/cache/flush", "/none"];
  for (const path of paths) assertEquals((await rig.ask(path))[0], 401, path);
  const response = await rig.fetch("/metrics");
  await response.body?.cancel();
  assertMatch(response.headers.get("www-authenticate")!, /^Basic /);
  assertEquals(await rig.ask("/healthz"), [200, '{"alive":true}']);
  assertEquals(await rig.ask("/readyz"), [200, '{"ready":true}']);
  const headers = { authorization: `Bearer ${TOKEN}` };
  assertEquals((await rig.ask("/metrics", { headers }))[0], 200);
  assertEquals(await rig.ask("/readyz", { headers }), [
    200,
    '{"ready":true,"reasons":["an upstream answers"]}',
  ]);
});

Deno.test("the dashboard's policy allows only its own script and style", async () => {
  await using rig = new Rig();
  const response = await rig.fetch("/");
  const policy = response.headers.get("content-security-policy")!;
  assertMatch(policy, /script-src 'sha256-[\w+/=]{44}';/);
  assertMatch(policy, /style-src 'sha256-[\w+/=]{44}';/);
  assert(!/unsafe|\*|http/.test(policy), policy);
  const page = await response.text();
  assertEquals(page.match(/<script/g)?.length, 1);
  assert(!/(src|href)="(?!#|data:)/.test(page), "it loads nothing");
  assert(
    !/innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(/.test(page),
    "text is only ever text",
  );
});

Deno.test("/api/events sends reports to all streams, and unsubscribes after the last one", async () => {
  await using rig = new Rig();
  const [one, other] = await Promise.all([rig.fetch("/api/events"), rig.fetch("/api/events")]);
  assertEquals(one.headers.get("content-type"), "text/event-stream");
  rig.subscribers.observe(answered({ name: "seen.test" }));
  const readers = [one, other].map((response) =>
    response.body!.pipeThrough(new TextDecoderStream()).getReader()
  );
  for (const reader of readers) {
    let text = "";
    while (!text.includes("seen.test.")) {
      const { value } = await reader.read();
      text += value;
    }
    assertMatch(text, /^data: \{.*\}\n\n/);
  }
  for (const reader of readers) await reader.cancel();
});

Deno.test("/api/events serves a new stream by closing the oldest of the client with the most", async () => {
  await using rig = new Rig();
  const streams: Response[] = [];
  for (let i = 0; i < 17; i++) streams.push(await rig.fetch("/api/events"));
  assertEquals(streams.map(({ status }) => status), Array(17).fill(200));
  assertMatch(await streams[0]!.text(), /^data: /, "it has come to its end");
  assertEquals(streams[16]!.headers.get("x-accel-buffering"), "no");
  for (const { body } of streams.slice(1)) await body!.cancel();
});

Deno.test("/api/cache shows cached answers, and flushes them by POST only", async () => {
  const flushed: unknown[] = [];
  const cacheControl: CacheControl = {
    inspect(name) {
      if (name === "a..b") return Promise.reject(new TypeError(`"${name}" is no name`));
      const [known, denied] = [{ type: 1, rcode: 0, answers: 2, secondsLeft: 30 }, { type: 0, rcode: 3 }];
      return Promise.resolve([known, { ...denied, answers: 0, secondsLeft: -1 }]);
    },
    flush(what) {
      flushed.push(what);
      return Promise.resolve(3);
    },
  };
  await using rig = new Rig({ cacheControl });
  const [, known] = await rig.ask("/api/cache?name=example.com");
  assertEquals(JSON.parse(known), {
    name: "example.com",
    answers: [
      { type: "A", rcode: "NOERROR", answers: 2, secondsLeft: 30 },
      { type: "any", rcode: "NXDOMAIN", answers: 0, secondsLeft: -1 },
    ],
  });
  assertEquals(await rig.ask("/api/cache?name=a..b"), [400, '"a..b" is no name\n']);
  assertEquals((await rig.ask("/api/cache"))[0], 400);
  const post = { method: "POST" };
  for (const query of ["name=example.com", "suffix=com", "all"]) {
    assertEquals(await rig.ask(`/api/cache/flush?${query}`, post), [200, '{"flushed":3}'], query);
  }
  assertEquals(flushed, [{ name: "example.com" }, { suffix: "com" }, "all"]);
  for (const query of ["", "name=", "suffix=", "name=a&suffix=b", "what=a"]) {
    assertEquals((await rig.ask(`/api/cache/flush?${query}`, post))[0], 400, query);
  }
  const headers = { origin: "http://attacker.example" };
  assertEquals((await rig.ask("/api/cache/flush?all", { ...post, headers }))[0], 403);
  assertEquals(flushed.length, 3);
});
