/**
 * Events: the changes of state and the answers that the core reports. The union is closed, so that each subscriber handles
 * every kind. The core does not log; `observe/` turns events into counters and log lines.
 */

import type { UpstreamError } from "./errors.ts";
import type { Client, Query, ValidationStatus } from "./resolver.ts";

/** One event per answer, and one per change of state. */
export type Event =
  | Listening
  | ListenerSkipped
  | Answered
  | Hits
  | RejectedMessage
  | Denied
  | Validated
  | InternalError
  | ThreadChange
  | UpstreamChange
  | NetworkChanged
  | ConnectionOpened
  | Unauthenticated
  | Exchanged
  | ConnectionClosed
  | ConnectionRejected
  | SocketError
  | HostError
  | QueryLogError
  | CacheFileError
  | ListLoaded
  | ListReloadFailed
  | Reload;

export interface Listening {
  readonly kind: "listening";
  readonly transport: "udp" | "tcp";
  readonly address: string;
}

/** A default listen address that this host cannot use. */
export interface ListenerSkipped {
  readonly kind: "skipped";
  readonly address: string;
  readonly reason: string;
}

/** One query was answered, from any source. */
export interface Answered {
  readonly kind: "answered";
  readonly query: Query;
  readonly rcode: number;
  readonly milliseconds: number;
  /** The failure behind a SERVFAIL or a stale answer. */
  readonly error?: UpstreamError;
}

/** Several cache hits in one event. Replaces as many `Answered` events while no subscriber needs one per query. */
export interface Hits {
  readonly kind: "hits";
  readonly transport: "udp" | "tcp";
  readonly rcode: number;
  readonly count: number;
  /** Time of the last hit. */
  readonly milliseconds: number;
}

/** A message that cannot be resolved, for example because it is malformed. No upstream was asked. */
export interface RejectedMessage {
  readonly kind: "rejected";
  readonly client: Client;
  /** RCODE of the response; undefined if none was sent. */
  readonly rcode: number | undefined;
}

/** A query of a client that may not ask, or asks too often. The query was not parsed. */
export interface Denied {
  readonly kind: "denied";
  readonly client: Client;
  readonly reason: DenialReason;
  /** Whether the client got a response: REFUSED, or truncated by the rate limit. */
  readonly answered: boolean;
}

/** A response was validated (RFC 4033 §5). */
export interface Validated {
  readonly kind: "validated";
  /** The queried name in text form. */
  readonly name: string;
  readonly status: ValidationStatus;
  /** INFO-CODE (RFC 8914 §4) and its text; undefined for a secure response. */
  readonly code?: number | undefined;
  readonly reason?: string | undefined;
}

export type DenialReason = "not allowed" | "rate limit";

/** An exception that only a bug can cause. A query that it interrupted was answered with SERVFAIL. */
export interface InternalError {
  readonly kind: "internal error";
  readonly error: unknown;
}

/** One of several threads stopped or resumed answering. The other threads go on. */
export interface ThreadChange {
  readonly kind: "thread";
  /** Number of the thread; the main thread has number 1. */
  readonly thread: number;
  readonly state: "up" | "down";
  readonly reason?: string;
}

/** An upstream was reached for the first time, failed, or recovered. */
export interface UpstreamChange {
  readonly kind: "upstream";
  readonly upstream: string;
  readonly state: "up" | "down";
  readonly error?: UpstreamError;
}

/** This machine slept or changed its network. All connections were dropped, and backoff of upstreams was reset. */
export interface NetworkChanged {
  readonly kind: "network changed";
  readonly reason: "clock jumped" | "addresses changed";
}

export interface ConnectionOpened {
  readonly kind: "connection opened";
  readonly upstream: string;
  /** Duration of the TCP and TLS handshakes. */
  readonly milliseconds: number;
}

/** A connection to a server that failed authentication, used because of `--opportunistic`. */
export interface Unauthenticated {
  readonly kind: "unauthenticated";
  readonly upstream: string;
  readonly error: UpstreamError;
}

/** An upstream answered a query, even if the query was already answered or timed out. */
export interface Exchanged {
  readonly kind: "exchanged";
  readonly upstream: string;
  readonly milliseconds: number;
}

export interface ConnectionClosed {
  readonly kind: "connection closed";
  readonly upstream: string;
  /** Number of queries that this connection answered. */
  readonly answered: number;
  /** Undefined if no query was lost. */
  readonly error?: UpstreamError;
}

/** A TCP connection of a client was closed because a connection limit was reached. */
export interface ConnectionRejected {
  readonly kind: "connection rejected";
  readonly address: string;
  readonly reason: string;
}

/** A listening socket failed for one packet or client, and goes on. */
export interface SocketError {
  readonly kind: "socket error";
  readonly transport: "udp" | "tcp";
  readonly address: string;
  readonly error: unknown;
}

/** The operating system refused an operation that is retried later. Reported once until it succeeds again. */
export interface HostError {
  readonly kind: "host error";
  /** A clause, as in "the addresses of this host cannot be listed". */
  readonly problem: string;
  readonly error: unknown;
}

/** Lines of the query log were dropped. */
export interface QueryLogError {
  readonly kind: "query log error";
  readonly reason: string;
}

/** The cache could not be saved, or the saved cache cannot be used. */
export interface CacheFileError {
  readonly kind: "cache file error";
  readonly reason: string;
}

/** A block list or hosts file was loaded and is in use. */
export interface ListLoaded {
  readonly kind: "list loaded";
  readonly label: string;
  readonly names: number;
  /** Number of lines that the parser did not understand. */
  readonly ignored: number;
}

/** A block list or hosts file cannot be read. The version loaded before stays in use. */
export interface ListReloadFailed {
  readonly kind: "list reload failed";
  readonly reason: string;
}

/** The configuration was read again. */
export interface Reload {
  readonly kind: "reload";
  /** Reason why the current configuration was kept; undefined after a successful reload. */
  readonly failure?: string;
}

/** Subscriber to events. It is called synchronously, and must neither throw nor block. */
export type Observe = (event: Event) => void;
