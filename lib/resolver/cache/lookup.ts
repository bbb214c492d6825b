/** Which entry of the store answers a question. */
import { HEADER_BYTES } from "../../dns/header.ts";
import type { Message } from "../../dns/message.ts";
import { NONE, type Ref } from "./store/index.ts";
import { PARENT_SIDE, typeAndClass, variantOf } from "../question_key.ts";
import type { RouteTable } from "../balance/route_table.ts";
import { type Store, TICKS_PER_SECOND } from "./store/store.ts";

/** Denials are kept under QTYPE zero: NXDOMAIN holds for "<QNAME, QCLASS>", whatever the type (RFC 2308 §5). */
const CLASS = 0xffff;

/** A time in ms as the store counts. */
export function ticks(milliseconds: number): number {
  return Math.floor(milliseconds / (1000 / TICKS_PER_SECOND));
}

/** Under which tag the answer to a query is kept. */
export function entryTag(query: Message, routes: RouteTable): number {
  return variantOf(query) | (routes.asksParent(query) ? PARENT_SIDE : 0);
}

/** The entry for this name and type, fresh or not; or NONE. */
export function findExact(store: Store, { bytes, questionEnd }: Message, tag: number, key: number): Ref {
  return store.find(bytes, HEADER_BYTES, questionEnd - 4, key, tag);
}

/** Under which type and class a denial of the name is kept. */
export function denialKey(message: Message): number {
  return denialKeyOf(typeAndClass(message));
}

/** The same for a question's type and class. */
export function denialKeyOf(typeAndClass: number): number {
  return typeAndClass & CLASS;
}

/** The entry that answers: a fresh one before a stale one, and of two stale ones the younger; or NONE. */
export function findAnswer(store: Store, message: Message, tag: number, now: number): Ref {
  const { entries } = store;
  const exact = findExact(store, message, tag, typeAndClass(message));
  if (exact !== NONE && now < entries.expiresAt(exact)) return exact;
  const denial = findExact(store, message, tag, denialKey(message));
  if (denial === NONE || exact === NONE) return denial === NONE ? exact : denial;
  return entries.storedAt(exact) > entries.storedAt(denial) ? exact : denial;
}

/**
 * A fresh entry that denies all names below one above this; or NONE (RFC 8020 §2). Only names of the question's own tree
 * count, which begins at the offset `treeStart`.
 */
export function findNxdomainCut(
  store: Store,
  message: Message,
  tag: number,
  now: number,
  treeStart: number,
): Ref {
  const { bytes, questionEnd } = message;
  const key = denialKey(message);
  const root = questionEnd - 5;
  for (let at = HEADER_BYTES; at < root;) {
    at += bytes[at]! + 1;
    if (at >= root || at > treeStart) break;
    const ref = store.find(bytes, at, root + 1, key, tag);
    if (ref !== NONE && store.entries.isCut(ref) && now < store.entries.expiresAt(ref)) return ref;
  }
  return NONE;
}
