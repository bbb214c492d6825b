import type { Failure, UpstreamError } from "../../core/errors.ts";

/** Bounds of the time between two attempts to reach an upstream, in ms. */
const SHORTEST = 50;
const LONGEST = 30_000;
/** Where nothing better is left, an upstream is tried this often all the same, in ms. */
const LAST_RESORT = 1000;

/** One line for each state, with the data that only this state has. Times are in ms on the one clock. */
type State =
  | { readonly name: "untried" }
  | { readonly name: "up" }
  | {
    readonly name: "backing off";
    /** When the first attempt of this outage began. */
    readonly since: number;
    /** When the last attempt began. */
    readonly triedAt: number;
    /** When the next attempt is due. */
    readonly until: number;
    readonly error: UpstreamError;
  }
  | { readonly name: "ruled out"; readonly error: UpstreamError };

/**
 * Whether an upstream can be asked, and if not, why and until when.
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
 * "Failed" is never about a name: no connection can be had, or a fresh one has not answered our own query for `. NS`
 * (`Upstream` decides). "Useful" is an answer to the question asked that a client can be given.
 *
 * The next attempt is due after a fifth of the time that the outage has lasted. A short outage is noticed to be over at
 * once, a long one costs little, and jitter keeps many proxies from coming back together.
 */
export class Reachability {
  #state: State = { name: "untried" };
  /** The last change reported: up, or the reasons reported in this outage, each once. */
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

  /** Whether it has shown no key that is pinned. */
  get isRuledOut(): boolean {
    return this.#state.name === "ruled out";
  }

  /** Whether nothing speaks against an attempt. */
  isDue(now: number): boolean {
    const state = this.#state;
    return state.name === "backing off" ? now >= state.until : state.name !== "ruled out";
  }

  /** Whether an attempt is due although it will hardly work: every other upstream has failed. */
  isDueAsLastResort(now: number): boolean {
    const state = this.#state;
    if (state.name !== "backing off") return state.name !== "ruled out";
    return now >= Math.min(state.until, state.triedAt + LAST_RESORT);
  }

  /** It has answered. Called for each useful answer; that of an older connection does not make good a wrong pin. */
  noteUsefulAnswer(): void {
    const { name } = this.#state;
    if (name === "untried" || name === "backing off") this.#transition({ name: "up" });
  }

  /** An attempt begins: until its outcome is known no other one is due. */
  noteAttempt(now: number): void {
    const state = this.#state;
    if (state.name === "backing off") this.#transition({ ...state, ...nextAttempt(state.since, now) });
  }

  /** An attempt that began then has failed. A long attempt was a part of the wait. */
  noteFailure(error: UpstreamError, began: number): void {
    // RFC 7858 §4.2: a wrong pin is a "non-recoverable error".
    if (this.#state.name === "ruled out") return;
    if (error.failure === "pin mismatch") return this.#transition({ name: "ruled out", error });
    const since = this.#state.name === "backing off" ? this.#state.since : began;
    this.#transition({ name: "backing off", since, ...nextAttempt(since, began), error });
  }

  /** The failures may have been another network's doing: a portal's certificate, for one. */
  reset(): void {
    if (this.state === "down") this.#transition({ name: "untried" });
  }

  /** The one place that moves the state. Reports a recovery, and each reason of an outage once. */
  #transition(next: State): void {
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
  const wait = Math.min(Math.max((triedAt - since) / 5, SHORTEST), LONGEST);
  return { triedAt, until: triedAt + wait * (0.75 + Math.random() / 4) };
}
