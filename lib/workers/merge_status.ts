import type { Failure } from "../core/errors.ts";
import type { UpstreamChange } from "../core/event.ts";
import type { CacheStatus, UpstreamStatus } from "../core/status.ts";
import type { CachedAnswer } from "../resolver/cache/inspection.ts";

/** How several threads fare together. */

/**
 * One for each upstream, in the order of the first thread; those of the others that it lacks behind them.
 *
 * @param stateOf what was found last: a thread that has nothing to ask of an upstream does not notice when that is gone
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

export function mergeCaches(threads: readonly CacheStatus[]): CacheStatus | undefined {
  if (threads.length === 0) return undefined;
  return {
    entries: sum(threads.map(({ entries }) => entries)),
    bytes: sum(threads.map(({ bytes }) => bytes)),
    maxBytes: sum(threads.map(({ maxBytes }) => maxBytes)),
    evictions: sum(threads.map(({ evictions }) => evictions)),
  };
}

/** Of what several caches know of a name under the same type, that which lasts longest. */
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
 * Each thread finds out for itself whether an upstream answers; for all of them together it is as the last one has found
 * it. A thread may not have noticed what another one tells of, so that an answer counts as well, without a change there.
 */
export class UpstreamStates {
  readonly #last = new Map<string, UpstreamChange>();
  /** The reasons reported in each upstream's present outage: each of them once, also where they alternate. */
  readonly #reasons = new Map<string, Set<Failure | undefined>>();

  of(upstream: string): UpstreamStatus["state"] {
    return this.#last.get(upstream)?.state ?? "untried";
  }

  /** Whether this is another state than the one that was known, or has a cause that this outage did not have yet. */
  isNews(change: UpstreamChange): boolean {
    const { upstream, state, error } = change;
    const before = this.#last.get(upstream);
    this.#last.set(upstream, change);
    if (state !== before?.state) this.#reasons.set(upstream, new Set());
    const reasons = this.#reasons.get(upstream)!;
    const isKnown = reasons.has(error?.failure);
    reasons.add(error?.failure);
    return !isKnown;
  }

  /** Told of an answer; the change that follows from it, if one does. */
  answered(upstream: string): UpstreamChange | undefined {
    if (this.#last.get(upstream)?.state !== "down") return undefined;
    const change: UpstreamChange = { kind: "upstream", upstream, state: "up" };
    this.#last.set(upstream, change);
    this.#reasons.set(upstream, new Set([undefined]));
    return change;
  }

  /** Forgets all other upstreams. */
  keep(labels: readonly string[]): void {
    for (const known of [this.#last, this.#reasons]) {
      for (const label of known.keys()) if (!labels.includes(label)) known.delete(label);
    }
  }
}
