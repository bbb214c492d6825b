/** How often files are looked at, in ms. */
const INTERVAL = 5000;

/**
 * Tells of files that have changed. It looks at their times now and then in place of asking the system to be told: that
 * is one call per file, and it sees what inotify does not, as files on a network, those that are replaced by renaming,
 * and those of a Kubernetes ConfigMap, which change by a symbolic link two directories above.
 */
export class FileWatch implements Disposable {
  readonly #paths: readonly string[];
  readonly #onChange: () => void;
  readonly #timer: ReturnType<typeof setInterval>;
  /** What was there when `onChange` was last called, and at the last look. */
  #known: string;
  #seen: string;

  /** @param onChange called once all files have stayed the same between two looks: nobody is writing any more */
  constructor(paths: readonly string[], onChange: () => void) {
    this.#paths = paths;
    this.#onChange = onChange;
    this.#known = this.#seen = this.#stampsNow();
    this.#timer = setInterval(() => void this.look(), INTERVAL);
    Deno.unrefTimer(this.#timer);
  }

  async look(): Promise<void> {
    const stamps = (await Promise.all(this.#paths.map(stamp))).join();
    const hasSettled = stamps === this.#seen;
    this.#seen = stamps;
    if (!hasSettled || stamps === this.#known) return;
    this.#known = stamps;
    this.#onChange();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #stampsNow(): string {
    return this.#paths.map((path) => {
      try {
        return text(Deno.statSync(path));
      } catch {
        return MISSING;
      }
    }).join();
  }
}

const MISSING = "missing";

function stamp(path: string): Promise<string> {
  return Deno.stat(path).then(text, () => MISSING);
}

function text({ mtime, size, ino }: Deno.FileInfo): string {
  return `${mtime?.getTime()} ${size} ${ino}`;
}
