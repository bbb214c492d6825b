import process from "node:process";
import { type Exposition, unlabelled } from "./prometheus.ts";
import { Histogram } from "./histogram.ts";
import type { ThreadStatus } from "./thread_status.ts";

/** How often the event loop is looked at, in ms. */
const PERIOD = 1000;

/** How the process fares: what it takes, and how late the event loop of this thread runs. */
export class RuntimeMetrics implements Disposable {
  /** How much later than asked for a timer went off: what a packet may have waited, too. */
  readonly lag = new Histogram();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(now: () => number) {
    let due = now() + PERIOD;
    this.#timer = setInterval(() => {
      const time = now();
      this.lag.add(Math.max(0, time - due));
      due = time + PERIOD;
    }, PERIOD);
  }

  get residentOctets(): number {
    return Deno.memoryUsage().rss;
  }

  /** JavaScript's part of the memory, in this thread. */
  get heapOctets(): number {
    return Deno.memoryUsage().heapUsed;
  }

  /** Names and units are those of every Prometheus client. */
  expose(exposition: Exposition, others: () => readonly ThreadStatus[]): void {
    const start = performance.timeOrigin / 1000;
    exposition.counter("process_cpu_seconds_total", "User and system time spent.", () => {
      const { user, system } = process.cpuUsage();
      return unlabelled((user + system) / 1e6);
    });
    exposition.gauge(
      "process_resident_memory_bytes",
      "Memory in use.",
      () => unlabelled(this.residentOctets),
    );
    exposition.gauge("process_start_time_seconds", "When it started, since 1970.", () => unlabelled(start));
    exposition.gauge(
      "dot_proxy_heap_bytes",
      "JavaScript's part of the memory.",
      () => unlabelled(others().reduce((sum, { heapOctets }) => sum + heapOctets, this.heapOctets)),
    );
    exposition.histogram(
      "dot_proxy_event_loop_lag_seconds",
      "How late the event loop ran, looked at once a second.",
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
