/** Removes records of some types from all answers (`--filter-type`). */

import { Flag } from "../../dns/header.ts";
import { readUint16, writeUint16 } from "../../dns/bytes.ts";
import { ExtendedError, Rcode, Type, typeName } from "../../dns/codes.ts";
import { compressOwners } from "../../dns/compose/compress.ts";
import { decompressName, decompressRecord } from "../../dns/compose/decompress.ts";
import { FormatError } from "../../dns/format_error.ts";
import type { Message } from "../../dns/message.ts";
import { skipPlainName } from "../../dns/name.ts";
import { RecordCursor } from "../../dns/records.ts";
import { composeExtendedError } from "../../dns/compose/reply.ts";
import {
  composeResponse,
  composeSoa,
  composeSoaAbove,
  parentOffset,
} from "../../dns/compose/local_response.ts";
import { SvcParam, visitSvcParams } from "../../dns/svc_params.ts";
import { UpstreamError } from "../../core/errors.ts";
import type { Query, Resolver } from "../../core/resolver.ts";

/** TTL of emptied answers, in seconds. It is short, so that clients soon notice a changed configuration. */
const TTL = 60;

/**
 * Removes records of some types from all answers, such as AAAA on networks without IPv6. It also removes the matching
 * address hints of HTTPS and SVCB records, to which browsers connect. NXDOMAIN stays NXDOMAIN.
 *
 * A signed answer for a client that asked for signatures (DO) stays whole, unless `filtersSigned`. The client may validate
 * it, and validation fails without the removed records.
 */
export class TypeFilter implements Resolver {
  /** The extended error for each removed type. */
  readonly #types: ReadonlyMap<number, Uint8Array>;
  /** Keys of the parameters that are removed from SVCB and HTTPS records. */
  readonly #hints: ReadonlySet<number>;
  readonly #filtersSigned: boolean;
  readonly #next: Resolver;

