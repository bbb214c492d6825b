import { parseName } from "../dns/name_text.ts";
import type { Ref } from "./hash_index.ts";
import type { Store } from "./store.ts";

/** What to forget: all of one name, or of one and all below, as people write them; or everything. */
export type Flush = { readonly name: string } | { readonly suffix: string } | "all";

/** Forgets entries and returns how many. Throws a `TypeError` where the name is none. */
export function flush(store: Store, what: Flush): number {
  const before = store.size;
  if (what === "all") {
    store.clear();
    return before;
  }
  const isSuffix = "suffix" in what;
  const name = parseName(isSuffix ? what.suffix : what.name);
  for (let segment = 0; segment < store.segments; segment++) {
    store.visit(segment, (ref) => {
      if (isWithin(store, ref, name, isSuffix)) store.remove(ref);
    });
  }
  return before - store.size;
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
