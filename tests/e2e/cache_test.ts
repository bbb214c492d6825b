/** Cached answers equal those of the zone's own server, record by record, and never live longer. */
import { assert, assertEquals } from "../support/assert.ts";
import { ONE_THREAD } from "../support/mode.ts";
import { type Answer, dig, type Rr } from "../support/processes/dig.ts";
import { QUESTIONS, SIGNED_QUESTIONS } from "./questions.ts";
import { assertSameRecords } from "./records.ts";
import { startRig } from "./rig.ts";

const TTLS = ["ttl0", "ttl1", "ttl60", "ttl3600"].map((label) =>
  [label, `${label}.example.test`, "A"] as const
);

/** Flags for dig, and the questions for them. */
const ASKED = [
  ...[...QUESTIONS, ...TTLS].map(([what, name, type]) => [what, "+nodnssec", name, type] as const),
  ...[...QUESTIONS, ...SIGNED_QUESTIONS].map(([what, name, type]) =>
    [`${what}, ${name} with DO`, "+dnssec", name, type] as const
  ),
];

Deno.test("answers from the cache are those of the zone's own server (2308, 2181-1, 3225, 8767)", async (t) => {
  await using rig = await startRig("BIND", ONE_THREAD);
  const { bind, proxy } = rig;
  const direct = new Map<string, Answer>();

  await rig.step(t, "fresh from the upstream and again from the cache", async () => {
    for (const [what, ...question] of ASKED) {
      direct.set(what, await dig(bind.inClear, "+tcp", ...question));
      const first = await dig(proxy.server, ...question);
      const again = [await dig(proxy.server, ...question), await dig(proxy.server, "+tcp", ...question)];
      for (const answer of [first, ...again]) assertSame(answer, direct.get(what)!, what);
      for (const answer of again) assert(notYounger(answer, first), `${what} has become younger`);
    }
  });

  await rig.step(t, "in the case in which the question is asked", async () => {
    const { question, answer } = await dig(proxy.server, "TTL3600.example.TEST", "A");
    assertEquals([question, answer[0]?.name], ["TTL3600.example.TEST. IN A", "TTL3600.example.TEST."]);
  });

  await rig.step(t, "with OPT made anew for each client (6891-1)", async () => {
    assertEquals((await dig(proxy.server, "+noedns", "ttl3600.example.test")).opt, undefined);
    assertEquals((await dig(proxy.server, "+edns=0", "ttl3600.example.test")).opt?.options.size, 0);
  });

  await rig.step(
    t,
    "and when that server has gone, but for a TTL of 0; what has expired says so (8914-3)",
    async () => {
      await bind.child.stop("SIGTERM");
      for (const [what, ...question] of ASKED) {
        const answer = await dig(proxy.server, "+tcp", "+edns=0", ...question);
        const isStale = answer.opt?.options.get("EDE")?.startsWith("3 ") ?? false;
        if (what === "ttl0") assertEquals(answer.status, "SERVFAIL");
        else if (isStale) assertStale(answer, direct.get(what)!, what);
        else assertSame(answer, direct.get(what)!, what);
        if (what === "ttl1") assert(isStale);
        if (what === "ttl3600") assert(!isStale);
      }
    },
  );
});

function assertSame(through: Answer, direct: Answer, what: string): void {
  assertEquals(through.status, direct.status, what);
  assertSameRecords(through.answer, direct.answer, what);
  assertSameRecords(through.authority, direct.authority, `${what}, authority`);
}

function assertStale(through: Answer, direct: Answer, what: string): void {
  assertEquals(through.status, direct.status, what);
  assertSameRecords(through.answer, direct.answer.map((rr) => ({ ...rr, ttl: 30 })), what);
}

function notYounger(again: Answer, first: Answer): boolean {
  return leastTtl(again.answer) <= leastTtl(first.answer);
}

function leastTtl(records: readonly Rr[]): number {
  return Math.min(...records.map(({ ttl }) => ttl));
}
