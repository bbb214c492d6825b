import type { CacheControl } from "./admin/cache_api.ts";
import type { Config } from "./config/config.ts";
import { Forwarder } from "./forwarder.ts";
import type { PolicyConfig } from "./config/policy_config.ts";
import { Admission } from "./frontend/answer/admission.ts";
import { Answerer, type AnswererOptions } from "./frontend/answer/answerer.ts";
import { type ListenAddress, type ListenerOptions, Listeners } from "./frontend/listeners.ts";
import type { SharedCount } from "./frontend/tcp/connection_limit.ts";
import type { Sharing } from "./platform/reuse_port.ts";
import { type Library, openLibrary } from "./platform/libc.ts";
import type { Observe } from "./core/event.ts";
import type { CacheStatus, UpstreamStatus } from "./core/status.ts";

/** Queries of one TCP client that may wait at once; a client with more is not read from until some are answered. */
const MAX_PIPELINED = 256;

/** In ms; who asks whether we are ready does not wait for long. */
const PROBE_TIMEOUT = 2000;

const now = () => performance.now();

/** The end of the time to stop in, in ms, kept for telling clients that no answer will come. */
const LAST_WORDS = 200;

export interface ProxyOptions {
  readonly config: Config;
  /** PEM certificates trusted beside the built-in roots. */
  readonly caCerts: readonly string[];
  readonly observe: Observe;
  /** Whether `observe` wants to know of each answer, as it does unless told; else those of the cache come together. */
  readonly needsPerQueryEvents?: () => boolean;
  /** Whether other threads listen on the same ports; "alone" unless told. */
  readonly sharing?: Sharing;
  /** TCP clients of these other threads. */
  readonly sharedCount?: SharedCount;
  /** Opened by whoever makes the proxy, who also closes it; else it is the proxy's own. */
  readonly library?: Library | undefined;
  /** Called when `addresses` have changed because those of the host have. */
  readonly onMove?: () => void;
}

/** What a proxy is made of, and what another configuration changes. */
export type ProxyInputs = Pick<ProxyOptions, "config" | "caCerts">;

/** The only composition: front ends, one forwarder, upstreams. It listens as soon as it is made. */
export class Proxy implements Disposable {
  readonly #options: Omit<ProxyOptions, keyof ProxyInputs>;
  readonly #observe: Observe;
  readonly #library: Library | undefined;
  readonly #answerer: Answerer;
  readonly #listeners: Listeners;
  #forwarder: Forwarder;
  /** Those of earlier configurations, which answer what they were asked. */
  readonly #retired = new Map<Forwarder, ReturnType<typeof setTimeout>>();
  #isStopping = false;
  #disposed = false;

  /** Throws `ListenError`, or a `UsageError` for what cannot be had here. */
  constructor({ config, caCerts, ...options }: ProxyOptions) {
    const { observe } = this.#options = options;
    this.#observe = observe;
    this.#library = options.library ?? openLibrary(config.udpBatch);
    this.#forwarder = new Forwarder({ config, caCerts, observe, makeRoom: this.#makeRoom, now });
    this.#answerer = new Answerer(this.#answererOptions(config, this.#forwarder));
    try {
      this.#listeners = new Listeners(config.listen, this.#listenerOptions(config));
    } catch (error) {
      this.#forwarder[Symbol.dispose]();
      if (!options.library) this.#library?.close();
      throw error;
    }
  }

  /** An idle client gives up its connection for one to an upstream, which is for all clients. */
  readonly #makeRoom = (): boolean => this.#listeners?.closeIdleConnections(1) > 0;

  /** Makes all but sockets. Throws `UsageError` for what cannot be used, as a proxy would at its start. */
  static check({ config, caCerts }: ProxyInputs): void {
    openLibrary(config.udpBatch)?.close();
    const withoutState = { ...config, stateDir: undefined };
    new Forwarder({
      config: withoutState,
      caCerts,
      observe: () => {},
      makeRoom: () => false,
      now,
    })[Symbol.dispose]();
  }

  /** Where it listens, over UDP and TCP alike. */
  get addresses(): Deno.NetAddr[] {
    return this.#listeners.addresses;
  }

  /** Whether datagrams are handed over many at a time. */
  get hasBatches(): boolean {
    return this.#library !== undefined;
  }

  get upstreams(): UpstreamStatus[] {
    return this.#forwarder.upstreams;
  }

