/** The state of one upstream: up or down, why, and when to try it again. */

import type { Failure, UpstreamError } from "../../core/errors.ts";

/** Bounds of the time between two attempts to connect to an upstream that is down. */
const MIN_WAIT_MS = 50;
const MAX_WAIT_MS = 30_000;
/** Maximum wait if all other upstreams have failed, too. */
const LAST_RESORT_MS = 1000;

/** Each state with its own data. Times are in ms of the monotonic clock. */
type ReachabilityState =
  | { readonly name: "untried" }
  | { readonly name: "up" }
  | {
    readonly name: "backing off";
    /** Start of the first failed attempt of this outage. */
    readonly since: number;
    /** Start of the last attempt. */
    readonly triedAt: number;
    /** Time of the next attempt. */
    readonly until: number;
    readonly error: UpstreamError;
  }
  | { readonly name: "ruled out"; readonly error: UpstreamError };

/**
 * Whether an upstream gets queries, and if not, why and until when.
 *
 *                 useful answer              useful answer
 *     untried ───────────────────▶ up ◀─────────────────────┐
 *        │                          │                       │
 *        │ failed                   │ failed                │
 *        │                          ▼                       │
 *        └────────────────────▶ backing off ────────────────┘
 *                                │  ▲   │
 *                                └──┘   │ wrong pin, from every state
 *             failed or tried again:    ▼
 *                  a longer wait     ruled out
 *
 *     reset: backing off and ruled out become untried
 *
 * "Failed": no connection could be opened, or a new one did not answer a probe. The answer to a client's query is never a
 * failure of the upstream (see the drawing of `Upstream`). "Useful": an answer to its question that a client may get.
 *
 * The next attempt is due after a fifth of the outage's duration so far, with jitter. The end of a short outage is
 * noticed soon, a long outage costs few attempts, and many proxies do not return at the same time.
 */
export class Reachability {
  #state: ReachabilityState = { name: "untried" };
  /** The last reported change: "up", or the failures of this outage, each reported once. */
  #reported: "up" | Set<Failure> | undefined;
  readonly #onChange: (state: "up" | "down", error?: UpstreamError) => void;

  constructor(onChange: (state: "up" | "down", error?: UpstreamError) => void) {
    this.#onChange = onChange;
  }

  get state(): "untried" | "up" | "down" {
    const { name } = this.#state;
    return name === "untried" || name === "up" ? name : "down";
  }

  get lastError(): UpstreamError | undefined {
    return "error" in this.#state ? this.#state.error : undefined;
  }

  /** Whether no key of its certificates is pinned: no attempt before `reset`. */
  get isRuledOut(): boolean {
    return this.#state.name === "ruled out";
  }

  /** Whether a new attempt may begin now. */
  isDue(now: number): boolean {
    const state = this.#state;
    return state.name === "backing off" ? now >= state.until : state.name !== "ruled out";
  }

  /** Like `isDue`, but with a shorter wait, for queries that no other upstream could answer. */
  isDueAsLastResort(now: number): boolean {
    const state = this.#state;
    if (state.name !== "backing off") return state.name !== "ruled out";
    return now >= Math.min(state.until, state.triedAt + LAST_RESORT_MS);
  }

  /** Called for each useful answer. A wrong pin stays: the answer may be of an older connection. */
  noteUsefulAnswer(): void {
    const { name } = this.#state;
    if (name === "untried" || name === "backing off") this.#transition({ name: "up" });
  }

  /** An attempt begins. The next one is due a whole wait later. */
  noteAttempt(now: number): void {
    const state = this.#state;
    if (state.name === "backing off") this.#transition({ ...state, ...nextAttempt(state.since, now) });
  }

  /** An attempt has failed. The wait counts from when it began. */
  noteFailure(error: UpstreamError, startedAt: number): void {
    // RFC 7858 §4.2: a wrong pin is a "non-recoverable error".
    if (this.#state.name === "ruled out") return;
    if (error.failure === "pin mismatch") return this.#transition({ name: "ruled out", error });
    const since = this.#state.name === "backing off" ? this.#state.since : startedAt;
    this.#transition({ name: "backing off", since, ...nextAttempt(since, startedAt), error });
  }

  /** Forgets an outage. The network may have changed: a captive portal, for example, has another certificate. */
  reset(): void {
    if (this.state === "down") this.#transition({ name: "untried" });
  }

  /** The only method that changes the state. Reports each recovery, and each failure of an outage once. */
  #transition(next: ReachabilityState): void {
    this.#state = next;
    if (next.name === "up" && this.#reported !== "up") {
      this.#reported = "up";
      this.#onChange("up");
    } else if ("error" in next) {
      if (typeof this.#reported !== "object") this.#reported = new Set();
      if (this.#reported.has(next.error.failure)) return;
      this.#reported.add(next.error.failure);
      this.#onChange("down", next.error);
    }
  }
}

function nextAttempt(since: number, triedAt: number): { triedAt: number; until: number } {
  const wait = Math.min(Math.max((triedAt - since) / 5, MIN_WAIT_MS), MAX_WAIT_MS);
  return { triedAt, until: triedAt + wait * (0.75 + Math.random() / 4) };
}
