/** Uncaught exceptions. */

import type { Observe } from "../core/event.ts";

/**
 * Prepares this thread to report an uncaught exception without a free file descriptor. Deno opens /proc/self/maps when it
 * formats the first stack trace of a thread, and panics if that fails (2.9.6).
 */
export function prepareStackTraces(): void {
  void new Error("for its stack").stack;
}

/** Reports uncaught exceptions as events. The process continues, because the exception affects only one query. */
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
