import { parseName } from "../dns/name_text.ts";
import type { Ref } from "./hash_index.ts";
import type { Store } from "./store.ts";

/** What to forget: all of one name, or of one and all below, as people write them; or everything. */
export type Flush = { readonly name: string } | { readonly suffix: string } | "all";

/** Forgets entries at once: for those that must not be given out any more. Throws a `TypeError` where the name is none. */
export function flushNow(store: Store, what: Flush): void {
  if (what === "all") return store.clear();
  const isMeant = matcher(store, what);
  for (let segment = 0; segment < store.segments; segment++) {
    store.visit(segment, (ref) => {
      if (isMeant(ref)) store.remove(ref);
    });
  }
}

/** Forgets entries, some at a time, and returns how many. Rejects with a `TypeError` where the name is none. */
export async function flush(store: Store, what: Flush): Promise<number> {
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

function matcher(store: Store, what: Exclude<Flush, "all">): (ref: Ref) => boolean {
  const isSuffix = "suffix" in what;
  const name = parseName(isSuffix ? what.suffix : what.name);
  return (ref) => isWithin(store, ref, name, isSuffix);
}

/** Whether an entry is about a plain name in small letters, or where it is a suffix about one that ends with it. */
export function isWithin({ entries }: Store, ref: Ref, name: Uint8Array, isSuffix: boolean): boolean {
  const bytes = entries.bytesOf(ref);
  const end = entries.nameEnd(ref);
  const start = end - name.length;
  let at = entries.nameAt(ref);
  if (!isSuffix && at !== start) return false;
  // A suffix begins where a label does: www.notexample.com is not below example.com.
  while (at < start) at += bytes[at]! + 1;
  return at === start && name.every((octet, i) => octet === bytes[start + i]);
}
