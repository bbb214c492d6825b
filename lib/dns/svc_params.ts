/** Parameters of SVCB and HTTPS records. */

import { readUint16 } from "./bytes.ts";

/** Keys of the parameters with addresses (RFC 9460 §7.3), and of the list of mandatory keys (RFC 9460 §8). */
export const SvcParam = { MANDATORY: 0, IPV4_HINT: 4, IPV6_HINT: 6 } as const;

/** Offset of TargetName in the data of an SVCB or HTTPS record, behind SvcPriority (RFC 9460 §2.2). */
export const SVC_TARGET = 2;

/**
 * Calls `visit` with the key and the bounds of the value of each parameter in the data of an SVCB or HTTPS record. Stops
 * at a parameter that runs past the data.
 */
export function visitSvcParams(
  bytes: Uint8Array,
  data: number,
  end: number,
  visit: (key: number, start: number, end: number) => void,
): void {
  let at = data + SVC_TARGET;
  while (at < end && bytes[at] !== 0) at += bytes[at]! + 1;
  for (at++; at + 4 <= end;) {
    const next = at + 4 + readUint16(bytes, at + 2);
    if (next > end) return;
    visit(readUint16(bytes, at), at + 4, next);
    at = next;
  }
}
