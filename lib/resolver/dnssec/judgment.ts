/**
 * The verdict on one response: from the name asked for over its aliases to the data or to the proof that there is none
 * (RFC 4035 §5, RFC 5155 §8). The verdict is that of the worst step.
 */
import { ExtendedError, Rcode, rcodeName, Type } from "../../dns/codes.ts";
import { HEADER_BYTES, HeaderField } from "../../dns/header.ts";
import type { Message } from "../../dns/message.ts";
import { readUint16 } from "../../dns/bytes.ts";
import { type CanonicalName, canonicalName, isWithinName, parentName, ROOT_NAME } from "./canonical.ts";
import { type Chain, isDenialSet } from "./chain.ts";
import type { Denial } from "./denial/denial.ts";
import { DenialRecords } from "./denial/denial_records.ts";
import { LIMITS, type WorkBudget } from "./limits.ts";
import { type RecordSet, recordSetsOf } from "./rrsets.ts";
import { checkSet, type SecureZone, type ValidSet } from "./set_check.ts";
import {
  type Bogus,
  bogus,
  canonicalText,
  describe,
  type Insecure,
  insecure,
  SECURE,
  type ValidationVerdict,
} from "./verdict.ts";
import type { VerificationQueue } from "./verification_queue.ts";

/** A name has at most this many bytes (RFC 1035 §2.3.4). */
const MAX_NAME = 255;
/** Zones whose signatures over one set, or proofs in one denial, are considered. */
const MAX_SIGNERS = 2;

/** A secure response, and the part of it that the verdict covers. */
export interface Judgment {
  readonly verdict: ValidationVerdict;
  /** TTL in seconds by position of the records that were found valid; see `RecordSet.positions`. */
  readonly valid: ReadonlyMap<number, number>;
}

export class Judge {
  readonly #chain: Chain;
  readonly #queue: VerificationQueue;
  readonly #budget: WorkBudget;
  readonly #response: Message;
  readonly #sets: readonly RecordSet[];
  readonly #valid = new Map<number, number>();
  /** The first step that was insecure. */
  #insecure: Insecure | undefined;
  /** Why the first proof was not used, where its signature was the reason. */
  #proofFailure: Bogus | undefined;

  /** Throws `FormatError`. */
  constructor(chain: Chain, queue: VerificationQueue, budget: WorkBudget, response: Message) {
    this.#chain = chain;
    this.#queue = queue;
    this.#budget = budget;
    this.#response = response;
    this.#sets = recordSetsOf(response);
  }

  /** Rejects with `UpstreamError` where keys cannot be fetched, and with `FormatError` for a malformed proof. */
  async judge(): Promise<Judgment> {
    const verdict = await this.#follow(canonicalName(this.#response.bytes, HEADER_BYTES));
    return { verdict: verdict.status === "secure" && this.#insecure || verdict, valid: this.#valid };
  }

  async #follow(asked: CanonicalName): Promise<ValidationVerdict> {
    const { type, rcode } = this.#response;
    let name = asked;
    for (let aliases = 0; aliases <= LIMITS.aliases; aliases++) {
      if (type === Type.ANY || type === Type.RRSIG) return await this.#judgeAll(name);
      const data = this.#answer(name, type);
      const dname = this.#dnameAbove(name);
      const isSynthesized = dname !== undefined && type === Type.CNAME && data?.signatures.length === 0;
      if (data && !isSynthesized) {
        return rcode === Rcode.NOERROR ? await this.#judgeSet(data) : wrongRcode(name, rcode);
      }
      const alias = dname ?? this.#answer(name, Type.CNAME);
      if (!alias) return await this.#judgeDenial(name, type);
      const verdict = await this.#judgeSet(alias);
      if (verdict.status !== "secure") return verdict;
      const target = canonicalName(alias.data[0]!, 0);
      if (alias.data.length > 1) {
        return bogus(ExtendedError.DNSSEC_BOGUS, `${describe(name, alias.type)}: several aliases`);
      }
      if (dname) {
        const synthesized = name.slice(0, name.length - dname.owner.length) + target;
        // RFC 6672 §2.2.
        if (synthesized.length > MAX_NAME) return rcode === Rcode.YXDOMAIN ? SECURE : wrongRcode(name, rcode);
        if (!this.#acceptSynthesized(name, synthesized, dname.ttl)) {
          return bogus(
            ExtendedError.DNSSEC_BOGUS,
            `${describe(name, Type.CNAME)}: it does not follow from the DNAME`,
          );
        }
        if (isSynthesized) return SECURE;
        name = synthesized;
      } else {
        name = target;
      }
    }
    return bogus(ExtendedError.DNSSEC_BOGUS, `${describe(asked, type)}: too many aliases`);
  }

