/**
 * The chain of trust: from an anchor downwards, each zone's DS records in its parent stand for the child's keys
 * (RFC 4035 §5.2). The result is kept per name, so a name in a known zone costs no query.
 */
import { ExtendedError, Rcode, Type } from "../../dns/codes.ts";
import { FormatError } from "../../dns/format_error.ts";
import type { Message } from "../../dns/message.ts";
import { isPoor } from "../upstream_validation.ts";
import { type CanonicalName, isWithinName, nameBytes, parentName, ROOT_NAME } from "./canonical.ts";
import { DenialRecords } from "./denial/denial_records.ts";
import {
  type Delegation,
  isDelegationOf,
  isUsableAlgorithm,
  isUsableDelegation,
  parseDelegation,
  parseZoneKey,
} from "./keys.ts";
import { LIMITS, type WorkBudget } from "./limits.ts";
import { type RecordSet, recordSetsOf } from "./rrsets.ts";
import { checkSet, type SecureZone } from "./set_check.ts";
import type { TrustAnchors } from "./trust_anchors.ts";
import {
  type Bogus,
  bogus,
  canonicalText,
  describe,
  type Indeterminate,
  indeterminate,
  type Insecure,
  insecure,
} from "./verdict.ts";
import type { VerificationQueue } from "./verification_queue.ts";

/** The zone that a name is in, as far as it matters for validation. */
export type Zone = SecureZone | Insecure | Bogus | Indeterminate;

interface Found {
  readonly zone: Zone;
  /** In seconds. */
  readonly ttl: number;
}

interface Entry {
  readonly zone: Promise<Zone>;
  /** In ms; Infinity while the zone is being looked for. */
  expiresAt: number;
}

/** Names that are remembered; the oldest ones go first. */
const MAX_NAMES = 20_000;
/** A zone is looked at again after this, in seconds, whatever its TTLs: an hour. */
const MAX_TTL = 3600;
/** Lifetime of a bogus verdict in seconds: the zone may be repaired at any moment. Unbound's val-bogus-ttl is 60, too. */
const BOGUS_TTL = 60;
/** Failures are remembered for a second at least (RFC 9520 §3.2). In seconds. */
const FAILURE_TTL = 1;

export interface ChainOptions extends TrustAnchors {
  /** Sends a query of our own, with DO and CD set. Rejects with `UpstreamError`. */
  readonly ask: (name: Uint8Array, type: number, budget: WorkBudget) => Promise<Message>;
  readonly queue: VerificationQueue;
  /** In ms, on the clock of deadlines. */
  readonly now: () => number;
  /** In ms since 1970. */
  readonly wallClock: () => number;
}

export class Chain {
  readonly #options: ChainOptions;
  readonly #entries = new Map<CanonicalName, Entry>();

  constructor(options: ChainOptions) {
    this.#options = options;
  }

  /** How many names are remembered. */
  get size(): number {
    return this.#entries.size;
  }

  /** The deepest zone that the name is in or at the top of. Rejects with `UpstreamError`. */
  async zoneOf(name: CanonicalName, budget: WorkBudget): Promise<Zone> {
    const { anchors, insecure, now } = this.#options;
    // From the closest ancestor that is known or configured, downwards: no recursion, whatever the depth of the name.
    const missing: CanonicalName[] = [];
    let zone: Zone | undefined;
    for (let at = name;; at = parentName(at)) {
      const known = this.#entries.get(at);
      if (known && now() < known.expiresAt) {
        zone = await known.zone;
        break;
      }
      missing.push(at);
      if (insecure.has(at) || anchors.has(at) || at === ROOT_NAME) break;
    }
    for (const next of missing.reverse()) {
      if (zone === undefined || zone.status === "secure") zone = await this.#enter(next, zone, budget);
    }
    return zone!;
  }

