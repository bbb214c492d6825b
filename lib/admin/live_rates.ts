/** Rates and quantiles of the time since the previous report, computed from counters that only grow. */

import { type Counters, RCODES, SOURCES, TRANSPORTS } from "../observe/counters.ts";
import { quantile } from "../observe/histogram.ts";

/** Rates between two reports. Times are in ms. */
export interface RateWindow {
  readonly queriesPerSecond: number;
  readonly failuresPerSecond: number;
  /** Share of the answers that needed no upstream; undefined without answers. */
  readonly ownShare: number | undefined;
  /** Median response time; undefined without answers. */
  readonly p50: number | undefined;
  readonly p95: number | undefined;
}

const SERVFAIL = 2;

export class LiveRates {
  readonly #counters: Counters;
  readonly #now: () => number;
  #previous: Totals;

  constructor(counters: Counters, now: () => number) {
    this.#counters = counters;
    this.#now = now;
    this.#previous = sumUp(counters, now());
  }

  /** Returns the rates since the previous call, and starts the next window. */
  next(): RateWindow {
    const from = this.#previous;
    const to = this.#previous = sumUp(this.#counters, this.#now());
    const seconds = Math.max(to.time - from.time, 1) / 1000;
    const answers = to.answers - from.answers;
    const durations = to.durations.map((count, i) => count - from.durations[i]!);
    return {
      queriesPerSecond: answers / seconds,
      failuresPerSecond: (to.failures - from.failures) / seconds,
      ownShare: answers > 0 ? 1 - (to.fromUpstream - from.fromUpstream) / answers : undefined,
      p50: quantile(durations, 0.5),
      p95: quantile(durations, 0.95),
    };
  }
}

interface Totals {
  /** Time of the sum, in ms. */
  readonly time: number;
  readonly answers: number;
  readonly fromUpstream: number;
  readonly failures: number;
  /** Counts of all sources by bucket, as in `Histogram`. */
  readonly durations: Float64Array;
}

function sumUp(counters: Counters, time: number): Totals {
  const { durations: bySource } = counters;
  const durations = new Float64Array(bySource[0]!.counts.length);
  for (const { counts } of bySource) counts.forEach((count, i) => durations[i]! += count);
  return {
    time,
    answers: counters.answers.reduce((sum, each) => sum + each, 0),
    fromUpstream: bySource[SOURCES.indexOf("upstream")]!.count,
    failures: byRcode(counters)[SERVFAIL]!,
    durations,
  };
}

/** Number of answers by RCODE, over all transports and sources. */
export function byRcode(counters: Counters): number[] {
  const sums = Array<number>(RCODES).fill(0);
  for (const t of TRANSPORTS.keys()) {
    for (const s of SOURCES.keys()) {
      for (const rcode of sums.keys()) sums[rcode]! += counters.answersAt(t, s, rcode);
    }
  }
  return sums;
}