  #answer(name: CanonicalName, type: number): RecordSet | undefined {
    return this.#sets.find((set) => set.section === "answer" && set.type === type && set.owner === name);
  }

  /** The DNAME closest to a name below it (RFC 6672 §2.3). */
  #dnameAbove(name: CanonicalName): RecordSet | undefined {
    return this.#sets.filter(({ section, type, owner }) =>
      section === "answer" && type === Type.DNAME && owner !== name && isWithinName(name, owner)
    ).sort((one, other) => other.owner.length - one.owner.length)[0];
  }

  /** A CNAME record that is synthesized has no signature: it follows from the DNAME (RFC 6672 §5.3.1). */
  #acceptSynthesized(name: CanonicalName, target: CanonicalName, ttl: number): boolean {
    const cname = this.#answer(name, Type.CNAME);
    if (cname?.data.length !== 1 || canonicalName(cname.data[0]!, 0) !== target) return false;
    this.#accept(cname, Math.min(cname.ttl, ttl));
    return true;
  }

  /** All sets of the answer. Signatures themselves are not signed, so an answer of them alone is insecure. */
  async #judgeAll(name: CanonicalName): Promise<ValidationVerdict> {
    const { bytes, type } = this.#response;
    if (readUint16(bytes, HeaderField.ANSWERS) === 0) return await this.#judgeDenial(name, type);
    const sets = this.#sets.filter(({ section }) => section === "answer");
    if (sets.length === 0) this.#insecure ??= insecure(`${describe(name, type)}: signatures are not signed`);
    for (const set of sets) {
      const verdict = await this.#judgeSet(set);
      if (verdict.status !== "secure") return verdict;
    }
    return SECURE;
  }

  /** Whether a set is valid, or in a zone that is not signed; with the proof that goes with a wildcard. */
  async #judgeSet(set: RecordSet): Promise<ValidationVerdict> {
    let failure: ValidationVerdict | undefined;
    for (const signer of this.#signersOf([set], set.owner, set.type)) {
      const zone = await this.#chain.zoneOf(signer, this.#budget);
      if (zone.status === "indeterminate") return zone;
      if (zone.status === "bogus") failure ??= zone;
      if (zone.status !== "secure" || zone.name !== signer) continue;
      const checked = await this.#check(set, zone);
      if (checked.status === "bogus") {
        failure ??= checked;
        continue;
      }
      const { wildcard } = checked;
      if (wildcard === undefined) return this.#accept(set, checked.ttl);
      const denial = await this.#deny(zone, (records) => records.denyCloser(set.owner, wildcard));
      if (denial.kind === "unproven") {
        failure ??= bogus(ExtendedError.NSEC_MISSING, `${describe(set.owner, set.type)}: ${denial.reason}`);
        continue;
      }
      if (denial.kind === "insecure") this.#insecure ??= insecure(denial.reason, denial.code);
      return this.#accept(set, checked.ttl);
    }
    return await this.#withoutProof(
      set.owner,
      set.type,
      failure ?? bogus(
        ExtendedError.RRSIGS_MISSING,
        `${describe(set.owner, set.type)}: the zone is signed, but the record has no signature`,
      ),
    );
  }

  /** Whether the name, or records of the type there, do not exist, or the name is in a zone that is not signed. */
  async #judgeDenial(name: CanonicalName, type: number): Promise<ValidationVerdict> {
    const { rcode } = this.#response;
    if (rcode === Rcode.YXDOMAIN) return wrongRcode(name, rcode);
    const proofs = this.#sets.filter(isDenialSet);
    const isNameDenied = rcode === Rcode.NXDOMAIN;
    let failure: ValidationVerdict | undefined;
    for (const signer of this.#signersOf(proofs, name, type)) {
      const zone = await this.#chain.zoneOf(signer, this.#budget);
      if (zone.status === "indeterminate") return zone;
      if (zone.status === "bogus") failure ??= zone;
      if (zone.status !== "secure" || zone.name !== signer) continue;
      const denial = await this.#deny(
        zone,
        (records) => isNameDenied ? records.denyName(name) : records.denyType(name, type),
      );
      if (denial.kind === "unproven") {
        failure ??= this.#proofFailure ??
          bogus(ExtendedError.NSEC_MISSING, `${describe(name, type)}: ${denial.reason}`);
        continue;
      }
      if (denial.kind === "insecure") this.#insecure ??= insecure(denial.reason, denial.code);
      // The SOA record's MINIMUM decides how long the denial holds (RFC 2308 §5).
      const soa = this.#sets.find(({ section, type }) => section === "authority" && type === Type.SOA);
      if (!soa || !isWithinName(name, soa.owner)) return SECURE;
      return await this.#judgeSet(soa);
    }
    return await this.#withoutProof(
      name,
      type,
      failure ?? bogus(
        ExtendedError.NSEC_MISSING,
        `${describe(name, type)}: the zone is signed, but the denial has no proof`,
      ),
    );
  }

  /** Denials by the proofs of a zone. */
  async #deny(zone: SecureZone, prove: (records: DenialRecords) => Denial): Promise<Denial> {
    const usable: RecordSet[] = [];
    for (const set of this.#sets.filter(isDenialSet).slice(0, LIMITS.proofs)) {
      const known = set.positions[0]!;
      if (!set.signatures.some(({ signer }) => signer === zone.name)) continue;
      if (!this.#valid.has(known)) {
        const checked = await this.#check(set, zone);
        if (checked.status === "bogus") {
          this.#proofFailure ??= checked;
          continue;
        }
        this.#accept(set, checked.ttl);
      }
      usable.push(set);
    }
    return prove(new DenialRecords(zone.name, usable, this.#budget));
  }

  /** The last word where nothing was proven: an unsigned zone is insecure, and a signed one is bogus. */
  async #withoutProof(
    name: CanonicalName,
    type: number,
    failure: ValidationVerdict,
  ): Promise<ValidationVerdict> {
    // The parent of a zone has its DS records (RFC 4035 §3.1.4.1).
    const home = type === Type.DS && name !== ROOT_NAME ? parentName(name) : name;
    const zone = await this.#chain.zoneOf(home, this.#budget);
    if (zone.status === "secure") return failure;
    if (zone.status !== "insecure") return zone;
    this.#insecure ??= zone;
    return SECURE;
  }

  /** The zones whose signatures the sets have, and that may speak for the name: the deepest ones first. */
  #signersOf(sets: readonly RecordSet[], name: CanonicalName, type: number): CanonicalName[] {
    const signers = new Set(sets.flatMap(({ signatures }) => signatures.map(({ signer }) => signer)));
    const isAbove = (signer: CanonicalName) =>
      isWithinName(name, signer) && (type !== Type.DS || signer !== name || name === ROOT_NAME);
    return [...signers].filter(isAbove).sort((one, other) => other.length - one.length).slice(0, MAX_SIGNERS);
  }

  #check(set: RecordSet, zone: SecureZone): Promise<ValidSet | Bogus> {
    return checkSet(set, zone, { queue: this.#queue, budget: this.#budget, time: this.#chain.time });
  }

  #accept(set: RecordSet, ttl: number): ValidationVerdict {
    for (const position of set.positions) this.#valid.set(position, ttl);
    return SECURE;
  }
}

/** The RCODE is not signed: it has to follow from the records. */
function wrongRcode(name: CanonicalName, rcode: number): Bogus {
  return bogus(
    ExtendedError.DNSSEC_BOGUS,
    `${canonicalText(name)}: ${rcodeName(rcode)} contradicts the records`,
  );
}
