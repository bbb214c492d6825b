import type { CacheControl } from "../admin/cache_api.ts";
import { withinDescriptors } from "../platform/descriptors.ts";
import type { ListenAddress } from "../frontend/listeners.ts";
import type { Event, Observe } from "../core/event.ts";
import type { CacheStatus, UpstreamStatus } from "../core/status.ts";
import type { ThreadStatus } from "../observe/thread_status.ts";
import { Proxy, type ProxyInputs } from "../proxy.ts";
import type { CallName, Calls, WorkerStatus } from "./rpc.ts";
import { restore } from "./event_codec.ts";
import { threadConfig } from "./thread_config.ts";
import { AtomicSharedCount, type SharedCounts, sharedCounts } from "./shared_count.ts";
import { mergeAnswers, mergeCaches, mergeUpstreams, UpstreamStates } from "./merge_status.ts";
import { WorkerHandle } from "./worker_handle.ts";

export interface WorkerPoolOptions extends ProxyInputs {
  readonly observe: Observe;
  /** Told of what happens in workers, but for what is only counted: `look` tells that. */
  readonly relay: Observe;
  /** Whether `observe` and `relay` want to know of each answer. */
  readonly wantsEach: () => boolean;
  /** The module that the workers run, as a URL: it has to call `serveAsWorker`. */
  readonly module: string;
  /** Of the watchdog, if there is one. */
  readonly beats?: SharedCounts | undefined;
  /** How many file descriptors the process may have; no limit unless known. */
  readonly descriptors?: number | undefined;
}

/** How much later than they are told to, in ms, workers may stop. */
const GRACE = 200;
/** How long others wait for the figures of a worker, in ms; if it takes longer, its last ones have to do. */
const LOOK = 500;

/**
 * The proxy, on as many threads as `--workers` says: one here, and each of the others in a worker that listens on the same
 * ports. It listens as soon as it is made; the workers come in when they are ready.
 */
export class WorkerPool implements Disposable {
  /** Resolves when each worker listens, or has told of why it cannot. */
  readonly started: Promise<void>;
  readonly #options: WorkerPoolOptions;
  readonly #proxy: Proxy;
  readonly #workers: readonly WorkerHandle[];
  /** How the workers fared when they were last asked. */
  readonly #known = new Map<WorkerHandle, WorkerStatus>();
  readonly #states = new UpstreamStates();
  readonly #clients: SharedCounts;

