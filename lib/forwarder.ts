/**
 * The chain of resolvers of one configuration. Read the constructor first: it builds the chain from the upstreams up.
 */

import type { Config } from "./config/config.ts";
import { Type } from "./dns/codes.ts";
import type { FlushSelection } from "./resolver/cache/inspection.ts";
import { UsageError } from "./core/errors.ts";
import type { Observe } from "./core/event.ts";
import type { UpstreamStatus } from "./core/status.ts";
import { PolicyChain, withRebindingFilter } from "./policy_chain.ts";
import type { TtlLimits } from "./resolver/cache/cacheability.ts";
import { Cache } from "./resolver/cache/cache.ts";
import { SnapshotFile } from "./resolver/cache/snapshot_file.ts";
import { Singleflight } from "./resolver/singleflight.ts";
import { Balancer } from "./resolver/balance/balancer.ts";
import { probeQuery } from "./core/internal_query.ts";
import { anchorsBelow, parseTrustAnchors } from "./resolver/dnssec/trust_anchors.ts";
import { Validator } from "./resolver/dnssec/validator.ts";
import { VerificationQueue } from "./resolver/dnssec/verification_queue.ts";
import { Limiter } from "./resolver/cache/writer.ts";
import type { Resolver } from "./core/resolver.ts";
import { aliasTargets } from "./resolver/local/zone_data.ts";
import { Router } from "./resolver/balance/router.ts";
import type { Store } from "./resolver/cache/store/store.ts";
import { selectionPolicy } from "./resolver/balance/selection.ts";
import type { UpstreamAddress } from "./upstream/address.ts";
import { UpstreamRegistry } from "./upstream_registry.ts";

export interface ForwarderOptions {
  readonly config: Config;
  /** PEM certificates trusted beside the built-in roots. */
  readonly caCerts: readonly string[];
  readonly observe: Observe;
  /** Called when this host is short of descriptors or memory. Returns whether something was closed. */
  readonly makeRoom: () => boolean;
  readonly now: () => number;
}

/** Resolves the queries of all front ends of a thread under one configuration. */
export class Forwarder implements Disposable {
  readonly resolver: Resolver;
  /** Undefined if the cache is off. */
  readonly cache: Cache | undefined;
  /** See `PolicyChain.loaded`. */
  readonly loaded: Promise<void>;
  readonly #cacheFile: SnapshotFile | undefined;
  readonly #options: ForwarderOptions;
  readonly #upstreams: UpstreamRegistry;
  readonly #owned: DisposableStack;

