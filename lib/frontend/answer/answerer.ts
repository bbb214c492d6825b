/**
 * From the bytes of a client's message to the bytes of its reply. Both front ends use this module. It is the only place
 * where errors become DNS responses. It knows nothing of sockets and of upstreams.
 */

import { Flag, HEADER_BYTES, HeaderField, Opcode, opcodeOf } from "../../dns/header.ts";
import { readUint16 } from "../../dns/bytes.ts";
import { Class, ExtendedError, Rcode, Type } from "../../dns/codes.ts";
import { FormatError } from "../../dns/format_error.ts";
import { MAX_MESSAGE_BYTES, Message } from "../../dns/message.ts";
import { compactQuery } from "../../dns/compose/upstream_query.ts";
import { EXTENDED_ERROR_BYTES } from "../../dns/edns.ts";
import { composeRefusal } from "../../dns/compose/refusal.ts";
import {
  composeError,
  composeHeaderError,
  composeReply,
  type ExtendedErrorText,
  type ReplyOptions,
} from "../../dns/compose/reply.ts";
import { UpstreamError } from "../../core/errors.ts";
import type { DenialReason, Observe } from "../../core/event.ts";
import type { Cache } from "../../resolver/cache/cache.ts";
import type { Client, Query, Resolver, Trace } from "../../core/resolver.ts";
import type { Admission, Verdict } from "./admission.ts";
import { UdpFastPath } from "./fast_path.ts";

export interface AnswererOptions extends Omit<ReplyOptions, "transport"> {
  readonly resolver: Resolver;
  /** The cache behind `resolver`, for the fast path. */
  readonly cache?: Cache | undefined;
  /** Access rules and rate limit; undefined to admit every client. */
  readonly admission?: Admission | undefined;
  /** Time from a query to its reply, at most, in ms. */
  readonly timeout: number;
  readonly observe: Observe;
  /** Whether `observe` needs one event per query (the default). Otherwise cache hits are reported per batch. */
  readonly needsPerQueryEvents?: () => boolean;
  readonly now: () => number;
}

/** A frame to send, or undefined for no reply. */
type Reply = Uint8Array | undefined;

/** The destination of a reply. */
export interface ReplySink {
  /** Called once per query, with a frame that is valid during the call only, or with undefined for no reply. */
  reply(frame: Uint8Array | undefined): void;
}

export class Answerer {
  #options: AnswererOptions;
  #replyOptions: Readonly<Record<Client["transport"], ReplyOptions>>;
  #fastPath: UdpFastPath | undefined;

  constructor(options: AnswererOptions) {
    this.#options = options;
    this.#replyOptions = replyOptions(options);
    this.#fastPath = makeFastPath(options);
  }

  /** Applies to new queries. Pending queries keep their deadline. */
  reconfigure(options: AnswererOptions): void {
    this.#options = options;
    this.#replyOptions = replyOptions(options);
    this.#fastPath = makeFastPath(options);
  }

  /** The fast path for batches; undefined without a cache, or while each query needs an event. */
  get fastPath(): UdpFastPath | undefined {
    return this.#options.needsPerQueryEvents?.() ?? true ? undefined : this.#fastPath;
  }

  /** Whether the access rules admit this address; if not, whether its queries are refused or ignored. */
  access(address: string): "answer" | "refuse" | "ignore" {
    return this.#options.admission?.access(address) ?? "answer";
  }

  /**
   * Calls `sink.reply` exactly once for any bytes. Returns true if that has already happened, and false if the query waits
   * for a response. The caller may reuse the bytes in both cases.
   *
   * @param isAdmitted true if the caller has already checked the client's admission
   */
  answer(bytes: Uint8Array, client: Client, sink: ReplySink, isAdmitted = false): boolean {
    const now = this.#options.now();
    const message = this.#check(bytes, client, { sink, now, isAdmitted });
    return !message || this.#resolve(message, client, { sink, start: now });
  }

