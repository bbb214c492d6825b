import { Type } from "../../dns/codes.ts";
import type { Message } from "../../dns/message.ts";
import { composeRecord, QUESTION_NAME } from "../../dns/compose/local_response.ts";
import { NOTHING, SuffixHashTable } from "../names/hash_table.ts";
import { questionSuffixes, SuffixHashes } from "../names/suffix_hashes.ts";

/** A record that is answered here. */
export interface LocalRecord {
  /** Plain and in lower case; with a first label of `*`, all names below the rest that are not there themselves. */
  readonly name: Uint8Array;
  readonly type: number;
  /** In seconds. */
  readonly ttl: number;
  readonly data: Uint8Array;
}

/**
 * The answer for names below one that are not there: NXDOMAIN, NODATA, the same as for itself, or that of the upstream.
 * "absent" is NXDOMAIN for the name itself, too.
 */
export type SubtreeRule = "denied" | "absent" | "empty" | "same" | "forwarded";

/** A name that is answered here, and what there is to answer. */
export class LocalName {
  /** By type, whole records that belong to the name in the question. */
  readonly records = new Map<number, Uint8Array[]>();
  /** The target of its CNAME record. */
  alias: Uint8Array | undefined;
  /** Undefined where it says nothing of the names below. */
  below: SubtreeRule | undefined;
  /** What stands for the names below. */
  wildcard: LocalName | undefined;
  /** Whether questions for it are answered here at all. */
  exists = false;
  /** Whether it has another answer where the rest of the world asks. */
  isPublic = false;
}

const NO_RECORDS = new LocalName();

/** What the search for a name has come to: it tells of the last one that was found. */
export interface Found {
  name: LocalName;
  /** The name is not there, but below one that says so; this is where that one begins in the question. */
  zone: number | undefined;
  /** The name has no records, but there are names below it: it is not to be denied (RFC 8020 §2). */
  isEmpty: boolean;
}

/** All names that are answered here, from whatever source. */
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
  owns(name: Uint8Array, type: number): boolean {
    const { low, high, count } = this.#hashes.read(name, 0);
    const index = this.#table.find(low[count - 1]!, high[count - 1]!);
    const node = this.#names[index];
    return node !== undefined && (node.alias !== undefined || node.records.has(type));
  }

  /** Makes a name the top of what is ours, and says what is below. */
  addZone(name: Uint8Array, below: SubtreeRule, isPublic = false): void {
    const node = this.#at(name);
    node.below = below;
    node.isPublic ||= isPublic;
    node.exists ||= below !== "forwarded" && below !== "absent";
  }

  /** What there is for the name that a message asks for; undefined where it is not answered here. */
  find(message: Message): Found | undefined {
    return this.#find(questionSuffixes(message));
  }

  /** The same for a plain name. */
  findName(name: Uint8Array): Found | undefined {
    return this.#find(this.#hashes.read(name, 0));
  }

  /** From the name itself to what it is below: the first that says something of it decides. */
  #find({ count, low, high, offsets }: SuffixHashes): Found | undefined {
    let isBelowKnown = false;
    let isEmpty = false;
    for (let i = count - 1; i >= 0; i--) {
      const index = this.#table.find(low[i]!, high[i]!);
      if (index === NOTHING) continue;
      const name = this.#names[index]!;
      if (i === count - 1) {
        if (name.exists) return this.#say(name);
        isEmpty = name.below !== "absent";
      } else if (name.wildcard && !isBelowKnown) {
        // RFC 4592 §3.3.1: the wildcard is that of the "closest encloser", the first name above that exists.
        return this.#say(name.wildcard);
      } else if (name.wildcard && isEmpty) {
        // RFC 4592 §2.2.2: a name that has only names below exists, and so the wildcard does not stand for it.
        return this.#say(NO_RECORDS);
      }
      if (name.below === "forwarded") return undefined;
      if (name.below !== undefined) return this.#say(name, offsets[i], isEmpty);
      isBelowKnown = true;
    }
    return undefined;
  }

  /** Where the local zone that a name is in begins in the question; undefined where it is in none. */
  zoneOf(message: Message): number | undefined {
    const { count, low, high, offsets } = questionSuffixes(message);
    for (let i = count - 1; i >= 0; i--) {
      const index = this.#table.find(low[i]!, high[i]!);
      const below = index === NOTHING ? undefined : this.#names[index]!.below;
      if (below !== undefined) return below === "forwarded" ? undefined : offsets[i];
    }
    return undefined;
  }

  #say(name: LocalName, zone?: number, isEmpty = false): Found {
    this.#found.name = name;
    this.#found.zone = zone;
    this.#found.isEmpty = isEmpty;
    return this.#found;
  }

  /** They are there from now on, if without records (RFC 4592 §2.2.2). */
  #addNamesAbove(name: Uint8Array): void {
    for (let at = name[0]! + 1; name[at] !== 0; at += name[at]! + 1) this.#at(name.subarray(at));
  }

  #at(name: Uint8Array): LocalName {
    const { low, high, count } = this.#hashes.read(name, 0);
    const index = this.#table.find(low[count - 1]!, high[count - 1]!);
    if (index !== NOTHING) return this.#names[index]!;
    this.#table.put(low[count - 1]!, high[count - 1]!, this.#names.length);
    const node = new LocalName();
    this.#names.push(node);
    return node;
  }
}
