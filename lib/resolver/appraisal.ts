import { Flag, Option, Rcode, Type } from "../dns/codes.ts";
import type { Message } from "../dns/message.ts";
import { readUint16, RecordCursor } from "../dns/records.ts";
import { readTtl, soaMinimum } from "../dns/ttl.ts";

/** In seconds. */
export interface TtlLimits {
  /** What a shorter TTL of data is raised to. */
  readonly minTtl: number;
  readonly maxTtl: number;
}

/** RFC 2308 §5: "values of one to three hours have been found to work well". In seconds. */
const MAX_NEGATIVE = 3 * 3600;
/** A record takes eleven octets at least. */
const MOST_RECORDS = 65_535 / 11 | 0;

/**
 * What of a response may be kept, and for how long. Whoever holds one uses it again and again; it tells of the last
 * response that it was asked about.
 */
export class Appraisal {
  /** How long to keep it, in seconds; 0 if not at all. */
  lifetime = 0;
  /** Whether it denies the name, whatever the type (RFC 2308 §5). */
  deniesName = false;
  /** Whether it denies all names below, too: "there is nothing underneath" (RFC 8020 §2). */
  isCut = false;
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

  constructor(limits: TtlLimits) {
    this.#limits = limits;
  }

  /** Looks at a response whose records have been walked before, and so are well-formed. */
  appraise(response: Message, wantsProofs: boolean): this {
    this.lifetime = 0;
    this.deniesName = this.isCut = false;
    if (!isKept(response)) return this;
    this.#walk(response);
    const isNegative = !this.#isData;
    // RFC 2308 §5: "negative responses without SOA records SHOULD NOT be cached".
    if (isNegative && !this.#hasSoa) return this;
    this.#limit(isNegative);
    if (response.rcode === Rcode.NXDOMAIN) this.#deny(response, wantsProofs);
    return this;
  }

  #walk(response: Message): void {
    const { bytes, questionEnd, recordsEnd, type } = response;
    this.count = 0;
    this.#hasSoa = this.#hasProofs = this.#hasOther = false;
    this.#isData = false;
    const isNoError = response.rcode === Rcode.NOERROR;
    const cursor = new RecordCursor(bytes, questionEnd);
    while (cursor.next() && cursor.start < recordsEnd) {
      const at = cursor.fixed + 4;
      let ttl = readTtl(bytes, at);
      if (cursor.section === "answer") {
        this.#isData ||= isNoError && (cursor.type === type || type === Type.ANY);
      } else if (cursor.section === "authority") {
        if (cursor.type === Type.SOA) ttl = Math.min(ttl, soaMinimum(bytes, cursor.data, cursor.end));
        this.#noteAuthority(cursor.type);
      } else {
        this.#hasOther = true;
      }
      this.offsets[this.count] = at - questionEnd;
      this.ttls[this.count++] = ttl;
    }
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
      if (this.ttls[i] === 0) lifetime = 0; // RFC 2181 §8, whatever the limits
      this.ttls[i] = Math.min(Math.max(this.ttls[i]!, least), most);
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
    this.isCut = this.deniesName && isValidated && !this.#hasOther && (this.#hasProofs || !wantsProofs);
  }
}

/** RFC 2181 §9: what is truncated must not be used. RFC 8767 §4: other RCODEs say nothing about the data. */
function isKept(response: Message): boolean {
  if (!response.hasQuestion || (response.flags & Flag.TC) !== 0) return false;
  // Reserved (RFC 6895 §3.1), and where denials are kept: what is said of it must not pass for one of the name.
  if (response.type === 0) return false;
  const rcode = response.rcode;
  if (rcode !== Rcode.NOERROR && rcode !== Rcode.NXDOMAIN) return false;
  // RFC 7871 §7.3.1: an answer with a SCOPE PREFIX-LENGTH is for one network's clients.
  const subnet = response.edns?.option(Option.CLIENT_SUBNET);
  return subnet === undefined || subnet.length < 4 || subnet[3] === 0;
}