  constructor(types: readonly number[], filtersSigned: boolean, next: Resolver) {
    this.#types = new Map(types.map((type) => [
      type,
      composeExtendedError({
        code: ExtendedError.FILTERED,
        text: `${typeName(type)} records are not given out here`,
      }),
    ]));
    this.#hints = new Set([
      ...types.includes(Type.A) ? [SvcParam.IPV4_HINT] : [],
      ...types.includes(Type.AAAA) ? [SvcParam.IPV6_HINT] : [],
    ]);
    this.#filtersSigned = filtersSigned;
    this.#next = next;
  }

  resolve(query: Query): Message | Promise<Message> {
    const response = this.#next.resolve(query);
    if (response instanceof Promise) return response.then((response) => this.#filter(query, response));
    return this.#filter(query, response);
  }

  #filter(query: Query, response: Message): Message {
    try {
      void response.edns; // checks all names of the message, once
      if (this.#isAffected(query.message, response)) return this.#recompose(query, response);
      // NODATA for a removed type counts as the filter's answer, whether or not records existed.
      const isNodata = response.rcode === Rcode.NOERROR && response.answerCount === 0;
      if (isNodata && this.#types.has(response.type)) query.trace.source = "filtered";
      return response;
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      const upstream = query.trace.upstream ?? "";
      throw new UpstreamError("malformed", { upstream, phase: "read", cause: error });
    }
  }

  #isAffected({ edns }: Message, response: Message): boolean {
    const leavesSigned = !this.#filtersSigned && (edns?.dnssecOk ?? false);
    const cursor = new RecordCursor(response.bytes, response.questionEnd);
    let isAffected = false;
    while (cursor.next()) {
      if (leavesSigned && cursor.type === Type.RRSIG && cursor.section !== "additional") return false;
      isAffected ||= this.#removes(response, cursor, cursor.type) || this.#hasHint(response.bytes, cursor);
    }
    return isAffected;
  }

  /** Whether records of this type are removed at the cursor. Aliases and denials stay. */
  #removes(response: Message, { section }: RecordCursor, type: number): boolean {
    if (!this.#types.has(type) || section === "authority") return false;
    return section === "additional" || type === response.type || response.type === Type.ANY;
  }

  #hasHint(bytes: Uint8Array, { type, data, end }: RecordCursor): boolean {
    if (this.#hints.size === 0 || type !== Type.HTTPS && type !== Type.SVCB) return false;
    let hasHint = false;
    visitSvcParams(bytes, data, end, (key) => hasHint ||= this.#hints.has(key));
    return hasHint;
  }

  #recompose({ message, trace }: Query, response: Message): Message {
    const { bytes } = response;
    const kept = {
      answer: [] as Uint8Array[],
      authority: [] as Uint8Array[],
      additional: [] as Uint8Array[],
    };
    const reasons = new Set<Uint8Array>();
    let alias: Uint8Array | undefined;
    let isEmptied = false;
    let hasData = false;
    const cursor = new RecordCursor(bytes, response.questionEnd);
    while (cursor.next()) {
      const { type, section, data } = cursor;
      if (type === Type.OPT) continue;
      const covered = type === Type.RRSIG ? readUint16(bytes, data) : type;
      if (this.#removes(response, cursor, covered) || this.#removes(response, cursor, type)) {
        reasons.add(this.#types.get(covered) ?? this.#types.get(type)!);
        isEmptied ||= section === "answer";
        continue;
      }
      if (section === "answer") hasData ||= !ALIASES.has(covered);
      if (section === "answer" && type === Type.CNAME) alias = decompressName(bytes, data);
      const record = decompressRecord(bytes, cursor);
      kept[section].push(this.#hasHint(bytes, cursor) ? this.#withoutHints(record, reasons) : record);
    }
    const { answer, authority, additional } = kept;
    isEmptied &&= !hasData && response.rcode === Rcode.NOERROR;
    if (isEmptied) {
      trace.source = "filtered";
      authority.splice(0, Infinity, alias ? soaAbove(alias) : composeSoaAbove(message, TTL));
    }
    compressOwners(message, [answer, authority, additional]);
    return composeResponse(message, {
      rcode: response.rcode,
      authoritative: false,
      truncated: (response.flags & Flag.TC) !== 0,
      answers: answer,
      authority,
      additional,
      extendedErrors: [...reasons, ...response.edns?.extendedErrors() ?? []],
    });
  }

  /** The uncompressed record without the address hints, which are also removed from its list of mandatory keys. */
  #withoutHints(record: Uint8Array, reasons: Set<Uint8Array>): Uint8Array {
    const data = skipPlainName(record, 0) + RECORD_FIXED_BYTES;
    const parts: Uint8Array[] = [];
    let params = record.length;
    visitSvcParams(record, data, record.length, (key, start, end) => {
      params = Math.min(params, start - PARAM_FIXED_BYTES);
      if (this.#hints.has(key)) {
        reasons.add(this.#types.get(key === SvcParam.IPV4_HINT ? Type.A : Type.AAAA)!);
        return;
      }
      parts.push(
        key === SvcParam.MANDATORY
          ? this.#mandatory(record, start, end)
          : record.subarray(start - PARAM_FIXED_BYTES, end),
      );
    });
    const length = parts.reduce((sum, part) => sum + part.length, params);
    const shorter = new Uint8Array(length);
    shorter.set(record.subarray(0, params));
    let at = params;
    for (const part of parts) {
      shorter.set(part, at);
      at += part.length;
    }
    writeUint16(shorter, data - 2, length - data);
    return shorter;
  }

  /** The list of mandatory keys without the hints; empty if no key is left (RFC 9460 §8: the list is not empty). */
  #mandatory(record: Uint8Array, start: number, end: number): Uint8Array {
    const keys: number[] = [];
    for (let at = start; at + 2 <= end; at += 2) {
      const key = readUint16(record, at);
      if (!this.#hints.has(key)) keys.push(key >> 8, key & 0xff);
    }
    return keys.length === 0
      ? new Uint8Array(0)
      : Uint8Array.of(0, SvcParam.MANDATORY, 0, keys.length, ...keys);
  }
}

/** Size of TYPE, CLASS, TTL and RDLENGTH. */
const RECORD_FIXED_BYTES = 10;
/** Size of a parameter's key and length. */
const PARAM_FIXED_BYTES = 4;
const DNAME = 39;
const ALIASES: ReadonlySet<number> = new Set([Type.CNAME, DNAME]);

function soaAbove(name: Uint8Array): Uint8Array {
  return composeSoa(name.subarray(parentOffset(name, 0)), TTL);
}
