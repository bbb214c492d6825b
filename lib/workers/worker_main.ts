/** The worker side of a thread: runs one proxy and executes the calls of the first thread. */

import { Serial } from "../async/serial.ts";
import type { Event } from "../core/event.ts";
import type { ListenAddress } from "../frontend/listeners.ts";
import { Counters } from "../observe/counters.ts";
import { Histogram } from "../observe/histogram.ts";
import { RuntimeMetrics } from "../observe/runtime_metrics.ts";
import { type Library, openLibrary } from "../platform/libc.ts";
import { prepareStackTraces } from "../platform/uncaught.ts";
import { Proxy, type ProxyInputs } from "../proxy.ts";
import type { FlushSelection } from "../resolver/cache/inspection.ts";
import { EventForwarder } from "./event_forwarder.ts";
import type { Call, CallName, Calls, WorkerInit, WorkerMessage, WorkerStatus } from "./rpc.ts";
import { AtomicSharedCount } from "./shared_count.ts";
import { Heartbeat } from "./watchdog.ts";

/** Pause before a failed proxy restarts. It doubles with each failure up to the maximum. */
const MIN_PAUSE_MS = 100;
const MAX_PAUSE_MS = 30_000;
/** After this time without a failure, the pause is the minimum again. */
const STEADY_MS = 60_000;

type Handlers = {
  readonly [N in CallName]: (argument: never) => ReturnType<Calls[N]> | Promise<ReturnType<Calls[N]>>;
};

/**
 * The proxy of a worker. After an uncaught exception, a new proxy starts in the same thread. A new thread could not load the
 * C library, because the permission belongs to the process and is revoked after the start.
 */
class WorkerProxy {
  readonly #post: (message: WorkerMessage) => void;
  readonly #events: EventForwarder;
  readonly #counters = new Counters();
  #runtime: RuntimeMetrics | undefined;
  #heartbeat: Heartbeat | undefined;
  #thread = 0;
  #inputs: ProxyInputs | undefined;
  #library: Library | undefined;
  #clients: AtomicSharedCount | undefined;
  #proxy: Proxy | undefined;
  /** Starts and changes of the proxy. */
  readonly #serial = new Serial();
  #pauseMs = MIN_PAUSE_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;

  readonly #handlers: Handlers = {
    start: (init: WorkerInit) => this.#serial.run(() => this.#start(init)),
    reconfigure: (inputs: ProxyInputs) => this.#serial.run(() => this.#reconfigure(inputs)),
    listen: (addresses: readonly ListenAddress[]) => this.#serial.run(() => this.#listen(addresses)),
    stats: () => this.#stats(),
    inspect: (name: string) => this.#proxy?.cacheControl?.inspect(name) ?? [],
    flush: (selection: FlushSelection) => this.#proxy?.cacheControl?.flush(selection) ?? 0,
    setPerQueryEvents: (perQuery: boolean) => void (this.#events.perQuery = perQuery),
    acknowledge: (events: number) => this.#events.acknowledge(events),
    stop: (limitMs: number) => this.#stop(limitMs),
  };

  constructor(post: (message: WorkerMessage) => void) {
    this.#post = post;
    this.#events = new EventForwarder((events) => post({ kind: "events", events }));
  }

  /** Executes a call and posts its result. */
  async handle({ id, name, argument }: Call): Promise<void> {
    try {
      const value = await this.#handlers[name](argument as never);
      if (id !== undefined) this.#post({ kind: "result", id, value });
    } catch (error) {
      if (id === undefined) throw error;
      this.#post({ kind: "failure", id, reason: error instanceof Error ? error.message : String(error) });
    }
  }

