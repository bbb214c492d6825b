/** What the main thread and its workers say to each other. All of it is cloned on the way: plain things only. */
import type { ListenAddress } from "../frontend/listeners.ts";
import type { CacheStatus, UpstreamStatus } from "../core/status.ts";
import type { ThreadStatus } from "../observe/thread_status.ts";
import type { ProxyInputs } from "../proxy.ts";
import type { CachedAnswer, FlushSelection } from "../resolver/cache/inspection.ts";
import type { FlatEvent } from "./event_codec.ts";
import type { SharedCounts } from "./shared_count.ts";

/** What a worker is to be from the start. */
export interface WorkerInit {
  readonly inputs: ProxyInputs;
  /** Its number, which the main thread's being 1. */
  readonly thread: number;
  /** Whether somebody wants to know of each answer. */
  readonly wantsEach: boolean;
  /** For `SharedCensus`. */
  readonly clients: SharedCounts;
  /** For `Heartbeat`; undefined where there is no watchdog. */
  readonly beats: SharedCounts | undefined;
}

/** How a worker fares. */
export interface WorkerStatus extends ThreadStatus {
  readonly upstreams: readonly UpstreamStatus[];
  /** Undefined where there is no cache. */
  readonly cache: CacheStatus | undefined;
}

/** What the main thread asks of a worker, each with its argument and result. */
export interface Calls {
  /** Comes to an end when it listens. */
  begin(beginning: WorkerInit): void;
  configure(inputs: ProxyInputs): void;
  listen(addresses: readonly ListenAddress[]): void;
  look(): WorkerStatus;
  inspect(name: string): CachedAnswer[];
  flush(what: FlushSelection): number;
  /** Whether somebody wants to know of each answer. */
  tellEach(wantsEach: boolean): void;
  /** So many events have been taken, and no longer wait in the main thread's queue. */
  took(events: number): void;
  /** Takes no more queries and answers those it has, for so many ms at most. */
  stop(limit: number): void;
}

export type CallName = keyof Calls;

export interface Call {
  /** Undefined where nobody waits for the result. */
  readonly id: number | undefined;
  readonly name: CallName;
  readonly argument: unknown;
}

/** What a worker says. */
export type WorkerMessage =
  | { readonly kind: "result"; readonly id: number; readonly value: unknown }
  | { readonly kind: "refusal"; readonly id: number; readonly reason: string }
  | { readonly kind: "events"; readonly events: readonly FlatEvent[] };
