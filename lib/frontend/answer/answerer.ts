import { Flag, HEADER_BYTES, Opcode } from "../../dns/header.ts";
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
  /** The one that `resolver` leads to, where there is one. */
  readonly cache?: Cache | undefined;
  /** Who may ask, and how much; undefined for everybody. */
  readonly admission?: Admission | undefined;
  /** The time an answer may take in all, in ms. */
  readonly timeout: number;
  readonly observe: Observe;
  /** Whether `observe` wants to know of each answer, as it does unless told; else those of the cache come together. */
  readonly needsPerQueryEvents?: () => boolean;
  readonly now: () => number;
}

/** A frame to send, or undefined to stay silent. */
type Reply = Uint8Array | undefined;

/** Where a reply goes. */
export interface ReplySink {
  /** Called once for each query, with a frame that is good during the call only, or undefined for silence. */
  reply(frame: Uint8Array | undefined): void;
}

/** What both front ends feed: bytes of a client in, bytes for the client out. The only place where errors become DNS. */
export class Answerer {
  #options: AnswererOptions;
  #replyOptions: Readonly<Record<Client["transport"], ReplyOptions>>;
  #fastPath: UdpFastPath | undefined;

  constructor(options: AnswererOptions) {
    this.#options = options;
    this.#replyOptions = replyOptions(options);
    this.#fastPath = makeFastPath(options);
  }

  /** From now on queries are answered like this; those under way go on as they began. */
  reconfigure(options: AnswererOptions): void {
    this.#options = options;
    this.#replyOptions = replyOptions(options);
    this.#fastPath = makeFastPath(options);
  }

  /** For queries that come many at a time; undefined where there is no such way just now. */
  get fastPath(): UdpFastPath | undefined {
    return this.#options.needsPerQueryEvents?.() ?? true ? undefined : this.#fastPath;
  }

  /** Whether a client at this address may ask at all, and if not, whether it gets an answer. */
  access(address: string): "answer" | "refuse" | "ignore" {
    return this.#options.admission?.access(address) ?? "answer";
  }

  /**
   * Total: always comes to a reply or to silence. Returns whether it has come already, as it does where nothing has to be
   * waited for. The bytes are free again in any case.
   *
   * @param isAdmitted whether it has been found already that this client may ask
   */
  answer(bytes: Uint8Array, client: Client, asker: ReplySink, isAdmitted = false): boolean {
    const now = this.#options.now();
    const message = this.#read(bytes, client, { asker, now, isAdmitted });
    return !message || this.#resolve(message, client, { asker, start: now });
  }

