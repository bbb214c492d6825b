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

/** For all phases together, in ms; longer than a query may take, so that a slow handshake is of use to later ones. */
const DIAL_TIMEOUT = 5000;
/** An idle connection is closed after this long, in ms, where the server does not say how long it keeps one. */
const IDLE_TIMEOUT = 30_000;
/** How long a server may take to answer our own query, in ms; longer than clients wait, so that slow is not away. */
const PROBE_TIMEOUT = 5000;

/** Connections to upstreams then outlive a move to another network until they are found dead. */
const ADDRESSES_UNKNOWN =
  "the addresses of this host cannot be listed, so a change of network goes unnoticed";

export interface UpstreamRegistryOptions {
  readonly config: Config;
  /** PEM certificates trusted beside the built-in roots. */
  readonly caCerts: readonly string[];
  readonly observe: Observe;
  /** Called when this host is short of descriptors or memory; returns whether something was given up. */
  readonly makeRoom: () => boolean;
  readonly now: () => number;
}

/** One upstream for each server, however many routes lead to it, and what they all have in common. */
export class UpstreamRegistry implements Disposable {
  readonly #options: UpstreamRegistryOptions;
  readonly #pool: UpstreamPool;
  /** What was taken from the pool. */
  readonly #keys: string[] = [];
  readonly #byLabel = new Map<string, Upstream>();
  /** Those that are only asked where others are. */
  readonly #bootstraps: Upstream[] = [];
  readonly #lookup: HostLookup;
  readonly #watch: NetworkWatch;

  /**
   * @param previous those before a change of the configuration: which of them are as they should be stay, with their
   * connections. Throws `UsageError` for a client certificate that cannot be used.
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
      // Once somebody has said whom to ask, the system's resolver is never asked: it may lead back here.
      this.#lookup = servers.length > 0 ? new Bootstrap(servers, now).lookup : systemLookup;
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** All that queries are forwarded to. */
  get all(): Upstream[] {
    return [...this.#byLabel.values()];
  }

  /** Throws `UsageError` for a client certificate that cannot be used. */
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
    const wayThere = isIP(address.host) > 0 ? [] : bootstrap;
    const way = [opportunistic, maxInFlight, clientSubnet, wayThere];
    const identity = [address, readClientCertificate(address), caCerts, ...way];
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
      timeoutMs: DIAL_TIMEOUT,
      lookup: (host, anew) => this.#lookup(host, anew),
      profile: config.opportunistic ? "opportunistic" : "strict",
      onUnauthenticated: (error) => observe({ kind: "unauthenticated", upstream: label, error }),
      makeRoom,
    });
    const { maxInFlight, clientSubnet } = config;
    const times = { idleTimeoutMs: IDLE_TIMEOUT, probeTimeoutMs: PROBE_TIMEOUT, now };
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

/** What one configuration has in common with the next: an upstream ends when the last one that uses it lets it go. */
class UpstreamPool {
  readonly #leases = new Map<string, { readonly upstream: Upstream; users: number }>();

  /** @param key all that matters to the upstream: where it is, and how it is asked */
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