  /** Returns the query to resolve, or undefined after replying to anything else. The cheapest checks come first. */
  #check(
    bytes: Uint8Array,
    client: Client,
    { sink, now, isAdmitted }: { sink: ReplySink; now: number; isAdmitted: boolean },
  ): Message | undefined {
    // No reply to an incomplete header, nor to a response: two servers that replied to responses would never stop.
    const flags = bytes.length < HEADER_BYTES ? Flag.QR : readUint16(bytes, HeaderField.FLAGS);
    if (flags & Flag.QR) return void sink.reply(this.#reject(client, undefined));
    const verdict = !isAdmitted && this.#options.admission?.admit(client, now) || "answer";
    if (verdict !== "answer") return void this.deny(bytes, client, { verdict, sink });
    const message = opcodeOf(flags) === Opcode.QUERY ? parse(bytes) : undefined;
    const refusal = message ? this.#refuseUnsupported(message, client) : this.#refuseMalformed(bytes, client);
    if (!refusal) return message;
    sink.reply(refusal);
    return undefined;
  }

  /** The reply to a malformed query, or to another opcode than QUERY. */
  #refuseMalformed(bytes: Uint8Array, client: Client): Reply {
    const isQuery = opcodeOf(readUint16(bytes, HeaderField.FLAGS)) === Opcode.QUERY;
    const rcode = isQuery ? Rcode.FORMERR : Rcode.NOTIMP;
    return this.#reject(client, rcode, composeHeaderError(bytes, rcode, this.#options.udpSize));
  }

  #reject(client: Client, rcode: number | undefined, reply?: Uint8Array): Reply {
    this.#options.observe({ kind: "rejected", client, rcode });
    return reply;
  }

  /** Replies to a client that is not admitted, or drops its query. */
  deny(
    bytes: Uint8Array,
    client: Client,
    { verdict, sink }: { verdict: Exclude<Verdict, "answer">; sink: ReplySink },
  ): void {
    sink.reply(this.#denial(bytes, client, verdict));
  }

  #denial(bytes: Uint8Array, client: Client, verdict: Exclude<Verdict, "answer">): Reply {
    const denial = DENIALS[verdict];
    const { observe, udpSize } = this.#options;
    observe({ kind: "denied", client, reason: denial.reason, answered: denial.text !== undefined });
    if (denial.text === undefined) return undefined;
    const isUdp = client.transport === "udp";
    const truncated = isUdp && verdict === "truncate";
    const rcode = truncated ? Rcode.NOERROR : Rcode.REFUSED;
    const message = parse(bytes);
    if (!message) return composeHeaderError(bytes, Rcode.REFUSED, udpSize);
    const reason = { code: ExtendedError.PROHIBITED, text: denial.text };
    return composeRefusal(
      message,
      { rcode, truncated, reason, udpSize },
      isUdp ? bytes.length : MAX_MESSAGE_BYTES,
    );
  }

  /** The reply to a well-formed query that the proxy does not forward; undefined for all others. */
  #refuseUnsupported(message: Message, client: Client): Reply {
    // RFC 6891 §6.1.3.
    if (message.edns && message.edns.version > 0) return this.#refuseWith(Rcode.BADVERS, message, client);
    if (message.isSigned) return this.#refuseWith(Rcode.NOTIMP, message, client, SIGNED);
    const refusal = findRefusal(message);
    return refusal && this.#refuseWith(refusal.rcode, message, client, refusal);
  }

  #refuseWith(rcode: number, message: Message, client: Client, reason?: ExtendedErrorText): Reply {
    const options = this.#replyOptions[client.transport];
    return this.#reject(client, rcode, composeError(message, rcode, options, reason));
  }

  #resolve(message: Message, client: Client, { sink, start }: { sink: ReplySink; start: number }): boolean {
    const trace: Trace = { source: "upstream", upstream: undefined, attempts: 0 };
    const query: Query & { message: Message } = {
      message,
      client,
      deadline: start + this.#options.timeout,
      trace,
    };
    let response: Message | Promise<Message>;
    try {
      response = this.#options.resolver.resolve(query);
    } catch (error) {
      sink.reply(this.#fail(query, error, start));
      return true;
    }
    if (response instanceof Message) {
      sink.reply(this.#reply(query, response, start, this.#options.cache));
      return true;
    }
    // A pending query references neither its padding nor the buffer that it was read from.
    query.message = compactQuery(message);
    response.then(
      (response) => sink.reply(this.#reply(query, response, start)),
      (error) => sink.reply(this.#fail(query, error, start)),
    );
    return false;
  }

  /** @param cache notified of a response that is replied to at once; undefined for one that was awaited */
  #reply(query: Query, response: Message, start: number, cache?: Cache): Reply {
    try {
      const reply = composeReply(query.message, response, this.#replyOptions[query.client.transport]);
      cache?.fastPath.noteUnmodified(response);
      this.#answered(query, response.rcode, start);
      return reply;
    } catch (error) {
      return this.#fail(query, error, start);
    }
  }

  #fail(query: Query, error: unknown, start: number): Reply {
    const options = this.#replyOptions[query.client.transport];
    if (!(error instanceof UpstreamError)) {
      this.#options.observe({ kind: "internal error", error });
      return composeError(query.message, Rcode.SERVFAIL, options);
    }
    this.#answered(query, error.rcode, start, error);
    const { rcode } = error;
    const reason = { code: error.extendedError, text: error.extendedErrorText };
    if (error.failure !== "overloaded") return composeError(query.message, rcode, options, reason);
    // In a flood of forged addresses, replies must not amplify it: the extended error has no text.
    const { udpSize, transport } = options;
    const limit = transport === "udp" ? query.message.bytes.length + EXTENDED_ERROR_BYTES : MAX_MESSAGE_BYTES;
    return composeRefusal(query.message, { rcode, truncated: false, reason, udpSize }, limit);
  }

  #answered(query: Query, rcode: number, start: number, error?: UpstreamError): void {
    const milliseconds = this.#options.now() - start;
    this.#options.observe({ kind: "answered", query, rcode, milliseconds, ...error && { error } });
  }
}

