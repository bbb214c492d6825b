interface Timer {
  readonly at: number;
  readonly callback: () => void;
}

/** Fake time: `setTimeout`, `clearTimeout`, and a `now` to inject. It passes only by `pass` and starts at 1000. */
export class FakeTime implements Disposable {
  /** How many timers were set. */
  set = 0;
  readonly #real = { setTimeout, clearTimeout };
  readonly #timers = new Map<number, Timer>();
  #now = 1000;

  constructor() {
    globalThis.setTimeout = ((callback: () => void, delay = 0) => {
      this.#timers.set(++this.set, { at: this.#now + delay, callback });
      return this.set;
    }) as unknown as typeof setTimeout;
    globalThis.clearTimeout = ((id?: number) => void this.#timers.delete(id!)) as typeof clearTimeout;
  }

  readonly now = (): number => this.#now;

  /** How many timers are waiting. */
  get waiting(): number {
    return this.#timers.size;
  }

  /** Lets time pass, and each timer go off when it is due. */
  async pass(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds;
    await settled();
    for (;;) {
      const [id, timer] = this.#next();
      if (!timer || timer.at > end) break;
      this.#timers.delete(id);
      this.#now = Math.max(this.#now, timer.at);
      timer.callback();
      await settled();
    }
    this.#now = end;
  }

  [Symbol.dispose](): void {
    Object.assign(globalThis, this.#real);
  }

  #next(): [number, Timer | undefined] {
    return [...this.#timers].reduce<[number, Timer | undefined]>(
      (first, each) => first[1] && first[1].at <= each[1].at ? first : each,
      [0, undefined],
    );
  }
}

/** Resolves when all that was to happen at once has happened: a turn of the event loop later. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
