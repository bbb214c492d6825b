import { clientText, type Detail, nameText } from "../observe/detail.ts";
import type { Event } from "../observe/event.ts";

/** Different names or clients that are told apart at a time; an attacker can make up any number. */
const MAX_KEYS = 5000;

export interface Count {
  readonly text: string;
  readonly count: number;
}

/** Who asks and what for, of late: it listens only while somebody looks. */
export class Activity {
  readonly #names = new TopCounts();
  readonly #clients = new TopCounts();
  readonly #detail: Detail;

  constructor(detail: Detail) {
    this.#detail = detail;
  }

  readonly observe = (event: Event): void => {
    if (event.kind !== "answered" || this.#detail === "none") return;
    this.#names.add(nameText(event.query, this.#detail));
    this.#clients.add(clientText(event.query, this.#detail));
  };

  /** The most frequent ones; undefined where they are not to be told. */
  top(count: number): { names: Count[]; clients: Count[] } | undefined {
    if (this.#detail === "none") return undefined;
    return { names: this.#names.top(count), clients: this.#clients.top(count) };
  }

  /** Forgets half of everything, so that what is long ago fades. */
  fade(): void {
    this.#names.fade();
    this.#clients.fade();
  }
}

class TopCounts {
  #counts = new Map<string, number>();

  add(key: string): void {
    const count = this.#counts.get(key);
    if (count === undefined && this.#counts.size >= MAX_KEYS) this.fade();
    // Still full where all are frequent: then this one is not.
    if (count === undefined && this.#counts.size >= MAX_KEYS) return;
    this.#counts.set(key, (count ?? 0) + 1);
  }

  top(count: number): Count[] {
    return [...this.#counts].sort(([, a], [, b]) => b - a).slice(0, count)
      .map(([text, count]) => ({ text, count }));
  }

  fade(): void {
    const halves = [...this.#counts].map(([key, count]) => [key, count >> 1] as const);
    this.#counts = new Map(halves.filter(([, count]) => count > 0));
  }
}
