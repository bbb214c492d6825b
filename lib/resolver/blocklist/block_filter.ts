/**
 * Blocks names by lists of names. The folder reads lists from files (`list_loader`, `list_parser`) and searches them by
 * hash (`block_index`). It has no rules for types or clients.
 */

import { HEADER_BYTES } from "../../dns/header.ts";
import { readUint16 } from "../../dns/bytes.ts";
import { ExtendedError, Rcode, Type } from "../../dns/codes.ts";
import { decompressName } from "../../dns/compose/decompress.ts";
import { FormatError } from "../../dns/format_error.ts";
import type { Message } from "../../dns/message.ts";
import { POINTER, skipPlainName } from "../../dns/name.ts";
import { RecordCursor } from "../../dns/records.ts";
import { composeExtendedError } from "../../dns/compose/reply.ts";
import {
  composeRecord,
  composeResponse,
  composeSoaAbove,
  QUESTION_NAME,
} from "../../dns/compose/local_response.ts";
import { SVC_TARGET } from "../../dns/svc_params.ts";
import { OVERLOADED } from "../singleflight.ts";
import { ALLOWED, BlockIndex, UNLISTED } from "./block_index.ts";
import type { Query, Resolver } from "../../core/resolver.ts";

/** The response for a blocked name: NXDOMAIN, the addresses 0.0.0.0 and ::, or REFUSED. */
export type BlockAnswer = "nxdomain" | "null" | "refused";

/** All lists after they are read. */
export interface Lists {
  readonly names: BlockIndex;
  /** The label of each list, by its number in the index. */
  readonly labels: readonly string[];
}

/** Maximum number of queries that wait for the lists at the start. */
const MAX_WAITING = 16_384;
/** TTL of responses for blocked names, in seconds. It is short, so that clients soon notice a changed list. */
const TTL = 60;
const NULL_ADDRESSES: ReadonlyMap<number, Uint8Array> = new Map([
  [Type.A, composeRecord(QUESTION_NAME, Type.A, TTL, new Uint8Array(4))],
  [Type.AAAA, composeRecord(QUESTION_NAME, Type.AAAA, TTL, new Uint8Array(16))],
]);

/**
 * Blocks queries for listed names. Also blocks answers with an alias or an HTTPS or SVCB target that is listed, because
 * trackers hide behind names of the sites that use them. A name on an allow list is not checked further.
 */
export class BlockFilter implements Resolver {
  readonly #answer: BlockAnswer;
  readonly #next: Resolver;
  /** Undefined until the lists are loaded. */
  #names: BlockIndex | undefined;
  /** Number of queries that wait for the lists. */
  #waiting = 0;
  readonly #loaded = Promise.withResolvers<void>();
  #labels: readonly string[] = [];
  /** The extended error of each list, by its number. */
  #reasons: Uint8Array[] = [];

  constructor(answer: BlockAnswer, next: Resolver) {
    this.#answer = answer;
    this.#next = next;
  }

  /** Replaces the lists. The first call also resumes the waiting queries. */
  set lists({ names, labels }: Lists) {
    this.#names = names;
    this.#labels = labels;
    this.#reasons = labels.map((label) =>
      composeExtendedError({ code: ExtendedError.BLOCKED, text: `blocked by the list ${label}` })
    );
    this.#loaded.resolve();
  }

  /** Lets all queries pass if the lists are not loaded yet, because they cannot be read. */
  stopWaiting(): void {
    if (!this.#names) this.lists = { names: new BlockIndex(), labels: [] };
  }

  resolve(query: Query): Message | Promise<Message> {
    if (!this.#names) return this.#wait(query);
    const list = this.#names.findQuestion(query.message);
    if (list === ALLOWED) return this.#next.resolve(query);
    if (list !== UNLISTED) return this.#block(query, list);
    const response = this.#next.resolve(query);
    if (response instanceof Promise) return response.then((response) => this.#inspect(query, response));
    return this.#inspect(query, response);
  }

  /** Delays the query until the lists are loaded. Throws `OVERLOADED` if too many queries wait already. */
  #wait(query: Query): Promise<Message> {
    if (this.#waiting === MAX_WAITING) throw OVERLOADED;
    this.#waiting++;
    return this.#loaded.promise.then(() => this.resolve(query));
  }

  #inspect(query: Query, response: Message): Message {
    if (!mayHaveTarget(response)) return response;
    const { bytes, questionEnd } = response;
    const cursor = new RecordCursor(bytes, questionEnd);
    while (cursor.next() && cursor.section === "answer") {
      const target = targetOf(bytes, cursor);
      if (target === undefined) continue;
      const list = this.#names!.findName(decompressName(bytes, target));
      if (list >= 0) return this.#block(query, list);
    }
    return response;
  }

  #block(query: Query, list: number): Message {
    const { message, trace } = query;
    trace.source = "blocked";
    trace.list = this.#labels[list]!;
    const isNull = this.#answer === "null";
    const address = isNull ? NULL_ADDRESSES.get(message.type) : undefined;
    return composeResponse(message, {
      rcode: this.#answer === "refused" ? Rcode.REFUSED : isNull ? Rcode.NOERROR : Rcode.NXDOMAIN,
      authoritative: false,
      answers: address ? [address] : [],
      authority: address || this.#answer === "refused" ? [] : [composeSoaAbove(message, TTL)],
      extendedErrors: [this.#reasons[list]!],
    });
  }
}

/** Offset of the target name of a CNAME, HTTPS or SVCB record; undefined for other records. */
function targetOf(bytes: Uint8Array, { type, data, end }: RecordCursor): number | undefined {
  if (type === Type.CNAME) return data;
  if (type !== Type.HTTPS && type !== Type.SVCB) return undefined;
  const target = data + SVC_TARGET;
  return isPlainName(bytes, target, end) ? target : undefined;
}

/** Checks a target in the data of SVCB, which the parser does not check. It is never compressed (RFC 9460 §2.2). */
function isPlainName(bytes: Uint8Array, offset: number, end: number): boolean {
  try {
    return skipPlainName(bytes, offset) <= end;
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}

const TYPES_WITH_TARGET: ReadonlySet<number> = new Set([Type.CNAME, Type.HTTPS, Type.SVCB]);

/** False if the first answer record has the question's name and type: then there is no alias (RFC 1034 §3.6.2). */
function mayHaveTarget({ bytes, questionEnd, answerCount }: Message): boolean {
  if (answerCount === 0) return false;
  const hasQuestionName = readUint16(bytes, questionEnd) === (POINTER << 8 | HEADER_BYTES);
  if (!hasQuestionName) return true;
  const type = readUint16(bytes, questionEnd + 2);
  return TYPES_WITH_TARGET.has(type) || type !== readUint16(bytes, questionEnd - 4);
}
