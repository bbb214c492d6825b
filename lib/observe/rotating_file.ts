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
  /** Whether the last line in the file has no end, because the disk was full or the process was killed. */
  #isTorn: boolean;

  /** Throws what opening throws, and an `Error` for what is no file. */
  constructor(path: string, maxOctets: number) {
    refuseSpecial(path);
    this.#path = path;
    this.#maxOctets = maxOctets;
    this.#file = open(path);
    this.#octets = this.#file.statSync().size;
    this.#isTorn = this.#octets > 0 && !endsWithLineFeed(path, this.#octets);
  }

  async write(text: string): Promise<void> {
    if (this.#isTorn) await this.#append(Uint8Array.of(LINE_FEED)); // or the next line would be part of the torn one
    const bytes = utf8.encode(text);
    const octets = this.#octets + bytes.length;
    if (this.#octets > 0 && octets > this.#maxOctets) await this.#rotateOrGoOn(octets);
    await this.#append(bytes);
  }

  close(): void {
    this.#file.close();
  }

  /** Counts what is written even where the rest cannot be. */
  async #append(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) {
      const written = await this.#file.write(rest);
      this.#octets += written;
      this.#isTorn = rest[written - 1] !== LINE_FEED;
      rest = rest.subarray(written);
    }
  }

  /** Where the next file cannot be made for now, lines go on into the full one, up to twice its size. */
  async #rotateOrGoOn(octets: number): Promise<void> {
    try {
      await this.#rotate();
    } catch (error) {
      if (octets > 2 * this.#maxOctets) throw error;
    }
  }

  /**
   * The next file is open before any other is moved, so that without a descriptor, room or the right to create files all
   * stay where they are. A try again moves nothing twice: what has been moved is not there any more.
   */
  async #rotate(): Promise<void> {
    const next = `${this.#path}.new`;
    const file = open(next);
    try {
      for (let i = KEPT - 1; i > 0; i--) await moveIfThere(`${this.#path}.${i}`, `${this.#path}.${i + 1}`);
      await moveIfThere(this.#path, `${this.#path}.1`);
      await Deno.rename(next, this.#path);
    } catch (error) {
      file.close();
      throw error;
    }
    this.#file.close();
    this.#file = file;
    this.#octets = 0;
    this.#isTorn = false;
  }
}

const LINE_FEED = 0x0a;

function endsWithLineFeed(path: string, octets: number): boolean {
  using file = Deno.openSync(path);
  file.seekSync(octets - 1, Deno.SeekMode.Start);
  const last = new Uint8Array(1);
  return file.readSync(last) === 1 && last[0] === LINE_FEED;
}

/** A pipe without a reader would be waited for, and neither can be put aside. */
function refuseSpecial(path: string): void {
  try {
    const { isFile, isDirectory } = Deno.statSync(path);
    if (isFile || isDirectory) return; // a directory says itself that it is none
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  throw new Error("it is a pipe or a device; write - for standard output");
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
