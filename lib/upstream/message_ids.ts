/**
 * Unpredictable message IDs over the full range (RFC 5452 §9.2), drawn from the system's generator a batch at a time,
 * because one call for each would cost more than the rest of a query.
 */
export class MessageIds {
  readonly #batch = new Uint16Array(1024);
  #next = this.#batch.length;

  /** An ID that is not `taken` (RFC 7766 §6.2.1: "MUST NOT reuse the ID of an in-flight message"). */
  draw(taken: { has(id: number): boolean }): number {
    for (;;) {
      if (this.#next === this.#batch.length) {
        crypto.getRandomValues(this.#batch);
        this.#next = 0;
      }
      const id = this.#batch[this.#next++]!;
      if (!taken.has(id)) return id;
    }
  }
}
