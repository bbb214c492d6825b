/** Look-ups: which entry of the store answers a question. */

import { HEADER_BYTES } from "../../dns/header.ts";
import type { Message } from "../../dns/message.ts";
import { NONE, type Ref } from "./store/index.ts";
import { PARENT_SIDE, typeAndClass, variantOf } from "../question_key.ts";
import type { RouteTable } from "../balance/route_table.ts";
import { type Store, TICKS_PER_SECOND } from "./store/store.ts";

/** Denials are stored under QTYPE 0, because NXDOMAIN holds for "<QNAME, QCLASS>", for all types (RFC 2308 §5). */
const QCLASS_MASK = 0xffff;

/** A time or duration in the store's unit. */
export function ticks(milliseconds: number): number {
  return Math.floor(milliseconds / (1000 / TICKS_PER_SECOND));
}

/** The variant under which the answer to a query is stored. */
export function entryVariant(query: Message, routes: RouteTable): number {
  return variantOf(query) | (routes.asksParent(query) ? PARENT_SIDE : 0);
}

/** The entry with this name, variant, type and class, fresh or stale. NONE if there is none. */
export function findExact(store: Store, { bytes, questionEnd }: Message, variant: number, key: number): Ref {
  return store.find(bytes, HEADER_BYTES, questionEnd - 4, key, variant);
}

/** The type and class under which a denial of the query's name is stored. */
export function denialKey(message: Message): number {
  return denialKeyOf(typeAndClass(message));
}

/** The same, from the type and class of the question. */
export function denialKeyOf(typeAndClass: number): number {
  return typeAndClass & QCLASS_MASK;
}

/** The entry that answers a query: a fresh one if there is one, or else the newer of two stale ones. NONE if there is none. */
export function findAnswer(store: Store, message: Message, variant: number, nowTicks: number): Ref {
  const { entries } = store;
  const exact = findExact(store, message, variant, typeAndClass(message));
  if (exact !== NONE && nowTicks < entries.expiresAt(exact)) return exact;
  const denial = findExact(store, message, variant, denialKey(message));
  if (denial === NONE || exact === NONE) return denial === NONE ? exact : denial;
  return entries.storedAt(exact) > entries.storedAt(denial) ? exact : denial;
}

/**
 * A fresh NXDOMAIN cut at a name above the query's (RFC 8020 §2). NONE if there is none. The search ends at the offset
 * `treeStart`, because names of another route do not deny this one.
 */
export function findNxdomainCut(
  store: Store,
  message: Message,
  variant: number,
  nowTicks: number,
  treeStart: number,
): Ref {
  const { bytes, questionEnd } = message;
  const key = denialKey(message);
  const root = questionEnd - 5;
  for (let at = HEADER_BYTES; at < root;) {
    at += bytes[at]! + 1;
    if (at >= root || at > treeStart) break;
    const ref = store.find(bytes, at, root + 1, key, variant);
    if (ref !== NONE && store.entries.isNxdomainCut(ref) && nowTicks < store.entries.expiresAt(ref)) {
      return ref;
    }
  }
  return NONE;
}
