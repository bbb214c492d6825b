/** Hundreds of queries to cached and other names: the fast path must not change any result. */
import { Answerer } from "../../../lib/frontend/answer/answerer.ts";
import { Admission, type AdmissionOptions } from "../../../lib/frontend/answer/admission.ts";
import { UdpFrontend } from "../../../lib/frontend/udp/udp_frontend.ts";
import { openLibrary } from "../../../lib/platform/libc.ts";
import { parseNetwork } from "../../../lib/net/ip_network.ts";
import { Cache } from "../../../lib/resolver/cache/cache.ts";
import { assertEquals } from "../../support/assert.ts";
import { askUdp, UdpClient } from "../../support/clients/plain_client.ts";
import { FakeResolver, later } from "../../support/fakes/resolver.ts";
import { query, read } from "../../support/packets/packets.ts";
import { Events, LOOP_BUDGET } from "../fixture.ts";

const ANY = ["0.0.0.0/0", "::/0"].map(parseNetwork);

interface Setting {
  readonly admission?: Partial<AdmissionOptions>;
  readonly wantsEach?: boolean;
  readonly hostname?: string;
}

/** A front end with batches before a cache, in which the fast path is open for `known.example`. */
class Fixture implements AsyncDisposable {
  readonly events = new Events();
  readonly resolver = new FakeResolver(later);
  readonly #library = openLibrary("on");
  readonly #cache: Cache;
  readonly server: UdpFrontend;
  now = 1_000;

  constructor({ admission, wantsEach = false, hostname = "127.0.0.1" }: Setting) {
    const { observe } = this.events;
    const now = () => this.now;
    const limits = { maxOctets: 1 << 20, minTtl: 0, maxTtl: 86_400, serveStale: 0 };
    this.#cache = new Cache({ next: this.resolver, ...limits, observe, now });
    const rules = { allow: ANY, deny: [], denied: "refuse", rate: undefined, exempt: [] } as const;
    const answerer = new Answerer({
      resolver: this.#cache,
      cache: this.#cache,
      admission: admission && new Admission({ ...rules, ...admission }),
      ...{ timeout: 4000, udpSize: 1232, keepAlive: 100, observe, now, needsPerQueryEvents: () => wantsEach },
    });
    this.server = new UdpFrontend({
      hostname,
      port: 0,
      answerer,
      loopBudget: LOOP_BUDGET,
      observe,
      library: this.#library,
    });
  }

  /** Queries a name until the fast path is open for it. */
  async teach(name: string): Promise<void> {
    for (let i = 0; i < 2; i++) await askUdp(this.server.address, query(name));
  }

  /** Sends queries at once, and counts the replies by RCODE and TC. */
  async burst(queries: readonly Uint8Array[], replies: number): Promise<Record<string, number>> {
    using client = new UdpClient(this.server.address);
    for (const each of queries) await client.send(each);
    const counts: Record<string, number> = {};
    for (let i = 0; i < replies; i++) {
      const { rcode, flags } = read(await client.receive());
      const key = `${rcode}${flags.tc ? " TC" : ""}`;
      counts[key] = (counts[key] ?? 0) + 1;
    }
    return counts;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.stop();
    this.#cache[Symbol.dispose]();
    this.#library?.close();
  }
}

const known = (count: number) =>
  Array.from({ length: count }, (_, id) => query("known.example", "A", { id }));
const unknown = (count: number) =>
  Array.from({ length: count }, (_, id) => query(`n${id}.example`, "A", { id }));

for (const hostname of ["127.0.0.1", "::1"]) {
  Deno.test(`each of 150 queries at once has the reply to its own question, known or not (${hostname}, 5452-1)`, async () => {
    await using fixture = new Fixture({ hostname });
    await fixture.teach("known.example");
    using client = new UdpClient(fixture.server.address);
    const names = Array.from({ length: 150 }, (_, id) => id % 3 === 0 ? `n${id}.example` : "known.example");
    for (const [id, name] of names.entries()) await client.send(query(name, "A", { id }));
    const replies = new Map<number, string>();
    for (let i = 0; i < names.length; i++) {
      const { id, question, answers } = read(await client.receive());
      assertEquals(answers.length, 1);
      replies.set(id, question!.name);
    }
    assertEquals(names.map((_, id) => replies.get(id)), names);
  });
}

Deno.test("UdpFastPath takes one token per query, also when it declines the query", async () => {
  const rate = { perSecond: 0.001, burst: 12 };
  for (const queries of [known(30), unknown(30)]) {
    await using fixture = new Fixture({ admission: { rate } });
    await fixture.teach("known.example"); // two tokens
    assertEquals(await fixture.burst(queries, 22), { "0": 10, "0 TC": 12 });
    await fixture.events.until("denied", 20);
    assertEquals(fixture.events.of("denied").filter(({ answered }) => !answered).length, 8);
  }
});

Deno.test("UdpFastPath serves nothing from the cache, and nothing is resolved, when a client is denied", async () => {
  await using fixture = new Fixture({ admission: { deny: [parseNetwork("127.0.0.1")] } });
  assertEquals(await fixture.burst([...known(20), ...unknown(20)], 40), { "5": 40 });
  assertEquals(fixture.resolver.asked.length, 0);
});

Deno.test("UdpFastPath reports hits in sums, or one by one when events are needed per query", async () => {
  for (const wantsEach of [false, true]) {
    await using fixture = new Fixture({ wantsEach });
    await fixture.teach("known.example");
    await fixture.burst(known(100), 100);
    const { events } = fixture;
    const sum = events.of("hits").reduce((sum, { count }) => sum + count, 0);
    assertEquals(sum + events.of("answered").length, 102);
    assertEquals(sum > 0, !wantsEach);
    for (const { transport, rcode } of events.of("hits")) assertEquals([transport, rcode], ["udp", 0]);
  }
});

Deno.test("UdpFastPath leaves malformed messages between hits to Answerer", async () => {
  await using fixture = new Fixture({});
  await fixture.teach("known.example");
  const queries = [
    ...known(20),
    query("known.example", "A", { opcode: 4 }),
    query("known.example", "A", { edns: { version: 1 } }),
    query("known.example").subarray(0, 20),
    new Uint8Array(3),
    query("known.example").fill(0x81, 2, 3), // a response
    ...known(1),
  ];
  assertEquals(await fixture.burst(queries, 24), { "0": 21, "4": 1, "16": 1, "1": 1 });
});
