import { type Message, Message as Parsed } from "../../../lib/dns/message.ts";
import { Bootstrap, type BootstrapServer } from "../../../lib/upstream/bootstrap/bootstrap.ts";
import { assertEquals, assertRejects } from "../../support/assert.ts";
import { a, aaaa, response, type ResponseFields } from "../../support/packets/packets.ts";

/** Addresses of one host, and servers that the test answers for. */
class Fixture {
  /** "server: name type", in order. */
  readonly asked: string[] = [];
  now = 0;
  readonly #bootstrap: Bootstrap;

  constructor(servers: Record<string, (query: Message, limit: number) => ResponseFields | Error>) {
    this.#bootstrap = new Bootstrap(
      Object.entries(servers).map(([label, answer]): BootstrapServer => ({
        label,
        exchange: (query, deadline) => {
          this.asked.push(`${label}: ${query.name} ${query.type}`);
          const fields = answer(query, deadline - this.now);
          if (fields instanceof Error) return Promise.reject(fields);
          return Promise.resolve(Parsed.parse(response(query.bytes, fields)));
        },
      })),
      () => this.now,
    );
  }

  /** The addresses, after some more seconds. */
  async lookup(after = 0, anew = false): Promise<readonly string[]> {
    this.now += after * 1000;
    return await this.#bootstrap.lookup("dot.test", anew);
  }
}

const NONE: ResponseFields = { rcode: 3 };

/** Answers A alone. */
function only(address: string, ttl = 300): (query: Message) => ResponseFields {
  return ({ type }) => type === 1 ? { answers: [a("dot.test", address, ttl)] } : {};
}

Deno.test("Bootstrap sends only AAAA and A queries for the name, and returns IPv6 first (8310-5)", async () => {
  const fixture = new Fixture({
    one: ({ type }) => ({
      answers: [type === 1 ? a("dot.test", "192.0.2.1") : aaaa("dot.test", "2001:db8::1")],
    }),
  });
  assertEquals(await fixture.lookup(), ["2001:db8:0:0:0:0:0:1", "192.0.2.1"]);
  assertEquals(fixture.asked, ["one: dot.test. 28", "one: dot.test. 1"]);
});

Deno.test("Bootstrap shares a running lookup of the same host", async () => {
  const fixture = new Fixture({ one: only("192.0.2.1") });
  const both = await Promise.all([fixture.lookup(), fixture.lookup()]);
  assertEquals([both, fixture.asked.length], [[["192.0.2.1"], ["192.0.2.1"]], 2]);
});

const LIFETIMES: [ttl: number, seconds: number][] = [
  [300, 300],
  [0, 30],
  [29, 30],
  [604_800, 86_400],
];

for (const [ttl, seconds] of LIFETIMES) {
  Deno.test(`Bootstrap keeps addresses with a TTL of ${ttl} s for ${seconds} s`, async () => {
    const fixture = new Fixture({ one: only("192.0.2.1", ttl) });
    await fixture.lookup();
    await fixture.lookup(seconds - 0.001);
    assertEquals(fixture.asked.length, 2);
    await fixture.lookup(0.001);
    assertEquals(fixture.asked.length, 4);
  });
}

Deno.test("Bootstrap looks up again after a failed dial, but at most once a second", async () => {
  let address = "192.0.2.1";
  const fixture = new Fixture({ one: (query) => only(address, 86_400)(query) });
  await fixture.lookup();
  address = "192.0.2.2";
  assertEquals(await fixture.lookup(0.999, true), ["192.0.2.1"]);
  assertEquals(await fixture.lookup(0.001), ["192.0.2.1"]);
  assertEquals(await fixture.lookup(0, true), ["192.0.2.2"]);
  assertEquals(await fixture.lookup(0.999, true), ["192.0.2.2"]);
  assertEquals(fixture.asked.length, 4);
});

const LOSSES: [what: string, loss: ResponseFields | Error][] = [
  ["nobody answers", new Error("timed out")],
  ["the server fails", { rcode: 2 }],
  ["the name is said to be gone", NONE],
];

for (const [what, loss] of LOSSES) {
  Deno.test(`when ${what} the last good addresses go on, and half a minute later it is tried again`, async () => {
    let good = true;
    const fixture = new Fixture({ one: (query) => good ? only("192.0.2.1")(query) : loss });
    await fixture.lookup();
    good = false;
    assertEquals(await fixture.lookup(300), ["192.0.2.1"]);
    const asked = fixture.asked.length;
    assertEquals(await fixture.lookup(29), ["192.0.2.1"]);
    assertEquals(fixture.asked.length, asked);
    good = true;
    await fixture.lookup(1);
    assertEquals(fixture.asked.length, asked + 2);
  });
}

Deno.test("Bootstrap asks the next server when one is silent, and asks that one first afterwards", async () => {
  const fixture = new Fixture({ dead: () => new Error("timed out"), good: only("192.0.2.1", 0) });
  assertEquals(await fixture.lookup(), ["192.0.2.1"]);
  fixture.asked.length = 0;
  await fixture.lookup(30);
  assertEquals(fixture.asked, ["good: dot.test. 28", "good: dot.test. 1"]);
});

Deno.test("Bootstrap returns one address family when the other lookup fails", async () => {
  const fixture = new Fixture({
    one: (query) => query.type === 28 ? { rcode: 2 } : only("192.0.2.1")(query),
  });
  assertEquals(await fixture.lookup(), ["192.0.2.1"]);
});

Deno.test("Bootstrap names the error of each server when all have failed twice", async () => {
  const fixture = new Fixture({ one: () => new Error("timed out"), other: () => ({ rcode: 5 }) });
  const error = await assertRejects(() => fixture.lookup(), Error);
  assertEquals(error.message, "one: timed out; other: REFUSED");
  assertEquals(fixture.asked.filter((each) => each.endsWith(" 1")).length, 4);
});

Deno.test("Bootstrap rejects a name without addresses with that reason", async () => {
  for (const answer of [NONE, {}]) {
    const fixture = new Fixture({ one: () => answer });
    await assertRejects(() => fixture.lookup(), Error, "dot.test has no address");
    assertEquals(fixture.asked.length, 2);
  }
});

Deno.test("Bootstrap gives each server a second and a lookup three when all servers are silent", async () => {
  const limits: number[] = [];
  const fixture: Fixture = new Fixture(Object.fromEntries(
    ["a", "b", "c", "d"].map((label) => [label, ({ type }: Message, limit: number) => {
      if (type === 1) {
        limits.push(limit);
        fixture.now += limit;
      }
      return type === 1 ? new Error("timed out") : {};
    }]),
  ));
  await assertRejects(() => fixture.lookup(), Error, "a: timed out; b: timed out; c: timed out");
  assertEquals(limits, [1000, 1000, 1000]);
});
