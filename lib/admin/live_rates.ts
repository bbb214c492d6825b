import { type Counters, RCODES, SOURCES, TRANSPORTS } from "../observe/counters.ts";
import { quantile } from "../observe/histogram.ts";

/** How it went since the look before. Times are in ms, and undefined where nothing was answered. */
export interface RateWindow {
  readonly queriesPerSecond: number;
  readonly failuresPerSecond: number;
  /** Share of the answers that took no upstream; undefined where there were none. */
  readonly ownShare: number | undefined;
  readonly p50: number | undefined;
  readonly p95: number | undefined;
}

const SERVFAIL = 2;

/** Turns counts that only grow into what happened between two looks. */
export class LiveRates {
  readonly #counters: Counters;
  readonly #now: () => number;
  #before: Totals;

  constructor(counters: Counters, now: () => number) {
    this.#counters = counters;
    this.#now = now;
    this.#before = totals(counters, now());
  }

  look(): RateWindow {
    const before = this.#before;
    const after = this.#before = totals(this.#counters, this.#now());
    const seconds = Math.max(after.time - before.time, 1) / 1000;
    const answers = after.answers - before.answers;
    const times = after.times.map((count, i) => count - before.times[i]!);
    return {
      queriesPerSecond: answers / seconds,
      failuresPerSecond: (after.failures - before.failures) / seconds,
      ownShare: answers > 0 ? 1 - (after.upstream - before.upstream) / answers : undefined,
      p50: quantile(times, 0.5),
      p95: quantile(times, 0.95),
    };
  }
}

interface Totals {
  readonly time: number;
  readonly answers: number;
  readonly upstream: number;
  readonly failures: number;
  /** By bound: see `Histogram`. */
  readonly times: Float64Array;
}

function totals(counters: Counters, time: number): Totals {
  const { durations } = counters;
  const times = new Float64Array(durations[0]!.counts.length);
  for (const { counts } of durations) counts.forEach((count, i) => times[i]! += count);
  return {
    time,
    answers: counters.answers.reduce((sum, each) => sum + each, 0),
    upstream: durations[SOURCES.indexOf("upstream")]!.count,
    failures: byRcode(counters)[SERVFAIL]!,
    times,
  };
}

/** Answers by RCODE, over all transports and sources. */
export function byRcode(counters: Counters): number[] {
  const sums = Array<number>(RCODES).fill(0);
  for (const t of TRANSPORTS.keys()) {
    for (const s of SOURCES.keys()) {
      for (const rcode of sums.keys()) sums[rcode]! += counters.answersAt(t, s, rcode);
    }
  }
  return sums;
}
