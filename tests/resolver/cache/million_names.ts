/** Passes a million distinct names through a cache of 64 MiB, in a process of its own, and prints what that took. */
import { Message } from "../../../lib/dns/message.ts";
import { Cache } from "../../../lib/resolver/cache/cache.ts";
import type { Query } from "../../../lib/core/resolver.ts";
import { a, query, response } from "../../support/packets/packets.ts";

const NAMES = 1_000_000;
const NAME = "host-0000000.zone.example";
/** Where the digits stand, in a query and in the response to it. */
const DIGITS = 12 + 1 + "host-".length;
const QUERY = query(NAME, "A", { edns: {} });
const RESPONSE = response(QUERY, { answers: [a(NAME, "192.0.2.1", 3600), a(NAME, "192.0.2.2", 3600)] });

function numbered(bytes: Uint8Array, number: number): Message {
  const copy = bytes.slice();
  for (let at = DIGITS + 6, rest = number; rest > 0; at--, rest = Math.floor(rest / 10)) {
    copy[at]! += rest % 10;
  }
  return Message.parse(copy);
}

function asking(number: number): Query {
  return {
    message: numbered(QUERY, number),
    client: { transport: "udp", address: "127.0.0.1", port: 1 },
    deadline: Infinity,
    trace: { source: "upstream", upstream: undefined, attempts: 0 },
  };
}

let number = 0;
const bare = Deno.memoryUsage().rss;
const cache = new Cache({
  next: { resolve: () => numbered(RESPONSE, number) },
  maxOctets: 64 << 20,
  minTtl: 0,
  maxTtl: 86_400,
  serveStale: 0,
  observe: () => {},
  now: () => performance.now(),
});

const reserved = Deno.memoryUsage().rss - bare;

// The program and its compiler allocate before the count starts.
for (; number < 10_000; number++) await cache.resolve(asking(number));
const before = Deno.memoryUsage().rss;
let most = before;
for (; number < NAMES; number++) {
  await cache.resolve(asking(number));
  if (number % 10_000 === 0) most = Math.max(most, Deno.memoryUsage().rss);
}
const last = await cache.resolve(asking(NAMES - 1));
console.log(
  JSON.stringify({
    ...cache.status,
    misses: cache.misses,
    hits: cache.hits,
    reserved,
    growth: most - before,
    last: last.name,
  }),
);
