import { EventStream } from "../../lib/admin/live_stream.ts";
import { Counters } from "../../lib/observe/counters.ts";
import { Subscribers } from "../../lib/observe/subscribers.ts";
import { assertEquals } from "../support/assert.ts";

function live(): EventStream {
  return new EventStream({
    counters: new Counters(),
    upstreams: () => [],
    cache: () => undefined,
    residentBytes: () => 1,
    queryLogDropped: () => 0,
    version: "1.2.3",
    redaction: "full",
    subscribers: new Subscribers(),
    refresh: () => Promise.resolve(),
    now: () => 0,
  });
}

/** Reads the first report, and returns whether the stream has ended. */
async function hasEnded(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<boolean> {
  await reader.read();
  const turn = new Promise<boolean>((resolve) => setImmediate(() => resolve(false)));
  return await Promise.race([reader.closed.then(() => true), turn]);
}

Deno.test("EventStream closes streams of the client with the most, and none of other clients", async () => {
  using streams = live();
  const greedy = Array.from({ length: 20 }, () => streams.open("192.0.2.1").getReader());
  const modest = ["192.0.2.2", "192.0.2.3"].map((address) => streams.open(address).getReader());
  const more = streams.open("192.0.2.1").getReader();
  assertEquals(await Promise.all(modest.map(hasEnded)), [false, false]);
  assertEquals(await hasEnded(more), false);
  assertEquals((await Promise.all(greedy.map(hasEnded))).filter(Boolean).length, 7);
});
