/**
 * Readiness: whether this instance can answer queries. An authenticated upstream must have answered recently, or the cache
 * must have entries. Traffic proves that an upstream answers; without traffic a probe does.
 */

import type { Counters } from "../observe/counters.ts";
import type { CacheStatus, UpstreamStatus } from "../core/status.ts";

/** How long an answer of an upstream proves that it is reachable. */
const PROOF_LIFETIME_MS = 30_000;

export interface ReadinessCheckOptions {
  readonly counters: Counters;
  readonly upstreams: () => readonly UpstreamStatus[];
  readonly cache: () => CacheStatus | undefined;
  /** Queries the upstreams past the cache; resolves with whether one answered. */
  readonly probe: () => Promise<boolean>;
  /** Time in ms. */
  readonly now: () => number;
}

export interface Readiness {
  readonly ready: boolean;
  /** Sentences for operators. */
  readonly reasons: readonly string[];
}

export class ReadinessCheck {
  readonly #options: ReadinessCheckOptions;
  /** Number of exchanges at the previous check. */
  #exchanges = 0;
  #provedAt = -Infinity;
  #probe: Promise<boolean> | undefined;

  constructor(options: ReadinessCheckOptions) {
    this.#options = options;
  }

  /** Sends a probe if no upstream has answered in the last 30 s. */
  async readiness(): Promise<Readiness> {
    const { upstreams, cache } = this.#options;
    if (this.#isProved() || await this.#sendProbe()) {
      // A pin mismatch may be an attack, so it is reported even while other upstreams answer.
      const ruledOut = upstreams().filter(({ isRuledOut }) => isRuledOut);
      return {
        ready: true,
        reasons: ["an upstream answers", ...ruledOut.flatMap(({ lastError }) => lastError ?? [])],
      };
    }
    const reasons = upstreams().map(({ label, lastError }) => lastError ?? `${label}: has not answered yet`);
    const entries = cache()?.entries ?? 0;
    if (entries === 0) return { ready: false, reasons };
    return { ready: true, reasons: [`no upstream answers; the cache has ${entries} entries`, ...reasons] };
  }

  #isProved(): boolean {
    const { counters, now } = this.#options;
    let exchanges = 0;
    for (const { exchanges: each } of counters.upstreams.values()) exchanges += each.count;
    if (exchanges > this.#exchanges) this.#provedAt = now();
    this.#exchanges = exchanges;
    return now() - this.#provedAt < PROOF_LIFETIME_MS;
  }

  /** Concurrent checks share one probe. */
  async #sendProbe(): Promise<boolean> {
    this.#probe ??= this.#options.probe().finally(() => this.#probe = undefined);
    return await this.#probe && this.#isProved();
  }
}
