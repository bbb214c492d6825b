/** Waits for promises, but each for a fixed time at most, with one timer for all. */
export class TimeoutQueue implements Disposable {
  readonly #limit: number;
  readonly #now: () => number;
  /** Whom to tell that time is over, and when: in the order in which they came, and so in which it will be. */
  readonly #waiting = new Map<() => void, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param limit how long to wait, in ms */
  constructor(limit: number, now: () => number) {
    this.#limit = limit;
    this.#now = now;
  }

  /** What the promise comes to, or undefined if that takes too long. */
  within<T>(promise: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const giveUp = () => resolve(undefined);
      this.#waiting.set(giveUp, this.#now() + this.#limit);
      this.#timer ??= setTimeout(this.#look, this.#limit);
      promise.finally(() => this.#release(giveUp)).then(resolve, reject);
    });
  }

  /** Gives nobody up any more. */
  [Symbol.dispose](): void {
    this.#waiting.clear();
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #release(giveUp: () => void): void {
    this.#waiting.delete(giveUp);
    if (this.#waiting.size === 0) this[Symbol.dispose]();
  }

  readonly #look = () => {
    this.#timer = undefined;
    const now = this.#now();
    for (const [giveUp, until] of this.#waiting) {
      if (until > now) {
        this.#timer = setTimeout(this.#look, until - now);
        return;
      }
      this.#waiting.delete(giveUp);
      giveUp();
    }
  };
}
