import { parse } from "tldts";
import { Type } from "./dns/codes.ts";
import { nameToString } from "./dns/name.ts";
import type { UsageError } from "./core/errors.ts";
import { FileWatch } from "./platform/file_watch.ts";
import { Admission } from "./frontend/answer/admission.ts";
import {
  checkInputFile,
  checkInputFileLater,
  readInputFileLater,
  readTextFile,
  unreadable,
} from "./platform/read_file.ts";
import { parseNetwork } from "./net/ip_network.ts";
import type { Observe } from "./core/event.ts";
import type { PolicyConfig } from "./config/policy_config.ts";
import { PRIVATE_NETWORKS } from "./config/options.ts";
import { AnyFilter } from "./resolver/filter/any_filter.ts";
import { BlockFilter, type Lists } from "./resolver/blocklist/block_filter.ts";
import { DomainSet } from "./resolver/names/domain_set.ts";
import { type Hosts, parseHosts } from "./resolver/local/hosts_file.ts";
import { type ListFile, readLists } from "./resolver/blocklist/list_loader.ts";
import { LocalData } from "./resolver/local/local_data.ts";
import { type LocalRecord, ZoneData } from "./resolver/local/zone_data.ts";
import { OtherClasses } from "./resolver/filter/other_classes.ts";
import { RebindingFilter } from "./resolver/filter/rebinding_filter.ts";
import type { Resolver } from "./core/resolver.ts";
import { addCanaryNames, addSpecialNames, isSpecial } from "./resolver/local/special_use_names.ts";
import { TypeFilter } from "./resolver/filter/type_filter.ts";

/** Where no name of a stranger should lead: private networks, and others that no host of the public Internet is in. */
const INSIDE = [
  ...PRIVATE_NETWORKS,
  ...[
    "0.0.0.0/8", // "this host" (RFC 1122 §3.2.1.3)
    "100.64.0.0/10", // shared address space (RFC 6598)
    "192.0.0.0/29", // between a network and its translator (RFC 7335)
    "198.18.0.0/15", // tests within a network (RFC 2544)
    "224.0.0.0/4", // multicast (RFC 5771)
    "240.0.0.0/4", // reserved, and broadcast (RFC 1112 §4, RFC 919 §7)
    "::", // unspecified (RFC 4291 §2.5.2)
    "fec0::/10", // site-local (RFC 3879)
    "ff00::/8", // multicast (RFC 4291 §2.7)
  ].map(parseNetwork),
];

export interface PolicyChainOptions {
  readonly config: PolicyConfig;
  /** The domains that have upstreams of their own, in lower case. */
  readonly routes: readonly string[];
  /** Whether queries are being answered by others while lists are read for the first time. */
  readonly unhurried?: boolean;
  /** Called when from now on other names are answered here. */
  readonly onChange: () => void;
  readonly observe: Observe;
}

/**
 * The composition of who may ask, how much, and what is answered here. In the order of the chain: classes, ANY, local names,
 * block lists, filtered types, then cache and routes, and behind them, for what comes from strangers, protection against
 * rebinding. What the operator has said of a name comes before what he has said of names in general.
 */
export class PolicyChain implements Disposable {
  readonly admission: Admission;
  readonly #options: PolicyChainOptions;
  #local: LocalData | undefined;
  #blockList: BlockFilter | undefined;
  readonly #watch: FileWatch | undefined;
  #loaded: Promise<void> = Promise.resolve();
  /** Files that are empty, which is no news of them. */
  #empty: ReadonlySet<string> = new Set();
  /** One after the other, so that the last one wins. */
  #reloading: Promise<void> = Promise.resolve();

