/** A worker as the first thread sees it. */

import type { FlatEvent } from "./event_codec.ts";
import type { Call, CallName, Calls, WorkerMessage } from "./rpc.ts";

export interface WorkerHandleOptions {
  /** URL of the module that the worker runs. It must call `runWorker`. */
  readonly module: string;
  readonly name: string;
  readonly onEvents: (events: readonly FlatEvent[]) => void;
  /** Called when the thread has ended by itself. Only a module that cannot be loaded causes that. */
  readonly onEnd: (reason: string) => void;
}

type PendingCall = PromiseWithResolvers<unknown>;

/** Sends calls to a worker, and receives results and events. */
export class WorkerHandle implements Disposable {
  readonly #worker: Worker;
  readonly #pending = new Map<number, PendingCall>();
  #nextId = 0;
  #endReason: string | undefined;

  constructor({ module, name, onEvents, onEnd }: WorkerHandleOptions) {
    this.#worker = new Worker(module, { type: "module", name });
    this.#worker.onmessage = ({ data }: MessageEvent<WorkerMessage>) => {
      if (data.kind !== "events") return this.#settle(data);
      onEvents(data.events);
      this.#post({ id: undefined, name: "acknowledge", argument: data.events.length });
    };
    this.#worker.onerror = (event) => {
      event.preventDefault(); // Without this, it would also be an error of this thread.
      if (this.#endReason !== undefined) return;
      this.#end(event.message);
      onEnd(event.message);
    };
  }

  get hasEnded(): boolean {
    return this.#endReason !== undefined;
  }

  /** Rejects with an `Error` if the call throws, or the thread has ended. */
  call<N extends CallName>(name: N, ...[argument]: Parameters<Calls[N]>): Promise<ReturnType<Calls[N]>> {
    if (this.#endReason !== undefined) return Promise.reject(new Error(this.#endReason));
    const id = this.#nextId++;
    const pending: PendingCall = Promise.withResolvers();
    this.#pending.set(id, pending);
    this.#post({ id, name, argument });
    return pending.promise as Promise<ReturnType<Calls[N]>>;
  }

  /** Ends the thread. Pending calls reject. */
  [Symbol.dispose](): void {
    this.#end("the thread was terminated");
  }

  #post(call: Call): void {
    if (this.#endReason === undefined) this.#worker.postMessage(call);
  }

  #settle(message: Exclude<WorkerMessage, { kind: "events" }>): void {
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (message.kind === "result") pending?.resolve(message.value);
    else pending?.reject(new Error(message.reason));
  }

  #end(reason: string): void {
    if (this.#endReason !== undefined) return;
    this.#endReason = reason;
    this.#worker.terminate();
    for (const { reject } of this.#pending.values()) reject(new Error(reason));
    this.#pending.clear();
  }
}
