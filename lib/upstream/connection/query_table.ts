/** What can wait under a message ID. The fields are the table's. */
export interface TableLinks<Self> {
  id: number;
  older: Self | undefined;
  younger: Self | undefined;
}

/** What stands for an ID whose query was given up. */
const ABANDONED = 0xffff;

/**
 * Queries by their message IDs, in the order in which they were sent.
 *
 * Not a Map, for a Map that is added to and deleted from is copied again and again, and V8 keeps the copies: each is held
 * by the one before, and all that they refer to lives on until the next full collection. That was half of the time that
 * collecting took.
 */
export class QueryTable<Item extends TableLinks<Item>> {
  /** By ID: the place in `#items`, counted from 1. */
  readonly #places = new Uint16Array(1 << 16);
  readonly #items: (Item | undefined)[] = [];
  readonly #vacant: number[] = [];
  #oldest: Item | undefined;
  #youngest: Item | undefined;
  #size = 0;
  #abandoned = 0;

  get size(): number {
    return this.#size;
  }

  /** IDs whose queries were given up: a late answer may still come, so that they are in use (RFC 7766 §6.2.1). */
  get abandoned(): number {
    return this.#abandoned;
  }

  /** The one that was sent first; `younger` leads to the others. */
  get oldest(): Item | undefined {
    return this.#oldest;
  }

  /** Whether an ID is in use; a number that is none is not. */
  has(id: number): boolean {
    return (this.#places[id] ?? 0) !== 0;
  }

  get(id: number): Item | undefined {
    const place = this.#places[id] ?? 0;
    return place === 0 || place === ABANDONED ? undefined : this.#items[place - 1];
  }

  /** Adds one that is younger than all others; there may be 65,534 of them, and its ID must not be in use. */
  add(id: number, item: Item): void {
    const place = this.#vacant.pop() ?? this.#items.length + 1;
    this.#items[place - 1] = item;
    this.#places[id] = place;
    item.id = id;
    item.older = this.#youngest;
    if (this.#youngest) this.#youngest.younger = item;
    else this.#oldest = item;
    this.#youngest = item;
    this.#size++;
  }

  remove(item: Item): void {
    this.#take(item);
    this.#places[item.id] = 0;
  }

  /** Removes one whose answer may still come. */
  abandon(item: Item): void {
    this.#take(item);
    this.#places[item.id] = ABANDONED;
    this.#abandoned++;
  }

  /** The answer to one that was abandoned has come: its ID is free again. */
  release(id: number): void {
    if (this.#places[id] !== ABANDONED) return;
    this.#places[id] = 0;
    this.#abandoned--;
  }

  #take(item: Item): void {
    const place = this.#places[item.id]!;
    this.#items[place - 1] = undefined;
    this.#vacant.push(place);
    const { older, younger } = item;
    if (older) older.younger = younger;
    else this.#oldest = younger;
    if (younger) younger.older = older;
    else this.#youngest = older;
    item.older = item.younger = undefined; // or what is gone would hold what comes
    this.#size--;
  }
}

/**
 * Unpredictable message IDs over the full range (RFC 5452 §9.2), drawn from the system's generator a batch at a time,
 * because one call for each would cost more than the rest of a query.
 */
export class MessageIds {
  readonly #batch = new Uint16Array(1024);
  #next = this.#batch.length;

  /** An ID that is not `taken` (RFC 7766 §6.2.1: "MUST NOT reuse the ID of an in-flight message"). */
  draw(taken: { has(id: number): boolean }): number {
    for (;;) {
      if (this.#next === this.#batch.length) {
        crypto.getRandomValues(this.#batch);
        this.#next = 0;
      }
      const id = this.#batch[this.#next++]!;
      if (!taken.has(id)) return id;
    }
  }
}
