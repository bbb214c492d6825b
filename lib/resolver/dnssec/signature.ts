/** RRSIG records (RFC 4034 §3), and the data that they sign (§3.1.8.1). */
import { skipPlainName } from "../../dns/name.ts";
import { joinBytes, writeUint16 } from "../../dns/bytes.ts";
import { type CanonicalName, canonicalName, countLabels, nameBytes, suffixOf } from "./canonical.ts";
import type { RecordSet } from "./rrsets.ts";

export interface Signature {
  readonly typeCovered: number;
  readonly algorithm: number;
  readonly labels: number;
  readonly originalTtl: number;
  /** Seconds since 1970, in serial number arithmetic (RFC 1982). */
  readonly expiration: number;
  readonly inception: number;
  readonly keyTag: number;
  readonly signer: CanonicalName;
  readonly bytes: Uint8Array;
  /** The record's canonical data without the signature. */
  readonly signed: Uint8Array;
}

/** Bytes before the signer's name. */
const FIXED = 18;

/** Undefined where the data is too short. Precondition: canonical data. Throws `FormatError` for a malformed name. */
export function parseSignature(data: Uint8Array): Signature | undefined {
  if (data.length < FIXED + 2) return undefined;
  const view = new DataView(data.buffer, data.byteOffset);
  const end = skipPlainName(data, FIXED);
  return {
    typeCovered: view.getUint16(0),
    algorithm: data[2]!,
    labels: data[3]!,
    originalTtl: view.getUint32(4),
    expiration: view.getUint32(8),
    inception: view.getUint32(12),
    keyTag: view.getUint16(16),
    signer: canonicalName(data, FIXED),
    bytes: data.subarray(end),
    signed: data.subarray(0, end),
  };
}

/** The wildcard that the set was expanded from (RFC 4035 §5.3.4); undefined where it stands in its zone as it is. */
export function wildcardOf({ owner }: RecordSet, { labels }: Signature): CanonicalName | undefined {
  return labels < countLabels(owner) ? `\x01*${suffixOf(owner, labels)}` : undefined;
}

/** The bytes that the signature signs: its own data, then each record in canonical form and order (RFC 4034 §3.1.8.1, §6.3). */
export function signedData(set: RecordSet, signature: Signature): Uint8Array {
  const owner = nameBytes(wildcardOf(set, signature) ?? set.owner);
  const parts = [signature.signed];
  for (const data of set.data) {
    const fixed = new Uint8Array(10);
    writeUint16(fixed, 0, set.type);
    writeUint16(fixed, 2, set.class);
    writeUint16(fixed, 4, signature.originalTtl >>> 16);
    writeUint16(fixed, 6, signature.originalTtl & 0xffff);
    writeUint16(fixed, 8, data.length);
    parts.push(owner, fixed, data);
  }
  return joinBytes(parts);
}
