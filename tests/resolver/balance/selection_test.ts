import { selectionPolicy, type StrategyName } from "../../../lib/resolver/balance/selection.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { asking, candidates, FakeCandidate } from "../../support/fakes/candidate.ts";

const QUERY = asking("name.test");

function orderer(name: StrategyName, now = () => 0) {
  const { order } = selectionPolicy(name, now);
  return (candidates: readonly FakeCandidate[], asked = "name.test") =>
    order(asking(asked), candidates) as FakeCandidate[];
}

/** The number of times each candidate was the first choice, by label. */
function shares(count: number, choose: (i: number) => FakeCandidate): Record<string, number> {
  const shares: Record<string, number> = {};
  for (let i = 0; i < count; i++) {
    const { label } = choose(i);
    shares[label] = (shares[label] ?? 0) + 1;
  }
  return shares;
}

/** Throws if a share is off by more than six standard deviations: one run in 10^9. */
function assertShare(actual: number | undefined, count: number, probability: number): void {
  const deviation = Math.sqrt(count * probability * (1 - probability));
  const off = Math.abs((actual ?? 0) - count * probability);
  assert(off < 6 * deviation, `${actual} of ${count}, with a probability of ${probability}`);
}

function labels(candidates: readonly { label: string }[]): string {
  return candidates.map(({ label }) => label).join("");
}

for (const name of ["fastest", "failover", "round-robin", "random", "race", "sharded"] as const) {
  Deno.test(`${name}: each candidate is in the order once, usable ones first, and the given list is unchanged`, () => {
    const order = orderer(name);
    const all = candidates(5);
    all[0]!.usable = all[3]!.usable = false;
    for (let i = 0; i < 100; i++) {
      const chosen = order(all, `name${i}.test`);
      assertEquals(labels(chosen.toSorted((a, b) => a.label < b.label ? -1 : 1)), "abcde");
      assertEquals(chosen.map(({ usable }) => usable), [true, true, true, false, false]);
    }
    assertEquals(labels(all), "abcde");
  });

  Deno.test(`${name}: all candidates are tried if none is usable`, () => {
    const all = candidates(3);
    for (const each of all) each.usable = false;
    assertEquals(orderer(name)(all).length, 3);
  });
}

Deno.test("only race starts two attempts at once; failover and sharded are not hedged", () => {
  const told = (["fastest", "failover", "round-robin", "random", "race", "sharded"] as const)
    .map((name) => selectionPolicy(name, () => 0)).map(({ parallel, hedged }) =>
      `${parallel}${hedged ? "h" : ""}`
    );
  assertEquals(told, ["1h", "1", "1h", "1h", "2h", "1"]);
});

Deno.test("failover: the given order, and the first candidate again once it is usable", () => {
  const order = orderer("failover");
  const all = candidates(3);
  all[2]!.expectedLatencyMs = 1;
  assertEquals(labels(order(all)), "abc");
  all[0]!.usable = false;
  assertEquals(labels(order(all)), "bca");
  all[0]!.usable = true;
  assertEquals(labels(order(all)), "abc");
});

Deno.test("fastest: by expected latency divided by weight", () => {
  const order = orderer("fastest");
  const [a, b, c] = [30, 10, 45].map((expectedLatencyMs, i) =>
    new FakeCandidate("abc"[i]!, { expectedLatencyMs })
  );
  assertEquals(labels(order([a!, b!, c!])), "bac");
  c!.weight = 5;
  assertEquals(labels(order([a!, b!, c!])), "cba");
});

Deno.test("fastest: a candidate without queries for 5 s gets one, with less than 5 % of all queries in total", () => {
  let now = 0;
  const order = orderer("fastest", () => now);
  const all = candidates(20);
  all.forEach((each, i) => each.expectedLatencyMs = 10 + i);
  const lastAsked = new Map(all.map((each) => [each, 0]));
  let longest = 0;
  const count = 50_000;
  const firsts = shares(count, () => {
    now += 2; // 500 queries per second
    const [first] = order(all);
    longest = Math.max(longest, now - lastAsked.get(first!)!);
    lastAsked.set(first!, now);
    first!.lastQueryAt = now;
    return first!;
  });
  assert(count - firsts.a! <= count / 20, `${firsts.a} of ${count}`);
  assertEquals(Object.keys(firsts).length, 20);
  assert(longest < 6_000, `one was left alone for ${longest} ms`);
});

Deno.test("fastest: with two upstreams, exploration takes less than one query in a thousand", () => {
  let now = 0;
  const order = orderer("fastest", () => now);
  const [a, b] = candidates(2);
  b!.expectedLatencyMs = 500;
  const firsts = shares(50_000, () => {
    now += 2;
    const [first] = order([a!, b!]);
    first!.lastQueryAt = now;
    return first!;
  });
  assert(firsts.b! >= 15 && firsts.b! < 50, `${firsts.b}`);
});

