import type { Channel } from "./channel.ts";

type Writer = Pick<Channel, "write">;

/**
 * Gathers what is to be written: frames are composed straight into its buffer, and whatever has come together in one turn
 * of the event loop, or while the last write was under way, leaves in one write. A write costs more than the frames in it.
 */
export class WriteBuffer {
  /** Octets gathered since the last write; whoever composes at this offset of `reserve`'s buffer moves it on. */
  length = 0;
  #buffer = new Uint8Array(8 * 1024);
  #spare = new Uint8Array(8 * 1024);
  #writing = false;

  /** The buffer, with at least `room` octets free behind `length`. */
  reserve(room: number): Uint8Array {
    if (this.length + room > this.#buffer.length) {
      const larger = new Uint8Array(2 * (this.length + room));
      larger.set(this.#buffer.subarray(0, this.length));
      this.#buffer = larger;
    }
    return this.#buffer;
  }

  /** Sees to it that what is gathered, and what this turn still brings, gets written. */
  flush(channel: Writer): void {
    if (this.#writing || this.length === 0) return;
    this.#writing = true;
    // A microtask later all queries of this turn have come together.
    queueMicrotask(() => void this.#write(channel));
  }

  async #write(channel: Writer): Promise<void> {
    try {
      while (this.length > 0) {
        let rest = this.#take();
        while (rest.length > 0) rest = rest.subarray(await channel.write(rest));
      }
      this.#writing = false;
    } catch {
      // The reader finds out too, after what the server has still said; if it does not, silence ends the connection.
    }
  }

  /** All that was gathered: valid until the next call. */
  #take(): Uint8Array {
    const gathered = this.#buffer.subarray(0, this.length);
    [this.#buffer, this.#spare] = [this.#spare, this.#buffer];
    this.length = 0;
    return gathered;
  }
}
