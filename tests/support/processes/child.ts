/** A long-running program in the foreground: its words are kept, it is waited for by asking, and ended by its PID. */

/** As much of a log as a failing test can use. */
const LOG_LIMIT = 1_000_000;
/** A program that ignores SIGTERM for this long is killed. */
const PATIENCE_MS = 8_000;
/** Far more than any word takes on a loaded machine. */
const SAYS_WITHIN_MS = 15_000;
/** 150 times 100 ms: far more than any server here takes on a loaded machine. */
const READY_ATTEMPTS = 150;

/** The port picked for the child was taken in the meantime. Try another one. */
export class PortTaken extends Error {
  override name = "PortTaken";
}

/** A command and its working directory. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  readonly clearEnv?: boolean;
}

/** Owns one process. Disposing ends it, at most once, and waits for it. */
export class Child implements AsyncDisposable {
  readonly name: string;
  readonly #process: Deno.ChildProcess;
  readonly #reading: Promise<unknown>;
  #log = "";
  #ended = false;

  constructor(name: string, { program, args, ...surroundings }: Command) {
    this.name = name;
    this.#process = new Deno.Command(program, {
      ...surroundings,
      args: [...args],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    void this.#process.status.then(() => this.#ended = true);
    this.#reading = Promise.all([this.#read(this.#process.stdout), this.#read(this.#process.stderr)]);
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Everything it wrote so far, standard output and error as they came. */
  get log(): string {
    return this.#log;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Waits until `asks` returns true. Rejects with the log if the child ends or never answers. */
  async ready(asks: () => Promise<boolean>): Promise<void> {
    for (let attempt = 0; attempt < READY_ATTEMPTS; attempt++) {
      const answered = !this.#ended && await asks();
      // BIND carries on without a port that it could not have, and then another one's server answers.
      if (/address (already )?in use/i.test(this.#log)) throw new PortTaken(this.explain("lost its port"));
      if (answered) return;
      if (this.#ended) throw new Error(this.explain("ended at once"));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(this.explain("never answered"));
  }

  /** Waits until the log matches: a line can arrive later than the effect that it describes. */
  async says(pattern: RegExp): Promise<void> {
    for (let waited = 0; waited < SAYS_WITHIN_MS && !pattern.test(this.#log); waited += 20) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    if (!pattern.test(this.#log)) throw new Error(this.explain(`never said ${pattern}`));
  }

  /** A sentence with the end of the log behind it. */
  explain(what: string): string {
    return `${this.name} ${what}. Its log:\n${this.#log.slice(-8_000)}`;
  }

  /** Ends it with a signal and resolves with the exit code (128 + number when a signal ended it). */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<number> {
    this.#signal(signal);
    const alarm = setTimeout(() => this.#signal("SIGKILL"), PATIENCE_MS);
    const { code } = await this.#process.status;
    clearTimeout(alarm);
    await this.#reading;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGTERM");
  }

  #signal(signal: Deno.Signal): void {
    if (this.#ended) return;
    try {
      this.#process.kill(signal);
    } catch (error) {
      // It ended between the check and the signal, as wanted.
      if (!(error instanceof TypeError || error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  async #read(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      this.#log = (this.#log + text).slice(-LOG_LIMIT);
    }
  }
}

/** Runs a test body; when it fails, the logs of all children go with the error. */
export async function withLogs(children: readonly Child[], body: () => Promise<void>): Promise<void> {
  try {
    await body();
  } catch (error) {
    for (const child of children) console.error(child.explain("was running"));
    throw error;
  }
}