  /** Replaces the proxy after an uncaught exception. */
  fail(error: unknown): void {
    this.#observe({ kind: "internal error", error });
    if (!this.#proxy) return; // A restart is pending, or the proxy has never started.
    this.#close();
    this.#restartLater("uncaught exception");
  }

  /** Counts only if an admin server shows the counters. */
  readonly #observe = (event: Event): void => {
    if (this.#runtime) this.#counters.observe(event);
    this.#events.observe(event);
  };

  #start({ inputs, thread, perQuery, clients, beats }: WorkerInit): void {
    if (inputs.config.admin) this.#runtime = new RuntimeMetrics(() => performance.now());
    this.#thread = thread;
    this.#heartbeat = beats && new Heartbeat(beats, thread);
    this.#clients = new AtomicSharedCount(clients, thread);
    this.#inputs = inputs;
    this.#events.perQuery = perQuery;
    this.#library = openLibrary(inputs.config.udpBatch);
    this.#open();
  }

  async #reconfigure(inputs: ProxyInputs): Promise<void> {
    this.#inputs = inputs;
    await this.#proxy?.reconfigure(inputs);
  }

  #listen(listen: readonly ListenAddress[]): void {
    const { config, caCerts } = this.#inputs!;
    this.#inputs = { config: { ...config, listen }, caCerts };
    this.#proxy?.listen(listen);
  }

  #stats(): WorkerStatus {
    return {
      counts: this.#counters.counts,
      heapBytes: this.#runtime?.heapBytes ?? 0,
      lag: this.#runtime?.lag ?? new Histogram(),
      lost: this.#events.lost,
      upstreams: this.#proxy?.upstreams ?? [],
      cache: this.#proxy?.cache,
    };
  }

  async #stop(limitMs: number): Promise<void> {
    clearTimeout(this.#timer);
    await this.#proxy?.stop(limitMs);
    this.#close();
    this.#runtime?.[Symbol.dispose]();
    this.#heartbeat?.[Symbol.dispose]();
  }

  #open(): void {
    this.#proxy = new Proxy({
      ...this.#inputs!,
      observe: this.#observe,
      needsPerQueryEvents: () => this.#events.perQuery,
      sharing: "further",
      sharedCount: this.#clients!,
      library: this.#library,
    });
    this.#timer = setTimeout(() => this.#pauseMs = MIN_PAUSE_MS, STEADY_MS);
  }

  #close(): void {
    const proxy = this.#proxy;
    this.#proxy = undefined;
    clearTimeout(this.#timer);
    try {
      proxy?.[Symbol.dispose]();
    } catch (error) {
      this.#observe({ kind: "internal error", error });
    }
  }

  /** Opens a new proxy after a pause, and again after a longer one if that fails. */
  #restartLater(reason: string): void {
    this.#events.observe({ kind: "thread", thread: this.#thread, state: "down", reason });
    this.#timer = setTimeout(() => {
      void this.#serial.run(() => this.#open()).then(
        () => this.#events.observe({ kind: "thread", thread: this.#thread, state: "up" }),
        (error) => this.#restartLater((error as Error).message),
      );
    }, this.#pauseMs);
    this.#pauseMs = Math.min(2 * this.#pauseMs, MAX_PAUSE_MS);
  }
}

/** The used part of a worker's global scope. The compiler has the types of the main thread only. */
interface Scope {
  postMessage(message: WorkerMessage): void;
  addEventListener(kind: "message", listener: (event: MessageEvent<Call>) => void): void;
  addEventListener(kind: "error", listener: (event: ErrorEvent) => void): void;
  addEventListener(kind: "unhandledrejection", listener: (event: PromiseRejectionEvent) => void): void;
}

/** Whether this thread is a worker. */
export function isWorker(): boolean {
  return "WorkerGlobalScope" in globalThis;
}

/** Makes this worker execute the calls of the first thread. */
export function runWorker(): void {
  prepareStackTraces();
  const scope = globalThis as unknown as Scope;
  const proxy = new WorkerProxy((message) => scope.postMessage(message));
  scope.addEventListener("message", ({ data }) => void proxy.handle(data));
  scope.addEventListener("error", (event) => {
    event.preventDefault(); // Without this, the thread would end.
    proxy.fail(event.error);
  });
  scope.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    proxy.fail(event.reason);
  });
}