  /** The query; undefined where it has its reply already. */
  #read(
    bytes: Uint8Array,
    client: Client,
    { asker, now, isAdmitted }: { asker: ReplySink; now: number; isAdmitted: boolean },
  ): Message | undefined {
    // In the order of what it costs to find out. Silence where not even the header is there, or to a response: two
    // servers that answer each other's answers would never stop.
    const flags = bytes.length < HEADER_BYTES ? Flag.QR : readUint16(bytes, 2);
    if (flags & Flag.QR) return void asker.reply(this.#reject(client, undefined));
    const verdict = !isAdmitted && this.#options.admission?.admit(client, now) || "answer";
    if (verdict !== "answer") return void this.deny(bytes, client, { verdict, asker });
    const message = (flags >> 11 & 0xf) === Opcode.QUERY ? parse(bytes) : undefined;
    const refusal = message ? this.#refuse(message, client) : this.#refuseUnread(bytes, client);
    if (!refusal) return message;
    asker.reply(refusal);
    return undefined;
  }

  /** Of a query that cannot be read, or asks for something else than an answer. */
  #refuseUnread(bytes: Uint8Array, client: Client): Reply {
    const isQuery = (readUint16(bytes, 2) >> 11 & 0xf) === Opcode.QUERY;
    const rcode = isQuery ? Rcode.FORMERR : Rcode.NOTIMP;
    return this.#reject(client, rcode, composeHeaderError(bytes, rcode, this.#options.udpSize));
  }

  #reject(client: Client, rcode: number | undefined, reply?: Uint8Array): Reply {
    this.#options.observe({ kind: "rejected", client, rcode });
    return reply;
  }

  /** What a client is told that has not been admitted. */
  deny(
    bytes: Uint8Array,
    client: Client,
    { verdict, asker }: { verdict: Exclude<Verdict, "answer">; asker: ReplySink },
  ): void {
    asker.reply(this.#denial(bytes, client, verdict));
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

  /** What is understood, but not done here. */
  #refuse(message: Message, client: Client): Reply {
    // RFC 6891 §6.1.3.
    if (message.edns && message.edns.version > 0) return this.#refuseWith(Rcode.BADVERS, message, client);
    if (message.isSigned) return this.#refuseWith(Rcode.NOTIMP, message, client, SIGNED);
    const refusal = refusalOfQuestion(message);
    return refusal && this.#refuseWith(refusal.rcode, message, client, refusal);
  }

  #refuseWith(rcode: number, message: Message, client: Client, reason?: ExtendedErrorText): Reply {
    const options = this.#replyOptions[client.transport];
    return this.#reject(client, rcode, composeError(message, rcode, options, reason));
  }

  #resolve(message: Message, client: Client, { asker, start }: { asker: ReplySink; start: number }): boolean {
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
      asker.reply(this.#fail(query, error, start));
      return true;
    }
    if (response instanceof Message) {
      asker.reply(this.#reply(query, response, start, this.#options.cache));
      return true;
    }
    // As long as it waits, a query keeps neither its padding nor the buffer that it was read into.
    query.message = compactQuery(message);
    response.then(
      (response) => asker.reply(this.#reply(query, response, start)),
      (error) => asker.reply(this.#fail(query, error, start)),
    );
    return false;
  }

  /** @param cache to be told that the response has become a reply; undefined for one that had to be waited for */
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
    // What is shed in a flood must not be another for those whose addresses are forged: a code is all it tells.
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
 * RFC 8945 §5.5 has a forwarder pass a signed message on "unchanged": it would show by its length what is asked for, take
 * the client's options along and go past the lists of names. Without its signature the client would refuse the answer.
 */
const SIGNED: ExtendedErrorText = {
  code: ExtendedError.NOT_SUPPORTED,
  text: "queries signed by TSIG are not forwarded",
};

/** Why, and what the client is told where it is told something. Over TCP there is no use in truncation. */
const DENIALS: Readonly<Record<Exclude<Verdict, "answer">, { reason: DenialReason; text?: string }>> = {
  refuse: { reason: "not allowed", text: "this client may not ask here" },
  ignore: { reason: "not allowed" },
  truncate: { reason: "rate limit", text: "this client asks too much" },
  drop: { reason: "rate limit" },
};

interface QuestionRefusal extends ExtendedErrorText {
  readonly rcode: number;
}

/** Questions that no record can answer, and so are not forwarded. */
function refusalOfQuestion({ type, class: qclass }: Message): QuestionRefusal | undefined {
  // Class ANY would reach records of class IN past what is answered here for class IN.
  if (qclass === 0 || qclass === Class.NONE || qclass === Class.ANY) {
    return { rcode: Rcode.REFUSED, code: ExtendedError.NOT_SUPPORTED, text: "this class is not resolved" };
  }
  switch (type) {
    case Type.ANY:
      return undefined;
    // A transfer is many messages, and DNS over TLS to a resolver is no place to ask for one (RFC 9103).
    case Type.AXFR:
    case Type.IXFR:
      return {
        rcode: Rcode.NOTIMP,
        code: ExtendedError.NOT_SUPPORTED,
        text: "zone transfers are not forwarded",
      };
    // RFC 1035 §3.2.3: MAILA is obsolete, and the records that MAILB asks for are experimental.
    case Type.MAILA:
    case Type.MAILB:
      return { rcode: Rcode.NOTIMP, code: ExtendedError.NOT_SUPPORTED, text: "use the type MX" };
  }
  // Of the others, 0 and 128 to 255 stand for no data (RFC 6895 §3.1). NXNAME, 128, "MUST" get FORMERR (RFC 9824 §3.5).
  const isData = type !== 0 && type !== Type.OPT && (type < Type.NXNAME || type > Type.ANY);
  return isData
    ? undefined
    : { rcode: Rcode.FORMERR, code: ExtendedError.INVALID_QUERY_TYPE, text: "no record has this type" };
}

/** OPT, TSIG or SIG(0), TKEY (RFC 6891 §6.1.1, RFC 8945 §5.1, RFC 2931 §3.1, RFC 2930 §4), and one more. */
const MAX_ADDITIONAL = 4;

/**
 * Whether a query has records only where an RFC wants some: in its additional section, and with IXFR one SOA record in
 * the authority section (RFC 1995 §3). Each other record would cost time and mean nothing.
 */
function hasFewRecords({ bytes, type }: Message): boolean {
  return readUint16(bytes, 6) === 0 && readUint16(bytes, 8) <= (type === Type.IXFR ? 1 : 0) &&
    readUint16(bytes, 10) <= MAX_ADDITIONAL;
}

/** A query with one question, few records, and an OPT record at most; or undefined (RFC 9619 §4, RFC 6891 §6.1.1). */
function parse(bytes: Uint8Array): Message | undefined {
  try {
    const message = Message.parse(bytes);
    if (!hasFewRecords(message)) return undefined;
    void message.edns; // throws where the records are malformed
    return message.hasQuestion ? message : undefined;
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
