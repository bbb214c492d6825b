/** The proofs that NSEC and NSEC3 records have in common. */
import { Type } from "../../../dns/codes.ts";
import { type CanonicalName, ROOT_NAME } from "../canonical.ts";

/** Result of a proof. */
export type Denial =
  /** `isDelegation`: the name is a zone cut without DS. */
  | { readonly kind: "proven"; readonly isDelegation?: boolean }
  /** An unsigned delegation may stand there: opt-out (RFC 5155 §6), or parameters that are not supported. */
  | { readonly kind: "insecure"; readonly reason: string; readonly code?: number }
  | { readonly kind: "unproven"; readonly reason: string };

export const PROVEN: Denial = { kind: "proven" };

export function unproven(reason: string): Denial {
  return { kind: "unproven", reason };
}

/**
 * Whether the record of a name, or of the wildcard that answers for it, denies a type: neither the type nor an alias is there
 * (RFC 4035 §5.4, RFC 6840 §4.3). The parent of a zone denies its DS, the zone itself all else (RFC 6840 §4.1, §4.4).
 */
export function denialBy(types: Uint8Array, name: CanonicalName, type: number): Denial {
  if (hasType(types, type)) return unproven("the record that should deny the type has it");
  if (type !== Type.CNAME && hasType(types, Type.CNAME)) return unproven("the name is an alias");
  if (type === Type.DS) {
    const isChildSide = hasType(types, Type.SOA) && name !== ROOT_NAME;
    if (isChildSide) return unproven("the denial of DS comes from the child");
    return { kind: "proven", isDelegation: hasType(types, Type.NS) };
  }
  if (isDelegation(types)) return unproven("the denial comes from the parent of the zone");
  return PROVEN;
}

/** Whether a record denies nothing below its name: it stands at a zone cut on the parent's side, or at a DNAME (RFC 6840 §4.1). */
export function endsZone(types: Uint8Array): boolean {
  return isDelegation(types) || hasType(types, Type.DNAME);
}

/** Whether type bit maps (RFC 4034 §4.1.2) have a type. */
function hasType(bitmaps: Uint8Array, type: number): boolean {
  for (let at = 0; at + 2 <= bitmaps.length;) {
    const length = bitmaps[at + 1]!;
    if (bitmaps[at] === type >> 8) {
      const index = type & 0xff;
      const octet = index >> 3 < length ? bitmaps[at + 2 + (index >> 3)] ?? 0 : 0;
      return (octet & 0x80 >> (index & 7)) !== 0;
    }
    at += 2 + length;
  }
  return false;
}

/** Whether the types are those of a zone cut on the parent's side. */
function isDelegation(bitmaps: Uint8Array): boolean {
  return hasType(bitmaps, Type.NS) && !hasType(bitmaps, Type.SOA);
}
