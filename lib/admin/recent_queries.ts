/** The latest answers and the most frequent names and clients, for the dashboard. Memory is bounded. */

import { rcodeName, typeName } from "../dns/codes.ts";
import { clientText, nameText, type Redaction } from "../observe/redaction.ts";
import type { Answered, Event } from "../core/event.ts";

/** Maximum number of counted names, and of counted clients. An attacker can make up any number of names. */
const MAX_KEYS = 5000;

/** Number of latest answers. */
const MAX_LATEST = 10;

export interface Count {
  readonly text: string;
  readonly count: number;
}

/** One answer, redacted. */
export interface RecentAnswer {
  /** In ms since 1970. */
  readonly time: number;
  readonly client: string;
  readonly transport: string;
  readonly name: string;
  readonly type: string;
  readonly rcode: string;
  readonly source: string;
  /** Label of the block list that blocked the name. */
  readonly list: string | undefined;
  readonly milliseconds: number;
}

export class RecentQueries {
  readonly #names = new TopCounts();
  readonly #clients = new TopCounts();
  /** The oldest first. */
  readonly #latest: RecentAnswer[] = [];
  readonly #redaction: Redaction;
  readonly #wallClock: () => number;

  constructor(redaction: Redaction, wallClock: () => number) {
    this.#redaction = redaction;
    this.#wallClock = wallClock;
  }

  readonly observe = (event: Event): void => {
    if (event.kind !== "answered" || this.#redaction === "none") return;
    const answer = this.#redact(event);
    this.#names.add(answer.name);
    this.#clients.add(answer.client);
    if (this.#latest.push(answer) > MAX_LATEST) this.#latest.shift();
  };

  /** The latest answers, the newest first; undefined if redaction hides them. */
  get latest(): RecentAnswer[] | undefined {
    return this.#redaction === "none" ? undefined : this.#latest.toReversed();
  }

  /** The most frequent names and clients; undefined if redaction hides them. */
  top(rows: number): { names: Count[]; clients: Count[] } | undefined {
    if (this.#redaction === "none") return undefined;
    return { names: this.#names.top(rows), clients: this.#clients.top(rows) };
  }

  /** Halves all counts, so that old queries lose their weight. */
  decay(): void {
    this.#names.decay();
    this.#clients.decay();
  }

  #redact({ query, rcode, milliseconds }: Answered): RecentAnswer {
    const { client: { transport }, message, trace: { source, list } } = query;
    return {
      time: this.#wallClock(),
      client: clientText(query, this.#redaction),
      transport,
      name: nameText(query, this.#redaction),
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

  /** Counts a key. A new key is dropped if the map stays full after a decay. */
  add(key: string): void {
    const count = this.#counts.get(key);
    if (count === undefined && this.#counts.size >= MAX_KEYS) this.decay();
    if (count === undefined && this.#counts.size >= MAX_KEYS) return;
    this.#counts.set(key, (count ?? 0) + 1);
  }

  top(rows: number): Count[] {
    return [...this.#counts].sort(([, a], [, b]) => b - a).slice(0, rows)
      .map(([text, count]) => ({ text, count }));
  }

  decay(): void {
    const halves = [...this.#counts].map(([key, count]) => [key, count >> 1] as const);
    this.#counts = new Map(halves.filter(([, count]) => count > 0));
  }
}
