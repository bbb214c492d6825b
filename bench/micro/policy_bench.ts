/**
 * What policy adds to a hit: `deno bench --allow-read --allow-write bench/micro/policy_bench.ts`. Everything on is: access
 * lists, a rate limit, special names, records, a hosts file, a block list of 100,000 names, filtered types, and
 * protection against rebinding; everything off is none of them.
 */
import { Admission } from "../../lib/frontend/answer/admission.ts";
import { Answerer } from "../../lib/frontend/answer/answerer.ts";
import { Message } from "../../lib/dns/message.ts";
import { parseNetwork, PRIVATE_NETWORKS } from "../../lib/net/ip_network.ts";
import { PolicyChain, withRebindingFilter } from "../../lib/policy_chain.ts";
import type { PolicyConfig } from "../../lib/config/policy_config.ts";
import { Cache } from "../../lib/resolver/cache/cache.ts";
import { parseRecord } from "../../lib/resolver/local/record_text.ts";
import { a, query, response } from "../../tests/support/packets/packets.ts";
import { OPEN } from "../../tests/support/fakes/policy.ts";

const NAMES = 1000;
const ASKED = 1 << 12;
const now = () => performance.now();
const observe = () => {};
const client = { transport: "udp", address: "192.168.17.23", port: 53_123 } as const;

function write(text: string): string {
  const path = Deno.makeTempFileSync();
  Deno.writeTextFileSync(path, text);
  return path;
}

const hosts = write(
  Array.from({ length: 1000 }, (_, i) => `10.0.${i >> 8}.${i & 255} host${i}.lan\n`).join(""),
);
const path = write(Array.from({ length: 100_000 }, (_, i) => `0.0.0.0 ads${i}.example.net\n`).join(""));
const ON: PolicyConfig = {
  ...OPEN,
  allow: PRIVATE_NETWORKS,
  deny: [parseNetwork("192.168.66.0/24")],
  rateLimit: { perSecond: 10_000_000, burst: 10_000_000 },
  rateLimitExempt: [parseNetwork("10.0.0.53")],
  hosts: [hosts],
  records: [parseRecord("*.dev.lan A 10.0.0.2")],
  specialNames: "local",
  lists: [{ label: "ads", path, allows: false }],
  rebindProtection: true,
  filterTypes: [65],
};

async function answerer(config: PolicyConfig | undefined): Promise<Answerer> {
  const upstream = {
    resolve: ({ message }: { message: Message }) =>
      Message.parse(response(message.bytes, { answers: [a(message.name, "192.0.2.1", 86_400)] })),
  };
  const next = config ? withRebindingFilter(config, upstream) : upstream;
  const limits = { maxOctets: 64 << 20, minTtl: 0, maxTtl: 86_400, serveStale: 0 };
  const cache = new Cache({ next, ...limits, observe, now });
  const options = config && { config, routes: [], onChange: () => {}, observe };
  const resolver = options ? PolicyChain.build(options, cache).first : cache;
  const admission = config && new Admission({
    ...config,
    denied: "refuse",
    rate: config.rateLimit,
    exempt: config.rateLimitExempt,
  });
  const common = { timeout: 4000, udpSize: 1232, keepAlive: 100, observe, now };
  const made = new Answerer({ resolver, admission, ...common });
  for (let i = 0; i < NAMES; i++) {
    await new Promise<unknown>((reply) => made.answer(questionOf(i), client, { reply }));
  }
  return made;
}

function questionOf(number: number): Uint8Array {
  return query(`www.site-${number}.example.com`, "A", { edns: {} });
}

const questions = Array.from({ length: ASKED }, () => questionOf(Math.floor(Math.random() * NAMES)));
const [off, on] = [await answerer(undefined), await answerer(ON)];
const nobody = { reply: () => {} };
let next = 0;
Deno.bench("a hit, everything off", { group: "hit", baseline: true }, () => {
  off.answer(questions[next = next + 1 & ASKED - 1]!, client, nobody);
});
Deno.bench("a hit, everything on", { group: "hit" }, () => {
  on.answer(questions[next = next + 1 & ASKED - 1]!, client, nobody);
});
