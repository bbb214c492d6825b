import { parseName } from "../../dns/name.ts";
import { ENTRY_HEADER, EntryWord } from "./store/entry.ts";
import { type Store, TICKS_PER_SECOND } from "./store/store.ts";
import type { Ref } from "./store/index.ts";

/** What to forget: all of one name, or of one and all below, as people write them; or everything. */
export type FlushSelection = { readonly name: string } | { readonly suffix: string } | "all";

/** Forgets entries at once: for those that must not be given out any more. Throws a `TypeError` where the name is none. */
export function flushNow(store: Store, what: FlushSelection): void {
  if (what === "all") return store.clear();
  const isMeant = matcher(store, what);
  for (let segment = 0; segment < store.segments; segment++) {
    store.visit(segment, (ref) => {
      if (isMeant(ref)) store.remove(ref);
    });
  }
}

/** Forgets entries, some at a time, and returns how many. Rejects with a `TypeError` where the name is none. */
export async function flush(store: Store, what: FlushSelection): Promise<number> {
  let count = 0;
  if (what === "all") {
    count = store.size;
    store.clear();
    return count;
  }
  const isMeant = matcher(store, what);
  await store.visitAll((ref) => {
    if (!isMeant(ref)) return;
    store.remove(ref);
    count++;
  });
  return count;
}

function matcher(store: Store, what: Exclude<FlushSelection, "all">): (ref: Ref) => boolean {
  const isSuffix = "suffix" in what;
  const name = parseName(isSuffix ? what.suffix : what.name);
  return (ref) => isWithin(store, ref, name, isSuffix);
}

/** Whether an entry is about a plain name in small letters, or where it is a suffix about one that ends with it. */
function isWithin({ entries }: Store, ref: Ref, name: Uint8Array, isSuffix: boolean): boolean {
  const bytes = entries.bytesOf(ref);
  const end = entries.nameEnd(ref);
  const start = end - name.length;
  let at = entries.nameAt(ref);
  if (!isSuffix && at !== start) return false;
  // A suffix begins where a label does: www.notexample.com is not below example.com.
  while (at < start) at += bytes[at]! + 1;
  return at === start && name.every((octet, i) => octet === bytes[start + i]);
}

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
    const header = new Int32Array(entries.bytesAt(ref).slice(0, ENTRY_HEADER).buffer);
    found.push({
      type: header[EntryWord.TYPE_AND_CLASS]! >>> 16,
      rcode: entries.flags(ref) & 0xf,
      answers: header[EntryWord.COUNTS]! >>> 16,
      secondsLeft: Math.floor((entries.expiresAt(ref) - now) / TICKS_PER_SECOND),
    });
  });
  return found;
}
