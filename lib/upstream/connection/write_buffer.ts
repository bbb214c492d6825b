/** Gathers the frames of one turn of the event loop into one write. A write costs more than the frames in it. */

import { assert } from "../../core/assert.ts";
import type { Channel } from "./channel.ts";

type Writer = Pick<Channel, "write">;

/**
 * Two buffers that take turns: frames are composed into one while the other is written. The frames that arrive during a
 * write leave together with the next one.
 */
export class WriteBuffer {
  /** Number of bytes gathered since the last write. The caller writes at this offset, then increments it. */
  length = 0;
  #buffer = new Uint8Array(8 * 1024);
  #spare = new Uint8Array(8 * 1024);
  #writing = false;

  /** The buffer, with at least `room` free bytes after `length`. Valid until the next call of any method. */
  reserve(room: number): Uint8Array {
    if (this.length + room > this.#buffer.length) {
      const larger = new Uint8Array(2 * (this.length + room));
      larger.set(this.#buffer.subarray(0, this.length));
      this.#buffer = larger;
    }
    return this.#buffer;
  }

  /** Schedules the write of the gathered bytes and of those that are added until the end of this turn. */
  flush(channel: Writer): void {
    assert(this.length <= this.#buffer.length, "a frame exceeds the reserved bytes");
    if (this.#writing || this.length === 0) return;
    this.#writing = true;
    queueMicrotask(() => void this.#write(channel)); // when all queries of this turn are gathered
  }

  async #write(channel: Writer): Promise<void> {
    try {
      while (this.length > 0) {
        let rest = this.#take();
        while (rest.length > 0) rest = rest.subarray(await channel.write(rest));
      }
      this.#writing = false;
    } catch {
      // The reader gets the same error, after the last answers of the server. If it does not, the liveness check ends
      // the connection.
    }
  }

  /** All gathered bytes, valid until the next call. */
  #take(): Uint8Array {
    const gathered = this.#buffer.subarray(0, this.length);
    [this.#buffer, this.#spare] = [this.#spare, this.#buffer];
    this.length = 0;
    return gathered;
  }
}
