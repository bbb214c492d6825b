/**
 * The policy chain: the resolvers that apply the operator's rules to queries and answers.
 *
 *     OtherClasses ─▶ AnyFilter ─▶ LocalData ─▶ BlockFilter ─▶ TypeFilter ─▶ cache ─▶ router ─▶ RebindingFilter ─▶ upstreams
 *
 * Rules for single names come before rules for names in general. Access rules and the rate limit are not part of the
 * chain: they belong to `Admission`.
 */

import type { PolicyConfig } from "./config/policy_config.ts";
import type { UsageError } from "./core/errors.ts";
import type { Observe } from "./core/event.ts";
import type { Resolver } from "./core/resolver.ts";
import { FileWatch } from "./platform/file_watch.ts";
import { BlockFilter, type Lists } from "./resolver/blocklist/block_filter.ts";
import { checkListFiles, checkListFilesNow, readLists } from "./resolver/blocklist/list_loader.ts";
import { AnyFilter } from "./resolver/filter/any_filter.ts";
import { OtherClasses } from "./resolver/filter/other_classes.ts";
import { INTERNAL_NETWORKS, RebindingFilter } from "./resolver/filter/rebinding_filter.ts";
import { TypeFilter } from "./resolver/filter/type_filter.ts";
import type { Hosts } from "./resolver/local/hosts_file.ts";
import { LocalData } from "./resolver/local/local_data.ts";
import { composeZoneData, readHostsFiles, rereadHostsFiles } from "./resolver/local/local_sources.ts";
import { aliasTargets, type ZoneData } from "./resolver/local/zone_data.ts";
import { DomainSet } from "./resolver/names/domain_set.ts";

export interface PolicyChainOptions {
  readonly config: PolicyConfig;
  /** Domains in lower case that have upstreams of their own. */
  readonly routes: readonly string[];
  /** Whether a previous chain answers queries until this one is loaded. */
  readonly isReload?: boolean;
  /** Called after the lists or the local data have changed. */
  readonly onChange: () => void;
  readonly observe: Observe;
}

/** The part of the chain before the cache, and the files that it reads and watches. */
export class PolicyChain implements Disposable {
  /** The first resolver of the chain. */
  readonly first: Resolver;
  readonly #options: PolicyChainOptions;
  /** Undefined without local data and hosts files. */
  readonly #localData: LocalData | undefined;
  /** Undefined without lists. */
  readonly #blockFilter: BlockFilter | undefined;
  #watch: FileWatch | undefined;
  #loaded: Promise<void> = Promise.resolve();
  /** Paths of files that were empty when they were last read. Such a file may be empty again. */
  #emptyFiles: ReadonlySet<string> = new Set();
  /** The last reload. Reloads run one after another, so that the last one decides. */
  #reloading: Promise<void> = Promise.resolve();

  /**
   * Builds the chain in front of `next` and starts to read the files. `first` can be used at once: until the lists are
   * read, it delays its answers. Throws `UsageError` if a file cannot be read at the start.
   */
  static build(options: PolicyChainOptions, next: Resolver): PolicyChain {
    const { config, isReload = false, observe } = options;
    if (!isReload) checkListFilesNow(config);
    // On a reload, the hosts files are read in the background: until then the previous chain answers.
    const hosts = isReload ? [] : readHostsFiles(config.hosts, observe);
    const chain = new PolicyChain(options, zoneDataOf(options, hosts), next);
    chain.#start();
    return chain;
  }

  private constructor(options: PolicyChainOptions, zoneData: ZoneData, next: Resolver) {
    this.#options = options;
    const { config } = options;
    let first = next;
    if (config.filterTypes.length > 0) first = new TypeFilter(config.filterTypes, config.filterSigned, first);
    if (config.lists.length > 0) first = this.#blockFilter = new BlockFilter(config.blockAnswer, first);
    // An empty hosts file may have names later.
    const hasLocalData = zoneData.size > 0 || config.hosts.length > 0;
    if (hasLocalData) first = this.#localData = new LocalData(zoneData, first);
    this.first = new OtherClasses(new AnyFilter(first), next);
  }

  /**
   * Resolves when the lists have been read for the first time, or cannot be read. On a reload, rejects with `UsageError`
   * if a file cannot be read, so that the previous chain stays in force.
   */
  get loaded(): Promise<void> {
    return this.#loaded;
  }

  /** Reads all files again while queries are answered. If one cannot be read, nothing changes except an event. */
  reload(): Promise<void> {
    return this.#reloading = this.#reloading.then(() => this.#reload());
  }

  [Symbol.dispose](): void {
    this.#watch?.[Symbol.dispose]();
  }

  #start(): void {
    this.#loaded = this.#load();
    this.#loaded.catch(() => {}); // callers of `loaded` handle the rejection
    const { hosts, lists } = this.#options.config;
    const paths = [...hosts, ...lists.map(({ path }) => path)];
    if (paths.length === 0) return;
    this.#watch = new FileWatch(paths, () => void this.reload(), (path) => {
      this.#reportFailure(new Error(`cannot look at ${path}: its file system does not answer`));
    });
  }

  async #load(): Promise<void> {
    const { config, isReload = false, onChange } = this.#options;
    this.#emptyFiles = await checkListFiles(config, "all").catch(() => new Set<string>());
    if (isReload && config.hosts.length > 0) this.#localData!.zoneData = await this.#rereadZoneData();
    if (!this.#blockFilter) return;
    try {
      this.#blockFilter.lists = await this.#readLists({ yields: isReload });
      onChange();
    } catch (error) {
      if (isReload) throw error;
      this.#reportFailure(error);
      this.#blockFilter.stopWaiting();
    }
  }

  async #reload(): Promise<void> {
    const { config, onChange } = this.#options;
    try {
      await this.#loaded;
      const emptyFiles = await checkListFiles(config, this.#emptyFiles);
      const zoneData = this.#localData && await this.#rereadZoneData();
      if (this.#blockFilter) this.#blockFilter.lists = await this.#readLists({ yields: true });
      if (this.#localData && zoneData) this.#localData.zoneData = zoneData;
      this.#emptyFiles = emptyFiles;
      onChange();
    } catch (error) {
      this.#reportFailure(error);
    }
  }

  #readLists({ yields }: { readonly yields: boolean }): Promise<Lists> {
    const { config: { lists }, observe } = this.#options;
    return readLists(lists, {
      yields,
      report: (report) => observe({ kind: "list loaded", ...report }),
      // At the start there is no earlier state to keep, and the other lists still count.
      ...!yields && { onBadList: (error: UsageError) => this.#reportFailure(error) },
    });
  }

  async #rereadZoneData(): Promise<ZoneData> {
    const { config, observe } = this.#options;
    return zoneDataOf(this.#options, await rereadHostsFiles(config.hosts, observe));
  }

  #reportFailure(error: unknown): void {
    this.#options.observe({ kind: "list reload failed", reason: (error as Error).message });
  }
}

function zoneDataOf({ config, routes }: PolicyChainOptions, hosts: readonly Hosts[]): ZoneData {
  return composeZoneData(config, hosts, routes);
}

/**
 * The part of the chain behind the cache: protects against rebinding, or is `next` if the protection is off. Targets of
 * configured aliases may have internal addresses, because the operator trusts them.
 */
export function withRebindingFilter(
  { rebindProtection, rebindAllow, records }: PolicyConfig,
  next: Resolver,
): Resolver {
  if (!rebindProtection) return next;
  return new RebindingFilter(INTERNAL_NETWORKS, new DomainSet(rebindAllow, aliasTargets(records)), next);
}
