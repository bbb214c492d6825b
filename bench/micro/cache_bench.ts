/**
 * The cost of a hit with a thousand entries and with a million: `deno bench bench/micro/cache_bench.ts`. Names are asked for in
 * random order, so that with a million nearly every look-up misses the processor's caches: the worst there is.
 */
import { HEADER_BYTES } from "../../lib/dns/header.ts";
import { Message } from "../../lib/dns/message.ts";
import { composeReply } from "../../lib/dns/compose/reply.ts";
import { Cache } from "../../lib/resolver/cache/cache.ts";
import type { Query } from "../../lib/core/resolver.ts";
import { a, query, response } from "../../tests/support/packets/packets.ts";

const COUNTS = [1_000, 1_000_000];
/** How many queries are made up beforehand. */
const ASKED = 1 << 16;
const INTO = new Uint8Array(65_536);
const REPLY = { transport: "udp", udpSize: 1232, keepAlive: 100 } as const;

function nameOf(number: number): string {
  return `host-${number}.zone-${number % 1000}.example`;
}

function queryFor(number: number): Query {
  return {
    message: Message.parse(query(nameOf(number), "A", { edns: {} })),
    client: { transport: "udp", address: "127.0.0.1", port: 1 },
    deadline: Infinity,
    trace: { source: "upstream", upstream: undefined, attempts: 0 },
  };
}

/** A cache with this many entries, and the queries to ask it. */
async function filled(count: number): Promise<{ cache: Cache; queries: Query[] }> {
  const cache = new Cache({
    next: {
      resolve: ({ message }) =>
        Message.parse(response(message.bytes, { answers: [a(message.name, "192.0.2.1", 86_400)] })),
    },
    maxOctets: 512 << 20,
    minTtl: 0,
    maxTtl: 86_400,
    serveStale: 0,
    observe: () => {},
    now: () => performance.now(),
  });
  for (let i = 0; i < count; i++) await cache.resolve(queryFor(i));
  if (cache.store.size !== count) throw new Error(`The cache has ${cache.store.size} entries, not ${count}`);
  const queries = Array.from({ length: ASKED }, () => queryFor(Math.floor(Math.random() * count)));
  return { cache, queries };
}

for (const count of COUNTS) {
  const { cache, queries } = await filled(count);
  const { store } = cache;
  const baseline = count === COUNTS[0];
  let next = 0;
  const fresh = () => queries[next = next + 1 & ASKED - 1]!;

  Deno.bench(`find, ${count} entries`, { group: "find", baseline }, () => {
    const { bytes, questionEnd } = fresh().message;
    store.find(bytes, HEADER_BYTES, questionEnd - 4, 1 << 16 | 1, 0);
  });

  Deno.bench(`find and copy out, ${count} entries`, { group: "copy", baseline }, () => {
    const { bytes, questionEnd } = fresh().message;
    const ref = store.find(bytes, HEADER_BYTES, questionEnd - 4, 1 << 16 | 1, 0);
    store.entries.copyRecords(ref, INTO, questionEnd, 1);
  });

  // Parsed anew, as each query is that comes in.
  Deno.bench(`hit, from query to reply, ${count} entries`, { group: "hit", baseline }, () => {
    const asked = fresh();
    const message = Message.parse(asked.message.bytes);
    composeReply(message, cache.resolve({ ...asked, message }) as Message, REPLY);
  });
}
