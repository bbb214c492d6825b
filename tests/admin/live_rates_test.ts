import { LiveRates } from "../../lib/admin/live_rates.ts";
import { Counters } from "../../lib/observe/counters.ts";
import { assertEquals } from "../support/assert.ts";
import { answered } from "../observe/answers.ts";

Deno.test("LiveRates.next returns the rates since the previous call", () => {
  const counters = new Counters();
  let time = 0;
  for (let i = 0; i < 100; i++) counters.observe(answered());
  const rates = new LiveRates(counters, () => time);
  time += 2000;
  for (let i = 0; i < 6; i++) counters.observe(answered({ source: "cache", milliseconds: 0.03 }));
  counters.observe(answered({ rcode: 2, milliseconds: 4000 }));
  counters.observe(answered({ milliseconds: 20 }));
  const { p95, ...rest } = rates.next();
  assertEquals(Math.round(p95!), 4000, "6/10 of the way from 2500 to 5000");
  assertEquals(rest, {
    queriesPerSecond: 4,
    failuresPerSecond: 0.5,
    ownShare: 0.75,
    p50: 0.05 * 4 / 6,
  });
});

Deno.test("LiveRates.next returns no quantiles and no share without answers", () => {
  let time = 0;
  const rates = new LiveRates(new Counters(), () => time);
  time += 1000;
  const nothing = { queriesPerSecond: 0, failuresPerSecond: 0 };
  assertEquals(rates.next(), { ...nothing, ownShare: undefined, p50: undefined, p95: undefined });
});
