/** Limits the wait for promises, each to the same time, with one timer for all. */
export class TimeoutQueue implements Disposable {
  readonly #limitMs: number;
  readonly #now: () => number;
  /** Called when time is over, with the time when that is. The order of insertion is the order of expiry. */
  readonly #waiting = new Map<() => void, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(limitMs: number, now: () => number) {
    this.#limitMs = limitMs;
    this.#now = now;
  }

  /** Settles as the promise does, or resolves to undefined after the limit. */
  within<T>(promise: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const expire = () => resolve(undefined);
      this.#waiting.set(expire, this.#now() + this.#limitMs);
      this.#timer ??= setTimeout(this.#expireDue, this.#limitMs);
      promise.finally(() => this.#remove(expire)).then(resolve, reject);
    });
  }

  /** Ends all limits: promises that are waited for settle as they would without one. */
  [Symbol.dispose](): void {
    this.#waiting.clear();
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #remove(expire: () => void): void {
    this.#waiting.delete(expire);
    if (this.#waiting.size === 0) this[Symbol.dispose]();
  }

  readonly #expireDue = () => {
    this.#timer = undefined;
    const now = this.#now();
    for (const [expire, until] of this.#waiting) {
      if (until > now) {
        this.#timer = setTimeout(this.#expireDue, until - now);
        return;
      }
      this.#waiting.delete(expire);
      expire();
    }
  };
}
