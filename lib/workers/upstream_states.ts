import type { Failure } from "../errors.ts";
import type { UpstreamChange } from "../observe/event.ts";
import type { UpstreamStatus } from "../observe/status.ts";

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
