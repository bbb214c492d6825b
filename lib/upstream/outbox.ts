/**
 * Gathers what is to be written: frames are composed straight into its buffer, and whatever has come together while the
 * last write was under way leaves in the next one. A write costs more than the frames in it.
 */
export class Outbox {
  /** Octets gathered since the last `take`; whoever composes at this offset of `reserve`'s buffer moves it on. */
  length = 0;
  #buffer = new Uint8Array(8 * 1024);
  #spare = new Uint8Array(8 * 1024);

  /** The buffer, with at least `room` octets free behind `length`. */
  reserve(room: number): Uint8Array {
    if (this.length + room > this.#buffer.length) {
      const larger = new Uint8Array(2 * (this.length + room));
      larger.set(this.#buffer.subarray(0, this.length));
      this.#buffer = larger;
    }
    return this.#buffer;
  }

  /** All that was gathered: valid until the next call. */
  take(): Uint8Array {
    const gathered = this.#buffer.subarray(0, this.length);
    [this.#buffer, this.#spare] = [this.#spare, this.#buffer];
    this.length = 0;
    return gathered;
  }
}
