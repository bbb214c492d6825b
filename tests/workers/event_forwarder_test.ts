import { Message } from "../../lib/dns/message.ts";
import { UpstreamError } from "../../lib/core/errors.ts";
import type { Event } from "../../lib/core/event.ts";
import type { Query } from "../../lib/core/resolver.ts";
import { type FlatEvent, restore } from "../../lib/workers/event_codec.ts";
import { EventForwarder } from "../../lib/workers/event_forwarder.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { query } from "../support/packets/packets.ts";

/** Bound of unacknowledged events. */
const MAX_UNACKNOWLEDGED = 20_000;

const CLIENT = { transport: "udp", address: "192.0.2.1", port: 53 } as const;
const DENIED: Event = { kind: "denied", client: CLIENT, reason: "not allowed", answered: true };
const REFUSED: Event = { kind: "connection rejected", address: CLIENT.address, reason: "1 TCP clients" };

function answered(error?: UpstreamError): Event {
  const trace: Query["trace"] = { source: "upstream", upstream: "192.0.2.53:853", attempts: 1 };
  const asked: Query = {
    message: Message.parse(query("example.com")),
    client: CLIENT,
    deadline: 4000,
    trace,
  };
  return { kind: "answered", query: asked, rcode: 2, milliseconds: 1, ...error && { error } };
}

/** A forwarder, and the events that have arrived in the first thread. */
function forwarder(perQuery: boolean) {
  const arrived: Event[] = [];
  const made = new EventForwarder((events) =>
    arrived.push(...structuredClone<FlatEvent[]>(events).map(restore))
  );
  made.perQuery = perQuery;
  return { made, arrived };
}

Deno.test("EventForwarder delivers an event with its query and its error", async () => {
  const { made, arrived } = forwarder(true);
  const facts = { upstream: "192.0.2.53:853", phase: "read", sent: true } as const;
  const error = new UpstreamError("timed out", facts);
  made.observe(answered(error));
  made.observe({ kind: "internal error", error: new TypeError("wrong") });
  await Promise.resolve();
  const [first, second] = arrived;
  assert(first?.kind === "answered" && second?.kind === "internal error" && second.error instanceof Error);
  assertEquals([first.query.message.name, first.query.client], ["example.com.", CLIENT]);
  assert(first.error instanceof UpstreamError);
  assertEquals([first.error.failure, first.error.message], ["timed out", error.message]);
  assertEquals([second.error.name, second.error.message], ["TypeError", "wrong"]);
});

Deno.test("EventForwarder drops events per packet when no subscriber needs them", async () => {
  const { made, arrived } = forwarder(false);
  for (const event of [answered(), DENIED, REFUSED]) made.observe(event);
  await Promise.resolve();
  assertEquals([arrived.map(({ kind }) => kind), made.lost], [["connection rejected"], 0]);
});

Deno.test("EventForwarder delivers bogus validations for the log, and no others", async () => {
  const { made, arrived } = forwarder(true);
  for (const status of ["secure", "insecure", "bogus", "indeterminate"] as const) {
    made.observe({ kind: "validated", name: "a.test.", status });
  }
  await Promise.resolve();
  assertEquals(arrived, [{ kind: "validated", name: "a.test.", status: "bogus" }]);
});

Deno.test("EventForwarder drops events when too many are unacknowledged, and counts lost answers", async () => {
  const { made, arrived } = forwarder(true);
  for (let i = 0; i < MAX_UNACKNOWLEDGED; i++) made.observe(REFUSED);
  for (const event of [answered(), DENIED, REFUSED, answered()]) made.observe(event);
  made.observe({ kind: "upstream", upstream: "192.0.2.53:853", state: "up" });
  await Promise.resolve();
  assertEquals([arrived.length, arrived.at(-1)?.kind, made.lost], [MAX_UNACKNOWLEDGED + 1, "upstream", 2]);
  made.acknowledge(arrived.length);
  made.observe(answered());
  await Promise.resolve();
  assertEquals([arrived.at(-1)?.kind, made.lost], ["answered", 2]);
});
