/** Messages between the first thread and its workers. All of them are cloned, so they contain plain data only. */

import type { CacheStatus, UpstreamStatus } from "../core/status.ts";
import type { ListenAddress } from "../frontend/listeners.ts";
import type { ThreadStatus } from "../observe/thread_totals.ts";
import type { ProxyInputs } from "../proxy.ts";
import type { CachedAnswer, FlushSelection } from "../resolver/cache/inspection.ts";
import type { FlatEvent } from "./event_codec.ts";
import type { SharedCounts } from "./shared_count.ts";

/** Input of a worker's start. */
export interface WorkerInit {
  readonly inputs: ProxyInputs;
  /** Number of the thread. The first thread is 1. */
  readonly thread: number;
  /** Whether subscribers need one event per query. */
  readonly perQuery: boolean;
  /** For `AtomicSharedCount`. */
  readonly clients: SharedCounts;
  /** For `Heartbeat`; undefined without a watchdog. */
  readonly beats: SharedCounts | undefined;
}

/** State of a worker and its proxy. */
export interface WorkerStatus extends ThreadStatus {
  readonly upstreams: readonly UpstreamStatus[];
  /** Undefined without a cache. */
  readonly cache: CacheStatus | undefined;
}

/** Calls from the first thread to a worker, each with its argument and result. */
export interface Calls {
  /** Returns when the worker listens. */
  start(init: WorkerInit): void;
  reconfigure(inputs: ProxyInputs): void;
  listen(addresses: readonly ListenAddress[]): void;
  stats(): WorkerStatus;
  inspect(name: string): CachedAnswer[];
  flush(selection: FlushSelection): number;
  /** Sets whether subscribers need one event per query. */
  setPerQueryEvents(perQuery: boolean): void;
  /** Number of events that have left the first thread's queue since the last call. */
  acknowledge(events: number): void;
  /** Accepts no more queries and answers those under way, for at most `limitMs`. */
  stop(limitMs: number): void;
}

export type CallName = keyof Calls;

export interface Call {
  /** Undefined if the caller does not need the result. */
  readonly id: number | undefined;
  readonly name: CallName;
  readonly argument: unknown;
}

/** A message from a worker. */
export type WorkerMessage =
  | { readonly kind: "result"; readonly id: number; readonly value: unknown }
  | { readonly kind: "failure"; readonly id: number; readonly reason: string }
  | { readonly kind: "events"; readonly events: readonly FlatEvent[] };
