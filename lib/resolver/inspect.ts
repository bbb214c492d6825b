import { parseName } from "../dns/name_text.ts";
import { ENTRY_HEADER, Word } from "./entry.ts";
import { isWithin } from "./flush.ts";
import { type Store, TICKS_PER_SECOND } from "./store.ts";

/** What is known of a name under one type. */
export interface CachedAnswer {
  /** 0 where it is known that the name does not exist, whatever the type. */
  readonly type: number;
  readonly rcode: number;
  /** Records of its answer section. */
  readonly answers: number;
  /** How long it is fresh, in seconds; less than 0 for stale data. */
  readonly secondsLeft: number;
}

/** All that is known of a name; `now` in ticks. Rejects with a `TypeError` where the name is none. */
export async function inspect(store: Store, name: string, now: number): Promise<CachedAnswer[]> {
  const plain = parseName(name);
  const found: CachedAnswer[] = [];
  await store.visitAll((ref) => {
    if (!isWithin(store, ref, plain, false)) return;
    const { entries } = store;
    const header = new Int32Array(entries.octets(ref).slice(0, ENTRY_HEADER).buffer);
    found.push({
      type: header[Word.TYPE_AND_CLASS]! >>> 16,
      rcode: entries.flags(ref) & 0xf,
      answers: header[Word.COUNTS]! >>> 16,
      secondsLeft: Math.floor((entries.expiresAt(ref) - now) / TICKS_PER_SECOND),
    });
  });
  return found;
}
