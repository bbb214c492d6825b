/** Rounds made into rows: medians with their range, and ratios to the best peer. */
import type { Measured, Round } from "./measure.ts";
import type { Scenario } from "./scenarios.ts";

/** A figure over all rounds. */
export interface Figure {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** To the best peer's median; undefined where there is nothing to compare with. */
  readonly ratio?: number;
}

export interface Row {
  readonly name: string;
  readonly kind: "dot-proxy" | "peer" | "floor";
  /** Reason for not comparing its figures: it did not do the scenario's work. */
  readonly fault?: string | undefined;
  /** Answers per second. */
  readonly rate: Figure;
  /** In µs. */
  readonly p50: Figure;
  readonly p99: Figure;
  /** CPU µs per answer. */
  readonly cpu: Figure;
  /** Queries without an answer, or with a bad one, of all that were sent in all rounds. */
  readonly loss: number;
  /** Octets. */
  readonly memory: number;
  readonly connections: number;
  /** Queries that reached the upstream per answer, median. */
  readonly missed: number;
  /** The share of the proxy's core that others had, median. */
  readonly disturbance: number;
}

export interface Table {
  readonly id: string;
  readonly title: string;
  readonly meaning: string;
  readonly rows: readonly Row[];
}

/** A program with a larger share of answers from the upstream has no cache. */
const MOST_MISSED = 0.05;
/** A program with a larger share of unanswered queries or errors was overloaded. */
const MOST_LOST = 0.01;

export function summarize({ id, title, meaning, hits }: Scenario, measured: readonly Measured[]): Table {
  const rows = measured.map(({ peer, rounds, memory, connections }): Row => {
    const of = (value: (round: Round) => number) => figure(rounds.map(value));
    const missed = of((round) => round.missed).median;
    const sent = sum(rounds.map(({ outcome }) => outcome.sent));
    const bad = sum(rounds.map(({ outcome }) => outcome.lost + outcome.failed));
    return {
      name: peer.name,
      kind: peer.kind,
      fault: faultOf({ loss: bad / Math.max(1, sent), missed, hits }),
      rate: of(({ outcome }) => outcome.rate),
      p50: of(({ outcome }) => outcome.p50),
      p99: of(({ outcome }) => outcome.p99),
      cpu: of(({ cpu }) => cpu),
      loss: bad / Math.max(1, sent),
      memory,
      connections,
      missed,
      disturbance: of((round) => round.disturbance).median,
    };
  });
  const peers = rows.filter(({ kind, fault }) => kind === "peer" && fault === undefined);
  const best = (pick: (row: Row) => Figure, choose: (...all: number[]) => number) =>
    choose(...peers.map((row) => pick(row).median));
  const bests = {
    rate: best(({ rate }) => rate, Math.max),
    p50: best(({ p50 }) => p50, Math.min),
    p99: best(({ p99 }) => p99, Math.min),
    cpu: best(({ cpu }) => cpu, Math.min),
  };
  const compared = (value: Figure, to: number) =>
    peers.length > 0 ? { ...value, ratio: value.median / to } : value;
  return {
    id,
    title,
    meaning,
    rows: rows.map((row) => ({
      ...row,
      rate: compared(row.rate, bests.rate),
      p50: compared(row.p50, bests.p50),
      p99: compared(row.p99, bests.p99),
      cpu: compared(row.cpu, bests.cpu),
    })),
  };
}

/** In per cent. */
export function lossText(loss: number): string {
  return loss === 0 ? "0" : `${(100 * loss).toPrecision(2)} %`;
}

interface Conduct {
  readonly loss: number;
  readonly missed: number;
  readonly hits: boolean;
}

function faultOf({ loss, missed, hits }: Conduct): string | undefined {
  if (hits && missed > MOST_MISSED) return "no cache";
  return loss > MOST_LOST ? "loses queries" : undefined;
}

export function figure(values: readonly number[]): Figure {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const median = (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)! };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
