import { IpAddress, IPV4_WORD } from "../../../lib/net/ip_address.ts";
import { Admission, type AdmissionOptions } from "../../../lib/frontend/answer/admission.ts";
import { Answerer } from "../../../lib/frontend/answer/answerer.ts";
import { parseNetwork } from "../../../lib/net/ip_network.ts";
import type { Client } from "../../../lib/core/resolver.ts";
import { extendedErrors } from "../../support/clients/query_client.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { FakeResolver } from "../../support/fakes/resolver.ts";
import { hex, query, read } from "../../support/packets/packets.ts";
import { ask, Clock, Events } from "../fixture.ts";

function admission(options: Partial<AdmissionOptions> = {}): Admission {
  return new Admission({
    allow: ["10.0.0.0/8", "fd00::/8"].map(parseNetwork),
    deny: ["10.66.0.0/16"].map(parseNetwork),
    denied: "refuse",
    rate: undefined,
    exempt: [],
    ...options,
  });
}

const from = (address: string, transport: Client["transport"] = "udp"): Client => ({
  address,
  transport,
  port: 5000,
});

Deno.test("Admission decides by the longest matching network, and denies without a match", () => {
  const rules = admission({ allow: ["10.0.0.0/8", "10.66.6.0/24", "fd00::/8"].map(parseNetwork) });
  const cases = [
    ["10.1.2.3", "answer"],
    ["10.66.1.1", "refuse"],
    ["10.66.6.1", "answer"],
    ["fd12::1", "answer"],
    ["::ffff:10.1.2.3", "answer"],
    ["192.0.2.1", "refuse"],
    ["2001:db8::1", "refuse"],
  ] as const;
  for (const [address, verdict] of cases) {
    for (const transport of ["udp", "tcp"] as const) {
      assertEquals(rules.admit(from(address, transport), 1000), verdict, `${address} over ${transport}`);
    }
  }
});

Deno.test("Admission denies a network that is in both lists", () => {
  assertEquals(admission({ deny: [parseNetwork("10.0.0.0/8")] }).admit(from("10.0.0.1"), 1000), "refuse");
});

Deno.test("Admission ignores denied clients when configured to", () => {
  assertEquals(admission({ denied: "ignore" }).admit(from("192.0.2.1"), 1000), "ignore");
});

Deno.test("Admission truncates, then drops, when a client exceeds its rate, unless it is exempt", () => {
  const rules = admission({ rate: { perSecond: 1, burst: 2 }, exempt: [parseNetwork("10.0.0.53")] });
  const verdicts = Array.from({ length: 5 }, () => rules.admit(from("10.0.0.1"), 1000));
  assertEquals(verdicts, ["answer", "answer", "truncate", "truncate", "drop"]);
  for (let i = 0; i < 5; i++) assertEquals(rules.admit(from("10.0.0.53"), 1000), "answer");
});

/** Counts the verdicts on 100 queries per ms for five seconds, in turn from `addresses` addresses of 10.0.0.0/14. */
function flood(rules: Admission, addresses: number, also = (_now: number) => {}): Record<string, number> {
  const from = new IpAddress();
  from.isIpv4 = true;
  const found: Record<string, number> = {};
  for (let i = 0; i < 500_000; i++) {
    from.words[IPV4_WORD] = (10 << 24) + i % addresses;
    const now = 1000 + i / 100;
    const verdict = rules.admitFrom(from, "udp", now);
    found[verdict] = (found[verdict] ?? 0) + 1;
    if (i % 100 === 99) also(now);
  }
  return found;
}

const STRANGERS = { deny: ["10.0.0.0/14"].map(parseNetwork) };
/** A thousand at once, and a thousand in each of five seconds. */
const COURTESY = 1000 + 5000 - 1;

Deno.test("Admission refuses a thousand queries per second over UDP when many denied clients ask", () => {
  const rules = admission(STRANGERS);
  assertEquals(flood(rules, 200_000), { refuse: COURTESY, ignore: 500_000 - COURTESY });
  assertEquals(rules.admit(from("10.0.0.1", "tcp"), 6000), "refuse");
});

Deno.test("Admission truncates a thousand replies per second when many clients exceed their rate", () => {
  const rules = admission({ rate: { perSecond: 20, burst: 20 } });
  const { answer, truncate, drop } = flood(rules, 1000);
  // 20 at once and 20 in each of the five seconds, for each of the thousand.
  assert(answer! > 118_000 && answer! <= 120_000, `${answer} answers`);
  // They begin with the 21st query of each.
  assert(truncate! > 5700 && truncate! <= COURTESY, `${truncate} truncated`);
  assertEquals(drop, 500_000 - answer! - truncate!);
});

Deno.test("Admission still truncates for limited clients when denied clients flood it", () => {
  const rules = admission({ ...STRANGERS, rate: { perSecond: 20, burst: 20 } });
  const found: Record<string, number> = { answer: 0, truncate: 0, drop: 0 };
  // Twice its rate.
  flood(rules, 200_000, (now) => {
    if (Math.round(now) % 25 === 0) found[rules.admit(from("10.4.0.1"), now)]!++;
  });
  assertEquals(found, { answer: 119, truncate: 81, drop: 0 });
});

