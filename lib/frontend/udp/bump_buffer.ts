/** Short copies in one large buffer, for bytes that outlive the batch they arrived in. */

import { assert } from "../../core/assert.ts";

/** Size of a buffer, in bytes: room for about two thousand socket addresses. */
const BUFFER_BYTES = 64 * 1024;

/**
 * A bump allocator. One array per copy would take longer to create and to collect than the rest of a query. A full
 * buffer is replaced; it stays alive as long as one of its copies is in use.
 */
export class BumpBuffer {
  #buffer = new Uint8Array(BUFFER_BYTES);
  #end = 0;

  /** Copies `length` bytes from `start` on. Precondition: `length` fits into one buffer. */
  copy(bytes: Uint8Array, start: number, length: number): Uint8Array {
    assert(length <= BUFFER_BYTES, "a copy fits into one bump buffer");
    if (this.#end + length > BUFFER_BYTES) {
      this.#buffer = new Uint8Array(BUFFER_BYTES);
      this.#end = 0;
    }
    const at = this.#end;
    const into = this.#buffer;
    for (let i = 0; i < length; i++) into[at + i] = bytes[start + i]!;
    this.#end = at + length;
    return into.subarray(at, this.#end);
  }
}
