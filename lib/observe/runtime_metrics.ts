/** Metrics of the process: CPU time, memory, and the delay of the event loop. */

import process from "node:process";
import { type Exposition, unlabelled } from "./prometheus.ts";
import { Histogram } from "./histogram.ts";
import type { ThreadStatus } from "./thread_totals.ts";

/** Time between two samples of the event loop's delay. */
const PERIOD_MS = 1000;

export class RuntimeMetrics implements Disposable {
  /** Delay of a timer behind its due time. A packet may have waited as long. */
  readonly lag = new Histogram();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(now: () => number) {
    let due = now() + PERIOD_MS;
    this.#timer = setInterval(() => {
      const time = now();
      this.lag.add(Math.max(0, time - due));
      due = time + PERIOD_MS;
    }, PERIOD_MS);
  }

  get residentBytes(): number {
    return Deno.memoryUsage().rss;
  }

  /** Memory used by the JavaScript heap of this thread. */
  get heapBytes(): number {
    return Deno.memoryUsage().heapUsed;
  }

  /** Adds the metrics. Names of `process_*` are those of all Prometheus clients. */
  expose(exposition: Exposition, others: () => readonly ThreadStatus[]): void {
    const start = performance.timeOrigin / 1000;
    exposition.counter("process_cpu_seconds_total", "Total user and system CPU time.", () => {
      const { user, system } = process.cpuUsage();
      return unlabelled((user + system) / 1e6);
    });
    exposition.gauge(
      "process_resident_memory_bytes",
      "Resident memory size.",
      () => unlabelled(this.residentBytes),
    );
    exposition.gauge(
      "process_start_time_seconds",
      "Start time of the process, in seconds since 1970.",
      () => unlabelled(start),
    );
    exposition.gauge(
      "dot_proxy_heap_bytes",
      "Memory used by the JavaScript heaps of all threads.",
      () => unlabelled(others().reduce((sum, { heapBytes }) => sum + heapBytes, this.heapBytes)),
    );
    exposition.histogram(
      "dot_proxy_event_loop_lag_seconds",
      "Delay of the event loop, sampled once a second.",
      () => [{ labels: {}, histogram: this.#lagOfAll(others()) }],
    );
  }

  #lagOfAll(others: readonly ThreadStatus[]): Histogram {
    const all = new Histogram();
    for (const { lag } of [this, ...others]) all.addAll(lag);
    return all;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
