/** Where lines go. */
export interface Sink {
  /** Rejects where they could not be written. */
  write(text: string): Promise<void>;
  close(): void;
}

/** Old files that are kept, `FILE.1` the youngest. */
const KEPT = 4;

/** A file that is put aside when it is full, so that all of them together come to about five times its size. */
export class RotatingFile implements Sink {
  readonly #path: string;
  readonly #maxOctets: number;
  #file: Deno.FsFile;
  #octets: number;

  /** Throws what opening throws. */
  constructor(path: string, maxOctets: number) {
    this.#path = path;
    this.#maxOctets = maxOctets;
    this.#file = open(path);
    this.#octets = this.#file.statSync().size;
  }

  async write(text: string): Promise<void> {
    const bytes = utf8.encode(text);
    if (this.#octets > 0 && this.#octets + bytes.length > this.#maxOctets) await this.#rotate();
    await writeAll(this.#file, bytes);
    this.#octets += bytes.length;
  }

  close(): void {
    this.#file.close();
  }

  async #rotate(): Promise<void> {
    for (let i = KEPT - 1; i > 0; i--) await moveIfThere(`${this.#path}.${i}`, `${this.#path}.${i + 1}`);
    await moveIfThere(this.#path, `${this.#path}.1`);
    const full = this.#file;
    this.#file = open(this.#path);
    this.#octets = 0;
    full.close();
  }
}

/** Standard output, which stays open. */
export const standardOutput: Sink = {
  write: (text) => writeAll(Deno.stdout, utf8.encode(text)),
  close: () => {},
};

const utf8 = new TextEncoder();

/** Names and addresses are nobody's business but the operator's. */
function open(path: string): Deno.FsFile {
  return Deno.openSync(path, { append: true, create: true, mode: 0o640 });
}

async function moveIfThere(from: string, to: string): Promise<void> {
  try {
    await Deno.rename(from, to);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function writeAll(
  to: { write(bytes: Uint8Array): Promise<number> },
  bytes: Uint8Array,
): Promise<void> {
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await to.write(rest));
}
