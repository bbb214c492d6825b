/** Cacheability of responses: whether, for how long, and the facts about records that the store keeps. */

import { Flag, HEADER_BYTES, HeaderField } from "../../dns/header.ts";
import { readUint16 } from "../../dns/bytes.ts";
import { Class, EdnsOption, Rcode, Type } from "../../dns/codes.ts";
import { FormatError } from "../../dns/format_error.ts";
import { Message } from "../../dns/message.ts";
import { equalNames, POINTER, skipPlainName } from "../../dns/name.ts";
import { readTtl, RecordCursor, soaMinimum, writeTtl } from "../../dns/records.ts";

/** Bounds of TTLs, in seconds. */
export interface TtlLimits {
  /** Shorter TTLs of data are raised to this. */
  readonly minTtl: number;
  readonly maxTtl: number;
}

/** RFC 2308 §5: "values of one to three hours have been found to work well". */
const MAX_NEGATIVE_SECONDS = 3 * 3600;
/** Longer sets of addresses, and sets behind more records, do not rotate: an entry has eight bits for each of the two. */
const MAX_ROTATED = 255;
/** A record takes at least eleven bytes. */
const MAX_RECORDS = 65_535 / 11 | 0;

/** The assessment of one response. An object is used again for each response, and its fields describe the last one. */
export class Cacheability {
  /** How long the response may be cached; 0 if not at all. */
  lifetimeSeconds = 0;
  /** Whether the response denies the name, for all types (RFC 2308 §5). */
  deniesName = false;
  /** Whether it also denies all names below: "there is nothing underneath" (RFC 8020 §2). */
  isNxdomainCut = false;
  /** Addresses that rotate: the index of the first one, and their number; 0 if none do. They follow one another. */
  firstRotating = 0;
  rotating = 0;
  /** Whether the query had DO and the response has no signatures. Then it answers queries without DO as well. */
  isForBoth = false;
  /** Whether a record's owner repeats the name in the question, uncompressed. A client expects it in the case of its query. */
  spellsOut = false;
  /** Number of records before the OPT record. */
  count = 0;
  /** Per record: offset of its TTL in bytes from the end of the question, and the TTL to store, in seconds. */
  readonly offsets = new Uint16Array(MAX_RECORDS);
  readonly ttls = new Uint32Array(MAX_RECORDS);
  readonly #limits: TtlLimits;
  #isData = false;
  #hasSoa = false;
  #hasProofs = false;
  #hasOther = false;
  #isSigned = false;
  /** Offset of the first address record, its index, and the index behind the last one. */
  #firstAddressAt = 0;
  #firstAddress = 0;
  #addressesEnd = 0;

  constructor(limits: TtlLimits) {
    this.#limits = limits;
  }

  /** Assesses a response. Throws `FormatError` if it is malformed. */
  assess(response: Message, wantsProofs: boolean): this {
    this.deniesName = this.isNxdomainCut = false;
    this.#walk(response);
    this.isForBoth = wantsProofs && !this.#isSigned;
    const isNegative = !this.#isData;
    this.#limitTtls(isNegative);
    // RFC 2308 §5: "negative responses without SOA records SHOULD NOT be cached".
    if (!isCacheable(response) || isNegative && !this.#hasSoa) this.lifetimeSeconds = 0;
    else if (response.rcode === Rcode.NXDOMAIN) this.#assessDenial(response, wantsProofs);
    return this;
  }

  /**
   * The assessed response as all clients get it: with the TTLs of the entry, and without AA, which only an authoritative
   * server sets (RFC 1035 §4.1.1). Makes a copy only if something differs. TTLs stay if a compression pointer leads into one.
   */
  normalize(response: Message): Message {
    const { bytes, questionEnd, flags } = response;
    let copy: Uint8Array | undefined;
    const count = response.pointersLeadToNames ? this.count : 0;
    for (let i = 0; i < count; i++) {
      const at = questionEnd + this.offsets[i]!;
      const ttl = this.ttls[i]!;
      if (readUint16(bytes, at) === ttl >>> 16 && readUint16(bytes, at + 2) === (ttl & 0xffff)) continue;
      copy ??= bytes.slice();
      writeTtl(copy, at, ttl);
    }
    if (flags & Flag.AA) {
      copy ??= bytes.slice();
      copy[HeaderField.FLAGS]! &= ~(Flag.AA >> 8);
    }
    return copy ? Message.parse(copy) : response;
  }

  #walk(response: Message): void {
    const { bytes, questionEnd, recordsEnd, type } = response;
    this.count = 0;
    this.#hasSoa = this.#hasProofs = this.#hasOther = false;
    this.#isData =
      this.#isSigned =
      this.spellsOut =
        false;
    const { rcode } = response;
    const size = type === Type.A ? 4 : type === Type.AAAA ? 16 : 0;
    let addresses = 0;
    const cursor = new RecordCursor(bytes, questionEnd);
    while (cursor.next() && cursor.start < recordsEnd) {
      const at = cursor.fixed + 4;
      let ttl = readTtl(bytes, at);
      this.#isSigned ||= isProof(cursor.type);
      this.spellsOut ||= isLabel(bytes[cursor.start]!) && equalNames(bytes, cursor.start, HEADER_BYTES);
      if (cursor.section === "answer") {
        this.#isData ||= isData(rcode, cursor.type, type);
        if (size > 0 && cursor.type === type && addresses >= 0) {
          addresses = this.#isNextAddress(bytes, cursor, size, addresses) ? addresses + 1 : -1;
        }
      } else if (cursor.section === "authority") {
        if (cursor.type === Type.SOA) ttl = Math.min(ttl, soaMinimum(bytes, cursor.data, cursor.end));
        this.#noteAuthority(cursor.type);
      } else {
        this.#hasOther = true;
      }
      this.offsets[this.count] = at - questionEnd;
      this.ttls[this.count++] = ttl;
    }
    const rotates = addresses > 1 && addresses <= MAX_ROTATED && this.#firstAddress <= MAX_ROTATED;
    this.firstRotating = rotates ? this.#firstAddress : 0;
    this.rotating = rotates ? addresses : 0;
  }

