import { prepareStackTraces } from "../defects.ts";
import type { Call, Word } from "./calls.ts";
import { ServedProxy } from "./served_proxy.ts";

/** As much of a worker's global scope as is used; the compiler knows that of the main thread. */
interface Scope {
  postMessage(word: Word): void;
  addEventListener(kind: "message", listener: (event: MessageEvent<Call>) => void): void;
  addEventListener(kind: "error", listener: (event: ErrorEvent) => void): void;
  addEventListener(kind: "unhandledrejection", listener: (event: PromiseRejectionEvent) => void): void;
}

/** Whether this thread is a worker. */
export function isWorker(): boolean {
  return "WorkerGlobalScope" in globalThis;
}

/** Makes this thread, a worker, one that answers queries as the main thread says. */
export function serveAsWorker(): void {
  prepareStackTraces();
  const scope = globalThis as unknown as Scope;
  const served = new ServedProxy((word) => scope.postMessage(word));
  scope.addEventListener("message", ({ data }) => void served.take(data));
  scope.addEventListener("error", (event) => {
    event.preventDefault(); // or else it would be the end of the thread
    served.fail(event.error);
  });
  scope.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    served.fail(event.reason);
  });
}
