/** Detects changes of files. */

import { withinDeadline } from "./file_deadline.ts";

/** Interval between two checks of all files. */
const INTERVAL_MS = 5000;
/** Bound of hanging files for checks. It is lower than the bound for reads, so that a reload can still read files. */
const MAX_HUNG = 8;

/**
 * Calls a listener when files have changed. It compares modification times at intervals, with one system call per file. Unlike
 * inotify, that works on network file systems, for files that a rename replaces, and for files of a Kubernetes ConfigMap, which
 * change through a symbolic link two directories above.
 */
export class FileWatch implements Disposable {
  readonly #paths: readonly string[];
  readonly #onChange: () => void;
  readonly #onHung: (path: string) => void;
  readonly #timer: ReturnType<typeof setInterval>;
  /** Stamp by path, from the last check that succeeded. */
  readonly #stamps = new Map<string, string>();
  readonly #hung = new Set<string>();
  #checking: Promise<void> | undefined;
  /** All stamps at the last call of `onChange`. */
  #reported: string | undefined;
  /** All stamps at the last check. */
  #latest: string | undefined;

  /**
   * @param onChange called when files have changed and then stayed the same between two checks, so that no write is going on
   * @param onHung called with each file whose file system no longer responds; the file counts as unchanged meanwhile
   */
  constructor(paths: readonly string[], onChange: () => void, onHung: (path: string) => void = () => {}) {
    this.#paths = paths;
    this.#onChange = onChange;
    this.#onHung = onHung;
    this.#timer = setInterval(() => void this.check(), INTERVAL_MS);
    Deno.unrefTimer(this.#timer);
    void this.check();
  }

  /** Checks all files, or waits for the check under way. */
  check(): Promise<void> {
    return this.#checking ??= this.#check().finally(() => this.#checking = undefined);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /** Checks one file at a time, so that a hanging file system occupies one thread of the platform. */
  async #check(): Promise<void> {
    for (const path of this.#paths) await this.#checkFile(path);
    const stamps = this.#paths.map((path) => this.#stamps.get(path) ?? UNKNOWN).join();
    const hasSettled = stamps === this.#latest;
    this.#latest = stamps;
    this.#reported ??= stamps;
    if (!hasSettled || stamps === this.#reported) return;
    this.#reported = stamps;
    this.#onChange();
  }

  async #checkFile(path: string): Promise<void> {
    try {
      this.#stamps.set(path, await withinDeadline(path, () => stamp(path), { maxHung: MAX_HUNG }));
      this.#hung.delete(path);
    } catch {
      if (this.#hung.has(path)) return;
      this.#hung.add(path);
      this.#onHung(path);
    }
  }
}

const MISSING = "missing";
const UNKNOWN = "unknown";

function stamp(path: string): Promise<string> {
  return Deno.stat(path).then(text, () => MISSING);
}

function text({ mtime, size, ino }: Deno.FileInfo): string {
  return `${mtime?.getTime()} ${size} ${ino}`;
}