  /** Undefined where there is no cache. */
  get cache(): CacheStatus | undefined {
    return this.#forwarder.cache?.status;
  }

  get cacheControl(): CacheControl | undefined {
    return this.#forwarder.cache;
  }

  /**
   * Goes over to another configuration, at once for all queries that come from now on; those under way end as they began.
   * What has not changed is not disturbed. Rejects with what the constructor throws, everything as it was. To be called
   * once at a time; `udpBatch` and `stateDir` have to stay as they are.
   */
  async reconfigure({ config, caCerts }: ProxyInputs): Promise<void> {
    const previous = this.#forwarder;
    const observe = this.#observe;
    const next = new Forwarder({ config, caCerts, observe, makeRoom: this.#makeRoom, now }, previous);
    try {
      await next.loaded;
      if (this.#isStopping) return next[Symbol.dispose]();
      this.#listeners.reconfigure(config.listen, this.#listenerOptions(config));
    } catch (error) {
      next[Symbol.dispose]();
      throw error;
    }
    this.#answerer.reconfigure(this.#answererOptions(config, next));
    this.#forwarder = next;
    next.dropStaleEntries(previous);
    this.#retire(previous);
  }

  /** Listens on these from now on, as `reconfigure` does, and leaves all else as it is. */
  listen(addresses: readonly ListenAddress[]): void {
    this.#listeners.reconfigure(addresses);
  }

  /** Whether an upstream answers a query of our own. */
  probe(): Promise<boolean> {
    return this.#forwarder.probe(PROBE_TIMEOUT);
  }

  /** Takes no more queries, answers those it has, then closes; after `limit` ms it closes all the same. */
  async stop(limit: number): Promise<void> {
    this.#isStopping = true;
    const { promise: late, resolve } = Promise.withResolvers<void>();
    // Who still waits then is told SERVFAIL, which needs the front ends a little longer.
    const timers = [
      setTimeout(() => this.#disposeForwarders(), limit - LAST_WORDS),
      setTimeout(() => this[Symbol.dispose](), limit),
      setTimeout(resolve, limit),
    ];
    await this.#listeners.stop();
    await Promise.race([this.#forwarder.save(), late]);
    timers.forEach(clearTimeout);
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#isStopping = this.#disposed = true;
    this.#disposeForwarders();
    this.#listeners[Symbol.dispose]();
    if (!this.#options.library) this.#library?.close();
  }

  /** Ends it when no query can need it any more: none outlives its deadline. */
  #retire(forwarder: Forwarder): void {
    const timer = setTimeout(() => {
      this.#forwarder.dropStaleEntries(forwarder); // what it has learnt meanwhile
      this.#retired.delete(forwarder);
      forwarder[Symbol.dispose]();
    }, forwarder.queryTimeoutMs);
    this.#retired.set(forwarder, timer);
  }

  #disposeForwarders(): void {
    for (const [forwarder, timer] of this.#retired) {
      clearTimeout(timer);
      forwarder[Symbol.dispose]();
    }
    this.#forwarder[Symbol.dispose]();
  }

  #answererOptions(config: Config, forwarder: Forwarder): AnswererOptions {
    return {
      admission: makeAdmission(config.policy),
      resolver: forwarder.resolver,
      cache: forwarder.cache,
      timeout: config.timeout,
      udpSize: config.maxUdpSize,
      keepAlive: Math.floor(config.tcpIdleTimeout / 100),
      observe: this.#observe,
      needsPerQueryEvents: this.#options.needsPerQueryEvents ?? (() => true),
      now,
    };
  }

  #listenerOptions(config: Config): ListenerOptions {
    const { sharing = "alone", sharedCount, onMove = () => {} } = this.#options;
    return {
      sharing,
      sharedCount,
      onAddressChange: onMove,
      answerer: this.#answerer,
      observe: this.#observe,
      library: this.#library,
      maxClients: config.maxTcpClients,
      maxClientsPerAddress: config.maxTcpClientsPerAddress,
      limits: { idleTimeoutMs: config.tcpIdleTimeout, maxPipelined: MAX_PIPELINED, now },
    };
  }
}

/** Access rules and rate limit of a configuration. */
function makeAdmission({ allow, deny, denyAnswer, rateLimit, rateLimitExempt }: PolicyConfig): Admission {
  const denied = denyAnswer === "refused" ? "refuse" : "ignore";
  return new Admission({ allow, deny, denied, rate: rateLimit, exempt: rateLimitExempt });
}
