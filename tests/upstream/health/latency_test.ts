import { Latency } from "../../../lib/upstream/health/latency.ts";
import { assertEquals } from "../../support/assert.ts";

Deno.test("Latency smooths: the first sample counts in full, each other for an eighth", () => {
  const latency = new Latency();
  assertEquals(latency.smoothedMs, 0);
  latency.add(80);
  assertEquals(latency.smoothedMs, 80);
  latency.add(160);
  assertEquals(latency.smoothedMs, 90);
});

Deno.test("slowAfterMs is 250 ms without samples, and never less than 50 ms", () => {
  const latency = new Latency();
  for (let i = 0; i < 15; i++) latency.add(5);
  assertEquals(latency.slowAfterMs, 250);
  latency.add(5);
  assertEquals(latency.slowAfterMs, 50);
});

Deno.test("slowAfterMs is the 95th percentile of the last 128 answers", () => {
  const latency = new Latency();
  for (let i = 0; i < 128; i++) latency.add(1000 + i);
  // 121 of the 128 took less.
  assertEquals(latency.slowAfterMs, 1121);
  for (let i = 0; i < 128; i++) latency.add(i < 8 ? 300 : 60);
  assertEquals(latency.slowAfterMs, 300);
  for (let i = 0; i < 128; i++) latency.add(i < 4 ? 300 : 60);
  assertEquals(latency.slowAfterMs, 60);
});

Deno.test("slowAfterMs sorts samples as numbers, not as text", () => {
  const latency = new Latency();
  for (let i = 0; i < 128; i++) latency.add(i % 2 === 0 ? 9 : 100);
  assertEquals(latency.slowAfterMs, 100);
});
