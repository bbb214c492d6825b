import { HEADER_BYTES } from "../../dns/header.ts";
import { readUint16 } from "../../dns/bytes.ts";
import { ExtendedError, Rcode, Type } from "../../dns/codes.ts";
import { decompressName } from "../../dns/compose/decompress.ts";
import { FormatError } from "../../dns/format_error.ts";
import type { Message } from "../../dns/message.ts";
import { skipPlainName } from "../../dns/name.ts";
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

/** What is answered for a blocked name: that there is none; an address that leads nowhere; or a refusal. */
export type BlockAnswer = "nxdomain" | "null" | "refused";

/** The lists as they are now. */
export interface Lists {
  readonly names: BlockIndex;
  /** By number. */
  readonly labels: readonly string[];
}

/** Questions that may wait for the first lists. */
const MAX_WAITING = 16_384;
/** How long a client may keep that answer, in seconds: not much longer than it takes to change a list. */
const TTL = 60;
const NULL_ADDRESSES: ReadonlyMap<number, Uint8Array> = new Map([
  [Type.A, composeRecord(QUESTION_NAME, Type.A, TTL, new Uint8Array(4))],
  [Type.AAAA, composeRecord(QUESTION_NAME, Type.AAAA, TTL, new Uint8Array(16))],
]);

/**
 * Keeps back names that are on a list, and answers whose chain of aliases leads over one that is, or whose HTTPS or SVCB
 * records lead to one: trackers hide behind names of the sites that use them. What a list lets through is not looked at
 * any further.
 */
export class BlockFilter implements Resolver {
  readonly #answer: BlockAnswer;
  readonly #next: Resolver;
  /** Undefined until the lists have been read for the first time. */
  #names: BlockIndex | undefined;
  /** Questions that have come before that. */
  #waiting = 0;
  readonly #loaded = Promise.withResolvers<void>();
  #labels: readonly string[] = [];
  /** By list. */
  #reasons: Uint8Array[] = [];

  constructor(answer: BlockAnswer, next: Resolver) {
    this.#answer = answer;
    this.#next = next;
  }

  /** From now on these count; questions that have come before the first ones waited for them. */
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

  /** No more of them than may wait for upstreams, and for the same reason. */
  #wait(query: Query): Promise<Message> {
    if (this.#waiting === MAX_WAITING) throw OVERLOADED;
    this.#waiting++;
    return this.#loaded.promise.then(() => this.resolve(query));
  }

  #inspect(query: Query, response: Message): Message {
    if (!leadsOn(response)) return response;
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

/** Where the name stands that a record leads to; undefined where it leads to none. */
function targetOf(bytes: Uint8Array, { type, data, end }: RecordCursor): number | undefined {
  if (type === Type.CNAME) return data;
  if (type !== Type.HTTPS && type !== Type.SVCB) return undefined;
  const target = data + SVC_TARGET;
  return isPlainName(bytes, target, end) ? target : undefined;
}

/** Names in the data of later types have not been checked before; those of SVCB are never compressed (RFC 9460 §2.2). */
function isPlainName(bytes: Uint8Array, offset: number, end: number): boolean {
  try {
    return skipPlainName(bytes, offset) <= end;
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}

const LEADING: ReadonlySet<number> = new Set([Type.CNAME, Type.HTTPS, Type.SVCB]);

/** Where the first answer is what was asked for, no alias comes with it (RFC 1034 §3.6.2): a glance is enough mostly. */
function leadsOn({ bytes, questionEnd }: Message): boolean {
  if (readUint16(bytes, 6) === 0) return false;
  const isOwn = readUint16(bytes, questionEnd) === (0xc000 | HEADER_BYTES);
  if (!isOwn) return true;
  const type = readUint16(bytes, questionEnd + 2);
  return LEADING.has(type) || type !== readUint16(bytes, questionEnd - 4);
}
