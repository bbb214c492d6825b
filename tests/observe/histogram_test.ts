import { BOUNDS, Histogram, quantile } from "../../lib/observe/histogram.ts";
import { assert, assertEquals } from "../support/assert.ts";

Deno.test("Histogram counts a value in the first bucket whose bound it does not exceed, else in the last", () => {
  const histogram = new Histogram();
  for (const time of [0, BOUNDS[0]!, BOUNDS[0]! + 0.001, 10_000, 10_001, 1e9]) histogram.add(time);
  const { counts } = histogram;
  assertEquals([counts[0], counts[1], counts.at(-2), counts.at(-1)], [2, 1, 1, 2]);
  assertEquals(histogram.count, 6);
  assert(Math.abs(histogram.sum - (1e9 + 20_001.101)) < 1e-3, `${histogram.sum}`);
});

Deno.test("quantile interpolates within a bucket, and is undefined without values", () => {
  const histogram = new Histogram();
  assertEquals(quantile(histogram.counts, 0.5), undefined);
  for (let i = 0; i < 90; i++) histogram.add(3);
  for (let i = 0; i < 10; i++) histogram.add(60);
  assertEquals(quantile(histogram.counts, 0.45), 3.75, "half of the way from 2.5 to 5");
  assertEquals(quantile(histogram.counts, 0.95), 75, "half of the way from 50 to 100");
  assertEquals(quantile(histogram.counts, 1), 100);
});

Deno.test("quantile returns the last bound for values above all bounds", () => {
  const histogram = new Histogram();
  histogram.add(60_000);
  assertEquals(quantile(histogram.counts, 0.5), 10_000);
});
