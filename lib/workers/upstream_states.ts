import type { UpstreamChange } from "../observe/event.ts";
import type { UpstreamStatus } from "../observe/status.ts";

/**
 * Each thread finds out for itself whether an upstream answers; for all of them together it is as the last one has found
 * it. A thread may not have noticed what another one tells of, so that an answer counts as well, without a change there.
 */
export class UpstreamStates {
  readonly #last = new Map<string, UpstreamChange>();

  of(upstream: string): UpstreamStatus["state"] {
    return this.#last.get(upstream)?.state ?? "untried";
  }

  /** Whether this is another state than the one that was known, or has another cause. */
  isNews(change: UpstreamChange): boolean {
    const before = this.#last.get(change.upstream);
    this.#last.set(change.upstream, change);
    return change.state !== before?.state || change.error?.failure !== before.error?.failure;
  }

  /** Told of an answer; the change that follows from it, if one does. */
  answered(upstream: string): UpstreamChange | undefined {
    if (this.#last.get(upstream)?.state !== "down") return undefined;
    const change: UpstreamChange = { kind: "upstream", upstream, state: "up" };
    this.#last.set(upstream, change);
    return change;
  }

  /** Forgets all other upstreams. */
  keep(labels: readonly string[]): void {
    for (const label of this.#last.keys()) if (!labels.includes(label)) this.#last.delete(label);
  }
}
