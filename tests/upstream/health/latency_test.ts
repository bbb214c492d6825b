import { Latency } from "../../../lib/upstream/health/latency.ts";
import { assertEquals } from "../../support/assert.ts";

Deno.test("latency is smoothed: the first one counts in full, any other for an eighth", () => {
  const latency = new Latency();
  assertEquals(latency.smoothedMs, 0);
  latency.add(80);
  assertEquals(latency.smoothedMs, 80);
  latency.add(160);
  assertEquals(latency.smoothedMs, 90);
});

Deno.test("slow is more than 250 ms until there is something to compare with, and never less than 50 ms", () => {
  const latency = new Latency();
  for (let i = 0; i < 15; i++) latency.add(5);
  assertEquals(latency.slowAfterMs, 250);
  latency.add(5);
  assertEquals(latency.slowAfterMs, 50);
});

Deno.test("slow is longer than 95 % of the last 128 answers took", () => {
  const latency = new Latency();
  for (let i = 0; i < 128; i++) latency.add(1000 + i);
  // 121 of the 128 took less.
  assertEquals(latency.slowAfterMs, 1121);
  for (let i = 0; i < 128; i++) latency.add(i < 8 ? 300 : 60);
  assertEquals(latency.slowAfterMs, 300);
  for (let i = 0; i < 128; i++) latency.add(i < 4 ? 300 : 60);
  assertEquals(latency.slowAfterMs, 60);
});

Deno.test("latencies are compared as numbers, not as text", () => {
  const latency = new Latency();
  for (let i = 0; i < 128; i++) latency.add(i % 2 === 0 ? 9 : 100);
  assertEquals(latency.slowAfterMs, 100);
});