  /** Seconds since 1970. */
  get time(): number {
    return Math.floor(this.#options.wallClock() / 1000);
  }

  /** Looks for a zone once for all that need it at the same time. */
  #enter(name: CanonicalName, parent: Zone | undefined, budget: WorkBudget): Promise<Zone> {
    const { now } = this.#options;
    const known = this.#entries.get(name);
    if (known && now() < known.expiresAt) return known.zone;
    const found = this.#find(name, parent, budget);
    const entry: Entry = { zone: found.then(({ zone }) => zone), expiresAt: Infinity };
    this.#entries.delete(name);
    this.#entries.set(name, entry);
    if (this.#entries.size > MAX_NAMES) this.#entries.delete(this.#entries.keys().next().value!);
    found.then(
      // The limits of one query must not make a zone bogus for all others.
      ({ ttl }) => entry.expiresAt = now() + (budget.isExhausted ? 0 : Math.min(ttl, MAX_TTL) * 1000),
      () => this.#entries.get(name) === entry && this.#entries.delete(name),
    );
    return entry.zone;
  }

  async #find(name: CanonicalName, parent: Zone | undefined, budget: WorkBudget): Promise<Found> {
    const { anchors, insecure: insecureNames } = this.#options;
    try {
      if (insecureNames.has(name)) {
        return { zone: insecure(`${canonicalText(name)} is configured as insecure`), ttl: MAX_TTL };
      }
      const anchor = anchors.get(name);
      if (anchor) return await this.#enterSigned(name, anchor, MAX_TTL, budget);
      if (parent === undefined) return { zone: insecure("no trust anchor is above the name"), ttl: MAX_TTL };
      if (parent.status !== "secure") return { zone: parent, ttl: BOGUS_TTL };
      return await this.#findDelegation(name, parent, budget);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      return failed(bogus(ExtendedError.DNSSEC_BOGUS, `${canonicalText(name)}: ${error.message}`));
    }
  }

  /** Whether the name is the top of a zone, by its DS records. */
  async #findDelegation(name: CanonicalName, parent: SecureZone, budget: WorkBudget): Promise<Found> {
    const response = await this.#ask(name, Type.DS, budget);
    if ("status" in response) return failed(response);
    const sets = recordSetsOf(response);
    const context = { queue: this.#options.queue, budget, time: this.time };
    const ds = sets.find(({ section, type, owner }) =>
      section === "answer" && type === Type.DS && owner === name
    );
    if (ds) {
      const checked = await checkSet(ds, parent, context);
      if (checked.status === "bogus") return failed(checked);
      const delegations = ds.data.map(parseDelegation).filter((each) => each !== undefined);
      return await this.#enterSigned(name, delegations, checked.ttl, budget);
    }
    // An alias, or a name below a DNAME, is no zone cut.
    for (const alias of sets) {
      const isAlias = alias.type === Type.CNAME && alias.owner === name ||
        alias.type === Type.DNAME && alias.owner !== name && isWithinName(name, alias.owner);
      if (!isAlias || alias.section !== "answer" || alias.signatures.length === 0) continue;
      const checked = await checkSet(alias, parent, context);
      return checked.status === "bogus" ? failed(checked) : { zone: parent, ttl: checked.ttl };
    }
    return await this.#denyDelegation(name, parent, sets, response, budget);
  }

