import { Flag, HEADER_BYTES } from "../../dns/header.ts";
import { readUint16 } from "../../dns/bytes.ts";
import { Class, EdnsOption, Rcode, Type } from "../../dns/codes.ts";
import { FormatError } from "../../dns/format_error.ts";
import { Message } from "../../dns/message.ts";
import { equalNames, skipPlainName } from "../../dns/name.ts";
import { readTtl, RecordCursor, soaMinimum, writeTtl } from "../../dns/records.ts";

/** In seconds. */
export interface TtlLimits {
  /** What a shorter TTL of data is raised to. */
  readonly minTtl: number;
  readonly maxTtl: number;
}

/** RFC 2308 §5: "values of one to three hours have been found to work well". In seconds. */
const MAX_NEGATIVE = 3 * 3600;
/** A set with more addresses than this keeps its order: to change it would cost more than it is worth. */
const MAX_ROTATED = 256;
/** A record takes eleven octets at least. */
const MOST_RECORDS = 65_535 / 11 | 0;

/**
 * What of a response may be kept, and for how long. Whoever holds one uses it again and again; it tells of the last
 * response that it was asked about.
 */
export class Cacheability {
  /** How long to keep it, in seconds; 0 if not at all. */
  lifetime = 0;
  /** Whether it denies the name, whatever the type (RFC 2308 §5). */
  deniesName = false;
  /** Whether it denies all names below, too: "there is nothing underneath" (RFC 8020 §2). */
  isNxdomainCut = false;
  /** Whether it has a set of addresses, one behind the other, whose order does not matter. */
  rotates = false;
  /** Whether it was asked for with DO and has no signatures, so that it is the answer without DO, too. */
  isForBoth = false;
  /** Whether a record's owner is the name in the question, spelled out: it should be as each client writes it. */
  spellsOut = false;
  /** How many records it has before its OPT record. */
  count = 0;
  /** By record: where its TTL stands, in octets behind the question, and what it shall say. */
  readonly offsets = new Uint16Array(MOST_RECORDS);
  readonly ttls = new Uint32Array(MOST_RECORDS);
  readonly #limits: TtlLimits;
  #isData = false;
  #hasSoa = false;
  #hasProofs = false;
  #hasOther = false;
  #isSigned = false;
  /** Where the first address begins, and the index of the record behind the last one. */
  #firstAddress = 0;
  #addressesEnd = 0;

  constructor(limits: TtlLimits) {
    this.#limits = limits;
  }

  /** Looks at a response. Throws `FormatError` where the response is malformed. */
  assess(response: Message, wantsProofs: boolean): this {
    this.deniesName = this.isNxdomainCut = false;
    this.#walk(response);
    this.isForBoth = wantsProofs && !this.#isSigned;
    const isNegative = !this.#isData;
    this.#limit(isNegative);
    // RFC 2308 §5: "negative responses without SOA records SHOULD NOT be cached".
    if (!isKept(response) || isNegative && !this.#hasSoa) this.lifetime = 0;
    else if (response.rcode === Rcode.NXDOMAIN) this.#deny(response, wantsProofs);
    return this;
  }

  /**
   * The response that was appraised, as clients get it from the first one on: with the TTLs that it is kept with, and
   * without AA, which is for whoever the zone is of (RFC 1035 §4.1.1). A copy only where something differs. TTLs stay as
   * they are where a name can be read through one of them.
   */
  adopt(response: Message): Message {
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
      copy[2] = copy[2]! & ~(Flag.AA >> 8);
    }
    return copy ? Message.parse(copy) : response;
  }

