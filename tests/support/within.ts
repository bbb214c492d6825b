/** Waits for `promise`, at most `milliseconds`: a test that waits for ever is useless. */
export async function within<T>(milliseconds: number, promise: PromiseLike<T>, what: string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new DOMException(`Waited ${milliseconds} ms in vain for ${what}`, "TimeoutError")),
    milliseconds,
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Lets tests wait for a condition over an object that notifies of its changes, without sleeping or polling. */
export class Changes {
  #changed = Promise.withResolvers<void>();

  /** To be called after each change. */
  notify(): void {
    const changed = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    changed.resolve();
  }

  /** Resolves as soon as `condition` holds; rejects with a TimeoutError if it does not come to that. */
  async until(condition: () => boolean, milliseconds: number, what: string): Promise<void> {
    const deadline = performance.now() + milliseconds;
    while (!condition()) {
      await within(Math.max(0, deadline - performance.now()), this.#changed.promise, what);
    }
  }
}
