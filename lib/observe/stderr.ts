/**
 * Standard error without blocking. A pipe whose reader is stuck blocks each write, and so would stop all answers. Lines
 * wait here instead; beyond a limit they are dropped and counted.
 */

/** Maximum length of the waiting lines, in UTF-16 units. */
const MAX_WAITING_UNITS = 1 << 20;

class Stderr {
  #waiting: string[] = [];
  #size = 0;
  #dropped = 0;
  #writing: Promise<void> | undefined;
  /** Called with the number of dropped lines once the reader accepts lines again. */
  onDropped: (count: number) => void = () => {};

  /** Queues a line, which includes its line feed. */
  write(line: string): void {
    if (this.#size + line.length > MAX_WAITING_UNITS) {
      this.#dropped++;
      return;
    }
    this.#waiting.push(line);
    this.#size += line.length;
    this.#writing ??= this.#writeAll();
  }

  /** Resolves when all lines are written, or after the time limit. */
  async flush(limitMs: number): Promise<void> {
    if (!this.#writing) return;
    const { promise: timeout, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, limitMs);
    await Promise.race([this.#writing, timeout]);
    clearTimeout(timer);
  }

  async #writeAll(): Promise<void> {
    await Promise.resolve(); // the lines of one turn share a write
    while (this.#size > 0) {
      const [bytes, dropped] = [utf8.encode(this.#waiting.join("")), this.#dropped];
      this.#waiting = [];
      this.#size = this.#dropped = 0;
      if (dropped > 0) this.onDropped(dropped); // logs a line at the gap
      await write(bytes);
    }
    this.#writing = undefined;
  }
}

/** The only instance of the process. */
export const stderr = new Stderr();

async function write(bytes: Uint8Array): Promise<void> {
  try {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await Deno.stderr.write(rest));
  } catch { /* the reader is gone or its disk is full; the proxy goes on */ }
}

const utf8 = new TextEncoder();
