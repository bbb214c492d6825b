import { LearnedLimits } from "../../../lib/upstream/health/learned_limits.ts";
import { assert, assertEquals } from "../../support/assert.ts";

/** The idle timeout where nothing is known. */
const OTHERWISE = 30_000;

function afterCloses(...idles: number[]): number {
  const limits = new LearnedLimits();
  for (const idle of idles) limits.noteClosedIdle(idle);
  return limits.idleTimeoutMs(OTHERWISE);
}

Deno.test("LearnedLimits has no limit and the default idle time at the start", () => {
  const limits = new LearnedLimits();
  assertEquals([limits.maxQueries(0), limits.idleTimeoutMs(OTHERWISE)], [Infinity, OTHERWISE]);
});

Deno.test("LearnedLimits learns an idle time from two similar closes in a row, minus 15 %", () => {
  assertEquals(afterCloses(2_000), OTHERWISE);
  assertEquals(afterCloses(2_000, 2_000), 1_700);
});

Deno.test("LearnedLimits uses the shorter of two similar idle times", () => {
  assertEquals(afterCloses(2_100, 2_000), 1_700);
  assertEquals(afterCloses(2_000, 2_100), 1_700);
});

Deno.test("LearnedLimits ignores different idle times and closes within half a second", () => {
  assertEquals(afterCloses(2_000, 9_000, 2_000), OTHERWISE);
  assertEquals(afterCloses(400, 400, 400), OTHERWISE);
});

Deno.test("LearnedLimits learns a changed idle time, shorter or longer", () => {
  assertEquals(afterCloses(10_000, 10_000, 2_000, 2_000), 1_700);
  assertEquals(afterCloses(2_000, 2_000, 10_000, 10_000), 8_500);
});

Deno.test("LearnedLimits ignores an idle time beyond the default", () => {
  assertEquals(afterCloses(60_000, 60_000), OTHERWISE);
});

Deno.test("LearnedLimits prefers the latest keep-alive option to observed idle times (7828-2)", () => {
  const limits = new LearnedLimits();
  limits.noteClosedIdle(2_000);
  limits.noteClosedIdle(2_000);
  limits.noteKeepAlive(12_000);
  assertEquals(limits.idleTimeoutMs(OTHERWISE), 12_000);
  limits.noteKeepAlive(55_000);
  assertEquals(limits.idleTimeoutMs(OTHERWISE), 55_000);
});

Deno.test("LearnedLimits limits queries for 30 s after the same number of answers twice in a row", () => {
  const limits = new LearnedLimits();
  limits.noteClosedWithQueries(100, {}, 0);
  assertEquals(limits.maxQueries(1), Infinity);
  limits.noteClosedWithQueries(100, {}, 10);
  assertEquals([limits.maxQueries(11), limits.maxQueries(30_009), limits.maxQueries(30_010)], [
    100,
    100,
    Infinity,
  ]);
});

Deno.test("LearnedLimits ignores different numbers of answers", () => {
  const limits = new LearnedLimits();
  for (const [i, answers] of [7, 100, 7, 100, 12].entries()) limits.noteClosedWithQueries(answers, {}, i);
  assertEquals(limits.maxQueries(5), Infinity);
});

Deno.test("LearnedLimits prolongs a limit with each confirmation, and keeps it after a different number", () => {
  const limits = new LearnedLimits();
  for (const now of [0, 1, 20_000]) limits.noteClosedWithQueries(100, {}, now);
  limits.noteClosedWithQueries(3, {}, 20_001);
  assert(limits.maxQueries(49_999) === 100 && limits.maxQueries(50_000) === Infinity);
});
