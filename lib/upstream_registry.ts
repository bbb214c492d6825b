/** All upstreams of one configuration, and the lookup of their addresses. */

import { Upstream } from "./upstream/upstream.ts";
import { isIP } from "node:net";
import type { Config } from "./config/config.ts";
import { formatHostPort } from "./net/host_port.ts";
import type { Observe } from "./core/event.ts";
import { internalQuery } from "./core/internal_query.ts";
import type { BootstrapAddress, UpstreamAddress } from "./upstream/address.ts";
import { Bootstrap, type BootstrapServer } from "./upstream/bootstrap/bootstrap.ts";
import { readClientCertificate } from "./upstream/dial/client_certificate.ts";
import { dialer } from "./upstream/dial/dial.ts";
import { type HostLookup, systemLookup } from "./upstream/dial/host_lookup.ts";
import { NetworkWatch } from "./platform/network_watch.ts";
import { plainExchange } from "./upstream/bootstrap/plain_dns.ts";

/** Time limit of a dial. It is longer than a query's, so that later queries can use a slow connection. */
const DIAL_TIMEOUT_MS = 5000;
/** An idle connection is closed after this time, unless the server announces another (RFC 7828). */
const IDLE_TIMEOUT_MS = 30_000;
/** Time limit of a probe. It is longer than clients wait, so that a slow server does not count as down. */
const PROBE_TIMEOUT_MS = 5000;

/** Without this list, connections from before a change of network stay in use until they are found dead. */
const ADDRESSES_UNKNOWN =
  "the addresses of this host cannot be listed, so a change of network goes unnoticed";

export interface UpstreamRegistryOptions {
  readonly config: Config;
  /** PEM certificates trusted beside the public roots. */
  readonly caCerts: readonly string[];
  readonly observe: Observe;
  /** Called when this host is short of descriptors or memory. Returns whether it freed some. */
  readonly makeRoom: () => boolean;
  readonly now: () => number;
}

/** One `Upstream` per server, however many routes use it. Owns the bootstrap lookup and the network watch. */
export class UpstreamRegistry implements Disposable {
  readonly #options: UpstreamRegistryOptions;
  readonly #pool: UpstreamPool;
  /** Keys of the upstreams that were taken from the pool. */
  readonly #keys: string[] = [];
  readonly #byLabel = new Map<string, Upstream>();
  /** Upstreams that only look up the addresses of others. */
  readonly #bootstraps: Upstream[] = [];
  readonly #lookup: HostLookup;
  readonly #watch: NetworkWatch;

  /**
   * Throws `UsageError` for a client certificate that cannot be used.
   *
   * @param previous the registry of the configuration before a reload. Unchanged upstreams keep their connections.
   */
  constructor(options: UpstreamRegistryOptions, previous?: UpstreamRegistry) {
    this.#options = options;
    this.#pool = previous ? previous.#pool : new UpstreamPool();
    const { config: { bootstrap }, observe, now } = options;
    this.#watch = new NetworkWatch({
      onTrouble: (error) => observe({ kind: "host error", problem: ADDRESSES_UNKNOWN, error }),
      onChange: (reason) => {
        observe({ kind: "network changed", reason });
        for (const upstream of [...this.#byLabel.values(), ...this.#bootstraps]) upstream.reset();
      },
    });
    try {
      const servers = bootstrap.map((address) => this.#bootstrapServer(address));
      // With bootstrap servers, the system's resolver is never used, because it may use this proxy.
      this.#lookup = servers.length > 0 ? new Bootstrap(servers, now).lookup : systemLookup;
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** The upstreams to which queries are forwarded. */
  get all(): Upstream[] {
    return [...this.#byLabel.values()];
  }

  /** The upstream at this address. Throws `UsageError` for a client certificate that cannot be used. */
  getOrCreate(address: UpstreamAddress): Upstream {
    const known = this.#byLabel.get(address.label);
    if (known) return known;
    const upstream = this.#take(address);
    this.#byLabel.set(address.label, upstream);
    return upstream;
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    for (const key of this.#keys.splice(0)) this.#pool.release(key);
  }

  #take(address: UpstreamAddress): Upstream {
    const { config: { opportunistic, maxInFlight, bootstrap, clientSubnet }, caCerts } = this.#options;
    const lookup = isIP(address.host) > 0 ? [] : bootstrap;
    const settings = [opportunistic, maxInFlight, clientSubnet, lookup];
    const identity = [address, readClientCertificate(address), caCerts, ...settings];
    const key = JSON.stringify(identity);
    const upstream = this.#pool.take(key, () => this.#create(address));
    upstream.retryPins();
    this.#keys.push(key);
    return upstream;
  }

  #create(address: UpstreamAddress): Upstream {
    const { config, caCerts, observe, makeRoom, now } = this.#options;
    const { label, weight } = address;
    const dial = dialer(address, {
      caCerts,
      timeoutMs: DIAL_TIMEOUT_MS,
      lookup: (host, refresh) => this.#lookup(host, refresh),
      profile: config.opportunistic ? "opportunistic" : "strict",
      onUnauthenticated: (error) => observe({ kind: "unauthenticated", upstream: label, error }),
      makeRoom,
    });
    const { maxInFlight, clientSubnet } = config;
    const times = { idleTimeoutMs: IDLE_TIMEOUT_MS, probeTimeoutMs: PROBE_TIMEOUT_MS, now };
    return new Upstream({ label, weight, dial, maxInFlight, clientSubnet, observe, ...times });
  }

  #bootstrapServer(address: BootstrapAddress): BootstrapServer {
    if (address.kind === "plain") {
      const label = formatHostPort(address.host, address.port);
      return { label, exchange: plainExchange(address, this.#options.now) };
    }
    const upstream = this.#take(address.upstream);
    this.#bootstraps.push(upstream);
    return {
      label: upstream.label,
      exchange: (message, deadline) => upstream.resolve(internalQuery(message, deadline)),
    };
  }
}

/** Upstreams shared by the configurations before and after a reload. An upstream ends when its last user releases it. */
class UpstreamPool {
  readonly #leases = new Map<string, { readonly upstream: Upstream; users: number }>();

  /** @param key all settings on which the upstream depends */
  take(key: string, create: () => Upstream): Upstream {
    const lease = this.#leases.get(key) ?? { upstream: create(), users: 0 };
    lease.users++;
    this.#leases.set(key, lease);
    return lease.upstream;
  }

  release(key: string): void {
    const lease = this.#leases.get(key);
    if (!lease || --lease.users > 0) return;
    this.#leases.delete(key);
    lease.upstream[Symbol.dispose]();
  }
}
