/** The cost of the rate limit per query, by verdict: `deno bench bench/micro/rate_limit_bench.ts`. */
import { IpAddress } from "../../lib/net/ip_address.ts";
import { RateLimit } from "../../lib/frontend/answer/rate_limit.ts";

/** Times like those of a process that has been running for an hour; 100,000 queries a second. */
const [START, STEP] = [3_600_000, 0.01];

const CASES = [
  ["one client, within", { perSecond: 10_000_000, burst: 10_000_000 }, 1],
  ["one client, far over", { perSecond: 1, burst: 1 }, 1],
  ["1,000 clients, within", { perSecond: 10_000, burst: 10_000 }, 1000],
  ["1,000 clients, over and far over", { perSecond: 20, burst: 20 }, 1000],
  ["a million clients, each of which is new", { perSecond: 20, burst: 20 }, 1_000_000],
] as const;

for (const [name, rate, clients] of CASES) {
  const limit = new RateLimit(rate);
  const address = new IpAddress().read("10.0.0.0");
  let now = START;
  let client = 0;
  Deno.bench(name, () => {
    client = client + 1 === clients ? 0 : client + 1;
    address.words[3] = client;
    limit.take(address, "udp", now += STEP);
  });
}
