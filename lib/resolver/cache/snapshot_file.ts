import type { Observe } from "../../core/event.ts";
import { withinDeadline } from "../../platform/file_deadline.ts";
import { ticks } from "./lookup.ts";
import {
  CHUNK_HEADER,
  chunkLength,
  composeChunk,
  composeHeader,
  type Origin,
  parseHeader,
  restoreChunk,
  type Restoring,
  SNAPSHOT_HEADER,
  SnapshotError,
} from "./store/snapshot.ts";
import type { Store } from "./store/store.ts";

/** How often the file is written, in ms: what a power cut may cost, against wear of the disk. */
const INTERVAL = 10 * 60_000;

export interface SnapshotFileOptions {
  /** Where the file is; made if it does not exist. */
  readonly directory: string;
  readonly store: Store;
  /** Which names go to which upstreams, and what their answers have to pass. */
  readonly conditions: string;
  /** How long entries may be used after their time, in ms. */
  readonly serveStale: number;
  /** The longest TTL that what is read may have had, in seconds; as it was saved unless told. */
  readonly maxTtl?: number;
  readonly observe: Observe;
  readonly now: () => number;
  /** The time of day, in ms since 1970: the one clock that goes on while the host is off. */
  readonly wallClock: () => number;
}

/**
 * Keeps the store's entries over restarts. The file is written beside its place and then put there at once, so that
 * there is a whole one at any time; and in chunks, so that answering goes on meanwhile.
 */
export class SnapshotFile implements Disposable {
  readonly #options: SnapshotFileOptions;
  readonly #path: string;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #saved = Promise.resolve();
  #isDisposed = false;

  constructor(options: SnapshotFileOptions) {
    this.#options = options;
    this.#path = `${options.directory}/cache`;
    this.#saveLater();
  }

  /** Reads what was saved; warns of a directory in which others could have put it there. Where the file cannot be used, says so in one line and leaves the store empty. */
  async load(): Promise<void> {
    try {
      await this.#warnOfOthers();
      using file = await withinDeadline(this.#path, () => openRegular(this.#path), {
        discard: (late) => late.close(),
      });
      const origin = parseHeader(await read(file, SNAPSHOT_HEADER), this.#options.conditions);
      const restoring = this.#restoring(origin);
      for (;;) {
        const header = await read(file, CHUNK_HEADER);
        const payload = await read(file, chunkLength(header));
        restoreChunk(this.#options.store, header, payload, restoring);
        if (payload.length === 0 || this.#isDisposed) return;
      }
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      if (error instanceof SnapshotError) this.#options.store.clear();
      this.#complain("cannot be used, so the cache starts empty", error);
    }
  }

  /** Writes what there is now, or once what is being written is there. Never rejects. */
  save(): Promise<void> {
    return this.#saved = this.#saved.then(() => this.#write());
  }

  /** Saves no more by itself. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    clearTimeout(this.#timer);
  }

  #saveLater(): void {
    this.#timer = setTimeout(async () => {
      await this.save();
      if (!this.#isDisposed) this.#saveLater();
    }, INTERVAL);
  }

  #restoring({ ticks: then, wall }: Omit<Origin, "conditions">): Restoring {
    const { now, wallClock, serveStale, maxTtl = Infinity } = this.#options;
    const present = ticks(now());
    const passed = wallClock() - wall;
    const earliest = present - ticks(serveStale);
    // A clock that has gone back tells nothing of how old the entries are: they pass for expired just now.
    return passed >= 0
      ? { shift: present - ticks(passed) - then, latest: Infinity, earliest, maxTtl }
      : { shift: present - then, latest: present, earliest, maxTtl };
  }

  async #write(): Promise<void> {
    const { directory } = this.#options;
    // Random, and made anew: a link that another user has put at a known name would be followed.
    const temporary = `${this.#path}.${crypto.randomUUID()}.new`;
    try {
      await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
      await removeLeftovers(directory);
      try {
        using file = await Deno.open(temporary, { write: true, createNew: true, mode: 0o600 });
        await this.#writeTo(file);
        await Deno.rename(temporary, this.#path);
      } catch (error) {
        await Deno.remove(temporary).catch(() => {}); // a half on a full disk would keep it full
        throw error;
      }
      // The new name is on the disk when the directory is.
      using folder = await Deno.open(directory);
      await folder.sync();
    } catch (error) {
      this.#complain("cannot be written", error);
    }
  }

  async #writeTo(file: Deno.FsFile): Promise<void> {
    const { store, conditions, now, wallClock } = this.#options;
    await write(file, composeHeader({ ticks: ticks(now()), wall: wallClock(), conditions }));
    for (let segment = 0; segment < store.segments; segment++) {
      const chunk = composeChunk(store, segment);
      if (chunk.length > CHUNK_HEADER) await write(file, chunk);
    }
    await write(file, new Uint8Array(CHUNK_HEADER));
    await file.sync();
  }

  /** Answers that another user has written would be given out as the upstreams'. */
  async #warnOfOthers(): Promise<void> {
    const { directory } = this.#options;
    const { mode } = await withinDeadline(directory, () => Deno.stat(directory));
    if (((mode ?? 0) & OTHERS_MAY_WRITE) === 0) return;
    const reason = `other users may write to ${directory}, and so decide what is answered: chmod go-w it`;
    this.#options.observe({ kind: "cache file error", reason });
  }

  #complain(what: string, error: unknown): void {
    const why = error instanceof Deno.errors.NotCapable
      ? NO_PLACE
      : error instanceof Error
      ? error.message
      : error;
    const reason = `${this.#path} ${what}: ${why}`;
    this.#options.observe({ kind: "cache file error", reason });
  }
}

/** Of /proc, /dev and their like, which the platform guards. */
const NO_PLACE = "it is no place for files; name another directory with --state-dir";
/** Write for the group and for all. */
const OTHERS_MAY_WRITE = 0o022;

/** Without following a link, which another user may have put there. */
async function openRegular(path: string): Promise<Deno.FsFile> {
  const { isFile } = await Deno.lstat(path);
  if (!isFile) throw new SnapshotError("it is no regular file");
  return await Deno.open(path);
}

/** What earlier processes had no time or no room to finish. */
async function removeLeftovers(directory: string): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(directory)) {
    if (!isDirectory && /^cache(\.[0-9a-f-]{36})?\.new$/.test(name)) {
      await Deno.remove(`${directory}/${name}`).catch(() => {});
    }
  }
}

async function read(file: Deno.FsFile, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const count = await file.read(bytes.subarray(at));
    if (count === null) throw new SnapshotError("it is cut short");
    at += count;
  }
  return bytes;
}

async function write(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await file.write(rest));
}
