/** Domains with upstreams of their own, and the search for the one that a question belongs to. */

import { Type } from "../../dns/codes.ts";
import type { Message } from "../../dns/message.ts";
import { parseName } from "../../dns/name.ts";
import { NOT_FOUND, SuffixHashTable } from "../names/hash_table.ts";
import { questionSuffixes, SuffixHashes } from "../names/suffix_hashes.ts";

/**
 * The routed domains. Each is a separate tree of names, and all other names are one more tree. An upstream of one tree is
 * no authority for names of another.
 */
export class RouteTable {
  readonly #table = new SuffixHashTable();
  readonly #count: number;
  /** The index of the root domain, which has no labels to hash; `NOT_FOUND` without a route for it. */
  readonly #root: number;

  /** @param domains in presentation format */
  constructor(domains: readonly string[]) {
    const hashes = new SuffixHashes();
    this.#count = domains.length;
    this.#root = domains.indexOf("");
    for (const [index, domain] of domains.entries()) {
      const { low, high, count } = hashes.read(parseName(domain), 0);
      if (count > 0) this.#table.put(low[count - 1]!, high[count - 1]!, index);
    }
  }

  /**
   * The index of the longest domain that contains the question's name, or `NOT_FOUND`. DS records of a domain belong to
   * its parent zone (RFC 4035 §3.1.4.1), and so to the tree above.
   */
  find(message: Message): number {
    if (this.#count === 0) return NOT_FOUND;
    const depth = this.#depth(message);
    if (depth === 0) return this.#root;
    const { low, high } = questionSuffixes(message);
    return this.#table.find(low[depth - 1]!, high[depth - 1]!);
  }

  /** Offset in the message of the question's longest domain, or of the root if no domain contains it. */
  treeStart(message: Message): number {
    const depth = this.#count === 0 ? 0 : this.#depth(message);
    return depth === 0 ? message.questionEnd - 5 : questionSuffixes(message).offsets[depth - 1]!;
  }

  /** Whether the question asks for the DS records of a routed domain, which the tree above answers. */
  asksParent(message: Message): boolean {
    if (message.type !== Type.DS || this.#count === 0) return false;
    const { low, high, count } = questionSuffixes(message);
    return count > 0 && this.#table.find(low[count - 1]!, high[count - 1]!) !== NOT_FOUND;
  }

  /** Number of labels of the longest domain that contains the question's name; 0 without one. */
  #depth(message: Message): number {
    const { low, high, count } = questionSuffixes(message);
    const first = this.asksParent(message) ? count - 1 : count;
    for (let depth = first; depth > 0; depth--) {
      if (this.#table.find(low[depth - 1]!, high[depth - 1]!) !== NOT_FOUND) return depth;
    }
    return 0;
  }
}