function makeFastPath({ cache, ...options }: AnswererOptions): UdpFastPath | undefined {
  return cache && new UdpFastPath({ ...options, cache: cache.fastPath });
}

function replyOptions({ udpSize, keepAlive }: AnswererOptions) {
  return {
    udp: { transport: "udp", udpSize, keepAlive },
    tcp: { transport: "tcp", udpSize, keepAlive },
  } as const;
}

/**
 * RFC 8945 §5.5 requires a forwarder to pass on a signed message "unchanged". Its length would then reveal the question, and
 * it would carry the client's options and bypass the block lists. Without its signature, the client rejects the response.
 */
const SIGNED: ExtendedErrorText = {
  code: ExtendedError.NOT_SUPPORTED,
  text: "queries signed by TSIG are not forwarded",
};

/** The reason of each denial for the event, and the text of its extended error; without a text there is no reply. */
const DENIALS: Readonly<Record<Exclude<Verdict, "answer">, { reason: DenialReason; text?: string }>> = {
  refuse: { reason: "not allowed", text: "client not allowed" },
  ignore: { reason: "not allowed" },
  truncate: { reason: "rate limit", text: "rate limit exceeded" },
  drop: { reason: "rate limit" },
};

interface QuestionRefusal extends ExtendedErrorText {
  readonly rcode: number;
}

/** Why a question is not forwarded, such as a type that no record has; undefined if it is. */
function findRefusal({ type, class: qclass }: Message): QuestionRefusal | undefined {
  // Class ANY would return records of class IN that the policy for class IN blocks or replaces.
  if (qclass === 0 || qclass === Class.NONE || qclass === Class.ANY) {
    return { rcode: Rcode.REFUSED, code: ExtendedError.NOT_SUPPORTED, text: "this class is not resolved" };
  }
  switch (type) {
    case Type.ANY:
      return undefined;
    // A transfer consists of many messages, and a resolver offers none over TLS (RFC 9103 is for authoritative servers).
    case Type.AXFR:
    case Type.IXFR:
      return {
        rcode: Rcode.NOTIMP,
        code: ExtendedError.NOT_SUPPORTED,
        text: "zone transfers are not forwarded",
      };
    // RFC 1035 §3.2.3: MAILA is obsolete, and the records of MAILB are experimental.
    case Type.MAILA:
    case Type.MAILB:
      return { rcode: Rcode.NOTIMP, code: ExtendedError.NOT_SUPPORTED, text: "use the type MX" };
  }
  // Types 0 and 128 to 255 are not data types (RFC 6895 §3.1). NXNAME, 128, "MUST" get FORMERR (RFC 9824 §3.5).
  const isData = type !== 0 && type !== Type.OPT && (type < Type.NXNAME || type > Type.ANY);
  return isData
    ? undefined
    : { rcode: Rcode.FORMERR, code: ExtendedError.INVALID_QUERY_TYPE, text: "no record has this type" };
}

/** OPT, TSIG or SIG(0), TKEY (RFC 6891 §6.1.1, RFC 8945 §5.1, RFC 2931 §3.1, RFC 2930 §4), and one in reserve. */
const MAX_ADDITIONAL = 4;

/**
 * Whether a query has records only where an RFC defines them: in its additional section, and with IXFR one SOA record in
 * the authority section (RFC 1995 §3). Any other record would cost time and mean nothing.
 */
function hasFewRecords({ bytes, type }: Message): boolean {
  return readUint16(bytes, HeaderField.ANSWERS) === 0 &&
    readUint16(bytes, HeaderField.AUTHORITY) <= (type === Type.IXFR ? 1 : 0) &&
    readUint16(bytes, HeaderField.ADDITIONAL) <= MAX_ADDITIONAL;
}

/** Parses a query with one question, few records and at most one OPT record; else undefined (RFC 9619 §4, RFC 6891 §6.1.1). */
function parse(bytes: Uint8Array): Message | undefined {
  try {
    const message = Message.parse(bytes);
    if (!hasFewRecords(message)) return undefined;
    void message.edns; // throws if a record is malformed
    return message.hasQuestion ? message : undefined;
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
