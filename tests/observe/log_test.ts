import { Message } from "../../lib/dns/message.ts";
import { UpstreamError } from "../../lib/core/errors.ts";
import type { Event, Observe } from "../../lib/core/event.ts";
import { log, type LogOptions, startLog } from "../../lib/observe/log.ts";
import { stderr } from "../../lib/observe/stderr.ts";
import type { Query } from "../../lib/core/resolver.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { FakeTime } from "../support/fakes/time.ts";
import { query } from "../support/packets/packets.ts";

/** Runs `report` and returns the lines it writes to standard error; text lines without their times. */
async function logged(
  options: LogOptions,
  report: (observe: (event: Event) => void) => void,
): Promise<string[]> {
  const { write } = Deno.stderr;
  let written = "";
  Deno.stderr.write = (bytes) => {
    written += new TextDecoder().decode(bytes);
    return Promise.resolve(bytes.length);
  };
  try {
    report(startLog(options));
    await stderr.flush(1000);
  } finally {
    Deno.stderr.write = write;
  }
  const lines = written.split("\n");
  assertEquals(lines.pop(), "", "the last line has a line feed");
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

/** Kinds of events, with their lines. */
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
    { kind: "socket error", transport: "tcp", address: "127.0.0.1", error: new TypeError("a reason") },
    "warning error of the tcp socket on 127.0.0.1: a reason",
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

Deno.test("startLog writes one line per event", async () => {
  const lines = await logged({ level: "debug", format: "text" }, (observe) => {
    for (const [event] of LINES) observe(event);
  });
  assertEquals(lines, LINES.map(([, line]) => line));
});

Deno.test("startLog omits lines below the level", async () => {
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

Deno.test("a JSON line has one property per value, whatever characters it contains", async () => {
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

Deno.test("a name cannot start a new line of text or send control characters to a terminal", async () => {
  const message = Message.parse(query("a\\010b\\027[31m.example"));
  const event: Event = { kind: "answered", query: { ...asked, message }, rcode: 0, milliseconds: 1 };
  const [line] = await logged({ level: "debug", format: "text" }, (observe) => observe(event));
  assertMatch(line!, /^debug 192\.0\.2\.7 udp a\\010b\\027\[31m\.example\. type 1: NOERROR in 1 ms$/);
});

Deno.test("the log goes on when standard error is closed", async () => {
  const { write } = Deno.stderr;
  Deno.stderr.write = () => Promise.reject(new Deno.errors.BrokenPipe("no reader"));
  try {
    startLog({ level: "info", format: "text" })({ kind: "upstream", upstream, state: "up" });
    log.info("still here");
    await stderr.flush(1000);
  } finally {
    Deno.stderr.write = write;
  }
});

Deno.test("a line for the journal starts with its priority and has no time", async () => {
  const [down] = LINES.filter(([, line]) => line.startsWith("error")).map(([event]) => event);
  const report = (observe: (event: Event) => void) => observe(down!);
  const [text] = await logged({ level: "info", format: "text", journal: true }, report);
  assertEquals(text, `<3>upstream is down: ${error.message}`);
  const [json] = await logged({ level: "info", format: "json", journal: true }, report);
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

Deno.test("startLog names bogus answers, and is silent about other validations", async () => {
  const lines = await logged({ level: "debug", format: "text" }, (observe) => {
    observe({ kind: "validated", name: "a.test.", status: "insecure", reason: "no DS" });
    observe({
      kind: "validated",
      name: "b.test.",
      status: "bogus",
      code: 7,
      reason: "b.test. A: it expired",
    });
  });
  assertEquals(lines.length, 1);
  assertMatch(lines[0]!, /warning .*b\.test\. is bogus: b\.test\. A: it expired/);
});

Deno.test("startLog writes repeated errors once, then their number once a minute", async () => {
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

Deno.test("stderr drops lines while its reader is stuck, and reports their number afterwards", async () => {
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
    await stderr.flush(1); // times out
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

Deno.test("untrusted text cannot forge a line or reach a terminal raw, in both formats", async () => {
  const reason = "of\r\n2026-11-27T00:00:00.000Z info all is well\x1b[2J\x9b\u202e";
  for (const format of ["text", "json"] as const) {
    const report = (observe: Observe) => observe({ kind: "list reload failed", reason });
    const lines = await logged({ level: "info", format }, report);
    assertEquals(lines.length, 1);
    assertMatch(lines[0]!, /^[ -~]+$/);
  }
});
