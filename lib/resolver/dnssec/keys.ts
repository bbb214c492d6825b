/** DNSKEY and DS records (RFC 4034 §2, §5): tags, digests, and the algorithms that are validated here. */
import { joinBytes } from "../../dns/bytes.ts";
import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import { Buffer } from "node:buffer";
import { type CanonicalName, compareBytes, nameBytes } from "./canonical.ts";

export interface ZoneKey {
  readonly flags: number;
  readonly protocol: number;
  readonly algorithm: number;
  readonly tag: number;
  /** The record's data. */
  readonly data: Uint8Array;
}

/** Flags of DNSKEY (RFC 4034 §2.1.1, RFC 5011 §3). */
const ZONE_KEY = 0x0100;
const REVOKED = 0x0080;

/** Undefined for a key that may not sign records of a zone (RFC 4034 §2.1.1, §2.1.2; RFC 5011 §2.1). */
export function parseZoneKey(data: Uint8Array): ZoneKey | undefined {
  if (data.length < 5) return undefined;
  const flags = data[0]! << 8 | data[1]!;
  if ((flags & ZONE_KEY) === 0 || (flags & REVOKED) !== 0 || data[2] !== 3) return undefined;
  return { flags, protocol: 3, algorithm: data[3]!, tag: keyTag(data), data };
}

/** RFC 4034, appendix B. */
export function keyTag(data: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += i & 1 ? data[i]! : data[i]! << 8;
  return sum + (sum >>> 16) & 0xffff;
}

export interface Delegation {
  readonly tag: number;
  readonly algorithm: number;
  readonly digestType: number;
  readonly digest: Uint8Array;
}

export function parseDelegation(data: Uint8Array): Delegation | undefined {
  if (data.length < 5) return undefined;
  return {
    tag: data[0]! << 8 | data[1]!,
    algorithm: data[2]!,
    digestType: data[3]!,
    digest: data.subarray(4),
  };
}

/** Digests of DS records. SHA-1 (1) is left out: RFC 9905 §3 has its delegations treated as insecure. */
const DIGESTS: ReadonlyMap<number, string> = new Map([[2, "sha256"], [4, "sha384"]]);

export function isUsableDelegation({ algorithm, digestType }: Delegation): boolean {
  return ALGORITHMS.has(algorithm) && DIGESTS.has(digestType);
}

/** Whether a DS record is that of this key (RFC 4034 §5.1.4). Precondition: `isUsableDelegation`. */
export function isDelegationOf(delegation: Delegation, zone: CanonicalName, key: ZoneKey): boolean {
  if (delegation.tag !== key.tag || delegation.algorithm !== key.algorithm) return false;
  const digest = createHash(DIGESTS.get(delegation.digestType)!).update(nameBytes(zone)).update(key.data)
    .digest();
  return compareBytes(digest, delegation.digest) === 0;
}

interface Algorithm {
  readonly hash: string | null;
  readonly signatureBytes?: number;
  importKey(key: Uint8Array): KeyObject;
}

/** Algorithms that RFC 8624 and RFC 9905 have validators implement; RSASHA1 (5, 7) is treated as unknown (RFC 9905 §2). */
const ALGORITHMS: ReadonlyMap<number, Algorithm> = new Map<number, Algorithm>([
  [8, { hash: "RSA-SHA256", importKey: importRsa }],
  [10, { hash: "RSA-SHA512", importKey: importRsa }],
  [13, { hash: "sha256", signatureBytes: 64, importKey: (key) => importCurve("P-256", key, 32) }],
  [14, { hash: "sha384", signatureBytes: 96, importKey: (key) => importCurve("P-384", key, 48) }],
  [15, { hash: null, signatureBytes: 64, importKey: (key) => importEdwards("Ed25519", key, 32) }],
  [16, { hash: null, signatureBytes: 114, importKey: (key) => importEdwards("Ed448", key, 57) }],
]);

export function isUsableAlgorithm(algorithm: number): boolean {
  return ALGORITHMS.has(algorithm);
}

/** Keys that have been imported, and those that cannot be. */
const imported = new WeakMap<ZoneKey, KeyObject | "unusable">();

/** Whether `signature` is that of `data` by this key. Takes some hundred microseconds. Precondition: `isUsableAlgorithm`. */
export function isSignedBy(key: ZoneKey, data: Uint8Array, signature: Uint8Array): boolean {
  const { hash, signatureBytes } = ALGORITHMS.get(key.algorithm)!;
  if (signatureBytes !== undefined && signature.length !== signatureBytes) return false;
  const object = importedKey(key);
  if (object === "unusable") return false;
  const curve = hash === "sha256" || hash === "sha384";
  try {
    return verify(hash, data, curve ? { key: object, dsaEncoding: "ieee-p1363" } : object, signature);
  } catch {
    return false;
  }
}

function importedKey(key: ZoneKey): KeyObject | "unusable" {
  const known = imported.get(key);
  if (known) return known;
  let object: KeyObject | "unusable";
  try {
    object = ALGORITHMS.get(key.algorithm)!.importKey(key.data.subarray(4));
  } catch {
    object = "unusable";
  }
  imported.set(key, object);
  return object;
}

/** RFC 3110 §2: the exponent's length in one or three bytes, the exponent, the modulus. */
function importRsa(key: Uint8Array): KeyObject {
  const isLong = key[0] === 0;
  const length = isLong ? key[1]! << 8 | key[2]! : key[0]!;
  const at = isLong ? 3 : 1;
  const modulus = key.subarray(at + length);
  // RFC 3110 §2 allows 4096 bits. The cost of a check grows with the exponent, which is 65537 in practice.
  if (length === 0 || length > 4 || modulus.length < 64 || modulus.length > 512) {
    throw new RangeError("not an RSA key for DNSSEC");
  }
  return createPublicKey({
    format: "jwk",
    key: { kty: "RSA", e: base64url(key.subarray(at, at + length)), n: base64url(modulus) },
  });
}

/** RFC 6605 §4: the point's coordinates, one behind the other. */
function importCurve(crv: string, key: Uint8Array, bytes: number): KeyObject {
  if (key.length !== 2 * bytes) throw new RangeError("not a point of the curve");
  const [x, y] = [key.subarray(0, bytes), key.subarray(bytes)];
  return createPublicKey({ format: "jwk", key: { kty: "EC", crv, x: base64url(x), y: base64url(y) } });
}

/** RFC 8080 §3. */
function importEdwards(crv: string, key: Uint8Array, bytes: number): KeyObject {
  if (key.length !== bytes) throw new RangeError("not a point of the curve");
  return createPublicKey({ format: "jwk", key: { kty: "OKP", crv, x: base64url(key) } });
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(joinBytes([bytes])).toString("base64url");
}
