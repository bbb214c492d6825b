/** State of several threads, merged into one. */

import type { Failure } from "../core/errors.ts";
import type { UpstreamChange } from "../core/event.ts";
import type { CacheStatus, UpstreamStatus } from "../core/status.ts";
import type { CachedAnswer } from "../resolver/cache/inspection.ts";

/**
 * One status per upstream, in the order of the first thread, then upstreams that only other threads have.
 *
 * @param stateOf the latest state that any thread found. An idle thread does not notice when an upstream goes down.
 */
export function mergeUpstreams(
  threads: readonly (readonly UpstreamStatus[])[],
  stateOf: (label: string) => UpstreamStatus["state"],
): UpstreamStatus[] {
  return [...Map.groupBy(threads.flat(), ({ label }) => label)].map(([label, each]) => {
    const state = stateOf(label);
    return {
      label,
      state,
      lastError: state === "up" ? undefined : each.find(({ lastError }) => lastError)?.lastError,
      isRuledOut: state !== "up" && each.some(({ isRuledOut }) => isRuledOut),
      latencyMs: mean(each.flatMap(({ latencyMs }) => latencyMs ?? [])),
      inFlight: sum(each.map(({ inFlight }) => inFlight)),
      connections: sum(each.map(({ connections }) => connections)),
      certificateExpires: least(each.flatMap(({ certificateExpires }) => certificateExpires ?? [])),
    };
  });
}

/** Sums of all caches; undefined without a cache. */
export function mergeCaches(threads: readonly CacheStatus[]): CacheStatus | undefined {
  if (threads.length === 0) return undefined;
  return {
    entries: sum(threads.map(({ entries }) => entries)),
    bytes: sum(threads.map(({ bytes }) => bytes)),
    maxBytes: sum(threads.map(({ maxBytes }) => maxBytes)),
    evictions: sum(threads.map(({ evictions }) => evictions)),
  };
}

/** One answer per type: the one with the longest remaining lifetime. */
export function mergeAnswers(threads: readonly (readonly CachedAnswer[])[]): CachedAnswer[] {
  return [...Map.groupBy(threads.flat(), ({ type }) => type).values()].map((same) =>
    same.reduce((best, each) => each.secondsLeft > best.secondsLeft ? each : best)
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((sum, each) => sum + each, 0);
}

function mean(values: readonly number[]): number | undefined {
  return values.length > 0 ? sum(values) / values.length : undefined;
}

function least(values: readonly number[]): number | undefined {
  return values.length > 0 ? Math.min(...values) : undefined;
}

/**
 * The state of each upstream across threads: the latest change that any thread reported. An answer in any thread also
 * counts, because the thread that received it may not have noticed the outage, and so reports no change.
 */
export class UpstreamStates {
  readonly #last = new Map<string, UpstreamChange>();
  /** Failures reported in the current outage. Each is reported once, even if two failures alternate. */
  readonly #reasons = new Map<string, Set<Failure | undefined>>();

  /** The latest state of an upstream. */
  of(upstream: string): UpstreamStatus["state"] {
    return this.#last.get(upstream)?.state ?? "untried";
  }

  /** Records a change. Returns whether to report it: the state or the cause is new in this outage. */
  record(change: UpstreamChange): boolean {
    const { upstream, state, error } = change;
    const before = this.#last.get(upstream);
    this.#last.set(upstream, change);
    if (state !== before?.state) this.#reasons.set(upstream, new Set());
    const reasons = this.#reasons.get(upstream)!;
    const isKnown = reasons.has(error?.failure);
    reasons.add(error?.failure);
    return !isKnown;
  }

  /** Records an answer. Returns the change if the upstream was down. */
  recordAnswer(upstream: string): UpstreamChange | undefined {
    if (this.#last.get(upstream)?.state !== "down") return undefined;
    const change: UpstreamChange = { kind: "upstream", upstream, state: "up" };
    this.#last.set(upstream, change);
    this.#reasons.set(upstream, new Set([undefined]));
    return change;
  }

  /** Removes all other upstreams. */
  retain(labels: readonly string[]): void {
    for (const known of [this.#last, this.#reasons]) {
      for (const label of known.keys()) if (!labels.includes(label)) known.delete(label);
    }
  }
}
