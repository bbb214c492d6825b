/** Message IDs, and the queries that wait under them. */

import { assert } from "../../core/assert.ts";

/** In the place of a slot: the query was given up, but its ID is still in use. */
const ABANDONED = 0xffff;
/** The slot without a query: the head of the ring of all slots. */
const HEAD = 0;

/**
 * Queries by message ID, linked in the order in which they were sent. The links are here and not in the queries:
 *
 *     slot of an ID          items, ids, older, younger (by slot)
 *     0 = free           ┌──▶ HEAD ◀──▶ oldest ◀──▶ … ◀──▶ youngest ◀──┐
 *     ABANDONED          └─────────────────────────────────────────────┘
 *     or a slot
 *
 * A `Map` would be slower: each insertion and deletion lets V8 copy the table now and then, and the copies keep each
 * other alive until the next full collection. That was half of the collector's time.
 */
export class QueryTable<Item> {
  readonly #slots = new Uint16Array(1 << 16);
  readonly #items: (Item | undefined)[] = [undefined];
  readonly #ids = [-1];
  readonly #older = [HEAD];
  readonly #younger = [HEAD];
  readonly #freeSlots: number[] = [];
  #size = 0;
  #abandoned = 0;

  get size(): number {
    return this.#size;
  }

  /** Number of abandoned IDs. A late answer may use one of them, so no other query may (RFC 7766 §6.2.1). */
  get abandoned(): number {
    return this.#abandoned;
  }

  /** The ID of the query that was sent first; -1 if there is none. */
  get oldestId(): number {
    return this.#ids[this.#younger[HEAD]!]!;
  }

  /** The ID of the query that was sent after this one; -1 after the youngest. Precondition: a query waits under `id`. */
  nextId(id: number): number {
    return this.#ids[this.#younger[this.#slotOf(id)]!]!;
  }

  /** Whether an ID is in use. False for numbers that are no ID. */
  has(id: number): boolean {
    return (this.#slots[id] ?? 0) !== 0;
  }

  get(id: number): Item | undefined {
    const slot = this.#slots[id] ?? 0;
    return slot === ABANDONED ? undefined : this.#items[slot];
  }

  /** Adds a query as the youngest. Preconditions: `!has(id)`, and fewer than 65,534 queries are in the table. */
  add(id: number, item: Item): void {
    const slot = this.#freeSlots.pop() ?? this.#items.length;
    assert(this.#slots[id] === 0, "the message ID is free");
    assert(slot < ABANDONED, "the query table has a free slot");
    const youngest = this.#older[HEAD]!;
    this.#items[slot] = item;
    this.#ids[slot] = id;
    this.#older[slot] = youngest;
    this.#younger[slot] = HEAD;
    this.#younger[youngest] = slot;
    this.#older[HEAD] = slot;
    this.#slots[id] = slot;
    this.#size++;
  }

  /** Removes a query and frees its ID. Precondition: a query waits under `id`. */
  remove(id: number): void {
    this.#unlink(id);
    this.#slots[id] = 0;
  }

  /** Removes a query whose answer may still arrive: its ID stays in use. Precondition: a query waits under `id`. */
  abandon(id: number): void {
    this.#unlink(id);
    this.#slots[id] = ABANDONED;
    this.#abandoned++;
  }

  /** Frees an abandoned ID, because the late answer has arrived. */
  release(id: number): void {
    if (this.#slots[id] !== ABANDONED) return;
    this.#slots[id] = 0;
    this.#abandoned--;
  }

  #unlink(id: number): void {
    const slot = this.#slotOf(id);
    const [older, younger] = [this.#older[slot]!, this.#younger[slot]!];
    this.#younger[older] = younger;
    this.#older[younger] = older;
    this.#items[slot] = undefined;
    this.#freeSlots.push(slot);
    this.#size--;
  }

  #slotOf(id: number): number {
    const slot = this.#slots[id]!;
    assert(slot !== 0 && slot !== ABANDONED, "a query waits under the message ID");
    return slot;
  }
}

/**
 * Unpredictable message IDs over the full range (RFC 5452 §9.2). They are drawn from the system's generator in batches,
 * because one call per ID would cost more than the rest of a query.
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
