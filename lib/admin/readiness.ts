import type { Counters } from "../observe/counters.ts";
import type { CacheStatus, UpstreamStatus } from "../core/status.ts";

/** How long it counts that an upstream has answered, in ms. */
const FRESH = 30_000;

export interface ReadinessCheckOptions {
  readonly counters: Counters;
  readonly upstreams: () => readonly UpstreamStatus[];
  readonly cache: () => CacheStatus | undefined;
  /** Asks the upstreams something, whatever the cache knows; whether one has answered. */
  readonly probe: () => Promise<boolean>;
  readonly now: () => number;
}

export interface Readiness {
  readonly ready: boolean;
  /** In words, for people. */
  readonly reasons: readonly string[];
}

/**
 * Whether queries can be answered: an upstream has proved who it is and answered of late. Traffic proves it; where there
 * is none a query of our own does, and not more often than needed.
 */
export class ReadinessCheck {
  readonly #options: ReadinessCheckOptions;
  #exchanges = 0;
  #provedAt = -Infinity;
  #probe: Promise<boolean> | undefined;

  constructor(options: ReadinessCheckOptions) {
    this.#options = options;
  }

  async readiness(): Promise<Readiness> {
    const { upstreams, cache } = this.#options;
    if (this.#isProved() || await this.#probed()) {
      // Somebody may be posing as it: that the others answer is no reason to keep quiet about that.
      const ruledOut = upstreams().filter(({ isRuledOut }) => isRuledOut);
      return {
        ready: true,
        reasons: ["an upstream answers", ...ruledOut.flatMap(({ lastError }) => lastError ?? [])],
      };
    }
    const reasons = upstreams().map(({ label, lastError }) => lastError ?? `${label}: has not answered yet`);
    const entries = cache()?.entries ?? 0;
    if (entries === 0) return { ready: false, reasons };
    return { ready: true, reasons: [`no upstream answers, ${entries} answers are cached`, ...reasons] };
  }

  #isProved(): boolean {
    const { counters, now } = this.#options;
    let exchanges = 0;
    for (const { exchanges: each } of counters.upstreams.values()) exchanges += each.count;
    if (exchanges > this.#exchanges) this.#provedAt = now();
    this.#exchanges = exchanges;
    return now() - this.#provedAt < FRESH;
  }

  /** One probe at a time, however many ask. */
  async #probed(): Promise<boolean> {
    this.#probe ??= this.#options.probe().finally(() => this.#probe = undefined);
    return await this.#probe && this.#isProved();
  }
}
