/** How several threads fare together. */
import type { CacheStatus, UpstreamStatus } from "../observe/status.ts";
import type { CachedAnswer } from "../resolver/inspect.ts";

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
      latency: mean(each.flatMap(({ latency }) => latency ?? [])),
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
    octets: sum(threads.map(({ octets }) => octets)),
    maxOctets: sum(threads.map(({ maxOctets }) => maxOctets)),
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
