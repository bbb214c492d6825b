/** The names of all lists in one hash table. */

import type { Message } from "../../dns/message.ts";
import type { ListRule } from "./list_parser.ts";
import { NOT_FOUND, SuffixHashTable } from "../names/hash_table.ts";
import { questionSuffixes, SuffixHashes } from "../names/suffix_hashes.ts";

/** Bits of a table value: the rules for a name. The bits above them are the number of the list that blocks the name. */
const BLOCKS = 1;
const BLOCKS_BELOW = 2;
const ALLOWS = 4;
const ALLOWS_BELOW = 8;
const LIST_SHIFT = 4;
const RULE_MASK = 0xf;

/** Results of a search beside the number of the blocking list. */
export const UNLISTED = -1;
export const ALLOWED = -2;

/** Finds the list that blocks a name. Allow rules override block rules. */
export class BlockIndex {
  readonly #table = new SuffixHashTable();
  readonly #hashes = new SuffixHashes();

  get size(): number {
    return this.#table.size;
  }

  /** Memory in use. */
  get bytes(): number {
    return this.#table.bytes;
  }

  /**
   * Adds a rule for an uncompressed name in lower case. If several lists block the name, the index keeps the number of the
   * last one that added a new block rule.
   */
  add(name: Uint8Array, { withBelow, allows }: ListRule, list: number): void {
    const { low, high, count } = this.#hashes.read(name, 0);
    if (count === 0) return;
    const [l, h] = [low[count - 1]!, high[count - 1]!];
    const before = this.#table.find(l, h);
    const known = before === NOT_FOUND ? 0 : before;
    const rule = allows ? (withBelow ? ALLOWS_BELOW : 0) | ALLOWS : (withBelow ? BLOCKS_BELOW : 0) | BLOCKS;
    const blocksMore = !allows && (rule & ~known) !== 0;
    this.#table.put(l, h, blocksMore ? list << LIST_SHIFT | known & RULE_MASK | rule : known | rule);
  }

  /** Finds the number of the list that blocks the question's name, `UNLISTED` or `ALLOWED`. */
  findQuestion(message: Message): number {
    return this.#find(questionSuffixes(message));
  }

  /** As `findQuestion`, for an uncompressed name. */
  findName(name: Uint8Array): number {
    return this.#find(this.#hashes.read(name, 0));
  }

  #find({ count, low, high }: SuffixHashes): number {
    let found = UNLISTED;
    for (let i = 0; i < count; i++) {
      const value = this.#table.find(low[i]!, high[i]!);
      if (value === NOT_FOUND) continue;
      const isWhole = i === count - 1;
      if ((value & (isWhole ? ALLOWS : ALLOWS_BELOW)) !== 0) return ALLOWED;
      if ((value & (isWhole ? BLOCKS : BLOCKS_BELOW)) !== 0) found = value >> LIST_SHIFT;
    }
    return found;
  }
}
