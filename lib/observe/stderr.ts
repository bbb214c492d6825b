/** Bytes of lines that may wait until the reader of standard error takes them. */
const MAX_WAITING = 1 << 20;

/**
 * Standard error, which never makes a caller wait: a pipe whose reader stands still blocks each write to it, and so would
 * stop all answers. Lines wait here, and beyond a bound they are counted instead.
 */
class Stderr {
  #waiting: string[] = [];
  #size = 0;
  #dropped = 0;
  #writing: Promise<void> | undefined;
  /** Called with the number of lines that were lost, once lines are taken again. */
  onDropped: (count: number) => void = () => {};

  /** Takes a line with its line feed. */
  write(line: string): void {
    if (this.#size + line.length > MAX_WAITING) {
      this.#dropped++;
      return;
    }
    this.#waiting.push(line);
    this.#size += line.length;
    this.#writing ??= this.#writeAll();
  }

  /** Resolves when all lines have been written, or after so many ms. */
  async flush(limit: number): Promise<void> {
    if (!this.#writing) return;
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, limit);
    await Promise.race([this.#writing, late]);
    clearTimeout(timer);
  }

  async #writeAll(): Promise<void> {
    await Promise.resolve(); // the lines of one turn go together
    while (this.#size > 0) {
      const [bytes, dropped] = [utf8.encode(this.#waiting.join("")), this.#dropped];
      this.#waiting = [];
      this.#size = this.#dropped = 0;
      if (dropped > 0) this.onDropped(dropped); // which writes a line, where the gap is
      await write(bytes);
    }
    this.#writing = undefined;
  }
}

/** The one of this process. */
export const stderr = new Stderr();

async function write(bytes: Uint8Array): Promise<void> {
  try {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await Deno.stderr.write(rest));
  } catch { /* whoever read the log has gone, or its disk is full: answering goes on */ }
}

const utf8 = new TextEncoder();
