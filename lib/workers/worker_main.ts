import { prepareStackTraces } from "../platform/uncaught.ts";
import type { Call, CallName, Calls, WorkerInit, WorkerMessage, WorkerStatus } from "./rpc.ts";
import type { ListenAddress } from "../frontend/listeners.ts";
import { type Library, openLibrary } from "../platform/libc.ts";
import { Proxy, type ProxyInputs } from "../proxy.ts";
import type { FlushSelection } from "../resolver/cache/inspection.ts";
import type { Event } from "../core/event.ts";
import { Counters } from "../observe/counters.ts";
import { Histogram } from "../observe/histogram.ts";
import { RuntimeMetrics } from "../observe/runtime_metrics.ts";
import { EventForwarder } from "./event_forwarder.ts";
import { AtomicSharedCount } from "./shared_count.ts";
import { Heartbeat } from "./watchdog.ts";

/** How long a proxy that has failed waits before it begins anew, in ms: at first, and at most. */
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 30_000;
/** After so many ms without another one, a failure is forgotten. */
const STEADY = 60_000;

type Answers = {
  readonly [N in CallName]: (argument: never) => ReturnType<Calls[N]> | Promise<ReturnType<Calls[N]>>;
};

/**
 * The proxy of a worker, which does what the main thread says. An exception that nobody has caught ends the proxy and not
 * the thread: another one begins in its place, in the same thread, since a new thread could not have the C library any
 * more: the right to it is the whole process's, and was given up at the start.
 */
class WorkerProxy {
  readonly #say: (word: WorkerMessage) => void;
  readonly #relay: EventForwarder;
  readonly #counters = new Counters();
  #runtime: RuntimeMetrics | undefined;
  #heartbeat: Heartbeat | undefined;
  #thread = 0;
  #inputs: ProxyInputs | undefined;
  #library: Library | undefined;
  #census: AtomicSharedCount | undefined;
  #proxy: Proxy | undefined;
  /** Begins, changes: one after the other. */
  #changes: Promise<void> = Promise.resolve();
  #pause = FIRST_PAUSE;
  #timer: ReturnType<typeof setTimeout> | undefined;

  readonly #answers: Answers = {
    begin: (beginning: WorkerInit) => this.#inTurn(() => this.#begin(beginning)),
    configure: (inputs: ProxyInputs) => this.#inTurn(() => this.#configure(inputs)),
    listen: (addresses: readonly ListenAddress[]) => this.#inTurn(() => this.#listen(addresses)),
    look: () => this.#look(),
    inspect: (name: string) => this.#proxy?.cacheControl?.inspect(name) ?? [],
    flush: (what: FlushSelection) => this.#proxy?.cacheControl?.flush(what) ?? 0,
    tellEach: (wantsEach: boolean) => void (this.#relay.wantsEach = wantsEach),
    took: (events: number) => this.#relay.took(events),
    stop: (limit: number) => this.#stop(limit),
  };

  constructor(say: (word: WorkerMessage) => void) {
    this.#say = say;
    this.#relay = new EventForwarder((events) => say({ kind: "events", events }));
  }

  /** Does what it is told, and says what has come of it. */
  async take({ id, name, argument }: Call): Promise<void> {
    try {
      const value = await this.#answers[name](argument as never);
      if (id !== undefined) this.#say({ kind: "result", id, value });
    } catch (error) {
      if (id === undefined) throw error;
      this.#say({ kind: "refusal", id, reason: error instanceof Error ? error.message : String(error) });
    }
  }

