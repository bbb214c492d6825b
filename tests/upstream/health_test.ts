import { Health } from "../../lib/upstream/health.ts";
import { assert, assertEquals } from "../support/assert.ts";

/** When, in ms after `now`, it is due again, to the nearest; `isDue` never goes back to false by itself. */
function waitOf(isDue: (now: number) => boolean, now: number): number {
  let wait = 0;
  while (!isDue(now + wait)) wait++;
  return wait;
}

/** The waits of many that have failed at `from` first and at `until` for the last time. */
function waits(from: number, until: number): number[] {
  return Array.from({ length: 1_000 }, () => {
    const health = new Health();
    health.failed(from);
    health.failed(until);
    return waitOf((now) => health.isDue(now), until);
  });
}

Deno.test("nothing speaks against an upstream that has not been tried", () => {
  const health = new Health();
  assert(health.isDue(0) && health.isDueAsLastResort(0));
});

for (
  const [outage, longest] of [[0, 50], [100, 50], [1_000, 200], [5_000, 1_000], [60_000, 12_000], [
    10_000_000,
    30_000,
  ]] as const
) {
  Deno.test(`after ${outage / 1000} s of outage the next try comes in three quarters to the whole of ${longest} ms`, () => {
    const all = waits(7, 7 + outage);
    const [least, most] = [Math.min(...all), Math.max(...all)];
    assert(least >= 0.75 * longest && most <= longest, `${least} to ${most} ms`);
    // Jitter: spread over the whole of that, so that many proxies do not come back together.
    assert(most - least > 0.9 * 0.25 * longest - 2, `${least} to ${most} ms`);
  });
}

Deno.test("tries while it is away add up to few, and a short outage is found to be over soon", () => {
  const health = new Health();
  let tries = 0;
  for (let now = 0; now < 3_600_000; now += 10) {
    if (!health.isDue(now)) continue;
    tries++;
    health.failed(now);
  }
  assert(tries > 120 && tries < 250, `${tries} tries in an hour`);
});

Deno.test("one that has been reached is due at once, and its next outage starts from nothing", () => {
  const health = new Health();
  health.failed(0);
  health.failed(60_000);
  health.reached();
  assert(health.isDue(60_000));
  health.failed(60_001);
  assert(health.isDue(60_051));
});

Deno.test("as the last resort it is tried once a second however long it has been away", () => {
  const health = new Health();
  health.failed(0);
  assert(health.isDueAsLastResort(50), "a short wait stays short");
  health.failed(600_000);
  assertEquals(waitOf((now) => health.isDueAsLastResort(now), 600_000), 1_000);
  assert(!health.isDue(601_000));
});

Deno.test("latency is smoothed: the first one counts in full, any other for an eighth", () => {
  const health = new Health();
  assertEquals(health.latency, 0);
  health.answered(80);
  assertEquals(health.latency, 80);
  health.answered(160);
  assertEquals(health.latency, 90);
});

Deno.test("slow is more than 250 ms until there is something to compare with, and never less than 50 ms", () => {
  const health = new Health();
  for (let i = 0; i < 15; i++) health.answered(5);
  assertEquals(health.slowAfter, 250);
  health.answered(5);
  assertEquals(health.slowAfter, 50);
});

Deno.test("slow is longer than 95 % of the last 128 answers took", () => {
  const health = new Health();
  for (let i = 0; i < 128; i++) health.answered(1000 + i);
  // 121 of the 128 took less.
  assertEquals(health.slowAfter, 1121);
  for (let i = 0; i < 128; i++) health.answered(i < 8 ? 300 : 60);
  assertEquals(health.slowAfter, 300);
  for (let i = 0; i < 128; i++) health.answered(i < 4 ? 300 : 60);
  assertEquals(health.slowAfter, 60);
});

Deno.test("latencies are compared as numbers, not as text", () => {
  const health = new Health();
  for (let i = 0; i < 128; i++) health.answered(i % 2 === 0 ? 9 : 100);
  assertEquals(health.slowAfter, 100);
});
