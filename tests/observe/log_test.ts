import { Message } from "../../lib/dns/message.ts";
import { UpstreamError } from "../../lib/core/errors.ts";
import type { Event, Observe } from "../../lib/core/event.ts";
import { log, type LogOptions, startLog } from "../../lib/observe/log.ts";
import { stderr } from "../../lib/observe/stderr.ts";
import type { Query } from "../../lib/core/resolver.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { FakeTime } from "../support/fakes/time.ts";
import { query } from "../support/packets/packets.ts";

/** What `tell` writes to standard error, with the times left out of text. */
async function logged(
  options: LogOptions,
  tell: (observe: (event: Event) => void) => void,
): Promise<string[]> {
  const { write } = Deno.stderr;
  let written = "";
  Deno.stderr.write = (bytes) => {
    written += new TextDecoder().decode(bytes);
    return Promise.resolve(bytes.length);
  };
  try {
    tell(startLog(options));
    await stderr.flush(1000);
  } finally {
    Deno.stderr.write = write;
  }
  const lines = written.split("\n");
  assertEquals(lines.pop(), "", "the last line is ended, too");
  return lines.map((line) => line.replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z /, ""));
}

const upstream = "192.0.2.53:853";
const error = new UpstreamError("refused", { upstream, phase: "connect" });
const asked: Query = {
  message: Message.parse(query("example.com", "AAAA")),
  client: { transport: "udp", address: "192.0.2.7", port: 5000 },
  deadline: 0,
  trace: { source: "upstream", upstream, attempts: 1 },
};

/** Each kind of event, and the line it makes. */
const LINES: [Event, string][] = [
  [{ kind: "listening", transport: "udp", address: "127.0.0.1:53" }, "info listening on 127.0.0.1:53 (udp)"],
  [
    { kind: "skipped", address: "[::1]:53", reason: "this host does not have the address" },
    "warning not listening on [::1]:53: this host does not have the address",
  ],
  [
    { kind: "answered", query: asked, rcode: 3, milliseconds: 12.345 },
    "debug 192.0.2.7 udp example.com. type 28: NXDOMAIN in 12.3 ms",
  ],
  [
    { kind: "rejected", client: asked.client, rcode: 4 },
    "debug rejected message from 192.0.2.7 udp: NOTIMP",
  ],
  [
    { kind: "rejected", client: asked.client, rcode: undefined },
    "debug rejected message from 192.0.2.7 udp: no response",
  ],
  [{ kind: "upstream", upstream, state: "up" }, `info upstream ${upstream} is up`],
  [
    { kind: "connection opened", upstream, milliseconds: 20.04 },
    `debug connection to ${upstream} opened in 20 ms`,
  ],
  [
    { kind: "upstream", upstream, state: "down", error },
    `error upstream is down: ${upstream}: connect: connection refused, nothing listens there`,
  ],
  [
    { kind: "connection closed", upstream, answered: 7 },
    `debug connection to ${upstream} closed after 7 answers: no query lost`,
  ],
  [
    { kind: "connection rejected", address: "192.0.2.7", reason: "it has 100 TCP connections already" },
    "warning rejected TCP connection from 192.0.2.7: it has 100 TCP connections already",
  ],
  [
    { kind: "socket error", transport: "tcp", address: "127.0.0.1", error: new TypeError("so it is") },
    "warning error of the tcp socket on 127.0.0.1: so it is",
  ],
  [
    {
      kind: "host error",
      problem: "the addresses of this host cannot be listed",
      error: Object.assign(new Error("os error 24"), { code: "EMFILE" }),
    },
    "warning the addresses of this host cannot be listed: no free file descriptors: raise LimitNOFILE (systemd), " +
    "ulimit -n, or --ulimit nofile (containers)",
  ],
  [
    { kind: "query log error", reason: "no space left" },
    "warning query log lines dropped: no space left",
  ],
  [{ kind: "internal error", error: "a slip" }, "error internal error, please report it: a slip"],
];

Deno.test("every event is one line that says what happened", async () => {
  const lines = await logged({ level: "debug", format: "text" }, (observe) => {
    for (const [event] of LINES) observe(event);
  });
  assertEquals(lines, LINES.map(([, line]) => line));
});

Deno.test("a level leaves out what is less severe", async () => {
  for (const level of ["debug", "info", "warning", "error"] as const) {
    const lines = await logged(
      { level, format: "text" },
      (observe) => LINES.forEach(([event]) => observe(event)),
    );
    const levels = ["debug", "info", "warning", "error"];
    const expected = LINES.map(([, line]) => line).filter((line) =>
      levels.indexOf(line.split(" ")[0]!) >= levels.indexOf(level)
    );
    assertEquals(lines, expected, level);
  }
});

