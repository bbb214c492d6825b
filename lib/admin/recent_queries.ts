import { rcodeName, typeName } from "../dns/codes.ts";
import { clientText, nameText, type Redaction } from "../observe/redaction.ts";
import type { Answered, Event } from "../core/event.ts";

/** Different names or clients that are told apart at a time; an attacker can make up any number. */
const MAX_KEYS = 5000;

/** The last answers that are kept. */
const LATEST = 10;

export interface Count {
  readonly text: string;
  readonly count: number;
}

/** One answer, as far as it is to be told. */
export interface Latest {
  /** In ms since 1970. */
  readonly time: number;
  readonly client: string;
  readonly transport: string;
  readonly name: string;
  readonly type: string;
  readonly rcode: string;
  readonly source: string;
  /** The block list that kept it back. */
  readonly list: string | undefined;
  readonly milliseconds: number;
}

/** Who asks and what for, of late: it listens only while somebody looks. */
export class RecentQueries {
  readonly #names = new TopCounts();
  readonly #clients = new TopCounts();
  /** The oldest first. */
  readonly #latest: Latest[] = [];
  readonly #detail: Redaction;
  readonly #wallClock: () => number;

  constructor(detail: Redaction, wallClock: () => number) {
    this.#detail = detail;
    this.#wallClock = wallClock;
  }

  readonly observe = (event: Event): void => {
    if (event.kind !== "answered" || this.#detail === "none") return;
    const latest = this.#describe(event);
    this.#names.add(latest.name);
    this.#clients.add(latest.client);
    if (this.#latest.push(latest) > LATEST) this.#latest.shift();
  };

  /** The last answers, the newest first; undefined where they are not to be told. */
  get latest(): Latest[] | undefined {
    return this.#detail === "none" ? undefined : this.#latest.toReversed();
  }

  /** The most frequent ones; undefined where they are not to be told. */
  top(count: number): { names: Count[]; clients: Count[] } | undefined {
    if (this.#detail === "none") return undefined;
    return { names: this.#names.top(count), clients: this.#clients.top(count) };
  }

  /** Forgets half of everything, so that what is long ago fades. */
  decay(): void {
    this.#names.fade();
    this.#clients.fade();
  }

  #describe({ query, rcode, milliseconds }: Answered): Latest {
    const { client: { transport }, message, trace: { source, list } } = query;
    return {
      time: this.#wallClock(),
      client: clientText(query, this.#detail),
      transport,
      name: nameText(query, this.#detail),
      type: typeName(message.type),
      rcode: rcodeName(rcode),
      source,
      list,
      milliseconds,
    };
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
