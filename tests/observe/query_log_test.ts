import type { Event } from "../../lib/core/event.ts";
import { QueryLog } from "../../lib/observe/query_log.ts";
import type { Sink } from "../../lib/observe/rotating_file.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { FakeTime, settled } from "../support/fakes/time.ts";
import { answered } from "./answers.ts";

/** A sink whose writes end when the test ends them. */
class SlowSink implements Sink {
  readonly written: string[] = [];
  closed = false;
  #disk = Promise.withResolvers<void>();

  async write(text: string): Promise<void> {
    this.written.push(text);
    await this.#disk.promise;
  }

  /** Ends the current write with success or an error. */
  async finish(error?: Error): Promise<void> {
    const { resolve, reject } = this.#disk;
    this.#disk = Promise.withResolvers<void>();
    if (error) reject(error);
    else resolve();
    await settled();
  }

  /** Number of lines passed to `write`. */
  get lines(): number {
    return this.written.join("").split("\n").length - 1;
  }

  close(): void {
    this.closed = true;
  }
}

function logOn(sink: Sink) {
  const events: Event[] = [];
  const observe = (event: Event) => void events.push(event);
  return { events, log: new QueryLog({ sink, format: "text", redaction: "full", observe }) };
}

Deno.test("QueryLog writes the lines of a short time together, and only answers", async () => {
  using time = new FakeTime();
  const sink = new SlowSink();
  const { log } = logOn(sink);
  for (let i = 0; i < 3; i++) log.observe(answered());
  log.observe({ kind: "upstream", upstream: "a", state: "up" });
  assertEquals(sink.written, []);
  await time.pass(50);
  assertEquals([sink.written.length, sink.lines], [1, 3]);
  await sink.finish();
});

Deno.test("QueryLog queues lines during a slow write, and drops and counts them beyond a limit", async () => {
  using time = new FakeTime();
  const sink = new SlowSink();
  const { log, events } = logOn(sink);
  log.observe(answered());
  await time.pass(50);
  for (let i = 0; i < 20_007; i++) log.observe(answered());
  assertEquals([sink.lines, log.dropped, events.length], [1, 7, 7]);
  assertEquals(events[0], { kind: "query log error", reason: "writing it is too slow" });
  await sink.finish();
  assertEquals([sink.written.length, sink.lines], [2, 20_001]);
  await sink.finish();
});

Deno.test("QueryLog counts lines that cannot be written, and tries the next ones", async () => {
  using time = new FakeTime();
  const sink = new SlowSink();
  const { log, events } = logOn(sink);
  log.observe(answered());
  log.observe(answered());
  await time.pass(50);
  await sink.finish(new Error("no space left"));
  assertEquals([log.dropped, events], [2, [{ kind: "query log error", reason: "no space left" }]]);
  log.observe(answered());
  await time.pass(50);
  assertEquals(sink.lines, 3);
  await sink.finish();
});

Deno.test("QueryLog.close writes waiting lines first", async () => {
  using time = new FakeTime();
  const sink = new SlowSink();
  const { log } = logOn(sink);
  log.observe(answered());
  const closed = log.close();
  await settled();
  assert(!sink.closed);
  await sink.finish();
  await closed;
  assertEquals([sink.lines, sink.closed, time.waiting], [1, true, 0]);
});
