/** The fast path replies exactly as the full chain would, and declines all other queries. */
import fc from "fast-check";
import { Answerer } from "../../../lib/frontend/answer/answerer.ts";
import { Message } from "../../../lib/dns/message.ts";
import type { CacheOptions } from "../../../lib/resolver/cache/cache.ts";
import type { Resolver } from "../../../lib/core/resolver.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import {
  a,
  cname,
  type EdnsFields,
  query,
  type QueryFields,
  read,
  soa,
  txt,
  type Type,
} from "../../support/packets/packets.ts";
import { ask } from "../../frontend/fixture.ts";
import { CacheFixture, responding } from "./cache_fixture.ts";

const SIZE = 1232;
/** Where queries and replies stand in their buffers: anywhere but at the start. */
const AT = 37;

/** A cache with the long way and the short way through it. */
class Ways implements Disposable {
  readonly fixture: CacheFixture;
  readonly answerer: Answerer;

  constructor(
    before: (cache: Resolver) => Resolver = (cache) => cache,
    options: Partial<CacheOptions> = {},
  ) {
    this.fixture = new CacheFixture(responding(({ message }) => respond(message.name)), options);
    const { cache, time } = this.fixture;
    this.answerer = new Answerer({
      resolver: before(cache),
      cache,
      timeout: 4000,
      udpSize: SIZE,
      keepAlive: 100,
      observe: () => {},
      now: time.now,
    });
  }

  /** The reply by way of all resolvers. */
  async long(bytes: Uint8Array): Promise<Uint8Array | undefined> {
    const reply = await ask(this.answerer, bytes, { transport: "udp", address: "127.0.0.1", port: 1 });
    return reply?.subarray(2);
  }

  /** The reply by the short way; undefined where that is not to be gone. */
  short(bytes: Uint8Array): Uint8Array | undefined {
    const received = new Uint8Array(AT + bytes.length + 20).fill(0xee);
    received.set(bytes, AT);
    const now = this.fixture.time.now();
    const outgoing = new Uint8Array(4096 + 2 * AT).fill(0xdd);
    const { fastPath } = this.fixture.cache;
    const length = fastPath.tryAnswer(received, AT, AT + bytes.length, now, outgoing, AT, SIZE);
    const end = AT + length;
    assert(length <= SIZE);
    assert(outgoing.subarray(0, AT).every((octet) => octet === 0xdd), "written before its place");
    assert(outgoing.subarray(end).every((octet) => octet === 0xdd), "written behind its end");
    if (length === 0) return undefined;
    return outgoing.slice(AT, end);
  }

  /** Asks until the cache knows the answer and has seen it pass. */
  async teach(name: string, type: Type = "A", fields: QueryFields = {}): Promise<void> {
    for (let i = 0; i < 2; i++) await this.long(query(name, type, fields));
  }

  [Symbol.dispose](): void {
    this.fixture[Symbol.dispose]();
  }
}

function respond(name: string) {
  if (name.startsWith("no.")) return { rcode: 3, authority: [soa("test")] };
  if (name.startsWith("alias.")) return { answers: [cname(name, "b.test"), a("b.test", "192.0.2.2", 60)] };
  if (name.startsWith("long.")) {
    return { answers: Array.from({ length: 4 }, (_, i) => txt(name, [`${i}`.repeat(200)])) };
  }
  return { answers: [a(name, "192.0.2.1", 300)], ad: true };
}

const NAMES = ["a.test", "A.Test", "alias.test", "no.test", "long.test", "unknown.test", "test", "."];
const edns: fc.Arbitrary<EdnsFields | undefined> = fc.option(
  fc.record({
    size: fc.constantFrom(0, 512, 900, 1232, 4096),
    do: fc.boolean(),
    version: fc.constantFrom(0, 0, 0, 1),
    options: fc.array(
      fc.record({ code: fc.integer({ min: 1, max: 20 }), value: fc.uint8Array({ maxLength: 9 }) }),
    ),
  }),
  { nil: undefined },
) as fc.Arbitrary<EdnsFields | undefined>;
const asked = fc.record({
  name: fc.constantFrom(...NAMES),
  type: fc.constantFrom<Type>("A", "A", "A", "A", "TXT", 255, 41, 252),
  fields: fc.record({
    id: fc.integer({ min: 0, max: 65_535 }),
    rd: fc.boolean(),
    cd: fc.boolean(),
    ad: fc.boolean(),
    edns,
  }),
  /** Where an octet is changed, and to what; mostly nowhere. */
  change: fc.option(fc.tuple(fc.nat(60), fc.integer({ min: 0, max: 255 })), { nil: undefined, freq: 1 }),
  cut: fc.constantFrom(0, 0, 0, 0, 0, 0, 1, 5),
});

Deno.test("whatever is asked, the reply of the short way is octet for octet that of the long one", async () => {
  using ways = new Ways();
  let taken = 0;
  for (const name of NAMES.slice(0, 5)) {
    for (const cd of [false, true]) {
      for (const rd of [false, true]) {
        for (const edns of [{}, { do: true }]) await ways.teach(name, "A", { cd, rd, edns });
      }
    }
  }
  await ways.fixture.pass(10);
  await fc.assert(
    fc.asyncProperty(asked, async ({ name, type, fields: { edns, ...flags }, change, cut }) => {
      const bytes = query(name, type, { ...flags, ...edns && { edns } });
      if (change) bytes[change[0] % bytes.length] = change[1];
      const cutOff = bytes.subarray(0, bytes.length - cut);
      const short = ways.short(cutOff);
      if (!short) return;
      taken++;
      assertEquals(short, await ways.long(cutOff));
    }),
    { numRuns: 3000, seed: 7 },
  );
  assert(taken > 300, `${taken} of 3000 took the short way`);
});

