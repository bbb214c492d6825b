/**
 * The interface between all layers: `Resolver` answers a `Query`.
 *
 * The folder `core/` is the vocabulary that all layers share. It imports only `dns/` and `net/`, and has almost no behavior.
 */

import type { Message } from "../dns/message.ts";

/** The sender of a query. */
export interface Client {
  readonly transport: "udp" | "tcp";
  /** The IP address, without brackets. */
  readonly address: string;
  readonly port: number;
}

/** The source of an answer. `blocked`: a block list replaced it. `filtered`: another filter replaced it. */
export type Source = "upstream" | "cache" | "stale" | "local" | "blocked" | "filtered";

/** The outcomes of DNSSEC validation (RFC 4033 §5). */
export type ValidationStatus = "secure" | "insecure" | "bogus" | "indeterminate";

/** Facts that the resolvers collect for the event of the answer. */
export interface Trace {
  source: Source;
  /** Label of the upstream that answered, or of the last one that failed. */
  upstream: string | undefined;
  /** Number of times the query was sent to an upstream. */
  attempts: number;
  /** Number of these attempts that are hedges; absent if none is. */
  hedges?: number;
  /** Label of the block list that blocked the name; absent if none did. */
  list?: string;
  /** The outcome of DNSSEC validation here; absent where the answer was not validated for this query. */
  dnssec?: ValidationStatus;
}

/**
 * A query with its client and deadline. Resolvers may write to `trace` only. After `resolve` has returned a promise,
 * `message` is replaced by an equal message without unneeded parts (`compactQuery`). Waiting code therefore keeps the
 * query, not its message.
 */
export interface Query {
  readonly message: Message;
  readonly client: Client;
  /** Time by which the client must have its answer, in ms of the monotonic clock. No layer extends it. */
  readonly deadline: number;
  readonly trace: Trace;
  /** Whether stale data can replace a failure, so that the reason for a failure must be determined. */
  readonly hasFallback?: boolean;
}

/** A part of the chain that answers queries: an upstream, a cache, a block list. */
export interface Resolver {
  /**
   * The response to the query; without a promise if it is available at once. Throws or rejects only with
   * `UpstreamError`. Does not change the query, except its trace. May be called concurrently.
   *
   * The bytes of `query.message` are valid until `resolve` returns. The bytes of the message that replaces it are valid
   * until the promise settles.
   */
  resolve(query: Query): Message | Promise<Message>;
}