  /** Throws `UsageError` if a file cannot be read. */
  constructor(options: PolicyChainOptions) {
    this.#options = options;
    const { config } = options;
    const { allow, deny, rateLimit: rate, rateLimitExempt: exempt } = config;
    const denied = config.denyAnswer === "refused" ? "refuse" : "ignore";
    this.admission = new Admission({ allow, deny, denied, rate, exempt });
    if (!options.unhurried) config.lists.forEach(checkList);
    const paths = [...config.hosts, ...config.lists.map(({ path }) => path)];
    if (paths.length > 0) {
      this.#watch = new FileWatch(paths, () => void this.reload(), (path) => {
        this.#complain(new Error(`cannot look at ${path}: its file system does not answer`));
      });
    }
  }

  /** What stands before the cache. */
  before(next: Resolver): Resolver {
    const { config, unhurried = false } = this.#options;
    const { lists, blockAnswer, filterTypes, filterSigned, hosts } = config;
    let first = next;
    if (filterTypes.length > 0) first = new TypeFilter(filterTypes, filterSigned, first);
    if (lists.length > 0) first = this.#blockList = new BlockFilter(blockAnswer, first);
    // On a reload they are read beside the traffic: the answers before the change go on until then.
    const names = this.#localNames(unhurried ? [] : this.#readHosts());
    // Hosts files that are empty now may be filled later.
    if (names.size > 0 || hosts.length > 0) first = this.#local = new LocalData(names, first);
    this.#loaded = this.#load();
    this.#loaded.catch(() => {}); // it is told to who waits for it
    return new OtherClasses(new AnyFilter(first), next);
  }

  /** What stands before the upstreams that no route leads to. */
  behind(next: Resolver): Resolver {
    const { rebindProtection, rebindAllow, records } = this.#options.config;
    // Who makes a name an alias for another one trusts that one.
    const targets = records.filter(({ type }) => type === Type.CNAME).map(({ data }) => data);
    return rebindProtection ? new RebindingFilter(INSIDE, new DomainSet(rebindAllow, targets), next) : next;
  }

  /**
   * Resolves when the lists have been read for the first time, or cannot be; where others answer queries meanwhile, it
   * rejects with `UsageError` then, since those had better go on.
   */
  get loaded(): Promise<void> {
    return this.#loaded;
  }

  /** Reads all files again, beside the traffic. Where one cannot be read, all stays as it is and an event says so. */
  reload(): Promise<void> {
    return this.#reloading = this.#reloading.then(() => this.#reload());
  }

  [Symbol.dispose](): void {
    this.#watch?.[Symbol.dispose]();
  }

  async #load(): Promise<void> {
    const { unhurried = false, config: { hosts }, onChange } = this.#options;
    this.#empty = await checkListFiles(this.#options.config, "all").catch(() => new Set<string>());
    if (unhurried && hosts.length > 0) this.#local!.names = this.#localNames(await this.#readHostsLater());
    if (!this.#blockList) return;
    try {
      this.#blockList.lists = await this.#readLists(unhurried);
      onChange();
    } catch (error) {
      if (unhurried) throw error;
      this.#complain(error);
      this.#blockList.waitNoMore();
    }
  }

  async #reload(): Promise<void> {
    try {
      await this.#loaded;
      const empty = await checkListFiles(this.#options.config, this.#empty);
      const names = this.#local && this.#localNames(await this.#readHostsLater());
      if (this.#blockList) this.#blockList.lists = await this.#readLists(true);
      if (this.#local && names) this.#local.names = names;
      this.#empty = empty;
      this.#options.onChange();
    } catch (error) {
      this.#complain(error);
    }
  }

  #readLists(unhurried: boolean): Promise<Lists> {
    const { config: { lists }, observe } = this.#options;
    return readLists(lists, {
      unhurried,
      report: (report) => observe({ kind: "list loaded", ...report }),
      // At the start there is nothing to stay with, and one bad list is no reason to do without the others.
      ...!unhurried && { onBadList: (error: UsageError) => this.#complain(error) },
    });
  }

  #complain(error: unknown): void {
    this.#options.observe({ kind: "list reload failed", reason: (error as Error).message });
  }

  #readHosts(): Hosts[] {
    return this.#options.config.hosts.map((path) => this.#parseHosts(path, readTextFile("--hosts", path)));
  }

  async #readHostsLater(): Promise<Hosts[]> {
    const found: Hosts[] = [];
    for (const path of this.#options.config.hosts) {
      found.push(this.#parseHosts(path, await readInputFileLater("--hosts", path)));
    }
    return found;
  }

  #parseHosts(path: string, text: string): Hosts {
    const hosts = parseHosts(text);
    if (hosts.records.length === 0 && hosts.ignored > 0) {
      throw unreadable("--hosts", path, new Error("no line of it can be understood"));
    }
    const names = new Set(hosts.records.map(({ name }) => String(name))).size;
    this.#options.observe({ kind: "list loaded", label: path, names, ignored: hosts.ignored });
    return hosts;
  }

  /** What the configuration says of a name hides what files say of it. */
  #localNames(hosts: readonly Hosts[]): ZoneData {
    const { config: { records, specialNames, canaryNames }, routes } = this.#options;
    const names = new ZoneData();
    const configured = new Set(records.map(({ name }) => String(name)));
    const found = hosts.flatMap(({ records }) => records).filter(({ name }) => !configured.has(String(name)));
    for (const record of [...records, ...found]) names.add(record, isPublic(record));
    if (specialNames === "local") addSpecialNames(names, routes);
    if (canaryNames === "nxdomain") addCanaryNames(names, routes);
    return names;
  }
}

/** Whether the rest of the world may have another answer: the name is below a domain that is for all to register in. */
function isPublic({ name }: LocalRecord): boolean {
  const text = nameToString(name, 0).replace(/\.$/, "");
  return parse(text).isIcann === true && !isSpecial(text);
}

function checkList(list: ListFile): void {
  checkInputFile(sourceOf(list), list.path);
}

/**
 * Looks at lists and hosts files before they are read, and resolves with those that are empty. Rejects with `UsageError`
 * for one that is not there, whose file system does not answer, or that is empty and may not be: a download that has
 * failed, where answers depend on what was there before.
 */
export async function checkListFiles(
  { lists, hosts }: PolicyConfig,
  mayBeEmpty: ReadonlySet<string> | "all",
): Promise<Set<string>> {
  const empty = new Set<string>();
  const check = async (source: string, path: string, always = false) => {
    const isExpected = always || mayBeEmpty === "all" || mayBeEmpty.has(path);
    if (await checkInputFileLater(source, path, { mayBeEmpty: isExpected }) === 0) empty.add(path);
  };
  for (const list of lists) await check(sourceOf(list), list.path, list.allows);
  for (const path of hosts) await check("--hosts", path);
  return empty;
}

function sourceOf({ allows }: ListFile): string {
  return allows ? "--unblock" : "--block";
}
