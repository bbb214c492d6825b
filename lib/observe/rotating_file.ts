/** The files of the query log: a file that is renamed when it is full, and standard output. */

/** Destination of lines. */
export interface Sink {
  /** Rejects if the text could not be written. */
  write(text: string): Promise<void>;
  close(): void;
}

/** Number of old files; `FILE.1` is the newest. */
const OLD_FILES = 4;

/** A file that is renamed when it is full. All files together take about five times its maximum size. */
export class RotatingFile implements Sink {
  readonly #path: string;
  readonly #maxBytes: number;
  #file: Deno.FsFile;
  #size: number;
  /** Whether the last line is incomplete, because the disk was full or the process was killed. */
  #isTorn: boolean;

  /** Throws what `Deno.openSync` throws, and an `Error` for a pipe or device. */
  constructor(path: string, maxBytes: number) {
    rejectSpecial(path);
    this.#path = path;
    this.#maxBytes = maxBytes;
    this.#file = open(path);
    this.#size = this.#file.statSync().size;
    this.#isTorn = this.#size > 0 && !endsWithLineFeed(path, this.#size);
  }

  async write(text: string): Promise<void> {
    if (this.#isTorn) await this.#append(Uint8Array.of(LINE_FEED)); // ends the torn line
    const bytes = utf8.encode(text);
    const newSize = this.#size + bytes.length;
    if (this.#size > 0 && newSize > this.#maxBytes) await this.#rotateOrGrow(newSize);
    await this.#append(bytes);
  }

  close(): void {
    this.#file.close();
  }

  /** Updates the size after each partial write, because the next one may fail. */
  async #append(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) {
      const written = await this.#file.write(rest);
      this.#size += written;
      this.#isTorn = rest[written - 1] !== LINE_FEED;
      rest = rest.subarray(written);
    }
  }

  /** Rotates. If the next file cannot be created now, the full file may grow to twice its maximum size. */
  async #rotateOrGrow(newSize: number): Promise<void> {
    try {
      await this.#rotate();
    } catch (error) {
      if (newSize > 2 * this.#maxBytes) throw error;
    }
  }

  /**
   * Opens the next file before it renames any other. So nothing moves without a descriptor, disk space or the right to
   * create files. A repeated call moves no file twice, because a moved file is no longer in its old place.
   */
  async #rotate(): Promise<void> {
    const next = `${this.#path}.new`;
    const file = open(next);
    try {
      for (let i = OLD_FILES - 1; i > 0; i--) {
        await moveIfThere(`${this.#path}.${i}`, `${this.#path}.${i + 1}`);
      }
      await moveIfThere(this.#path, `${this.#path}.1`);
      await Deno.rename(next, this.#path);
    } catch (error) {
      file.close();
      throw error;
    }
    this.#file.close();
    this.#file = file;
    this.#size = 0;
    this.#isTorn = false;
  }
}

const LINE_FEED = 0x0a;

function endsWithLineFeed(path: string, size: number): boolean {
  using file = Deno.openSync(path);
  file.seekSync(size - 1, Deno.SeekMode.Start);
  const last = new Uint8Array(1);
  return file.readSync(last) === 1 && last[0] === LINE_FEED;
}

/** A pipe without a reader would block the write, and neither a pipe nor a device can be rotated. */
function rejectSpecial(path: string): void {
  try {
    const { isFile, isDirectory } = Deno.statSync(path);
    if (isFile || isDirectory) return; // opening a directory fails with a clear error
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  throw new Error("it is a pipe or a device; use - for standard output");
}

/** Standard output; closing it has no effect. */
export const standardOutput: Sink = {
  write: (text) => writeAll(Deno.stdout, utf8.encode(text)),
  close: () => {},
};

const utf8 = new TextEncoder();

/** Names and clients are private, so only the owner and the group may read the file. */
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
