/** Lists and flushes the entries of a name. */

import { RCODE_MASK } from "../../dns/header.ts";
import { parseName } from "../../dns/name.ts";
import { ENTRY_HEADER_BYTES, EntryWord } from "./store/entry.ts";
import { type Store, TICKS_PER_SECOND } from "./store/store.ts";
import type { Ref } from "./store/index.ts";

/** Which entries to flush: those of a name, those of a name and all names below it, or all. */
export type FlushSelection = { readonly name: string } | { readonly suffix: string } | "all";

/** Removes entries synchronously: for those that no client may get any more. Throws a `TypeError` if the name is invalid. */
export function flushStoreNow(store: Store, what: FlushSelection): void {
  if (what === "all") return store.clear();
  const isSelected = matcher(store, what);
  for (let segment = 0; segment < store.segments; segment++) {
    store.visit(segment, (ref) => {
      if (isSelected(ref)) store.remove(ref);
    });
  }
}

/** Removes entries, one segment per turn of the event loop. Resolves to their number. Rejects with a `TypeError` if the name is invalid. */
export async function flush(store: Store, what: FlushSelection): Promise<number> {
  let count = 0;
  if (what === "all") {
    count = store.size;
    store.clear();
    return count;
  }
  const isSelected = matcher(store, what);
  await store.visitAll((ref) => {
    if (!isSelected(ref)) return;
    store.remove(ref);
    count++;
  });
  return count;
}

function matcher(store: Store, what: Exclude<FlushSelection, "all">): (ref: Ref) => boolean {
  const isSuffix = "suffix" in what;
  const name = parseName(isSuffix ? what.suffix : what.name);
  return (ref) => hasName(store, ref, name, isSuffix);
}

/** Whether an entry has this name in lower case, or if `isSuffix` one that is or ends with it. */
function hasName({ entries }: Store, ref: Ref, name: Uint8Array, isSuffix: boolean): boolean {
  const bytes = entries.bytesOf(ref);
  const end = entries.nameEnd(ref);
  const start = end - name.length;
  let at = entries.nameAt(ref);
  if (!isSuffix && at !== start) return false;
  // A suffix starts at a label: www.notexample.com is not below example.com.
  while (at < start) at += bytes[at]! + 1;
  return at === start && name.every((byte, i) => byte === bytes[start + i]);
}

/** One entry of a name. */
export interface CachedAnswer {
  /** 0 for a denial of the name, which holds for all types. */
  readonly type: number;
  readonly rcode: number;
  /** Number of records in the answer section. */
  readonly answers: number;
  /** Remaining lifetime; negative for stale data. */
  readonly secondsLeft: number;
}

/** The entries of a name. Rejects with a `TypeError` if the name is invalid. */
export async function inspect(store: Store, name: string, nowTicks: number): Promise<CachedAnswer[]> {
  const plain = parseName(name);
  const found: CachedAnswer[] = [];
  await store.visitAll((ref) => {
    if (!hasName(store, ref, plain, false)) return;
    const { entries } = store;
    const header = new Int32Array(entries.bytesAt(ref).slice(0, ENTRY_HEADER_BYTES).buffer);
    found.push({
      type: header[EntryWord.TYPE_AND_CLASS]! >>> 16,
      rcode: entries.flags(ref) & RCODE_MASK,
      answers: header[EntryWord.COUNTS]! >>> 16,
      secondsLeft: Math.floor((entries.expiresAt(ref) - nowTicks) / TICKS_PER_SECOND),
    });
  });
  return found;
}
