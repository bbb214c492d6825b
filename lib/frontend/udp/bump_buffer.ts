/** Octets of a buffer; some two thousand socket addresses have room in it. */
const BUFFER = 64 * 1024;

/**
 * Copies that outlive what they are made of, many of them in one buffer: an array of its own for each would take longer
 * to make and to collect than the rest of a query. A buffer is given up when it is full, and lives on as long as a copy in it.
 */
export class BumpBuffer {
  #buffer = new Uint8Array(BUFFER);
  #end = 0;

  /** A copy of `length` octets from `start` on, `BUFFER` at most. */
  copy(octets: Uint8Array, start: number, length: number): Uint8Array {
    if (this.#end + length > BUFFER) {
      this.#buffer = new Uint8Array(BUFFER);
      this.#end = 0;
    }
    const at = this.#end;
    const into = this.#buffer;
    for (let i = 0; i < length; i++) into[at + i] = octets[start + i]!;
    this.#end = at + length;
    return into.subarray(at, this.#end);
  }
}