Deno.test("Admission still refuses denied clients when limited clients flood it", () => {
  const rules = admission({ rate: { perSecond: 20, burst: 20 } });
  const found = new Set<string>();
  flood(rules, 1000, (now) => found.add(rules.admit(from("192.0.2.1"), now)));
  assertEquals([...found], ["refuse"]);
});

function answerer(options: Partial<AdmissionOptions>) {
  const events = new Events();
  const resolver = new FakeResolver();
  const { observe } = events;
  const common = { timeout: 4000, udpSize: 1232, keepAlive: 100, now: new Clock().now };
  return {
    answerer: new Answerer({ resolver, admission: admission(options), observe, ...common }),
    resolver,
    events,
  };
}

const limited = { allow: ["0.0.0.0/0"].map(parseNetwork), rate: { perSecond: 1, burst: 1 } };

const QUERIES: [string, Uint8Array][] = [
  ["without EDNS", query("example.com")],
  ["with EDNS", query("example.com", "A", { edns: {} })],
  ["with EDNS and DO", query("example.com", "A", { edns: { do: true } })],
  [
    "with a cookie",
    query("example.com", "A", { edns: { options: [{ code: 10, value: new Uint8Array(8) }] } }),
  ],
  [
    "with a lot of padding",
    query("example.com", "A", { edns: { options: [{ code: 12, value: new Uint8Array(99) }] } }),
  ],
  ["for the root", query(".", "NS")],
  ["of another opcode", query("example.com", "SOA", { opcode: 4 })],
  ["that is a bare header", hex("beef 0100 0000 0000 0000 0000")],
  ["that is malformed", hex("beef 0100 0001 0000 0000 0000 3f")],
];

Deno.test("Answerer never sends a refusal or truncated reply over UDP that is longer than the query (8914-2)", async () => {
  for (const [name, bytes] of QUERIES) {
    const { answerer: refusing } = answerer({});
    const { answerer: truncating } = answerer(limited);
    await ask(truncating, query("first.example"), from("192.0.2.1"));
    for (const each of [refusing, truncating]) {
      const frame = await ask(each, bytes, from("192.0.2.1"));
      assert(frame && frame.length - 2 <= bytes.length, `${name}: ${frame?.length} for ${bytes.length}`);
      const reply = read(frame.subarray(2));
      assertEquals(
        [reply.id, reply.flags.qr, reply.answers.length],
        [read(frame.subarray(2)).id, true, 0],
        name,
      );
    }
  }
});

Deno.test("Answerer adds EDE 18 to a refusal when there is room, and always over TCP (8914-3, 6891-1)", async () => {
  const { answerer: refusing, resolver, events } = answerer({});
  const reply = async (bytes: Uint8Array, transport: "udp" | "tcp") =>
    read((await ask(refusing, bytes, from("192.0.2.1", transport)))!.subarray(2));
  const [plain, bare, roomy] = [QUERIES[0]![1], QUERIES[1]![1], QUERIES[4]![1]];
  const none = await reply(plain, "udp");
  assertEquals([none.rcode, none.edns, none.question?.name], [5, undefined, "example.com"]);
  const short = await reply(bare, "udp");
  assertEquals([short.rcode, extendedErrors(short)], [5, []]);
  assert(short.edns);
  for (const told of [await reply(roomy, "udp"), await reply(bare, "tcp")]) {
    assertEquals([told.rcode, extendedErrors(told)], [5, [{
      code: 18,
      text: "client not allowed",
    }]]);
  }
  assertEquals(resolver.asked.length, 0);
  assertEquals(
    events.of("denied").map(({ reason, answered }) => [reason, answered]),
    Array(4).fill(["not allowed", true]),
  );
});

Deno.test("Answerer replies with TC=1 over UDP, then not at all, and with REFUSED over TCP, when a client is limited", async () => {
  const { answerer: limiting, resolver, events } = answerer(limited);
  const asked = query("example.com", "A", { edns: {} });
  const tell = async (transport: "udp" | "tcp") => {
    const frame = await ask(limiting, asked, from("192.0.2.1", transport));
    return frame && read(frame.subarray(2));
  };
  assertEquals((await tell("udp"))?.answers.length, 1);
  const slipped = await tell("udp");
  assertEquals([slipped?.rcode, slipped?.flags.tc, slipped?.question?.name], [0, true, "example.com"]);
  assertEquals(await tell("udp"), undefined);
  assertEquals((await tell("tcp"))?.answers.length, 1);
  assertEquals((await tell("tcp"))?.rcode, 5);
  assertEquals(resolver.asked.length, 2);
  assertEquals(events.of("denied").map(({ reason, answered }) => [reason, answered]), [
    ["rate limit", true],
    ["rate limit", false],
    ["rate limit", true],
  ]);
});
