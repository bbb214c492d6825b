import type { Latency } from "../health/latency.ts";

/** A connection that stays stalled for so long is probed: a name that is merely slow is answered by then. In ms. */
const PROBE_AFTER = 500;
/** It is given at least this long, in ms, to answer the probe before it is doubted. */
const LEAST_PATIENCE = 250;
/** One name's few queries can be slow. With so many, and answers that were quick before, it is the connection. */
const MANY = 8;
/** Then the probe is sent at once, and given at least this long, in ms. */
const LEAST_PATIENCE_WITH_MANY = 100;

/**
 * Whether one connection is alive, as far as can be told:
 *
 *                  queries wait, one is slow        and the probe, too,
 *                  and nothing is heard             goes unanswered            another connection answers
 *     alive ─────────────────────────▶ stalled ──────────────────▶ doubted ───────────────▶ presumed dead
 *       ▲                                 │                           │
 *       └─────────── any answer ──────────┴───────────────────────────┘
 */
export class Liveness {
  readonly #latency: Latency;
  #state: "alive" | "stalled" | "doubted" | "presumed dead" = "alive";
  #stalledAt = 0;

  /** @param latency of the upstream: what is slow */
  constructor(latency: Latency) {
    this.#latency = latency;
  }

  get isDoubted(): boolean {
    return this.#state === "doubted";
  }

  /** How long it may take to answer a probe before that is suspicious, in ms. */
  get probePatienceMs(): number {
    return Math.max(this.#latency.slowAfterMs, LEAST_PATIENCE);
  }

  /** An answer has come. */
  noteAnswer(): void {
    if (this.#state !== "presumed dead") this.#state = "alive";
  }

  /** Another connection has been answered where this one was not. */
  presumeDead(): void {
    this.#state = "presumed dead";
  }

  /** Called again and again while so many queries wait in vain: what there is to be done now. */
  noteSilence(now: number, waiting: number): "wait" | "probe" | "doubt" {
    if (this.#state === "alive") {
      this.#state = "stalled";
      this.#stalledAt = now;
    }
    if (this.#state !== "stalled") return "wait";
    const silence = now - this.#stalledAt;
    const isUrgent = waiting >= MANY && this.#latency.isLearned;
    const probeAfter = isUrgent ? 0 : PROBE_AFTER;
    const patience = isUrgent
      ? Math.max(2 * this.#latency.slowAfterMs, LEAST_PATIENCE_WITH_MANY)
      : this.probePatienceMs;
    if (silence >= probeAfter + patience) {
      this.#state = "doubted";
      return "doubt";
    }
    return silence >= probeAfter ? "probe" : "wait";
  }
}
