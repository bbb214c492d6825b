import { withinDeadline } from "./file_deadline.ts";

/** How often files are looked at, in ms. */
const INTERVAL = 5000;
/** Files that may hang before no other is looked at: fewer than for reading them, so that a reload still can. */
const MAX_HUNG = 8;

/**
 * Calls a listener when files have changed. It looks at their times now and then instead of asking the system to be
 * notified: that is one call per file, and it sees what inotify does not, as files on a network, those that are replaced
 * by renaming, and those of a Kubernetes ConfigMap, which change by a symbolic link two directories above.
 */
export class FileWatch implements Disposable {
  readonly #paths: readonly string[];
  readonly #onChange: () => void;
  readonly #onHung: (path: string) => void;
  readonly #timer: ReturnType<typeof setInterval>;
  /** By path, as of the last look that was answered. */
  readonly #stamps = new Map<string, string>();
  readonly #hung = new Set<string>();
  #looking: Promise<void> | undefined;
  /** All stamps when `onChange` was last called, and at the last look. */
  #known: string | undefined;
  #seen: string | undefined;

  /**
   * @param onChange called once all files have stayed the same between two looks: nothing writes to them any more
   * @param onHung called with each file whose file system has stopped to answer; it counts as unchanged meanwhile
   */
  constructor(paths: readonly string[], onChange: () => void, onHung: (path: string) => void = () => {}) {
    this.#paths = paths;
    this.#onChange = onChange;
    this.#onHung = onHung;
    this.#timer = setInterval(() => void this.look(), INTERVAL);
    Deno.unrefTimer(this.#timer);
    void this.look();
  }

  /** Looks at all files, or waits for the look that is under way. */
  look(): Promise<void> {
    return this.#looking ??= this.#look().finally(() => this.#looking = undefined);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /** One file after the other, so that a hung file system has one thread of the platform at a time. */
  async #look(): Promise<void> {
    for (const path of this.#paths) await this.#lookAt(path);
    const stamps = this.#paths.map((path) => this.#stamps.get(path) ?? UNKNOWN).join();
    const hasSettled = stamps === this.#seen;
    this.#seen = stamps;
    this.#known ??= stamps;
    if (!hasSettled || stamps === this.#known) return;
    this.#known = stamps;
    this.#onChange();
  }

  async #lookAt(path: string): Promise<void> {
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
