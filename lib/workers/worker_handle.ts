import type { Call, CallName, Calls, WorkerMessage } from "./rpc.ts";
import type { FlatEvent } from "./event_codec.ts";

export interface WorkerThreadOptions {
  /** The module that runs there: it has to call `serveAsWorker`. */
  readonly module: string;
  readonly name: string;
  readonly onEvents: (events: readonly FlatEvent[]) => void;
  /** Called when the thread has ended by itself, which only a module that cannot be loaded brings about. */
  readonly onEnd: (reason: string) => void;
}

type Waiting = PromiseWithResolvers<unknown>;

/** A worker as the main thread has it: calls go there, results and events come back. */
export class WorkerHandle implements Disposable {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #calls = 0;
  #ended: string | undefined;

  constructor({ module, name, onEvents, onEnd }: WorkerThreadOptions) {
    this.#worker = new Worker(module, { type: "module", name });
    this.#worker.onmessage = ({ data }: MessageEvent<WorkerMessage>) => {
      if (data.kind !== "events") return this.#settle(data);
      onEvents(data.events);
      this.#post({ id: undefined, name: "took", argument: data.events.length });
    };
    this.#worker.onerror = (event) => {
      event.preventDefault(); // or else it would be this thread's error as well
      if (this.#ended !== undefined) return;
      this.#end(event.message);
      onEnd(event.message);
    };
  }

  get hasEnded(): boolean {
    return this.#ended !== undefined;
  }

  /** Rejects with an Error if the worker refuses, or has ended. */
  call<N extends CallName>(name: N, ...[argument]: Parameters<Calls[N]>): Promise<ReturnType<Calls[N]>> {
    if (this.#ended !== undefined) return Promise.reject(new Error(this.#ended));
    const id = this.#calls++;
    const waiting: Waiting = Promise.withResolvers();
    this.#waiting.set(id, waiting);
    this.#post({ id, name, argument });
    return waiting.promise as Promise<ReturnType<Calls[N]>>;
  }

  [Symbol.dispose](): void {
    this.#end("the thread has been ended");
  }

  #post(call: Call): void {
    if (this.#ended === undefined) this.#worker.postMessage(call);
  }

  #settle(word: Exclude<WorkerMessage, { kind: "events" }>): void {
    const waiting = this.#waiting.get(word.id);
    this.#waiting.delete(word.id);
    if (word.kind === "result") waiting?.resolve(word.value);
    else waiting?.reject(new Error(word.reason));
  }

  #end(reason: string): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    this.#worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(new Error(reason));
    this.#waiting.clear();
  }
}
