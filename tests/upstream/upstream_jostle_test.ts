/** Eviction of pending queries when an upstream has reached `maxInFlight`. */

import { Message } from "../../lib/dns/message.ts";
import { UpstreamError } from "../../lib/core/errors.ts";
import type { Query } from "../../lib/core/resolver.ts";
import { assertEquals } from "../support/assert.ts";
import { settled } from "../support/fakes/time.ts";
import { query } from "../support/packets/packets.ts";
import { Fixture } from "./fixture.ts";

/** The default of --max-in-flight. */
const PLACES = 4096;

/** Outcomes of queries by name, sent by a client at this address. */
class Asking {
  readonly outcomes = new Map<string, string>();
  readonly #fixture: Fixture;

  constructor(fixture: Fixture) {
    this.#fixture = fixture;
  }

  async ask(address: string, prefix: string, count: number): Promise<void> {
    for (let i = 0; i < count; i++) this.#ask(address, `${prefix}${i}.test`);
    await settled();
  }

  count(prefix: string, outcome: string): number {
    return [...this.outcomes].filter(([name, each]) => name.startsWith(prefix) && each === outcome).length;
  }

  #ask(address: string, name: string): void {
    const asked: Query = {
      message: Message.parse(query(name)),
      client: { transport: "udp", address, port: 1 },
      deadline: this.#fixture.time.now() + 4_000,
      trace: { source: "upstream", upstream: undefined, attempts: 0 },
    };
    this.outcomes.set(name, "waiting");
    this.#fixture.upstream.resolve(asked).then(
      () => this.outcomes.set(name, "answered"),
      (error) => this.outcomes.set(name, error instanceof UpstreamError ? error.failure : `${error}`),
    );
  }
}

Deno.test("Upstream evicts the oldest query when it is full, after 200 ms at the earliest (dnsdist CVE-2026-33594, Unbound CVE-2026-42534)", async () => {
  using fixture = new Fixture();
  const asking = new Asking(fixture);
  await asking.ask("192.0.2.1", "old", 100);
  await fixture.time.pass(150);
  await asking.ask("192.0.2.1", "silent", PLACES - 100);
  await asking.ask("192.0.2.1", "early", 10);
  assertEquals(asking.count("early", "overloaded"), 10);
  await fixture.time.pass(60);
  await asking.ask("192.0.2.1", "later", 10);
  assertEquals(["old0.test", "old9.test", "old10.test"].map((name) => asking.outcomes.get(name)), [
    "overloaded",
    "overloaded",
    "waiting",
  ]);
  assertEquals(asking.count("later", "waiting"), 10);
  assertEquals(fixture.upstream.status.inFlight, PLACES);
});

for (const other of ["198.51.100.1", "192.0.3.1", "2001:db8::1"]) {
  Deno.test(`clients of one network that hold all places give way at once to one of another (${other})`, async () => {
    using fixture = new Fixture();
    const asking = new Asking(fixture);
    for (let i = 0; i < 16; i++) await asking.ask(`192.0.2.${i}`, `flood${i}-`, PLACES / 16);
    await asking.ask(other, "other", 10);
    assertEquals([asking.count("other", "waiting"), asking.count("flood", "overloaded")], [10, 10]);
    await asking.ask("192.0.2.99", "more", 10);
    assertEquals(asking.count("more", "overloaded"), 10);
    assertEquals(fixture.upstream.status.inFlight, PLACES);
    fixture.channel.answer(fixture.channel.queries);
    await settled();
    assertEquals(asking.count("other", "answered"), 10);
  });
}

Deno.test("Upstream counts the clients of one IPv6 /56 as one network", async () => {
  using fixture = new Fixture();
  const asking = new Asking(fixture);
  for (let i = 0; i < 16; i++) {
    await asking.ask(`2001:db8:0:${i.toString(16)}::${i}`, `flood${i}-`, PLACES / 16);
  }
  await asking.ask("2001:db8:0:ff::1", "same", 1);
  await asking.ask("2001:db8:0:100::1", "other", 1);
  assertEquals([asking.count("same", "overloaded"), asking.count("other", "waiting")], [1, 1]);
});

Deno.test("Upstream uncounts a query at its answer or failure", async () => {
  using fixture = new Fixture();
  const asking = new Asking(fixture);
  const answered = new Map<unknown, number>();
  for (const round of [0, 1, 2]) {
    await asking.ask("192.0.2.1", `a${round}-`, PLACES);
    await asking.ask("198.51.100.1", `b${round}-`, 1);
    assertEquals(asking.count(`b${round}-`, "waiting"), 1);
    if (round === 2) await fixture.time.pass(5_000);
    else for (const channel of fixture.channels) channel.answer(channel.queries.slice(answered.get(channel)));
    for (const channel of fixture.channels) answered.set(channel, channel.queries.length);
    await settled();
    assertEquals(fixture.upstream.status.inFlight, 0, `round ${round}`);
  }
});
