import type { Observe } from "../core/event.ts";

/**
 * Makes this thread ready to report an uncaught exception without a free file descriptor. Deno looks up the limits of the
 * thread's stack the first time it formats one, which opens /proc/self/maps, and panics if that fails (2.9.6).
 */
export function prepareStackTraces(): void {
  void new Error("for its stack").stack;
}

/**
 * From now on an exception that nobody has caught is told, and is not the end of the process: one query has gone without
 * its answer by then, and all others should not.
 */
export function surviveUncaughtErrors(observe: Observe): void {
  prepareStackTraces();
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    observe({ kind: "internal error", error: event.error });
  });
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    observe({ kind: "internal error", error: event.reason });
  });
}
