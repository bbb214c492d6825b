import type { Message } from "../../dns/message.ts";
import type { LineKind } from "./list_parser.ts";
import { NOT_FOUND, SuffixHashTable } from "../names/hash_table.ts";
import { questionSuffixes, SuffixHashes } from "../names/suffix_hashes.ts";

/** What is said of a name, and above these bits the number of the list that blocks it. */
const BLOCKS = 1;
const BLOCKS_BELOW = 2;
const ALLOWS = 4;
const ALLOWS_BELOW = 8;
const LIST_SHIFT = 4;

/** What is found: the number of a list, or one of these. */
export const UNLISTED = -1;
export const ALLOWED = -2;

/** The names of all lists in one table: what blocks them, and what lets them through all the same. */
export class BlockIndex {
  readonly #table = new SuffixHashTable();
  readonly #hashes = new SuffixHashes();

  get size(): number {
    return this.#table.size;
  }

  /** Octets in use. */
  get bytes(): number {
    return this.#table.bytes;
  }

  /** Adds a plain name in lower case; of several lists that block it, the first that blocks as much is remembered. */
  add(name: Uint8Array, { withBelow, allows }: LineKind, list: number): void {
    const { low, high, count } = this.#hashes.read(name, 0);
    if (count === 0) return;
    const [l, h] = [low[count - 1]!, high[count - 1]!];
    const before = this.#table.find(l, h);
    const known = before === NOT_FOUND ? 0 : before;
    const says = allows ? (withBelow ? ALLOWS_BELOW : 0) | ALLOWS : (withBelow ? BLOCKS_BELOW : 0) | BLOCKS;
    const isNews = !allows && (says & ~known) !== 0;
    this.#table.put(l, h, isNews ? list << LIST_SHIFT | known & 0xf | says : known | says);
  }

  /** The list that blocks the name a message asks for, `UNLISTED` or `ALLOWED`. */
  findQuestion(message: Message): number {
    return this.#find(questionSuffixes(message));
  }

  /** The same for a name that has been skipped before, without compression. */
  findName(name: Uint8Array): number {
    return this.#find(this.#hashes.read(name, 0));
  }

  #find({ count, low, high }: SuffixHashes): number {
    let found = UNLISTED;
    for (let i = 0; i < count; i++) {
      const says = this.#table.find(low[i]!, high[i]!);
      if (says === NOT_FOUND) continue;
      const isWhole = i === count - 1;
      if ((says & (isWhole ? ALLOWS : ALLOWS_BELOW)) !== 0) return ALLOWED;
      if ((says & (isWhole ? BLOCKS : BLOCKS_BELOW)) !== 0) found = says >> LIST_SHIFT;
    }
    return found;
  }
}
