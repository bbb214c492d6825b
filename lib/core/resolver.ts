import type { Message } from "../dns/message.ts";

/** Who asks. */
export interface Client {
  readonly transport: "udp" | "tcp";
  /** The IP address, without brackets. */
  readonly address: string;
  readonly port: number;
}

/** Where an answer came from; or what it was kept from the client by: a block list, or another filter. */
export type Source = "upstream" | "cache" | "stale" | "local" | "blocked" | "filtered";

/** The outcomes of DNSSEC validation (RFC 4033 §5). */
export type ValidationStatus = "secure" | "insecure" | "bogus" | "indeterminate";

/** Facts gathered on the way, for the one event that tells of the answer. */
export interface Trace {
  source: Source;
  /** The label of the upstream that answered, or the last one that failed. */
  upstream: string | undefined;
  /** How often it was sent to an upstream: 0 where the answer was here, more than 1 after a failure or a long wait. */
  attempts: number;
  /** How many of those were because an upstream took long; absent where none was. */
  hedges?: number;
  /** The label of the block list that keeps the answer back; absent where none does. */
  list?: string;
  /** The outcome of DNSSEC validation here; absent where the answer was not validated for this query. */
  dnssec?: ValidationStatus;
}

/**
 * A question on its way. Only its trace may be written to. While the answer is waited for, `message` is an equal message
 * without what does not matter any more (`essentialsOf`): whoever waits keeps the query, not its message.
 */
export interface Query {
  readonly message: Message;
  readonly client: Client;
  /** When the client must have its answer, in ms on the one clock; every layer spends from it. */
  readonly deadline: number;
  readonly trace: Trace;
  /** Whether other data would be answered in place of a failure, so that the reason for one has to be found out. */
  readonly hasFallback?: boolean;
}

/**
 * Anything that answers: an upstream, a cache, a block list.
 *
 * Answers with a message that answers the question; at once where it can, which spares a promise. Rejects or throws
 * only `UpstreamError`. Never changes the query, and may be called concurrently. The bytes of the query's message are
 * good until `resolve` returns, and those of the message that the query has then until the answer is there.
 */
export interface Resolver {
  resolve(query: Query): Message | Promise<Message>;
}
