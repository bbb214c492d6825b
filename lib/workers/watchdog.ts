/**
 * Restarts the program when the event loop of one of its threads stands still, whatever has brought that about: no other
 * code of the thread runs then, and no signal is heard.
 *
 * A thread of its own looks at a count that each of the others goes on adding to. Its way out is execve(2): the same
 * program begins anew under the same process ID, with or without a service manager, and all sockets close on the way.
 */
import { LIBRARIES } from "../platform/libc.ts";
import { type SharedCounts, sharedCounts } from "./shared_count.ts";

/** The environment variable by which a program that is begun anew learns why. */
const REASON = "DOT_PROXY_RESTARTED";

export interface WatchdogOptions {
  readonly threads: number;
  /** How often each thread has to show itself, in ms. */
  readonly period?: number;
  /** After so many periods without a sign, its event loop stands still: long lists take a slow machine seconds. */
  readonly limit?: number;
}

/** What the watching thread is given. */
interface Orders {
  readonly beats: SharedCounts;
  readonly period: number;
  readonly limit: number;
  readonly libraries: readonly string[];
  readonly variable: string;
}

/** The watching thread, as the others have it. */
export class Watchdog implements Disposable {
  /** For `Heartbeat`: one count for each thread, and behind them whether the program is to end. */
  readonly beats: SharedCounts;
  readonly #worker: Worker;

  private constructor(worker: Worker, beats: SharedCounts) {
    this.#worker = worker;
    this.beats = beats;
  }

  /** Undefined where the C library cannot be had, and so the program cannot begin anew by itself. */
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

  /** From now on a thread that stands still ends the program, which is not begun anew. */
  stopping(): void {
    Atomics.store(this.beats, this.beats.length - 1, 1);
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

/** Shows the watchdog that the event loop of this thread turns. */
export class Heartbeat implements Disposable {
  readonly #beats: SharedCounts;
  readonly #index: number;
  readonly #timer: ReturnType<typeof setInterval>;

  /** @param thread its number, from 1 */
  constructor(beats: SharedCounts, thread: number, period = 1000) {
    this.#beats = beats;
    this.#index = thread - 1;
    Atomics.store(beats, this.#index, 1);
    this.#timer = setInterval(() => Atomics.add(beats, this.#index, 1), period);
  }

  /** The thread is not watched any more. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    Atomics.store(this.#beats, this.#index, 0);
  }
}

/** Why the program was begun anew, which is said once; undefined where it was not. */
export function takeRestartReason(): string | undefined {
  const reason = Deno.env.get(REASON);
  if (reason !== undefined) Deno.env.delete(REASON);
  return reason;
}

/** All of the watching thread. It is handed over as text, so that it refers to nothing outside of itself. */
function watch(): void {
  const scope = globalThis as unknown as {
    onmessage: (event: MessageEvent<Orders>) => void;
    postMessage: (isReady: boolean) => void;
  };
  scope.onmessage = ({ data: { beats, period, limit, libraries, variable } }) => {
    const symbols = openLibrary(libraries);
    scope.postMessage(symbols !== undefined);
    if (!symbols) return;
    // Both are kept for as long as the thread lives: C reads them.
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
        symbols!.execv(program, argv.pointers); // and so it does not return
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
      } catch { /* it may be elsewhere */ }
    }
    return undefined;
  }

  function encode(text: string): Uint8Array<ArrayBuffer> {
    return new TextEncoder().encode(`${text}\0`);
  }

  /** The program's own command line, as execv(3) takes it; by C, since Deno guards /proc. */
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
