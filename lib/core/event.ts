import type { UpstreamError } from "./errors.ts";
import type { Client, Query } from "./resolver.ts";

/** Something worth knowing. One per answer, one per change of state. */
export type Event =
  | Listening
  | Skipped
  | Answered
  | Hits
  | RejectedMessage
  | Denied
  | InternalError
  | ThreadChange
  | UpstreamChange
  | NetworkChanged
  | ConnectionOpened
  | Unauthenticated
  | Exchanged
  | ConnectionClosed
  | ConnectionRejected
  | SocketTrouble
  | HostTrouble
  | QueryLogTrouble
  | CacheFileTrouble
  | ListRead
  | ListReloadFailed
  | Reload;

export interface Listening {
  readonly kind: "listening";
  readonly transport: "udp" | "tcp";
  readonly address: string;
}

/** An address that would have been listened on by default, but cannot be. */
export interface Skipped {
  readonly kind: "skipped";
  readonly address: string;
  readonly reason: string;
}

export interface Answered {
  readonly kind: "answered";
  readonly query: Query;
  readonly rcode: number;
  readonly milliseconds: number;
  /** Why there is no better answer. */
  readonly error?: UpstreamError;
}

/** Several answers of the cache at once, in place of as many `Answered` where nobody wants to know of each. */
export interface Hits {
  readonly kind: "hits";
  readonly transport: "udp" | "tcp";
  readonly rcode: number;
  readonly count: number;
  /** What the last of them took. */
  readonly milliseconds: number;
}

/** What came was no query that can be resolved: nobody was asked. */
export interface RejectedMessage {
  readonly kind: "turned away";
  readonly client: Client;
  /** What the client was told; undefined where it was met with silence. */
  readonly rcode: number | undefined;
}

/** A client that may not ask, or asks too much: nothing of its query was read. */
export interface Denied {
  readonly kind: "denied";
  readonly client: Client;
  readonly reason: DenialReason;
  /** Whether the client was told; else it was met with silence. */
  readonly answered: boolean;
}

export type DenialReason = "not allowed" | "rate limit";

/** An exception that says this program is wrong; the client got SERVFAIL. */
export interface InternalError {
  readonly kind: "defect";
  readonly error: unknown;
}

/** One of several threads has failed, or answers again; the others go on. */
export interface ThreadChange {
  readonly kind: "thread";
  /** Its number, which the main thread's being 1. */
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

/** This machine has slept or moved: all connections were dropped, and what was held against upstreams is forgotten. */
export interface NetworkChanged {
  readonly kind: "network changed";
  readonly reason: "clock jumped" | "addresses changed";
}

export interface ConnectionOpened {
  readonly kind: "connection opened";
  readonly upstream: string;
  /** For TCP and TLS. */
  readonly milliseconds: number;
}

/** A connection to a server that could not prove who it is, used all the same because somebody asked for that. */
export interface Unauthenticated {
  readonly kind: "unauthenticated";
  readonly upstream: string;
  readonly error: UpstreamError;
}

/** An upstream answered a query, whether or not somebody still waits for it. */
export interface Exchanged {
  readonly kind: "exchanged";
  readonly upstream: string;
  readonly milliseconds: number;
}

export interface ConnectionClosed {
  readonly kind: "connection closed";
  readonly upstream: string;
  /** Queries it had answered. */
  readonly answered: number;
  /** Undefined where nothing was lost. */
  readonly error?: UpstreamError;
}

/** A TCP client that is one too many. */
export interface ConnectionRejected {
  readonly kind: "client refused";
  readonly address: string;
  readonly reason: string;
}

/** A listening socket that failed at one packet or client and goes on. */
export interface SocketTrouble {
  readonly kind: "socket trouble";
  readonly transport: "udp" | "tcp";
  readonly address: string;
  readonly error: unknown;
}

/** The operating system refuses something that is tried again later. Reported once until it works again. */
export interface HostTrouble {
  readonly kind: "host trouble";
  /** A clause, as in "the addresses of this host cannot be listed". */
  readonly trouble: string;
  readonly error: unknown;
}

/** Lines of the query log were lost. */
export interface QueryLogTrouble {
  readonly kind: "query log trouble";
  readonly reason: string;
}

/** The cache could not be saved, or what was saved cannot be used. */
export interface CacheFileTrouble {
  readonly kind: "cache file trouble";
  readonly reason: string;
}

/** A block list or hosts file is in force. */
export interface ListRead {
  readonly kind: "list read";
  readonly label: string;
  readonly names: number;
  /** Lines that were not understood. */
  readonly ignored: number;
}

/** A list or hosts file cannot be read; what was read before stays in force. */
export interface ListReloadFailed {
  readonly kind: "list trouble";
  readonly reason: string;
}

/** The configuration has been read again. */
export interface Reload {
  readonly kind: "reload";
  /** Why what was in force stays in force; undefined where the new configuration is. */
  readonly failure?: string;
}

/** Called with each event, at once; it must neither throw nor wait. */
export type Observe = (event: Event) => void;