  /** Throws what a `Proxy` throws. */
  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    const { config, wantsEach } = options;
    this.#clients = sharedCounts(config.workers);
    this.#proxy = new Proxy({
      ...this.#inputs(options, 1),
      observe: config.workers > 1 ? (event) => this.#tell(event, 1) : options.observe,
      needsPerQueryEvents: wantsEach,
      ...(config.workers > 1
        ? { sharing: "first", sharedCount: new AtomicSharedCount(this.#clients, 1) }
        : {}),
      onMove: () => void this.#eachCall("listen", this.#listen),
    });
    this.#workers = Array.from({ length: config.workers - 1 }, (_, i) => this.#start(i + 2));
    this.started = this.#begin();
  }

  /** Whether there are no workers. */
  get isAlone(): boolean {
    return this.#workers.length === 0;
  }

  /** Whether datagrams are handed over many at a time, and so threads share what comes by UDP. */
  get hasBatches(): boolean {
    return this.#proxy.hasBatches;
  }

  /** Where it listens, over UDP and TCP alike. */
  get addresses(): Deno.NetAddr[] {
    return this.#proxy.addresses;
  }

  /** Those of workers as of the last `look`. */
  get upstreams(): UpstreamStatus[] {
    if (this.isAlone) return this.#proxy.upstreams;
    const all = [this.#proxy.upstreams, ...this.#lastLook.map(({ upstreams }) => upstreams)];
    return mergeUpstreams(all, (label) => this.#states.of(label));
  }

  /** Undefined where there is no cache; those of workers as of the last `look`. */
  get cache(): CacheStatus | undefined {
    return mergeCaches([this.#proxy, ...this.#lastLook].flatMap(({ cache }) => cache ?? []));
  }

  get cacheControl(): CacheControl | undefined {
    const own = this.#proxy.cacheControl;
    if (!own || this.isAlone) return own;
    return {
      inspect: async (name) => {
        const found = await own.inspect(name);
        return mergeAnswers([found, ...await this.#eachCall("inspect", name)]);
      },
      flush: async (what) => {
        const count = await own.flush(what);
        return (await this.#eachCall("flush", what)).reduce((sum, each) => sum + each, count);
      },
    };
  }

  /** How the workers fare, now or, where one is too busy to say it, as of late. */
  async refreshStats(): Promise<readonly ThreadStatus[]> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, LOOK);
    const looks = this.#each(async (worker) => void this.#known.set(worker, await worker.call("look")));
    await Promise.race([looks, late]);
    clearTimeout(timer);
    return this.#lastLook;
  }

  /** To be called when `wantsEach` may have changed. */
  updatePerQueryEvents(): void {
    void this.#eachCall("tellEach", this.#options.wantsEach());
  }

  /** As `Proxy` does it; a worker that cannot says so in an event. `workers` has to stay as it is, too. */
  async reconfigure(inputs: ProxyInputs): Promise<void> {
    await this.#proxy.reconfigure(this.#inputs(inputs, 1));
    this.#states.keep(this.#proxy.upstreams.map(({ label }) => label));
    await this.#each((worker, thread) => worker.call("configure", this.#inputs(inputs, thread)));
  }

  /** Whether an upstream answers a query of our own. */
  probe(): Promise<boolean> {
    return this.#proxy.probe();
  }

  /** Takes no more queries, answers those it has, then closes; after `limit` ms it closes all the same. */
  async stop(limit: number): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, limit + GRACE);
    await Promise.all([this.#proxy.stop(limit), Promise.race([this.#eachCall("stop", limit), late])]);
    clearTimeout(timer);
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#proxy[Symbol.dispose]();
    this.#workers.forEach((worker, i) => {
      worker[Symbol.dispose]();
      this.#watchNoMore(i + 2);
    });
  }

  /** A thread that has ended has not come to a standstill. */
  #watchNoMore(thread: number): void {
    const { beats } = this.#options;
    if (beats) Atomics.store(beats, thread - 1, 0);
  }

  #start(thread: number): WorkerHandle {
    return new WorkerHandle({
      module: this.#options.module,
      name: `thread ${thread}`,
      onEvents: (events) => events.forEach((event) => this.#tell(restore(event), thread)),
      onEnd: (reason) => {
        this.#watchNoMore(thread);
        this.#tell({ kind: "thread", thread, state: "down", reason }, thread);
      },
    });
  }

  async #begin(): Promise<void> {
    const wantsEach = this.#options.wantsEach();
    await this.#each((worker, thread) =>
      worker.call("begin", {
        inputs: this.#inputs(this.#options, thread),
        thread,
        wantsEach,
        clients: this.#clients,
        beats: this.#options.beats,
      })
    );
  }

  #tell(event: Event, thread: number): void {
    const { observe, relay } = this.#options;
    if (event.kind === "upstream" && !this.#states.isNews(event)) return;
    if (event.kind === "exchanged") {
      const change = this.#states.answered(event.upstream);
      if (change) relay(change);
    }
    if (thread === 1) observe(event);
    else relay(event);
  }

  get #lastLook(): WorkerStatus[] {
    return [...this.#known.values()];
  }

  /** What a thread is made of: the workers listen where the first one does. */
  #inputs({ config, caCerts }: ProxyInputs, thread: number): ProxyInputs {
    const share = threadConfig(withinDescriptors(config, this.#options.descriptors), thread);
    if (thread === 1) return { config: share, caCerts };
    const udpBatch = this.#proxy.hasBatches ? share.udpBatch : "off";
    return { config: { ...share, udpBatch, listen: this.#listen }, caCerts };
  }

  get #listen(): ListenAddress[] {
    return this.addresses.map(({ hostname, port }) => ({ hostname, port, required: false }));
  }

  /** What the workers answer, but for those that have no answer. */
  async #eachCall<N extends CallName>(
    name: N,
    ...argument: Parameters<Calls[N]>
  ): Promise<ReturnType<Calls[N]>[]> {
    const results: ReturnType<Calls[N]>[] = [];
    await this.#each(async (worker) => void results.push(await worker.call(name, ...argument)));
    return results;
  }

  /** Does something with each worker that is there; resolves when it is done, or has been told of as trouble. */
  async #each(what: (worker: WorkerHandle, thread: number) => Promise<unknown>): Promise<void> {
    await Promise.all(this.#workers.map(async (worker, i) => {
      try {
        if (!worker.hasEnded) await what(worker, i + 2);
      } catch (error) {
        const { message: reason } = error as Error;
        if (!worker.hasEnded) this.#tell({ kind: "thread", thread: i + 2, state: "down", reason }, i + 2);
      }
    }));
  }
}
