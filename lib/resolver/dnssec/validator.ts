/**
 * DNSSEC validation (RFC 4033 to 4035, 5155, 6840) between the filters and the upstreams of one tree of names. The folder
 * imports `dns/` and the types of its neighbors only. Deliberately absent: automatic updates of trust anchors (RFC 5011),
 * SHA-1 (RFC 9905), and validation for clients that set CD.
 *
 * A query is sent as our own with DO and CD set: the upstream answers with all proofs, and does not hide what it finds bogus.
 */
import { Class, Rcode, Type } from "../../dns/codes.ts";
import { compressOwners } from "../../dns/compose/compress.ts";
import { decompressRecord } from "../../dns/compose/decompress.ts";
import { FormatError } from "../../dns/format_error.ts";
import { Flag, HEADER_BYTES, HeaderField } from "../../dns/header.ts";
import { Message } from "../../dns/message.ts";
import { skipPlainName } from "../../dns/name.ts";
import { OPT_BYTES, writeOpt } from "../../dns/edns.ts";
import { writeUint16 } from "../../dns/bytes.ts";
import { RecordCursor } from "../../dns/records.ts";
import { composeExtendedError } from "../../dns/compose/reply.ts";
import { composeResponse } from "../../dns/compose/local_response.ts";
import { readTtl, writeTtl } from "../../dns/records.ts";
import type { Observe } from "../../core/event.ts";
import { UpstreamError } from "../../core/errors.ts";
import { isAnswer, isProof } from "../cache/cacheability.ts";
import { internalQuery } from "../../core/internal_query.ts";
import type { Query, Resolver } from "../../core/resolver.ts";
import { Chain } from "./chain.ts";
import { Judge } from "./judgment.ts";
import { WorkBudget } from "./limits.ts";
import type { TrustAnchors } from "./trust_anchors.ts";
import type { Bogus, Indeterminate, Insecure, ValidationVerdict } from "./verdict.ts";
import type { VerificationQueue } from "./verification_queue.ts";

export interface ValidatorOptions extends TrustAnchors {
  /** The upstreams. */
  readonly next: Resolver;
  readonly observe: Observe;
  readonly queue: VerificationQueue;
  /** In ms, on the clock of deadlines. */
  readonly now: () => number;
  /** In ms since 1970. */
  readonly wallClock: () => number;
}

export class Validator implements Resolver {
  readonly #options: ValidatorOptions;
  readonly #chain: Chain;

  constructor(options: ValidatorOptions) {
    this.#options = options;
    this.#chain = new Chain({
      ...options,
      ask: async (name, type, { deadline }) =>
        await options.next.resolve(internalQuery(composeQuestion(name, type), deadline)),
    });
  }

  resolve(query: Query): Message | Promise<Message> {
    const { message } = query;
    if ((message.flags & Flag.CD) !== 0 || message.class !== Class.IN) return this.#passOn(query);
    return this.#validate(query);
  }

  /** Without AD, which only our own verdict can set. */
  #passOn(query: Query): Message | Promise<Message> {
    const response = this.#options.next.resolve(query);
    return response instanceof Promise ? response.then(withoutAd) : withoutAd(response);
  }

  async #validate(query: Query): Promise<Message> {
    const response = await this.#options.next.resolve({ ...query, message: withoutChecking(query.message) });
    try {
      return await this.#answer(query, response);
    } catch (error) {
      const isMalformed = error instanceof FormatError;
      const failure = isMalformed ? malformed(query, error) : error;
      if (failure instanceof UpstreamError) {
        this.#report(query, {
          status: "indeterminate",
          code: failure.extendedError,
          reason: failure.message,
        });
      }
      throw failure;
    }
  }

  async #answer(query: Query, response: Message): Promise<Message> {
    const { message } = query; // a copy by now: see `Query`
    // Failures are no data, and a referral is for clients that recurse themselves.
    if (!isAnswer(response) || !response.hasQuestion) return withoutAd(response);
    if ((message.flags & Flag.RD) === 0 && isReferral(response)) return withoutAd(response);
    const budget = new WorkBudget(query.deadline);
    const { verdict, valid } = await new Judge(this.#chain, this.#options.queue, budget, response).judge();
    const answer = verdict.status === "secure"
      ? compose(message, response, valid)
      : verdict.status === "insecure"
      ? compose(message, response, undefined, reasonOf(verdict))
      : composeFailure(message, verdict);
    this.#report(query, verdict);
    return answer;
  }

  #report({ message, trace }: Query, verdict: ValidationVerdict): void {
    trace.dnssec = verdict.status;
    this.#options.observe({ kind: "validated", name: message.name, ...verdict });
  }
}