  /** Told of an exception that nobody has caught. */
  fail(error: unknown): void {
    this.#observe({ kind: "internal error", error });
    if (!this.#proxy) return; // it is about to begin anew, or has never begun
    this.#end();
    this.#later("of an exception that nobody has caught");
  }

  /** Counts only where somebody may ask for it. */
  readonly #observe = (event: Event): void => {
    if (this.#runtime) this.#counters.observe(event);
    this.#relay.observe(event);
  };

  #begin({ inputs, thread, wantsEach, clients, beats }: WorkerInit): void {
    if (inputs.config.admin) this.#runtime = new RuntimeMetrics(() => performance.now());
    this.#thread = thread;
    this.#heartbeat = beats && new Heartbeat(beats, thread);
    this.#census = new AtomicSharedCount(clients, thread);
    this.#inputs = inputs;
    this.#relay.wantsEach = wantsEach;
    this.#library = openLibrary(inputs.config.udpBatch);
    this.#open();
  }

  async #configure(inputs: ProxyInputs): Promise<void> {
    this.#inputs = inputs;
    await this.#proxy?.reconfigure(inputs);
  }

  #listen(listen: readonly ListenAddress[]): void {
    const { config, caCerts } = this.#inputs!;
    this.#inputs = { config: { ...config, listen }, caCerts };
    this.#proxy?.listen(listen);
  }

  #look(): WorkerStatus {
    return {
      counts: this.#counters.counts,
      heapOctets: this.#runtime?.heapOctets ?? 0,
      lag: this.#runtime?.lag ?? new Histogram(),
      lost: this.#relay.lost,
      upstreams: this.#proxy?.upstreams ?? [],
      cache: this.#proxy?.cache,
    };
  }

  async #stop(limit: number): Promise<void> {
    clearTimeout(this.#timer);
    await this.#proxy?.stop(limit);
    this.#end();
    this.#runtime?.[Symbol.dispose]();
    this.#heartbeat?.[Symbol.dispose]();
  }

  #open(): void {
    this.#proxy = new Proxy({
      ...this.#inputs!,
      observe: this.#observe,
      needsPerQueryEvents: () => this.#relay.wantsEach,
      sharing: "further",
      sharedCount: this.#census!,
      library: this.#library,
    });
    this.#timer = setTimeout(() => this.#pause = FIRST_PAUSE, STEADY);
  }

  #end(): void {
    const proxy = this.#proxy;
    this.#proxy = undefined;
    clearTimeout(this.#timer);
    try {
      proxy?.[Symbol.dispose]();
    } catch (error) {
      this.#observe({ kind: "internal error", error });
    }
  }

  /** Begins anew after a pause, which grows while that is in vain. */
  #later(reason: string): void {
    this.#relay.observe({ kind: "thread", thread: this.#thread, state: "down", reason });
    this.#timer = setTimeout(() => {
      void this.#inTurn(() => this.#open()).then(
        () => this.#relay.observe({ kind: "thread", thread: this.#thread, state: "up" }),
        (error) => this.#later((error as Error).message),
      );
    }, this.#pause);
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE);
  }

  #inTurn(change: () => void | Promise<void>): Promise<void> {
    const changed = this.#changes.then(change);
    this.#changes = changed.catch(() => {});
    return changed;
  }
}

/** As much of a worker's global scope as is used; the compiler knows that of the main thread. */
interface Scope {
  postMessage(word: WorkerMessage): void;
  addEventListener(kind: "message", listener: (event: MessageEvent<Call>) => void): void;
  addEventListener(kind: "error", listener: (event: ErrorEvent) => void): void;
  addEventListener(kind: "unhandledrejection", listener: (event: PromiseRejectionEvent) => void): void;
}

/** Whether this thread is a worker. */
export function isWorker(): boolean {
  return "WorkerGlobalScope" in globalThis;
}

/** Makes this thread, a worker, one that answers queries as the main thread says. */
export function runWorker(): void {
  prepareStackTraces();
  const scope = globalThis as unknown as Scope;
  const served = new WorkerProxy((word) => scope.postMessage(word));
  scope.addEventListener("message", ({ data }) => void served.take(data));
  scope.addEventListener("error", (event) => {
    event.preventDefault(); // or else it would be the end of the thread
    served.fail(event.error);
  });
  scope.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    served.fail(event.reason);
  });
}
