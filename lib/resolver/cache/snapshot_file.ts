/**
 * Keeps the store across restarts, in a file `cache` in the state directory. A new file is written beside the old one and then
 * renamed, so that there is always a whole one. It is written in chunks, so that queries are answered in between.
 */

import type { Observe } from "../../core/event.ts";
import { withinDeadline } from "../../platform/file_deadline.ts";
import { ticks } from "./lookup.ts";
import {
  CHUNK_HEADER_BYTES,
  chunkLength,
  composeChunk,
  composeHeader,
  type Origin,
  parseHeader,
  restoreChunk,
  type Restoring,
  SNAPSHOT_HEADER_BYTES,
  SnapshotError,
} from "./store/snapshot.ts";
import type { Store } from "./store/store.ts";

/** The file is written this often: a balance between entries lost in a power cut and wear of the disk. */
const INTERVAL_MS = 10 * 60_000;

export interface SnapshotFileOptions {
  /** Created if it does not exist. */
  readonly directory: string;
  readonly store: Store;
  /** The policy fingerprint: a file with another one is not loaded. */
  readonly policy: string;
  /** Entries that are stale for longer are not loaded. */
  readonly serveStaleMs: number;
  /** Longer TTLs are reduced to this when the file is loaded. Default: no limit. */
  readonly maxTtlSeconds?: number;
  readonly observe: Observe;
  readonly now: () => number;
  /** In ms since 1970. Of the two clocks, only this one runs while the host is off. */
  readonly wallClock: () => number;
}

/** Loads the file once, and saves it every ten minutes and on demand. */
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

  /**
   * Loads the file. Reports a directory that other users may write to. If the file cannot be used, reports the reason in one event
   * and leaves the store empty. Never rejects.
   */
  async load(): Promise<void> {
    try {
      await this.#checkPermissions();
      using file = await withinDeadline(this.#path, () => openRegular(this.#path), {
        discard: (late) => late.close(),
      });
      const origin = parseHeader(await read(file, SNAPSHOT_HEADER_BYTES), this.#options.policy);
      const restoring = this.#restoring(origin);
      for (;;) {
        const header = await read(file, CHUNK_HEADER_BYTES);
        const payload = await read(file, chunkLength(header));
        restoreChunk(this.#options.store, header, payload, restoring);
        if (payload.length === 0 || this.#isDisposed) return;
      }
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      if (error instanceof SnapshotError) this.#options.store.clear();
      this.#report("cannot be used, so the cache starts empty", error);
    }
  }

  /** Saves the store, after a save that is under way. Never rejects. */
  save(): Promise<void> {
    return this.#saved = this.#saved.then(() => this.#write());
  }

  /** Ends the periodic saves. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    clearTimeout(this.#timer);
  }

  #saveLater(): void {
    this.#timer = setTimeout(async () => {
      await this.save();
      if (!this.#isDisposed) this.#saveLater();
    }, INTERVAL_MS);
  }

  #restoring({ ticks: then, wallMs }: Omit<Origin, "policy">): Restoring {
    const { now, wallClock, serveStaleMs, maxTtlSeconds = Infinity } = this.#options;
    const present = ticks(now());
    const passedMs = wallClock() - wallMs;
    const earliestTicks = present - ticks(serveStaleMs);
    // If the wall clock went back, the age of the entries is unknown. They count as expired at this moment.
    const shared = { earliestTicks, maxTtlSeconds };
    return passedMs >= 0
      ? { ...shared, shiftTicks: present - ticks(passedMs) - then, latestTicks: Infinity }
      : { ...shared, shiftTicks: present - then, latestTicks: present };
  }

  async #write(): Promise<void> {
    const { directory } = this.#options;
    // A random name and createNew: at a known name, another user could place a link that would be followed.
    const temporary = `${this.#path}.${crypto.randomUUID()}.new`;
    try {
      await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
      await removeLeftovers(directory);
      try {
        using file = await Deno.open(temporary, { write: true, createNew: true, mode: 0o600 });
        await this.#writeTo(file);
        await Deno.rename(temporary, this.#path);
      } catch (error) {
        await Deno.remove(temporary).catch(() => {}); // half a file would keep a full disk full
        throw error;
      }
      // The rename is on the disk only after the directory is.
      using folder = await Deno.open(directory);
      await folder.sync();
    } catch (error) {
      this.#report("cannot be written", error);
    }
  }

  async #writeTo(file: Deno.FsFile): Promise<void> {
    const { store, policy, now, wallClock } = this.#options;
    await write(file, composeHeader({ ticks: ticks(now()), wallMs: wallClock(), policy }));
    for (let segment = 0; segment < store.segments; segment++) {
      const chunk = composeChunk(store, segment);
      if (chunk.length > CHUNK_HEADER_BYTES) await write(file, chunk);
    }
    await write(file, new Uint8Array(CHUNK_HEADER_BYTES));
    await file.sync();
  }

  /** Reports a directory in which another user could place answers. */
  async #checkPermissions(): Promise<void> {
    const { directory } = this.#options;
    const { mode } = await withinDeadline(directory, () => Deno.stat(directory));
    if (((mode ?? 0) & OTHERS_MAY_WRITE) === 0) return;
    const reason = `other users may write to ${directory} and so choose the answers: run chmod go-w on it`;
    this.#options.observe({ kind: "cache file error", reason });
  }

  #report(problem: string, error: unknown): void {
    const why = error instanceof Deno.errors.NotCapable
      ? PROTECTED_DIRECTORY
      : error instanceof Error
      ? error.message
      : error;
    const reason = `${this.#path} ${problem}: ${why}`;
    this.#options.observe({ kind: "cache file error", reason });
  }
}

/** For /proc, /dev and other directories that Deno protects. */
const PROTECTED_DIRECTORY = "files cannot be stored there; name another directory with --state-dir";
/** Write permission for the group and for others. */
const OTHERS_MAY_WRITE = 0o022;

/** Opens a file, but no link: another user may have placed it. */
async function openRegular(path: string): Promise<Deno.FsFile> {
  const { isFile } = await Deno.lstat(path);
  if (!isFile) throw new SnapshotError("it is not a regular file");
  return await Deno.open(path);
}

/** Removes files that earlier processes could not finish. */
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