  /** RFC 6840 §4.4: without DS, a name is an unsigned zone only where the proof has NS; else it is no zone cut. */
  async #denyDelegation(
    name: CanonicalName,
    parent: SecureZone,
    sets: readonly RecordSet[],
    response: Message,
    budget: WorkBudget,
  ): Promise<Found> {
    const proofs: RecordSet[] = [];
    let ttl = MAX_TTL;
    let failure: Bogus | undefined;
    for (const set of sets.filter(isDenialSet).slice(0, LIMITS.proofs)) {
      const checked = await checkSet(set, parent, { queue: this.#options.queue, budget, time: this.time });
      if (checked.status === "bogus") {
        failure ??= checked;
        continue;
      }
      proofs.push(set);
      ttl = Math.min(ttl, checked.ttl);
    }
    const records = new DenialRecords(parent.name, proofs, budget);
    const denial = records.denyType(name, Type.DS);
    if (denial.kind === "insecure") {
      return { zone: insecure(`${canonicalText(name)}: ${denial.reason}`, denial.code), ttl };
    }
    if (denial.kind === "proven") {
      const zone = denial.isDelegation
        ? insecure(`${canonicalText(name)} has no DS in ${canonicalText(parent.name)}`)
        : parent;
      return { zone, ttl };
    }
    if (response.rcode === Rcode.NXDOMAIN) {
      const absence = records.denyName(name);
      if (absence.kind === "proven") return { zone: parent, ttl };
      if (absence.kind === "insecure") {
        return { zone: insecure(`${canonicalText(name)}: ${absence.reason}`, absence.code), ttl };
      }
    }
    return failed(
      failure ?? bogus(ExtendedError.NSEC_MISSING, `${describe(name, Type.DS)}: ${denial.reason}`),
    );
  }

  /** A zone whose keys are given by DS records that are trusted. */
  async #enterSigned(
    name: CanonicalName,
    delegations: readonly Delegation[],
    dsTtl: number,
    budget: WorkBudget,
  ): Promise<Found> {
    const usable = delegations.slice(0, LIMITS.delegations).filter(isUsableDelegation);
    if (usable.length === 0) {
      const reason = `the DS records of ${canonicalText(name)} have no supported algorithm and digest`;
      const code = delegations.some(({ algorithm }) => isUsableAlgorithm(algorithm))
        ? ExtendedError.UNSUPPORTED_DS_DIGEST_TYPE
        : ExtendedError.UNSUPPORTED_DNSKEY_ALGORITHM;
      return { zone: insecure(reason, code), ttl: dsTtl };
    }
    const response = await this.#ask(name, Type.DNSKEY, budget);
    if ("status" in response) return failed(response);
    const set = recordSetsOf(response).find(({ section, type, owner }) =>
      section === "answer" && type === Type.DNSKEY && owner === name
    );
    const what = describe(name, Type.DNSKEY);
    if (!set) {
      return failed(bogus(ExtendedError.DNSKEY_MISSING, `${what}: the zone has DS records but no keys`));
    }
    const keys = set.data.slice(0, LIMITS.keys).map(parseZoneKey).filter((key) => key !== undefined);
    // A digest is computed for a few keys of each DS record's tag only.
    const entries = usable.flatMap((each) =>
      keys.filter(({ tag, algorithm }) => tag === each.tag && algorithm === each.algorithm).slice(
        0,
        LIMITS.keysPerTag,
      )
        .filter((key) => isDelegationOf(each, name, key))
    );
    if (entries.length === 0) return failed(noEntryKey(what, usable, set));
    const zone: SecureZone = { status: "secure", name, keys: entries };
    const checked = await checkSet(set, zone, { queue: this.#options.queue, budget, time: this.time });
    if (checked.status === "bogus") return failed(checked);
    return { zone: { ...zone, keys }, ttl: Math.min(dsTtl, checked.ttl) };
  }

  async #ask(name: CanonicalName, type: number, budget: WorkBudget): Promise<Message | Indeterminate> {
    const what = describe(name, type);
    if (!budget.take("chainQueries")) {
      return indeterminate(`${what}: too many queries for one chain of trust`);
    }
    const response = await this.#options.ask(nameBytes(name), type, budget);
    if (isPoor(response) || response.rcode !== Rcode.NOERROR && response.rcode !== Rcode.NXDOMAIN) {
      return indeterminate(`${what}: the upstream cannot answer`);
    }
    return response;
  }
}

/** Whether a set is part of a denial. */
export function isDenialSet({ section, type }: RecordSet): boolean {
  return section === "authority" && (type === Type.NSEC || type === Type.NSEC3);
}

function failed(zone: Bogus | Indeterminate): Found {
  return { zone, ttl: zone.status === "bogus" ? BOGUS_TTL : FAILURE_TTL };
}

/** Why no key of the set is one that a DS record stands for. */
function noEntryKey(what: string, delegations: readonly Delegation[], set: RecordSet): Bogus {
  const tags = new Set(delegations.map(({ tag }) => tag));
  const isZoneKey = (data: Uint8Array) => (data[0]! & 1) !== 0;
  if (set.data.length > 0 && !set.data.some(isZoneKey)) {
    return bogus(ExtendedError.NO_ZONE_KEY_BIT_SET, `${what}: no key has the zone key flag`);
  }
  return bogus(ExtendedError.DNSKEY_MISSING, `${what}: no key fits the DS records (${[...tags].join(", ")})`);
}
