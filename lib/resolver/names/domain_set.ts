import type { Message } from "../../dns/message.ts";
import { parseName } from "../../dns/name.ts";
import { SuffixHashTable } from "./hash_table.ts";
import { questionSuffixes, SuffixHashes } from "./suffix_hashes.ts";

/** What counts: a name alone, or a domain with all names below. */
const ALONE = 0;
const WITH_BELOW = 1;

/** Some domains, each with all names below, and some names. */
export class DomainSet {
  readonly #table = new SuffixHashTable();

  /** @param domains as people write them; @param names plain ones that count without those below */
  constructor(domains: readonly string[], names: readonly Uint8Array[] = []) {
    const hashes = new SuffixHashes();
    const put = (name: Uint8Array, value: number) => {
      const { low, high, count } = hashes.read(name, 0);
      if (count > 0) this.#table.put(low[count - 1]!, high[count - 1]!, value);
    };
    for (const name of names) put(name, ALONE);
    for (const domain of domains) put(parseName(domain), WITH_BELOW);
  }

  /** Whether the name that a message asks for is one of them, or below one of the domains. */
  has(message: Message): boolean {
    if (this.#table.size === 0) return false;
    const { low, high, count } = questionSuffixes(message);
    for (let i = 0; i < count; i++) {
      const found = this.#table.find(low[i]!, high[i]!);
      if (found === WITH_BELOW || found === ALONE && i === count - 1) return true;
    }
    return false;
  }
}
