/** Whether a connection is alive, concluded from the time since its last answer. */

import type { Latency } from "../health/latency.ts";

/** A stalled connection is probed after this time. A name that is merely slow is answered by then. */
const PROBE_AFTER_MS = 500;
/** Minimum time for the answer to a probe, before the connection is doubted. */
const MIN_PATIENCE_MS = 250;
/** Few queries may all be for one slow name. This many are not, if the server usually answers quickly. */
const MANY = 8;
/** Minimum time for the answer to a probe that was sent at once because many queries wait. */
const MIN_PATIENCE_WITH_MANY_MS = 100;

/**
 * The liveness of one connection:
 *
 *                a query is slow, and            the probe, too,           another connection
 *                no answer arrives               is unanswered             answers a probe
 *     alive ─────────────────────────▶ stalled ──────────────────▶ doubted ───────────────▶ presumed dead
 *       ▲                                 │                           │
 *       └─────────── any answer ──────────┴───────────────────────────┘
 */
export class Liveness {
  readonly #latency: Latency;
  #state: "alive" | "stalled" | "doubted" | "presumed dead" = "alive";
  #stalledAt = 0;

  /** @param latency of the upstream; it defines when a query is slow */
  constructor(latency: Latency) {
    this.#latency = latency;
  }

  get isDoubted(): boolean {
    return this.#state === "doubted";
  }

  /** Time after which an unanswered probe is suspicious. */
  get probePatienceMs(): number {
    return Math.max(this.#latency.slowAfterMs, MIN_PATIENCE_MS);
  }

  /** An answer has arrived. */
  noteAnswer(): void {
    if (this.#state !== "presumed dead") this.#state = "alive";
  }

  /** Another connection was answered while this one was silent. */
  presumeDead(): void {
    this.#state = "presumed dead";
  }

  /** Called at each tick while the connection is stalled. Returns the next step. */
  noteSilence(now: number, pending: number): "wait" | "probe" | "doubt" {
    if (this.#state === "alive") {
      this.#state = "stalled";
      this.#stalledAt = now;
    }
    if (this.#state !== "stalled") return "wait";
    const silenceMs = now - this.#stalledAt;
    const isUrgent = pending >= MANY && this.#latency.isLearned;
    const probeAfterMs = isUrgent ? 0 : PROBE_AFTER_MS;
    const patienceMs = isUrgent
      ? Math.max(2 * this.#latency.slowAfterMs, MIN_PATIENCE_WITH_MANY_MS)
      : this.probePatienceMs;
    if (silenceMs >= probeAfterMs + patienceMs) {
      this.#state = "doubted";
      return "doubt";
    }
    return silenceMs >= probeAfterMs ? "probe" : "wait";
  }
}
