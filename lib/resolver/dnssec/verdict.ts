/** The outcomes of validation (RFC 4033 §5) with their reasons. */
import { ExtendedError } from "../../dns/codes.ts";
import { nameToString } from "../../dns/name.ts";
import { typeName } from "../../dns/codes.ts";
import { type CanonicalName, nameBytes } from "./canonical.ts";

export interface Bogus {
  readonly status: "bogus";
  /** INFO-CODE (RFC 8914 §4.7 to §4.13). */
  readonly code: number;
  /** The name, the record and the reason, for people. */
  readonly reason: string;
}

export interface Insecure {
  readonly status: "insecure";
  /** INFO-CODE, where the reason is an algorithm or parameter that is not supported. */
  readonly code?: number;
  readonly reason: string;
}

/** The keys or proofs could not be fetched. */
export interface Indeterminate {
  readonly status: "indeterminate";
  readonly code: number;
  readonly reason: string;
}

export interface Secure {
  readonly status: "secure";
}

export type ValidationVerdict = Secure | Insecure | Bogus | Indeterminate;

export const SECURE: Secure = { status: "secure" };

export function bogus(code: number, reason: string): Bogus {
  return { status: "bogus", code, reason };
}

export function insecure(reason: string, code?: number): Insecure {
  return { status: "insecure", reason, ...code !== undefined && { code } };
}

export function indeterminate(reason: string): Indeterminate {
  return { status: "indeterminate", code: ExtendedError.DNSSEC_INDETERMINATE, reason };
}

/** A name and a type as people write them, such as `www.example. A`. */
export function describe(name: CanonicalName, type: number): string {
  return `${canonicalText(name)} ${typeName(type)}`;
}

/** A canonical name as people write it. */
export function canonicalText(name: CanonicalName): string {
  return nameToString(nameBytes(name), 0);
}
