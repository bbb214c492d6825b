import { Type } from "../../dns/codes.ts";
import type { Message } from "../../dns/message.ts";
import { parseName } from "../../dns/name.ts";
import { NOTHING, SuffixHashTable } from "../names/hash_table.ts";
import { questionSuffixes, SuffixHashes } from "../names/suffix_hashes.ts";

/**
 * The domains with upstreams of their own. Each is a separate tree, and all other names are one more: what an upstream
 * answers in one tree says nothing about a name in another.
 */
export class RouteTable {
  readonly #table = new SuffixHashTable();
  readonly #count: number;
  /** The route of the root, which has no labels to hash; `NOTHING` without one. */
  readonly #root: number;

  /** @param domains as people write them */
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
   * The index of the longest domain that the question is in, or `NOTHING`. DS records of a domain belong to the zone
   * above it (RFC 4035 §3.1.4.1), and so to the tree above.
   */
  find(message: Message): number {
    if (this.#count === 0) return NOTHING;
    const depth = this.#depth(message);
    if (depth === 0) return this.#root;
    const { low, high } = questionSuffixes(message);
    return this.#table.find(low[depth - 1]!, high[depth - 1]!);
  }

  /** Offset in the message of the domain that the question's tree begins at; that of the root where it has no route. */
  treeStart(message: Message): number {
    const depth = this.#count === 0 ? 0 : this.#depth(message);
    return depth === 0 ? message.questionEnd - 5 : questionSuffixes(message).offsets[depth - 1]!;
  }

  /** Whether the question is for the DS records of a domain that has a route, which another tree answers. */
  asksParent(message: Message): boolean {
    if (message.type !== Type.DS || this.#count === 0) return false;
    const { low, high, count } = questionSuffixes(message);
    return count > 0 && this.#table.find(low[count - 1]!, high[count - 1]!) !== NOTHING;
  }

  /** How many labels the longest domain has that the question is in; none where there is no such domain. */
  #depth(message: Message): number {
    const { low, high, count } = questionSuffixes(message);
    const first = this.asksParent(message) ? count - 1 : count;
    for (let depth = first; depth > 0; depth--) {
      if (this.#table.find(low[depth - 1]!, high[depth - 1]!) !== NOTHING) return depth;
    }
    return 0;
  }
}