  /** Whether the address directly follows the `before` earlier addresses of the same set. */
  #isNextAddress(bytes: Uint8Array, cursor: RecordCursor, size: number, before: number): boolean {
    if (cursor.end - cursor.data !== size || cursor.class !== Class.IN) return false;
    if (before === 0) {
      this.#firstAddressAt = cursor.start;
      this.#firstAddress = this.count;
    } else if (this.#addressesEnd !== this.count || !equalNames(bytes, cursor.start, this.#firstAddressAt)) {
      return false;
    }
    this.#addressesEnd = this.count + 1;
    return true;
  }

  #noteAuthority(type: number): void {
    if (type === Type.SOA) this.#hasSoa = true;
    else if (type === Type.NSEC || type === Type.NSEC3) this.#hasProofs = true;
    else if (type !== Type.RRSIG) this.#hasOther = true;
  }

  /** Limits the TTLs. The shortest one is the lifetime; zero means "only for the transaction in progress". */
  #limitTtls(isNegative: boolean): void {
    const { minTtl, maxTtl } = this.#limits;
    const least = isNegative ? 0 : minTtl;
    const most = isNegative ? Math.min(maxTtl, MAX_NEGATIVE_SECONDS) : maxTtl;
    let lifetime = this.count === 0 ? 0 : most;
    for (let i = 0; i < this.count; i++) {
      // Zero stays zero, whatever the minimum (RFC 1035 §3.2.1).
      if (this.ttls[i] !== 0) this.ttls[i] = Math.min(Math.max(this.ttls[i]!, least), most);
      lifetime = Math.min(lifetime, this.ttls[i]!);
    }
    this.lifetimeSeconds = lifetime;
  }

  /**
   * An NXDOMAIN behind a CNAME denies the target of the alias, not the name in the question (RFC 6604 §3). A cut counts only
   * from an upstream that validates (RFC 8020 §7). With DO it counts only with its proofs.
   */
  #assessDenial(response: Message, wantsProofs: boolean): void {
    this.deniesName = response.answerCount === 0;
    const isValidated = (response.flags & Flag.AD) !== 0;
    this.isNxdomainCut = this.deniesName && isValidated && !this.#hasOther &&
      (this.#hasProofs || !wantsProofs) &&
      hasPlainProofs(response);
  }
}

/** Offset of the signer's name in the data of an RRSIG record (RFC 4034 §3.1). */
const RRSIG_SIGNER = 18;

/**
 * Whether the names in the proofs of a denial are uncompressed, as they "MUST" be (RFC 4034 §3.1.7, §4.1.1). In an answer to a
 * longer question, a pointer there would lead to another name.
 */
function hasPlainProofs({ bytes, questionEnd, recordsEnd }: Message): boolean {
  const cursor = new RecordCursor(bytes, questionEnd);
  try {
    while (cursor.next() && cursor.start < recordsEnd) {
      const { type, data, end } = cursor;
      const before = type === Type.RRSIG ? RRSIG_SIGNER : type === Type.NSEC ? 0 : undefined;
      if (before !== undefined && skipPlainName(bytes, data + before) > end) return false;
    }
    return true;
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}

/** Whether a label starts with this byte. A pointer and the root, which has no case, are no labels. */
function isLabel(byte: number): boolean {
  return byte > 0 && byte < POINTER;
}

/** Whether records of this type belong only into answers to queries with DO (RFC 4035 §3.1). */
export function isProof(type: number): boolean {
  return type === Type.RRSIG || type === Type.NSEC || type === Type.NSEC3;
}

/** Whether a record of the answer section answers the question. With YXDOMAIN that is the DNAME (RFC 6672 §2.2). */
function isData(rcode: number, type: number, asked: number): boolean {
  if (rcode === Rcode.YXDOMAIN) return type === Type.DNAME;
  return rcode === Rcode.NOERROR && (type === asked || asked === Type.ANY);
}

/** Whether a response may be cached at all. A truncated one may not (RFC 2181 §9). */
function isCacheable(response: Message): boolean {
  if (!response.hasQuestion || (response.flags & Flag.TC) !== 0) return false;
  // Type 0 is reserved (RFC 6895 §3.1). The store has denials of names under it, so no answer may take its place.
  if (response.type === 0) return false;
  // Names of other classes, such as version.bind in class CH, describe the server itself and may change at any time.
  if (readUint16(response.bytes, response.questionEnd - 2) !== Class.IN) return false;
  if (!isAnswer(response)) return false;
  // The cache overwrites TTLs. A name that is read through one of them would change with it.
  if (!response.pointersLeadToNames) return false;
  // RFC 7871 §7.3.1: an answer with a SCOPE PREFIX-LENGTH is for one network's clients.
  const subnet = response.edns?.option(EdnsOption.CLIENT_SUBNET);
  return subnet === undefined || subnet.length < 4 || subnet[3] === 0;
}

/**
 * Whether a response says anything about the data: "only NOERROR and NXDOMAIN" do (RFC 8767 §4). YXDOMAIN does too, with the
 * DNAME whose substitution makes the name too long (RFC 6672 §2.2).
 */
export function isAnswer({ rcode, answerCount }: Message): boolean {
  if (rcode === Rcode.YXDOMAIN) return answerCount > 0;
  return rcode === Rcode.NOERROR || rcode === Rcode.NXDOMAIN;
}
