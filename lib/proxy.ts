/** The composition of one thread: listeners, answerer and forwarder. */

import { settlesWithin } from "./async/deadline.ts";
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

/** Bound of unanswered queries per TCP client. At the bound, the proxy stops reading from the client. */
const MAX_PIPELINED = 256;

/** Short, because readiness checks have short timeouts. */
const PROBE_TIMEOUT_MS = 2000;

const now = () => performance.now();

/** The last part of a stop. In it, queries without an answer get SERVFAIL. */
const FAILURE_TIME_MS = 200;

export interface ProxyOptions {
  readonly config: Config;
  /** PEM certificates that are trusted in addition to the built-in roots. */
  readonly caCerts: readonly string[];
  readonly observe: Observe;
  /** Whether `observe` needs one event per query (the default). Otherwise cache hits are reported in batches. */
  readonly needsPerQueryEvents?: () => boolean;
  /** Whether other threads listen on the same ports. Default: "alone". */
  readonly sharing?: Sharing;
  /** TCP clients of all threads. */
  readonly sharedCount?: SharedCount;
  /** The C library, owned by the caller. Without it, the proxy loads and closes its own. */
  readonly library?: Library | undefined;
  /** Called when `addresses` have changed with the addresses of the host. */
  readonly onMove?: () => void;
}

/** The options that `reconfigure` replaces. */
export type ProxyInputs = Pick<ProxyOptions, "config" | "caCerts">;

/** A proxy in this thread. It listens from construction on. */
export class Proxy implements Disposable {
  readonly #options: Omit<ProxyOptions, keyof ProxyInputs>;
  readonly #observe: Observe;
  readonly #library: Library | undefined;
  readonly #answerer: Answerer;
  readonly #listeners: Listeners;
  #forwarder: Forwarder;
  /** Forwarders of earlier configurations, until their queries have ended. */
  readonly #retired = new Map<Forwarder, ReturnType<typeof setTimeout>>();
  #isStopping = false;
  #disposed = false;

  /** Throws `ListenError`, or `UsageError` for an option that is not available on this host. */
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

  /** Closes the connection of an idle client, so that its descriptor is free for an upstream connection. */
  readonly #makeRoom = (): boolean => this.#listeners?.closeIdleConnections(1) > 0;

  /** Builds everything except sockets. Throws the `UsageError` that the constructor would throw. */
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

  /** Addresses that listen, over both UDP and TCP. */
  get addresses(): Deno.NetAddr[] {
    return this.#listeners.addresses;
  }

  /** Whether UDP uses batches. */
  get hasBatches(): boolean {
    return this.#library !== undefined;
  }

  get upstreams(): UpstreamStatus[] {
    return this.#forwarder.upstreams;
  }

  /** Undefined without a cache. */
  get cache(): CacheStatus | undefined {
    return this.#forwarder.cache?.status;
  }

  get cacheControl(): CacheControl | undefined {
    return this.#forwarder.cache;
  }

  /**
   * Replaces the configuration. New queries use it, and queries under way finish with the old one. Unchanged upstreams,
   * listeners and caches continue. Rejects with the errors of the constructor, without a change. Calls must not overlap.
   * `udpBatch` and `stateDir` must not change.
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

  /** Replaces the listen addresses only. */
  listen(addresses: readonly ListenAddress[]): void {
    this.#listeners.reconfigure(addresses);
  }

  /** Sends an internal query. Resolves with whether an upstream answered it. */
  probe(): Promise<boolean> {
    return this.#forwarder.probe(PROBE_TIMEOUT_MS);
  }

  /** Accepts no more queries, answers those under way, then closes; at the latest after `limitMs`. */
  async stop(limitMs: number): Promise<void> {
    this.#isStopping = true;
    const start = now();
    // Disposed forwarders fail their queries. The listeners stay open a little longer to send these failures.
    const timers = [
      setTimeout(() => this.#disposeForwarders(), limitMs - FAILURE_TIME_MS),
      setTimeout(() => this[Symbol.dispose](), limitMs),
    ];
    await this.#listeners.stop();
    await settlesWithin(this.#forwarder.save(), Math.max(0, start + limitMs - now()));
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

  /** Disposes the forwarder when the deadlines of all its queries have passed. */
  #retire(forwarder: Forwarder): void {
    const timer = setTimeout(() => {
      this.#forwarder.dropStaleEntries(forwarder); // Entries that its last queries have added.
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