Deno.test("fastest: an unusable candidate is not explored", () => {
  const order = orderer("fastest", () => 1e6);
  const [a, b] = candidates(2);
  a!.lastQueryAt = 1e6;
  b!.usable = false;
  assertEquals(shares(1_000, () => order([a!, b!])[0]!), { a: 1_000 });
});

Deno.test("round-robin: exact and interleaved shares by weight", () => {
  const order = orderer("round-robin");
  const [a, b, c] = candidates(3);
  a!.weight = 2;
  const firsts = Array.from({ length: 8 }, () => order([a!, b!, c!])[0]!.label).join("");
  assertEquals(firsts, "abcaabca");
  assertEquals(shares(4_000, () => order([a!, b!, c!])[0]!), { a: 2_000, b: 1_000, c: 1_000 });
});

Deno.test("round-robin: the others share the queries of an unusable candidate, which later gets only its own share", () => {
  const order = orderer("round-robin");
  const all = candidates(3);
  all[0]!.usable = false;
  const away = shares(1_000, () => order(all)[0]!);
  assertEquals([away.a, away.b, away.c], [undefined, 500, 500]);
  all[0]!.usable = true;
  const back = shares(30, () => order(all)[0]!);
  assert(back.a! <= 11, `${back.a} of 30 at once`);
});

Deno.test("random: by weight", () => {
  const order = orderer("random");
  const all = candidates(3);
  all[0]!.weight = 3;
  const count = 20_000;
  const { a, b, c } = shares(count, () => order(all)[0]!);
  assertShare(a, count, 0.6);
  assertShare(b, count, 0.2);
  assertShare(c, count, 0.2);
});

Deno.test("random: successive choices are independent", () => {
  const order = orderer("random");
  const all = candidates(2);
  const firsts = Array.from({ length: 10_000 }, () => order(all)[0]!.label);
  assertShare(firsts.filter((label, i) => label === firsts[i - 1]).length, firsts.length, 0.5);
});

const DOMAINS = Array.from({ length: 10_000 }, (_, i) => `domain${i}.test`);

Deno.test("sharded: every name of one registrable domain goes to one upstream, ignoring case", () => {
  const order = orderer("sharded");
  const all = candidates(5);
  const owners = new Set<string>();
  for (
    const domain of ["example.com", "example.co.uk", "other.co.uk", "user.github.io", "box.fritz.example"]
  ) {
    const hosts = ["", "www.", "a.b.c.", "WWW."].map((host) => `${host}${domain}`);
    const firsts = new Set([...hosts, domain.toUpperCase()].map((name) => order(all, name)[0]!.label));
    const isOne = domain !== "box.fritz.example";
    if (isOne) assertEquals(firsts.size, 1, domain);
    for (const first of firsts) owners.add(first);
  }
  assert(owners.size > 1);
});

Deno.test("sharded: a top-level domain and the root have an upstream, too", () => {
  const order = orderer("sharded");
  for (const name of ["com", ".", "co.uk", "4.3.2.1.in-addr.arpa", "_dot._tcp.example.com"]) {
    assertEquals(order(candidates(3), name).length, 3);
  }
});

Deno.test("sharded: domains are distributed by weight, whatever the order of the upstreams", () => {
  const order = orderer("sharded");
  const all = candidates(4);
  all[1]!.weight = 2;
  const owner = (name: string) => order(all, name)[0]!;
  const counts = shares(DOMAINS.length, (i) => owner(DOMAINS[i]!));
  for (const { label, weight } of all) assertShare(counts[label], DOMAINS.length, weight / 5);
  const turned = all.toReversed();
  for (const name of DOMAINS.slice(0, 500)) assertEquals(order(turned, name)[0], owner(name));
});

for (const n of [1, 2, 3, 7]) {
  Deno.test(`sharded: one upstream more than ${n} takes its share, and no other name moves`, () => {
    const order = orderer("sharded");
    const all = candidates(n + 1);
    const moved = DOMAINS.filter((name) => order(all, name)[0] !== order(all.slice(0, n), name)[0]);
    assertShare(moved.length, DOMAINS.length, 1 / (n + 1));
    assertEquals(new Set(moved.map((name) => order(all, name)[0])), new Set([all[n]]));
  });
}

Deno.test("sharded: the names of a failed upstream move together to one other, and back", () => {
  const order = orderer("sharded");
  const all = candidates(5);
  for (const failed of all) {
    const before = DOMAINS.map((name) => order(all, name)[0]!);
    failed.usable = false;
    const heirs = new Set<FakeCandidate>();
    DOMAINS.forEach((name, i) => {
      const [first] = order(all, name);
      if (before[i] === failed) heirs.add(first!);
      else assertEquals(first, before[i]);
    });
    failed.usable = true;
    assertEquals(heirs.size, 1);
    assertEquals(DOMAINS.map((name) => order(all, name)[0]), before);
  }
});

Deno.test("race: the two candidates with the lowest cost", () => {
  const all = candidates(3);
  all.forEach((each, i) => each.expectedLatencyMs = 30 - 10 * i);
  assertEquals(labels(selectionPolicy("race", () => 0).order(QUERY, all)), "cba");
});
