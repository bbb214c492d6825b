/** The one timer of a connection. A timer per query would cost 1.5 µs each. */

/** Time between two sweeps over the pending queries. */
const TICK_MS = 10;

export interface TickTimerOptions {
  /** Called at each tick. Returns whether queries are still pending. */
  readonly sweep: () => boolean;
  /** Called when no query was pending for `idleTimeoutMs`. */
  readonly onIdle: () => void;
  readonly idleTimeoutMs: number;
}

/** Ticks while queries are pending, then counts the idle time. */
export class TickTimer {
  /** A new value takes effect when the next idle time begins. */
  idleTimeoutMs: number;
  readonly #options: TickTimerOptions;
  #ticking = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: TickTimerOptions) {
    this.#options = options;
    this.idleTimeoutMs = options.idleTimeoutMs;
  }

  /** Starts ticking, unless it ticks already or was stopped. Called for each new pending query. */
  wake(): void {
    if (this.#ticking) return;
    clearTimeout(this.#timer);
    this.#tickLater();
  }

  /** Ends the timer for good. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#ticking = true; // makes `wake` do nothing
    this.#timer = undefined;
  }

  #tickLater(): void {
    this.#ticking = true;
    this.#timer = setTimeout(this.#tick, TICK_MS);
  }

  readonly #tick = () => {
    const isPending = this.#options.sweep();
    if (this.#timer === undefined) return; // stopped by the sweep
    if (isPending) return this.#tickLater();
    this.#ticking = false;
    this.#timer = setTimeout(this.#options.onIdle, this.idleTimeoutMs);
  };
}
