/** A set of domains and names, such as those of an option. */

import type { Message } from "../../dns/message.ts";
import { parseName } from "../../dns/name.ts";
import { SuffixHashTable } from "./hash_table.ts";
import { questionSuffixes, SuffixHashes } from "./suffix_hashes.ts";

/** Values in the table: a name alone, or a domain with all names below it. */
const NAME = 0;
const DOMAIN = 1;

/** Contains domains with all names below them, and single names. */
export class DomainSet {
  readonly #table = new SuffixHashTable();

  /** @param domains in presentation format; @param names in wire format, without the names below them */
  constructor(domains: readonly string[], names: readonly Uint8Array[] = []) {
    const hashes = new SuffixHashes();
    const put = (name: Uint8Array, value: number) => {
      const { low, high, count } = hashes.read(name, 0);
      if (count > 0) this.#table.put(low[count - 1]!, high[count - 1]!, value);
    };
    for (const name of names) put(name, NAME);
    for (const domain of domains) put(parseName(domain), DOMAIN);
  }

  /** Whether the question's name is in the set, or below one of its domains. */
  has(message: Message): boolean {
    if (this.#table.size === 0) return false;
    const { low, high, count } = questionSuffixes(message);
    for (let i = 0; i < count; i++) {
      const found = this.#table.find(low[i]!, high[i]!);
      if (found === DOMAIN || found === NAME && i === count - 1) return true;
    }
    return false;
  }
}