Deno.test("a line of JSON holds the facts apart, whatever stands in them", async () => {
  const name = `a"b\\010c.example`;
  const message = Message.parse(query(name));
  const event: Event = {
    kind: "answered",
    query: { ...asked, message },
    rcode: 2,
    milliseconds: 4000.04,
    error,
  };
  const [line, ...others] = await logged({ level: "debug", format: "json" }, (observe) => observe(event));
  const { level, properties } = JSON.parse(line!);
  assertEquals([level, others.length], ["DEBUG", 0]);
  assertEquals(properties, {
    client: "192.0.2.7",
    transport: "udp",
    name: 'a\\"b\\010c.example.',
    type: 1,
    rcode: "SERVFAIL",
    milliseconds: 4000,
    reason: error.message,
  });
});

Deno.test("no octet of a name can begin a new line of text or reach a terminal as it is", async () => {
  const message = Message.parse(query("a\\010b\\027[31m.example"));
  const event: Event = { kind: "answered", query: { ...asked, message }, rcode: 0, milliseconds: 1 };
  const [line] = await logged({ level: "debug", format: "text" }, (observe) => observe(event));
  assertMatch(line!, /^debug 192\.0\.2\.7 udp a\\010b\\027\[31m\.example\. type 1: NOERROR in 1 ms$/);
});

Deno.test("a log that nobody can take any more stops nothing", async () => {
  const { write } = Deno.stderr;
  Deno.stderr.write = () => Promise.reject(new Deno.errors.BrokenPipe("nobody reads"));
  try {
    startLog({ level: "info", format: "text" })({ kind: "upstream", upstream, state: "up" });
    log.info("still here");
    await stderr.flush(1000);
  } finally {
    Deno.stderr.write = write;
  }
});

Deno.test("for the journal a line begins with its priority, and leaves out what the journal has itself", async () => {
  const [down] = LINES.filter(([, line]) => line.startsWith("error")).map(([event]) => event);
  const tell = (observe: (event: Event) => void) => observe(down!);
  const [text] = await logged({ level: "info", format: "text", journal: true }, tell);
  assertEquals(text, `<3>upstream is down: ${error.message}`);
  const [json] = await logged({ level: "info", format: "json", journal: true }, tell);
  assertEquals(JSON.parse(json!.replace(/^<3>/, "")).level, "ERROR");
  for (const [event, line] of LINES) {
    const [written] = await logged(
      { level: "debug", format: "text", journal: true },
      (observe) => observe(event),
    );
    const priority = { debug: 7, info: 6, warning: 4, error: 3 }[line.split(" ")[0]!];
    assertEquals(written, `<${priority}>${line.slice(line.indexOf(" ") + 1)}`);
  }
});

Deno.test("trouble that comes again and again is said once, and then once a minute how often", async () => {
  using time = new FakeTime();
  const refused: Event = { kind: "connection rejected", address: "192.0.2.7", reason: "too many" };
  const { write } = Deno.stderr;
  const lines: string[] = [];
  Deno.stderr.write = (bytes) => {
    lines.push(new TextDecoder().decode(bytes).replace(/^\S+ /, ""));
    return Promise.resolve(bytes.length);
  };
  try {
    const observe = startLog({ level: "info", format: "text" });
    for (let i = 0; i < 1000; i++) observe(refused);
    await time.pass(60_000);
  } finally {
    Deno.stderr.write = write;
  }
  assertEquals(lines, [
    "warning rejected TCP connection from 192.0.2.7: too many\n",
    "warning rejected TCP connections: 999 more in the last minute\n",
  ]);
});

Deno.test("a reader that stands still keeps nobody waiting, and is told afterwards how much it has missed", async () => {
  const { write } = Deno.stderr;
  const written: string[] = [];
  let goOn = () => {};
  Deno.stderr.write = (bytes) => {
    written.push(new TextDecoder().decode(bytes));
    return new Promise((resolve) => goOn = () => resolve(bytes.length));
  };
  try {
    startLog({ level: "info", format: "text" });
    log.info("first");
    await Promise.resolve().then(() => {});
    for (let i = 0; i < 20_000; i++) log.info(`line ${i} ${"x".repeat(100)}`);
    await stderr.flush(1); // in vain, but not for ever
    Deno.stderr.write = (bytes) => {
      written.push(new TextDecoder().decode(bytes));
      return Promise.resolve(bytes.length);
    };
    goOn();
    await stderr.flush(1000);
  } finally {
    Deno.stderr.write = write;
  }
  const lines = written.join("").split("\n").slice(0, -1);
  const [, count] = /warning (\d+) log lines dropped here/.exec(lines.at(-1)!) ?? [];
  assertEquals(lines.length - 2 + Number(count), 20_000);
  assert(Number(count) > 10_000 && lines.length > 5_000);
});

Deno.test("no text of a stranger forges a line or reaches a terminal raw, whatever the form of the log", async () => {
  const reason = "of\r\n2026-11-27T00:00:00.000Z info all is well\x1b[2J\x9b\u202e";
  for (const format of ["text", "json"] as const) {
    const tell = (observe: Observe) => observe({ kind: "list reload failed", reason });
    const lines = await logged({ level: "info", format }, tell);
    assertEquals(lines.length, 1);
    assertMatch(lines[0]!, /^[ -~]+$/);
  }
});
