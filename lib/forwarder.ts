import type { Config } from "./config/config.ts";
import { Type } from "./dns/codes.ts";
import type { FlushSelection } from "./resolver/cache/inspection.ts";
import { UsageError } from "./core/errors.ts";
import type { Observe } from "./core/event.ts";
import type { UpstreamStatus } from "./core/status.ts";
import { PolicyChain } from "./policy_chain.ts";
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
  /** Called when this host is short of descriptors or memory; returns whether something was given up. */
  readonly makeRoom: () => boolean;
  readonly now: () => number;
}

/** The shared chain of resolvers that every front end feeds. */
export class Forwarder implements Disposable {
  readonly resolver: Resolver;
  readonly policy: PolicyChain;
  /** Undefined where it is turned off. */
  readonly cache: Cache | undefined;
  readonly #cacheFile: SnapshotFile | undefined;
  readonly #options: ForwarderOptions;
  readonly #upstreams: UpstreamRegistry;
  readonly #owned: DisposableStack;

  /**
   * @param previous the one before a change of the configuration: what has not changed is shared with it, until it is
   * disposed. Throws `UsageError`, and then leaves it as it is.
   */
  constructor(options: ForwarderOptions, previous?: Forwarder) {
    using owned = new DisposableStack();
    this.#options = options;
    this.#upstreams = owned.use(new UpstreamRegistry(options, previous && previous.#upstreams));
    const { upstreams, routes } = options.config;
    this.policy = owned.use(this.#makePolicy(previous !== undefined));
    const validated = this.#validation(owned);
    const otherwise = this.policy.behind(validated(this.#choose(upstreams)));
    const router = routes.length === 0 ? otherwise : new Router(
      new Map(routes.map(({ domain, upstreams }) => [domain, validated(this.#choose(upstreams), domain)])),
      otherwise,
    );
    const store = previous && this.#reusableStore(previous);
    this.cache = owned.use(this.#remember(router, store));
    this.#cacheFile = owned.use(this.cache && this.#openCacheFile(this.cache));
    if (!store) void this.#cacheFile?.load(); // in the background: nobody waits for it
    this.resolver = this.policy.before(this.cache ?? this.#coalesce(router));
    this.#owned = owned.move();
  }

  /** Forgets what is known only from asking as the one before this did. */
  dropStaleEntries(previous: Forwarder): void {
    this.cache?.fastPath.invalidate();
    const forgotten = staleEntries(previous.#options.config, this.#options.config);
    if (forgotten.length > 0) previous.cache?.stopWriting();
    for (const what of forgotten) this.cache?.forget(what);
  }

  /** For how long a query may wait here, in ms. */
  get patience(): number {
    return this.#options.config.timeout;
  }

  /** Saves what is to outlast the process. */
  async save(): Promise<void> {
    await this.#cacheFile?.save();
  }

  get upstreams(): UpstreamStatus[] {
    return this.#upstreams.all.map(({ status }) => status);
  }

  /** Asks every upstream, past all that may know the answer already; whether one answers in so many ms. */
  async probe(timeout: number): Promise<boolean> {
    const deadline = this.#options.now() + timeout;
    const answers = this.#upstreams.all.map((each) => each.resolve(probeQuery(deadline)));
    return await Promise.any(answers).then(() => true, () => false);
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }

  #makePolicy(unhurried: boolean): PolicyChain {
    const { config, observe } = this.#options;
    const routes = config.routes.map(({ domain }) => domain);
    const onChange = () => this.cache?.fastPath.invalidate();
    return new PolicyChain({ config: config.policy, routes, unhurried, onChange, observe });
  }

  /** What it knows, where there is as much room for it. */
  #reusableStore(other: Forwarder): Store | undefined {
    const sizes = [other, this].map((each) => each.#options.config.cacheSize);
    return sizes[0] === sizes[1] ? other.cache?.store : undefined;
  }

  #remember(next: Resolver, store: Store | undefined): Cache | undefined {
    const { config, observe, now } = this.#options;
    const { cacheSize: maxOctets, serveStale } = config;
    if (maxOctets === 0) return undefined;
    const limits = ttlLimits(config);
    const rotate = config.rrsetOrder === "rotate";
    // The local names answer all types but DS, which the zone above may have.
    const routes = config.routes.map(({ domain }) => domain);
    const apart = new Set<number>([Type.DS]);
    try {
      return new Cache({
        next,
        maxOctets,
        store,
        ...limits,
        serveStale,
        rotate,
        bypassTypes: apart,
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

  #coalesce(next: Resolver): Singleflight {
    return new Singleflight(next, this.#options.now, new Limiter(ttlLimits(this.#options.config)));
  }

  #openCacheFile({ store }: Cache): SnapshotFile | undefined {
    const { config, observe, now } = this.#options;
    const { stateDir, serveStale, maxTtl } = config;
    if (stateDir === undefined) return undefined;
    return new SnapshotFile({
      directory: stateDir,
      store,
      conditions: policyFingerprint(config),
      serveStale,
      maxTtl: maxTtl / 1000,
      observe,
      now,
      wallClock: Date.now,
    });
  }

  /** Puts a validator before the upstreams of a tree of names: of a route's domain, or of all other names. */
  #validation(owned: DisposableStack): (next: Resolver, domain?: string) => Resolver {
    const { config, observe, now } = this.#options;
    const { dnssec, trustAnchors, insecureDomains, routes } = config;
    if (dnssec === "pass") return (next) => next;
    const queue = owned.use(new VerificationQueue(now));
    const common = { queue, observe, now, wallClock: Date.now };
    // What is behind a route is unknown to the world above it, which would deny it.
    const world = parseTrustAnchors(trustAnchors, [
      ...insecureDomains,
      ...routes.map(({ domain }) => domain),
    ]);
    const inside = parseTrustAnchors(trustAnchors, insecureDomains);
    return (next, domain) =>
      new Validator({ next, ...common, ...domain === undefined ? world : anchorsBelow(inside, domain) });
  }

  #choose(addresses: readonly UpstreamAddress[]): Resolver {
    const { config, now } = this.#options;
    const candidates = addresses.map((address) => this.#upstreams.getOrCreate(address));
    return new Balancer({ candidates, strategy: selectionPolicy(config.strategy, now), now });
  }
}

function ttlLimits({ minTtl, maxTtl }: Config): TtlLimits {
  return { minTtl: minTtl / 1000, maxTtl: maxTtl / 1000 };
}

/** What is cached that would be answered otherwise now, by others or under other conditions. */
function staleEntries(before: Config, now: Config): FlushSelection[] {
  const isSafer = before.opportunistic && !now.opportunistic;
  if (isSafer || rebinding(before) !== rebinding(now) || validationOf(before) !== validationOf(now)) {
    return ["all"];
  }
  const [old, current] = [before, now].map(({ routes }) =>
    new Map(routes.map(({ domain, upstreams }) => [domain, upstreams.map(({ label }) => label).join()]))
  ) as [Map<string, string>, Map<string, string>];
  const domains = new Set([...old.keys(), ...current.keys()]);
  return [...domains].filter((domain) => old.get(domain) !== current.get(domain))
    .map((suffix) => ({ suffix }));
}

/** In one text what it depends on which answers are right: those that were saved under another are not to be given. */
function policyFingerprint(config: Config): string {
  const routes = config.routes.map(({ domain, upstreams }) => [domain, upstreams.map(({ label }) => label)]);
  return JSON.stringify([routes, config.opportunistic, rebinding(config), validationOf(config)]);
}

function validationOf({ dnssec, trustAnchors, insecureDomains }: Config): string {
  return JSON.stringify(dnssec === "validate" ? [trustAnchors, insecureDomains] : dnssec);
}

function rebinding({ policy: { rebindProtection, rebindAllow, records } }: Config): string {
  const targets = records.filter(({ type }) => type === Type.CNAME).map(({ data }) => data.toHex());
  return JSON.stringify(rebindProtection ? [rebindAllow, targets] : false);
}