  #walk(response: Message): void {
    const { bytes, questionEnd, recordsEnd, type } = response;
    this.count = 0;
    this.#hasSoa = this.#hasProofs = this.#hasOther = false;
    this.#isData =
      this.#isSigned =
      this.rotates =
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
    this.rotates = addresses > 1 && addresses <= MAX_ROTATED;
  }

  /** Whether the address stands right behind those of its set that came before. */
  #isNextAddress(bytes: Uint8Array, cursor: RecordCursor, size: number, before: number): boolean {
    if (cursor.end - cursor.data !== size || cursor.class !== Class.IN) return false;
    if (before === 0) this.#firstAddress = cursor.start;
    else if (this.#addressesEnd !== this.count || !equalNames(bytes, cursor.start, this.#firstAddress)) {
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

  /** An answer is as good as its shortest-lived record; zero means "only for the transaction in progress". */
  #limit(isNegative: boolean): void {
    const { minTtl, maxTtl } = this.#limits;
    const least = isNegative ? 0 : minTtl;
    const most = isNegative ? Math.min(maxTtl, MAX_NEGATIVE) : maxTtl;
    let lifetime = this.count === 0 ? 0 : most;
    for (let i = 0; i < this.count; i++) {
      // Zero stays zero, whatever the limits (RFC 1035 §3.2.1).
      if (this.ttls[i] !== 0) this.ttls[i] = Math.min(Math.max(this.ttls[i]!, least), most);
      lifetime = Math.min(lifetime, this.ttls[i]!);
    }
    this.lifetime = lifetime;
  }

  /**
   * With a CNAME before it, it is the alias's target that does not exist, not the name asked for (RFC 6604 §3). A cut is
   * believed from who validates only (RFC 8020 §7), and passes for an answer to DO only with its proofs.
   */
  #deny(response: Message, wantsProofs: boolean): void {
    this.deniesName = readUint16(response.bytes, 6) === 0;
    const isValidated = (response.flags & Flag.AD) !== 0;
    this.isNxdomainCut = this.deniesName && isValidated && !this.#hasOther &&
      (this.#hasProofs || !wantsProofs) &&
      hasPlainProofs(response);
  }
}

/** Bytes before the signer's name in the data of an RRSIG record (RFC 4034 §3.1). */
const BEFORE_SIGNER = 18;

/**
 * Whether the names in the proofs of a denial are spelled out, as they "MUST" be (RFC 4034 §3.1.7, §4.1.1). A pointer there
 * would lead elsewhere once the question is another.
 */
function hasPlainProofs({ bytes, questionEnd, recordsEnd }: Message): boolean {
  const cursor = new RecordCursor(bytes, questionEnd);
  try {
    while (cursor.next() && cursor.start < recordsEnd) {
      const { type, data, end } = cursor;
      const before = type === Type.RRSIG ? BEFORE_SIGNER : type === Type.NSEC ? 0 : undefined;
      if (before !== undefined && skipPlainName(bytes, data + before) > end) return false;
    }
    return true;
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}

/** Whether an octet begins a label: it is no pointer, and not the root, which has no case. */
function isLabel(octet: number): boolean {
  return octet > 0 && octet < 0xc0;
}

/** Whether records of a type are for queries with DO (RFC 4035 §3.1). */
export function isProof(type: number): boolean {
  return type === Type.RRSIG || type === Type.NSEC || type === Type.NSEC3;
}

/** Whether a record of the answer section is what was asked for; with YXDOMAIN that is the DNAME (RFC 6672 §2.2). */
function isData(rcode: number, type: number, asked: number): boolean {
  if (rcode === Rcode.YXDOMAIN) return type === Type.DNAME;
  return rcode === Rcode.NOERROR && (type === asked || asked === Type.ANY);
}

/** RFC 2181 §9: what is truncated must not be used. RFC 8767 §4: other RCODEs say nothing about the data. */
function isKept(response: Message): boolean {
  if (!response.hasQuestion || (response.flags & Flag.TC) !== 0) return false;
  // Reserved (RFC 6895 §3.1), and where denials are kept: what is said of it must not pass for one of the name.
  if (response.type === 0) return false;
  // A server's own names, such as version.bind in class CH, are told by the server each time.
  if (readUint16(response.bytes, response.questionEnd - 2) !== Class.IN) return false;
  if (!isAnswer(response)) return false;
  // The TTLs of what is kept are written, and a name read through one of them would change with it.
  if (!response.pointersLeadToNames) return false;
  // RFC 7871 §7.3.1: an answer with a SCOPE PREFIX-LENGTH is for one network's clients.
  const subnet = response.edns?.option(EdnsOption.CLIENT_SUBNET);
  return subnet === undefined || subnet.length < 4 || subnet[3] === 0;
}

/**
 * RFC 8767 §4: "only NOERROR and NXDOMAIN" tell something of the data. So does a DNAME whose substitution makes the name
 * too long, which comes with YXDOMAIN (RFC 6672 §2.2).
 */
export function isAnswer({ rcode, bytes }: Message): boolean {
  if (rcode === Rcode.YXDOMAIN) return readUint16(bytes, 6) > 0;
  return rcode === Rcode.NOERROR || rcode === Rcode.NXDOMAIN;
}
