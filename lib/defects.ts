import type { Observe } from "./observe/event.ts";

/**
 * From now on an exception that nobody has caught is told, and is not the end of the process: one query has gone without
 * its answer by then, and all others should not.
 */
export function surviveDefects(observe: Observe): void {
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    observe({ kind: "defect", error: event.error });
  });
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    observe({ kind: "defect", error: event.reason });
  });
}
