import type { UpstreamChange } from "../observe/event.ts";
import { mergeStates } from "./status.ts";

/** Each thread finds out for itself whether an upstream answers; what they find together is worth a word. */
export class UpstreamStates {
  /** By upstream: what each thread has found. */
  readonly #found = new Map<string, Map<number, "up" | "down">>();

  /** Whether this changes what is known of the upstream, all threads taken together. */
  isNews(thread: number, { upstream, state }: UpstreamChange): boolean {
    const found = this.#found.get(upstream) ?? new Map<number, "up" | "down">();
    this.#found.set(upstream, found);
    const before = mergeStates([...found.values()]);
    found.set(thread, state);
    return mergeStates([...found.values()]) !== before;
  }

  /** Forgets all other upstreams. */
  keep(labels: readonly string[]): void {
    for (const label of this.#found.keys()) if (!labels.includes(label)) this.#found.delete(label);
  }
}
