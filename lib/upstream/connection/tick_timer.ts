/** How often waiting queries are looked through, in ms. */
const SWEEP = 10;

export interface TickTimerOptions {
  /** Looks through what waits, and returns whether anything still does. */
  readonly sweep: () => boolean;
  /** Called when nothing has been waiting for `idleTimeout`. */
  readonly onIdle: () => void;
  /** In ms. */
  readonly idleTimeoutMs: number;
}

/** The one timer of a connection: it ticks while queries wait, then counts the time without any. */
export class TickTimer {
  /** In ms; counts from the next time that nothing waits. */
  idleTimeoutMs: number;
  readonly #options: TickTimerOptions;
  #ticking = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: TickTimerOptions) {
    this.#options = options;
    this.idleTimeoutMs = options.idleTimeoutMs;
  }

  /** Something waits. */
  wake(): void {
    if (this.#ticking) return;
    clearTimeout(this.#timer);
    this.#tickLater();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#ticking = true; // and so `wake` does nothing any more
    this.#timer = undefined;
  }

  #tickLater(): void {
    this.#ticking = true;
    this.#timer = setTimeout(this.#tick, SWEEP);
  }

  readonly #tick = () => {
    const isWaiting = this.#options.sweep();
    if (this.#timer === undefined) return; // stopped by the sweep
    if (isWaiting) return this.#tickLater();
    this.#ticking = false;
    this.#timer = setTimeout(this.#options.onIdle, this.idleTimeoutMs);
  };
}