Deno.test("an entry takes the fast path after its answer has passed unmodified, and not before", async () => {
  using ways = new Ways();
  const bytes = query("a.test");
  await ways.long(bytes);
  assertEquals(ways.short(bytes), undefined); // in the cache, but not yet served from it
  await ways.long(bytes);
  assert(ways.short(bytes));
});

Deno.test("an answer replaced by a resolver before the cache does not take it, even by an equal one", async () => {
  using ways = new Ways((cache) => ({
    resolve: (query) => {
      const response = cache.resolve(query);
      return response instanceof Promise ? response : Message.parse(response.bytes);
    },
  }));
  await ways.teach("a.test");
  await ways.teach("a.test");
  assertEquals(ways.short(query("a.test")), undefined);
});

Deno.test("bypass types do not take it, and their answers open it for no other type", async () => {
  using ways = new Ways((cache) => cache, { bypassTypes: new Set([43]) });
  await ways.teach("no.test", 43);
  assertEquals(ways.short(query("no.test", "A")), undefined);
  await ways.teach("no.test", "A");
  assert(ways.short(query("no.test", "A")));
  assertEquals(ways.short(query("no.test", 43)), undefined);
});

Deno.test("nothing takes it once the policy has changed, until it has been seen to pass again", async () => {
  using ways = new Ways();
  const bytes = query("a.test");
  await ways.teach("a.test");
  // More often than there are numbers for.
  for (let i = 0; i < 300; i++) {
    assert(ways.short(bytes), `epoch ${i}`);
    ways.fixture.cache.fastPath.invalidate();
    assertEquals(ways.short(bytes), undefined, `epoch ${i}`);
    if (i % 3 === 0) ways.fixture.cache.fastPath.invalidate();
    await ways.long(bytes);
  }
});

Deno.test("an epoch long past does not come back with its number", async () => {
  using ways = new Ways();
  await ways.teach("a.test");
  for (let i = 0; i < 127; i++) ways.fixture.cache.fastPath.invalidate();
  assertEquals(ways.short(query("a.test")), undefined);
});

Deno.test("an entry that is new, due, or past its time has the long way to go", async () => {
  using ways = new Ways();
  const bytes = query("a.test");
  await ways.teach("a.test");
  await ways.fixture.pass(269);
  assert(ways.short(bytes));
  await ways.fixture.pass(2);
  assertEquals(ways.short(bytes), undefined); // due
  await ways.long(bytes); // which asks for it anew
  await ways.fixture.pass(0);
  assertEquals(ways.short(bytes), undefined); // new
  await ways.long(bytes);
  assert(ways.short(bytes));
  await ways.fixture.pass(300);
  assertEquals(ways.short(bytes), undefined);
});

Deno.test("an answer that is too long for the client has the long way to go, which truncates it (2181-1)", async () => {
  using ways = new Ways();
  await ways.teach("long.test", "TXT", { edns: { size: 4096 } });
  assert(ways.short(query("long.test", "TXT", { edns: { size: 4096 } })));
  assertEquals(ways.short(query("long.test", "TXT", { edns: { size: 800 } })), undefined);
  assertEquals(ways.short(query("long.test", "TXT")), undefined);
});

Deno.test("a hit of the short way counts, and is in use", async () => {
  using ways = new Ways();
  await ways.teach("a.test");
  const { cache } = ways.fixture;
  const before = cache.hits;
  ways.short(query("a.test"));
  assertEquals(cache.hits, before + 1);
});

Deno.test("the fast path adds stored extended errors for clients with EDNS where they fit (8914)", async () => {
  using ways = new Ways();
  const text = new TextEncoder().encode("by the upstream");
  const option = { code: 15, value: Uint8Array.of(0, 15, ...text) };
  ways.fixture.upstream.respond = responding({
    answers: [a("ede.test", "0.0.0.0")],
    edns: { options: [option] },
  });
  await ways.teach("ede.test", "A", { edns: {} });
  const asked = query("ede.test", "A", { edns: {} });
  assertEquals(read(ways.short(asked)!).edns?.options, [option]);
  assertEquals(ways.short(asked), await ways.long(asked));
  assertEquals(read(ways.short(query("ede.test"))!).edns, undefined);
});

Deno.test("addresses take turns on the short way, in step with the long one", async () => {
  using ways = new Ways();
  ways.fixture.upstream.respond = responding({
    answers: [1, 2, 3].map((i) => a("many.test", `192.0.2.${i}`)),
  });
  await ways.teach("many.test");
  const first: string[] = [];
  for (let i = 0; i < 6; i++) {
    const reply = i % 2 === 0 ? ways.short(query("many.test")) : await ways.long(query("many.test"));
    first.push(read(reply!).answers[0]!.text);
  }
  assertEquals(first.slice(0, 3), first.slice(3));
  assertEquals(new Set(first).size, 3);
});

Deno.test("an unsigned answer fetched with DO takes the fast path without DO, too", async () => {
  using ways = new Ways();
  ways.fixture.upstream.respond = responding({ answers: [a("both.test", "192.0.2.1")] });
  await ways.teach("both.test", "A", { edns: { do: true } });
  const reply = read(ways.short(query("both.test", "A", { edns: {} }))!);
  assertEquals([reply.answers[0]?.text, reply.edns?.do], ["192.0.2.1", false]);
});
