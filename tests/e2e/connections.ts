/** Counts the TCP connections to a port, from outside, with `ss`. */
import { succeed } from "./tools.ts";

const INTERVAL_MS = 100;

/** Counts of a run. */
export interface Counts {
  /** Established at one time. */
  readonly most: number;
  /** The clients' ports: one for each connection that there was. */
  readonly ports: ReadonlySet<string>;
  readonly samples: number;
}

/** Looks ten times a second until disposed. */
export interface Counter extends AsyncDisposable {
  /** Ends the counting and returns the counts. Rejects if a check failed. */
  counts(): Promise<Counts>;
}

/** Starts to count the open connections of this machine to a port of 127.0.0.1. */
export function connectionsTo(port: number): Counter {
  const ports = new Set<string>();
  let most = 0;
  let samples = 0;
  const ending = Promise.withResolvers<void>();
  let ended = false;

  async function look(): Promise<void> {
    while (!ended) {
      const output = await succeed("ss", ["-Htn", "state", "established", `( dport = :${port} )`]);
      const seen = output.split("\n").flatMap((line) => /127\.0\.0\.1:(\d+) /.exec(line)?.[1] ?? []);
      seen.forEach((client) => ports.add(client));
      most = Math.max(most, seen.length);
      samples++;
      const { promise, resolve } = Promise.withResolvers<void>();
      const pause = setTimeout(resolve, INTERVAL_MS);
      await Promise.race([promise, ending.promise]);
      clearTimeout(pause);
    }
  }

  const looking = look();
  looking.catch(() => {}); // Told by counts().

  async function counts(): Promise<Counts> {
    ended = true;
    ending.resolve();
    await looking;
    return { most, ports, samples };
  }

  return {
    counts,
    async [Symbol.asyncDispose]() {
      await counts().catch(() => {});
    },
  };
}
