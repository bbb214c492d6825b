/**
 * Restarts the program when the event loop of a thread is blocked. No other code of that thread can run then, and signals are
 * not handled.
 *
 * A separate thread checks one counter per thread, which the other threads increment. It restarts the program with execve(2):
 * the process ID stays the same, with or without a service manager, and all sockets close.
 */

import { LIBRARIES } from "../platform/libc.ts";
import { type SharedCounts, sharedCounts } from "./shared_count.ts";

/** Environment variable with the reason of a restart. */
const REASON = "DOT_PROXY_RESTARTED";

export interface WatchdogOptions {
  readonly threads: number;
  /** Interval of the checks, in ms. */
  readonly period?: number;
  /** Number of intervals without a heartbeat before a restart. Long lists block a slow machine for seconds. */
  readonly limit?: number;
}

/** Input of the watchdog thread. */
interface Orders {
  readonly beats: SharedCounts;
  readonly period: number;
  readonly limit: number;
  readonly libraries: readonly string[];
  readonly variable: string;
}

/** The watchdog thread as the first thread sees it. */
export class Watchdog implements Disposable {
  /** For `Heartbeat`: one counter per thread, then a flag: the program is stopping. */
  readonly beats: SharedCounts;
  readonly #worker: Worker;

  private constructor(worker: Worker, beats: SharedCounts) {
    this.#worker = worker;
    this.beats = beats;
  }

  /** Starts the thread. Resolves with undefined if the C library, which the restart needs, cannot be loaded. */
  static async start({ threads, period = 1000, limit = 20 }: WatchdogOptions): Promise<Watchdog | undefined> {
    const beats = sharedCounts(threads + 1);
    const source = `(${watch.toString()})()`;
    const worker = new Worker(`data:text/javascript,${encodeURIComponent(source)}`, { type: "module" });
    const orders: Orders = { beats, period, limit, libraries: LIBRARIES, variable: REASON };
    worker.postMessage(orders);
    const isReady = await new Promise((resolve) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => {
        event.preventDefault();
        resolve(false);
      };
    });
    if (isReady) return new Watchdog(worker, beats);
    worker.terminate();
    return undefined;
  }

  /** From now on, a blocked thread ends the program without a restart. */
  stopping(): void {
    Atomics.store(this.beats, this.beats.length - 1, 1);
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

/** Increments the counter of this thread as long as its event loop runs. */
export class Heartbeat implements Disposable {
  readonly #beats: SharedCounts;
  readonly #index: number;
  readonly #timer: ReturnType<typeof setInterval>;

  /** @param thread the number of this thread, from 1 */
  constructor(beats: SharedCounts, thread: number, period = 1000) {
    this.#beats = beats;
    this.#index = thread - 1;
    Atomics.store(beats, this.#index, 1);
    this.#timer = setInterval(() => Atomics.add(beats, this.#index, 1), period);
  }

  /** Ends the supervision of this thread. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    Atomics.store(this.#beats, this.#index, 0);
  }
}

/** Returns the reason of a restart and removes it from the environment. Undefined without a restart. */
export function takeRestartReason(): string | undefined {
  const reason = Deno.env.get(REASON);
  if (reason !== undefined) Deno.env.delete(REASON);
  return reason;
}

/** The code of the watchdog thread. It is passed as text, so it refers to nothing outside of this function. */
function watch(): void {
  const scope = globalThis as unknown as {
    onmessage: (event: MessageEvent<Orders>) => void;
    postMessage: (isReady: boolean) => void;
  };
  scope.onmessage = ({ data: { beats, period, limit, libraries, variable } }) => {
    const symbols = openLibrary(libraries);
    scope.postMessage(symbols !== undefined);
    if (!symbols) return;
    // Both stay referenced while the thread runs, because C reads them.
    const program = encode("/proc/self/exe");
    const argv = readArguments(symbols);
    const threads = beats.length - 1;
    const seen = new Int32Array(threads);
    const missed = new Int32Array(threads);
    setInterval(() => {
      for (let i = 0; i < threads; i++) {
        const beat = Atomics.load(beats, i);
        missed[i] = beat !== 0 && beat === seen[i] ? missed[i]! + 1 : 0;
        seen[i] = beat;
        if (missed[i] === limit) restart(i + 1);
      }
    }, period);

    function restart(thread: number): void {
      if (Atomics.load(beats, threads) === 0 && argv) {
        const seconds = Math.round(limit * period / 1000);
        Deno.env.set(variable, `the event loop of thread ${thread} was blocked for ${seconds} s`);
        symbols!.execv(program, argv.pointers); // Does not return.
      }
      symbols!._exit(1);
    }
  };

  function openLibrary(paths: readonly string[]) {
    for (const path of paths) {
      try {
        return Deno.dlopen(path, {
          open: { parameters: ["buffer", "i32"], result: "i32" },
          read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
          close: { parameters: ["i32"], result: "i32" },
          memcpy: { parameters: ["buffer", "buffer", "usize"], result: "usize" },
          execv: { parameters: ["buffer", "buffer"], result: "i32" },
          _exit: { parameters: ["i32"], result: "void" },
        }).symbols;
      } catch { /* Try the next path. */ }
    }
    return undefined;
  }

  function encode(text: string): Uint8Array<ArrayBuffer> {
    return new TextEncoder().encode(`${text}\0`);
  }

  /** The command line of this process, in the form for execv(3). C reads it, because Deno restricts access to /proc. */
  function readArguments({ open, read, close, memcpy }: NonNullable<ReturnType<typeof openLibrary>>) {
    const text = new Uint8Array(1 << 20);
    const file = open(encode("/proc/self/cmdline"), 0);
    if (file < 0) return undefined;
    let length = 0;
    for (;;) {
      const count = Number(read(file, text.subarray(length), BigInt(text.length - length)));
      if (count <= 0) break;
      length += count;
    }
    close(file);
    const start = BigInt(memcpy(text, text, 0n));
    const addresses: bigint[] = [];
    for (let at = 0; at < length; at = text.indexOf(0, at) + 1) addresses.push(start + BigInt(at));
    return { text, pointers: new BigUint64Array([...addresses, 0n]) };
  }
}
