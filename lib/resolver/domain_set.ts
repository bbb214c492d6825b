import type { Message } from "../dns/message.ts";
import { parseName } from "../dns/name_text.ts";
import { NameTable, NOTHING } from "./name_table.ts";
import { questionSuffixes, SuffixHashes } from "./suffix_hashes.ts";

/** Some domains, each with all names below. */
export class DomainSet {
  readonly #table = new NameTable();

  /** @param domains as people write them */
  constructor(domains: readonly string[]) {
    const hashes = new SuffixHashes();
    for (const domain of domains) {
      const { low, high, count } = hashes.read(parseName(domain), 0);
      this.#table.put(low[count - 1]!, high[count - 1]!, 0);
    }
  }

  /** Whether the name that a message asks for is one of them or below one. */
  holds(message: Message): boolean {
    if (this.#table.size === 0) return false;
    const { low, high, count } = questionSuffixes(message);
    for (let i = 0; i < count; i++) {
      if (this.#table.find(low[i]!, high[i]!) !== NOTHING) return true;
    }
    return false;
  }
}