function malformed({ trace }: Query, cause: FormatError): UpstreamError {
  const facts = { upstream: trace.upstream ?? "", phase: "read", detail: cause.message, cause } as const;
  return new UpstreamError("malformed", facts);
}

function composeFailure(query: Message, verdict: Bogus | Indeterminate): Message {
  const extendedErrors = [composeExtendedError({ code: verdict.code, text: verdict.reason })];
  return composeResponse(query, { rcode: Rcode.SERVFAIL, authoritative: false, extendedErrors });
}

/** Our own OPT record says this, in bytes; over TLS it does not matter. */
const UDP_SIZE = 1232;

/** The query as the upstream gets it: with DO and CD. */
function withoutChecking({ bytes, questionEnd, flags }: Message): Message {
  const copy = new Uint8Array(questionEnd + OPT_BYTES);
  copy.set(bytes.subarray(0, questionEnd));
  writeUint16(copy, HeaderField.FLAGS, flags | Flag.CD);
  copy.fill(0, HeaderField.ANSWERS, HEADER_BYTES);
  writeUint16(copy, HeaderField.ADDITIONAL, 1);
  writeOpt(copy, questionEnd, UDP_SIZE, true);
  return Message.parse(copy);
}

/** A query of our own for records of the chain of trust. */
function composeQuestion(name: Uint8Array, type: number): Message {
  const bytes = new Uint8Array(HEADER_BYTES + name.length + 4);
  writeUint16(bytes, HeaderField.FLAGS, Flag.RD);
  writeUint16(bytes, HeaderField.QUESTIONS, 1);
  bytes.set(name, HEADER_BYTES);
  writeUint16(bytes, HEADER_BYTES + name.length, type);
  writeUint16(bytes, HEADER_BYTES + name.length + 2, Class.IN);
  return withoutChecking(Message.parse(bytes));
}

/** Whether a server that does not recurse names other servers (RFC 1034 §4.3.1). */
function isReferral({ bytes, questionEnd, answerCount }: Message): boolean {
  if (answerCount !== 0) return false;
  let hasServers = false;
  const cursor = new RecordCursor(bytes, questionEnd);
  while (cursor.next() && cursor.section === "authority") {
    if (cursor.type === Type.SOA) return false;
    hasServers ||= cursor.type === Type.NS;
  }
  return hasServers;
}

function withoutAd(response: Message): Message {
  if ((response.flags & Flag.AD) === 0) return response;
  const bytes = response.bytes.slice();
  bytes[HeaderField.FLAGS + 1]! &= ~Flag.AD;
  return Message.parse(bytes);
}

/**
 * The response as the client gets it: without proofs unless it has set DO (RFC 4035 §3.2.1).
 *
 * @param valid of a secure response, the records that are valid with their TTLs: others are left out of answer and
 * authority, since AD is for all of both sections (RFC 4035 §3.2.3)
 */
function compose(
  query: Message,
  response: Message,
  valid: ReadonlyMap<number, number> | undefined,
  reason?: Uint8Array,
): Message {
  const { bytes, questionEnd, recordsEnd, rcode, flags, edns } = response;
  const wantsProofs = query.edns?.dnssecOk ?? false;
  const kept = { answer: [] as Uint8Array[], authority: [] as Uint8Array[], additional: [] as Uint8Array[] };
  const cursor = new RecordCursor(bytes, questionEnd);
  for (let position = 0; cursor.next() && cursor.start < recordsEnd; position++) {
    const { section, type } = cursor;
    if (!wantsProofs && isProof(type) && type !== query.type) continue;
    const ttl = valid?.get(position);
    if (valid && ttl === undefined && section !== "additional") continue;
    const record = decompressRecord(bytes, cursor);
    const ttlAt = skipPlainName(record, 0) + 4;
    if (ttl !== undefined) writeTtl(record, ttlAt, Math.min(ttl, readTtl(record, ttlAt)));
    kept[section].push(record);
  }
  const { answer: answers, authority, additional } = kept;
  compressOwners(query, [answers, authority, additional]);
  return composeResponse(query, {
    rcode,
    authoritative: false,
    authenticated: valid !== undefined,
    truncated: (flags & Flag.TC) !== 0,
    answers,
    authority,
    additional,
    extendedErrors: [...reason ? [reason] : [], ...edns?.extendedErrors() ?? []],
  });
}

/** The extended error of an insecure answer; undefined where it needs none. */
function reasonOf({ code, reason }: Insecure): Uint8Array | undefined {
  return code === undefined ? undefined : composeExtendedError({ code, text: reason });
}