  /**
   * @param previous the forwarder of the previous configuration, on a reload. The two share unchanged upstreams and the
   * cache's store until one of them is disposed.
   *
   * Throws `UsageError`, and then leaves `previous` unchanged.
   */
  constructor(options: ForwarderOptions, previous?: Forwarder) {
    using owned = new DisposableStack();
    this.#options = options;
    this.#upstreams = owned.use(new UpstreamRegistry(options, previous && previous.#upstreams));
    const { upstreams, routes } = options.config;
    const validated = this.#validation(owned);
    const balancer = withRebindingFilter(options.config.policy, validated(this.#balance(upstreams)));
    const router = routes.length === 0 ? balancer : new Router(
      new Map(routes.map(({ domain, upstreams }) => [domain, validated(this.#balance(upstreams), domain)])),
      balancer,
    );
    const store = previous && this.#reusableStore(previous);
    this.cache = owned.use(this.#makeCache(router, store));
    this.#cacheFile = owned.use(this.cache && this.#openCacheFile(this.cache));
    const next = this.cache ?? this.#makeSingleflight(router);
    const policy = owned.use(this.#buildPolicyChain(next, previous !== undefined));
    this.resolver = policy.first;
    this.loaded = policy.loaded;
    if (!store) void this.#cacheFile?.load(); // in the background, while queries are answered
    this.#owned = owned.move();
  }

  /** Drops cache entries that were fetched under the routes and settings of `previous` and are no longer valid. */
  dropStaleEntries(previous: Forwarder): void {
    this.cache?.fastPath.invalidate();
    const stale = staleEntries(previous.#options.config, this.#options.config);
    if (stale.length > 0) previous.cache?.stopWriting();
    for (const selection of stale) this.cache?.flushNow(selection);
  }

  /** Maximum time that a query waits here, in ms. */
  get queryTimeoutMs(): number {
    return this.#options.config.timeout;
  }

  /** Saves the cache, if it has a snapshot file. */
  async save(): Promise<void> {
    await this.#cacheFile?.save();
  }

  get upstreams(): UpstreamStatus[] {
    return this.#upstreams.all.map(({ status }) => status);
  }

  /** Sends a probe to every upstream, past the cache. Resolves with whether one answers within the timeout. */
  async probe(timeoutMs: number): Promise<boolean> {
    const deadline = this.#options.now() + timeoutMs;
    const answers = this.#upstreams.all.map((each) => each.resolve(probeQuery(deadline)));
    return await Promise.any(answers).then(() => true, () => false);
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }

  #buildPolicyChain(next: Resolver, isReload: boolean): PolicyChain {
    const { config, observe } = this.#options;
    const routes = config.routes.map(({ domain }) => domain);
    const onChange = () => this.cache?.fastPath.invalidate();
    return PolicyChain.build({ config: config.policy, routes, isReload, onChange, observe }, next);
  }

  /** The store of the other forwarder's cache, if both configurations have the same cache size. */
  #reusableStore(other: Forwarder): Store | undefined {
    const sizes = [other, this].map((each) => each.#options.config.cacheSize);
    return sizes[0] === sizes[1] ? other.cache?.store : undefined;
  }

  #makeCache(next: Resolver, store: Store | undefined): Cache | undefined {
    const { config, observe, now } = this.#options;
    const { cacheSize: maxOctets, serveStale } = config;
    if (maxOctets === 0) return undefined;
    const limits = ttlLimits(config);
    const rotate = config.rrsetOrder === "rotate";
    const routes = config.routes.map(({ domain }) => domain);
    // Local data answers all types except DS, which the upstream answers from the parent zone.
    const bypassTypes = new Set<number>([Type.DS]);
    try {
      return new Cache({
        next,
        maxOctets,
        store,
        ...limits,
        serveStale,
        rotate,
        bypassTypes,
        routes,
        observe,
        now,
      });
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      const wanted = `${Math.round(maxOctets / 2 ** 20)} MiB`;
      throw new UsageError(`--cache-size: the system does not let a thread have ${wanted}; choose less`, {
        cause,
      });
    }
  }

  #makeSingleflight(next: Resolver): Singleflight {
    return new Singleflight(next, this.#options.now, new Limiter(ttlLimits(this.#options.config)));
  }

  #openCacheFile({ store }: Cache): SnapshotFile | undefined {
    const { config, observe, now } = this.#options;
    const { stateDir, serveStale, maxTtl } = config;
    if (stateDir === undefined) return undefined;
    return new SnapshotFile({
      directory: stateDir,
      store,
      policy: policyFingerprint(config),
      serveStaleMs: serveStale,
      maxTtlSeconds: maxTtl / 1000,
      observe,
      now,
      wallClock: Date.now,
    });
  }

  /** Returns a function that puts a validator before the upstreams of a route's domain, or of all other names. */
  #validation(owned: DisposableStack): (next: Resolver, domain?: string) => Resolver {
    const { config, observe, now } = this.#options;
    const { dnssec, trustAnchors, insecureDomains, routes } = config;
    if (dnssec === "pass") return (next) => next;
    const queue = owned.use(new VerificationQueue(now));
    const common = { queue, observe, now, wallClock: Date.now };
    // The public DNS would deny the names of a route, so the validator of other names treats routes as insecure.
    const world = parseTrustAnchors(trustAnchors, [
      ...insecureDomains,
      ...routes.map(({ domain }) => domain),
    ]);
    const inside = parseTrustAnchors(trustAnchors, insecureDomains);
    return (next, domain) =>
      new Validator({ next, ...common, ...domain === undefined ? world : anchorsBelow(inside, domain) });
  }

  #balance(addresses: readonly UpstreamAddress[]): Resolver {
    const { config, now } = this.#options;
    const candidates = addresses.map((address) => this.#upstreams.getOrCreate(address));
    return new Balancer({ candidates, selection: selectionPolicy(config.strategy, now), now });
  }
}

function ttlLimits({ minTtl, maxTtl }: Config): TtlLimits {
  return { minTtl: minTtl / 1000, maxTtl: maxTtl / 1000 };
}

/** Cache entries that other upstreams would answer now, or whose answers other settings would reject or change. */
function staleEntries(before: Config, now: Config): FlushSelection[] {
  const isSafer = before.opportunistic && !now.opportunistic;
  const hasOtherRules = rebindingSettings(before) !== rebindingSettings(now) ||
    validationSettings(before) !== validationSettings(now);
  if (isSafer || hasOtherRules) return ["all"];
  const [old, current] = [before, now].map(({ routes }) =>
    new Map(routes.map(({ domain, upstreams }) => [domain, upstreams.map(({ label }) => label).join()]))
  ) as [Map<string, string>, Map<string, string>];
  const domains = new Set([...old.keys(), ...current.keys()]);
  return [...domains].filter((domain) => old.get(domain) !== current.get(domain))
    .map((suffix) => ({ suffix }));
}

/** Identifies the settings under which cached answers are valid. A snapshot with another fingerprint is not loaded. */
function policyFingerprint(config: Config): string {
  const routes = config.routes.map(({ domain, upstreams }) => [domain, upstreams.map(({ label }) => label)]);
  const settings = [config.opportunistic, rebindingSettings(config), validationSettings(config)];
  return JSON.stringify([routes, ...settings]);
}

function validationSettings({ dnssec, trustAnchors, insecureDomains }: Config): string {
  return JSON.stringify(dnssec === "validate" ? [trustAnchors, insecureDomains] : dnssec);
}

function rebindingSettings({ policy: { rebindProtection, rebindAllow, records } }: Config): string {
  const targets = aliasTargets(records).map((name) => name.toHex());
  return JSON.stringify(rebindProtection ? [rebindAllow, targets] : false);
}
