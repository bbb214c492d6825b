/** Local data by name: the names that are answered here, their records, and the rules for the names below them. */

import { Type } from "../../dns/codes.ts";
import type { Message } from "../../dns/message.ts";
import { composeRecord, QUESTION_NAME } from "../../dns/compose/local_response.ts";
import { NOT_FOUND, SuffixHashTable } from "../names/hash_table.ts";
import { questionSuffixes, SuffixHashes } from "../names/suffix_hashes.ts";

/** A record of the configuration or of a hosts file. */
export interface LocalRecord {
  /** In wire format and lower case. A first label of `*` makes it a wildcard (RFC 4592). */
  readonly name: Uint8Array;
  readonly type: number;
  /** In seconds. */
  readonly ttl: number;
  readonly data: Uint8Array;
}

/** Targets of the CNAME records among these. */
export function aliasTargets(records: readonly LocalRecord[]): Uint8Array[] {
  return records.filter(({ type }) => type === Type.CNAME).map(({ data }) => data);
}

/**
 * The answer for an unknown name below this one: "denied" is NXDOMAIN, "empty" NODATA, "same" the answer for this name,
 * and "forwarded" the answer of the upstream. "absent" is NXDOMAIN, also for this name itself.
 */
export type SubtreeRule = "denied" | "absent" | "empty" | "same" | "forwarded";

/** A name with local data, and its answers. */
export class LocalName {
  /** Whole records by type. Their owner is a pointer to the name in the question. */
  readonly records = new Map<number, Uint8Array[]>();
  /** The target of its CNAME record. */
  alias: Uint8Array | undefined;
  /** The rule for unknown names below; undefined without one. */
  below: SubtreeRule | undefined;
  /** The records of `*` directly below this name. */
  wildcard: LocalName | undefined;
  /** Whether this name itself is answered here. False if there is data only for names below it. */
  exists = false;
  /** Whether the public DNS may have another answer. */
  isPublic = false;
}

const NO_RECORDS = new LocalName();

/** The result of a search. The object is reused: it is valid until the next search. */
export interface Found {
  name: LocalName;
  /** Set if a subtree rule decides: the offset in the question of the name that has the rule. */
  zone: number | undefined;
  /** Whether names below exist, so that the name exists without records and must not be denied (RFC 8020 §2). */
  isEmpty: boolean;
}

/** All names with local data, from all sources. */
export class ZoneData {
  readonly #table = new SuffixHashTable();
  readonly #names: LocalName[] = [];
  readonly #found: Found = { name: new LocalName(), zone: undefined, isEmpty: false };
  readonly #hashes = new SuffixHashes();

  get size(): number {
    return this.#names.length;
  }

  add({ name, type, ttl, data }: LocalRecord, isPublic = false): void {
    const isWildcard = name[0] === 1 && name[1] === 0x2a;
    const owner = this.#at(isWildcard ? name.subarray(2) : name);
    this.#addNamesAbove(name);
    const node = isWildcard ? owner.wildcard ??= new LocalName() : owner;
    node.exists = true;
    node.isPublic ||= isPublic;
    if (type === Type.CNAME) node.alias = data;
    const rrset = node.records.get(type) ?? [];
    node.records.set(type, [...rrset, composeRecord(QUESTION_NAME, type, ttl, data)]);
  }

  /** Whether the name has records of this type, or is an alias. */
  hasRecords(name: Uint8Array, type: number): boolean {
    const { low, high, count } = this.#hashes.read(name, 0);
    const index = this.#table.find(low[count - 1]!, high[count - 1]!);
    const node = this.#names[index];
    return node !== undefined && (node.alias !== undefined || node.records.has(type));
  }

  /** Sets the rule for the names below `name`. */
  addZone(name: Uint8Array, below: SubtreeRule, isPublic = false): void {
    const node = this.#at(name);
    node.below = below;
    node.isPublic ||= isPublic;
    node.exists ||= below !== "forwarded" && below !== "absent";
  }

  /** Finds the data for the question's name; undefined if the upstream answers it. */
  find(message: Message): Found | undefined {
    return this.#find(questionSuffixes(message));
  }

  /** As `find`, for an uncompressed name. */
  findName(name: Uint8Array): Found | undefined {
    return this.#find(this.#hashes.read(name, 0));
  }

  /** Searches from the name itself up to the top-level domain. The first name with data or a rule decides. */
  #find({ count, low, high, offsets }: SuffixHashes): Found | undefined {
    let hasCloserName = false;
    let isEmpty = false;
    for (let i = count - 1; i >= 0; i--) {
      const index = this.#table.find(low[i]!, high[i]!);
      if (index === NOT_FOUND) continue;
      const name = this.#names[index]!;
      if (i === count - 1) {
        if (name.exists) return this.#setFound(name);
        isEmpty = name.below !== "absent";
      } else if (name.wildcard && !hasCloserName) {
        // RFC 4592 §3.3.1: the wildcard belongs to the "closest encloser", the first name above that exists.
        return this.#setFound(name.wildcard);
      } else if (name.wildcard && isEmpty) {
        // RFC 4592 §2.2.2: an empty non-terminal exists, so the wildcard does not apply to it.
        return this.#setFound(NO_RECORDS);
      }
      if (name.below === "forwarded") return undefined;
      if (name.below !== undefined) return this.#setFound(name, offsets[i], isEmpty);
      hasCloserName = true;
    }
    return undefined;
  }

  /** Offset in the question of the closest name with a subtree rule; undefined without one, and for "forwarded". */
  zoneOf(message: Message): number | undefined {
    const { count, low, high, offsets } = questionSuffixes(message);
    for (let i = count - 1; i >= 0; i--) {
      const index = this.#table.find(low[i]!, high[i]!);
      const below = index === NOT_FOUND ? undefined : this.#names[index]!.below;
      if (below !== undefined) return below === "forwarded" ? undefined : offsets[i];
    }
    return undefined;
  }

  #setFound(name: LocalName, zone?: number, isEmpty = false): Found {
    this.#found.name = name;
    this.#found.zone = zone;
    this.#found.isEmpty = isEmpty;
    return this.#found;
  }

  /** Adds the names above as empty non-terminals (RFC 4592 §2.2.2). */
  #addNamesAbove(name: Uint8Array): void {
    for (let at = name[0]! + 1; name[at] !== 0; at += name[at]! + 1) this.#at(name.subarray(at));
  }

  #at(name: Uint8Array): LocalName {
    const { low, high, count } = this.#hashes.read(name, 0);
    const index = this.#table.find(low[count - 1]!, high[count - 1]!);
    if (index !== NOT_FOUND) return this.#names[index]!;
    this.#table.put(low[count - 1]!, high[count - 1]!, this.#names.length);
    const node = new LocalName();
    this.#names.push(node);
    return node;
  }
}
