/** Serial execution of asynchronous tasks. */

/** Runs tasks one after the other, in the order of the calls. A task that fails does not stop the next one. */
export class Serial {
  #last: Promise<unknown> = Promise.resolve();

  /** Starts the task when all earlier ones have ended. Settles as the task does. */
  run<T>(task: () => T | Promise<T>): Promise<T> {
    const result = this.#last.then(task);
    this.#last = result.catch(() => {});
    return result;
  }
}
