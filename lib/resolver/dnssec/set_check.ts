/** Whether an RRset carries a valid signature of its zone (RFC 4035 §5.3). */
import { ExtendedError, Type } from "../../dns/codes.ts";
import { type CanonicalName, countLabels } from "./canonical.ts";
import { isUsableAlgorithm, type ZoneKey } from "./keys.ts";
import { LIMITS, type WorkBudget } from "./limits.ts";
import type { RecordSet } from "./rrsets.ts";
import { type Signature, signedData, wildcardOf } from "./signature.ts";
import { type Bogus, bogus, canonicalText, describe } from "./verdict.ts";
import type { VerificationQueue } from "./verification_queue.ts";

/** A zone whose keys are trusted. */
export interface SecureZone {
  readonly status: "secure";
  readonly name: CanonicalName;
  readonly keys: readonly ZoneKey[];
}

export interface ValidSet {
  readonly status: "valid";
  /** The wildcard that the set was expanded from; it holds only with the proof that no closer name exists. */
  readonly wildcard: CanonicalName | undefined;
  /** In seconds: no longer than the signer allows, nor than the signature is valid (RFC 4035 §5.3.3). */
  readonly ttl: number;
}

/** How far the clocks of signer and validator may differ, in seconds. */
const CLOCK_SKEW = 300;

export interface CheckContext {
  readonly queue: VerificationQueue;
  readonly budget: WorkBudget;
  /** Seconds since 1970. */
  readonly time: number;
}

/** Looks for one signature of the zone over the set that is valid. */
export async function checkSet(
  set: RecordSet,
  { name, keys }: SecureZone,
  { queue, budget, time }: CheckContext,
): Promise<ValidSet | Bogus> {
  const what = describe(set.owner, set.type);
  if (budget.isExhausted) return bogus(ExtendedError.DNSSEC_BOGUS, `${what}: too many signatures to check`);
  let failure: Bogus | undefined;
  const signatures = set.signatures.filter(({ signer }) => signer === name).slice(0, LIMITS.signaturesPerSet);
  for (const signature of signatures) {
    const wrong = checkFields(set, signature, time);
    if (wrong) {
      failure ??= wrong;
      continue;
    }
    const { keyTag, algorithm } = signature;
    const fitting = keys.filter((key) => key.tag === keyTag && key.algorithm === algorithm);
    if (fitting.length === 0) {
      failure ??= bogus(
        ExtendedError.DNSKEY_MISSING,
        `${what}: ${canonicalText(name)} has no key ${keyTag} of algorithm ${algorithm}`,
      );
    }
    for (const key of fitting.slice(0, LIMITS.keysPerTag)) {
      if (!budget.take("signatures")) {
        return bogus(ExtendedError.DNSSEC_BOGUS, `${what}: too many signatures to check`);
      }
      const data = signedData(set, signature);
      if (await queue.verify(key, data, signature.bytes, budget.deadline)) {
        return { status: "valid", wildcard: wildcardOf(set, signature), ttl: ttlOf(set, signature, time) };
      }
      if (!budget.take("failedSignatures")) {
        return bogus(ExtendedError.DNSSEC_BOGUS, `${what}: too many signatures are wrong`);
      }
      failure = bogus(ExtendedError.DNSSEC_BOGUS, `${what}: the signature by key ${keyTag} does not verify`);
    }
  }
  return failure ?? bogus(ExtendedError.RRSIGS_MISSING, `${what}: no signature by ${canonicalText(name)}`);
}

/** The checks that cost nothing. */
function checkFields(set: RecordSet, signature: Signature, time: number): Bogus | undefined {
  const what = describe(set.owner, set.type);
  const { labels, algorithm, expiration, inception } = signature;
  if (!isUsableAlgorithm(algorithm)) {
    return bogus(ExtendedError.DNSSEC_BOGUS, `${what}: algorithm ${algorithm} is not supported`);
  }
  const count = countLabels(set.owner);
  if (labels > count) return bogus(ExtendedError.DNSSEC_BOGUS, `${what}: the signature is for a longer name`);
  // These hold for one name. A renamed wildcard NSEC would deny names that exist (CVE-2017-15105).
  if (labels < count && NOT_EXPANDED.has(set.type)) {
    return bogus(ExtendedError.DNSSEC_BOGUS, `${what}: the signature is for a wildcard`);
  }
  if (serialAfter(time, expiration + CLOCK_SKEW)) {
    return bogus(
      ExtendedError.SIGNATURE_EXPIRED,
      `${what}: the signature expired at ${timeText(expiration, time)}`,
    );
  }
  if (serialAfter(inception, time + CLOCK_SKEW)) {
    return bogus(
      ExtendedError.SIGNATURE_NOT_YET_VALID,
      `${what}: the signature is valid from ${timeText(inception, time)}`,
    );
  }
  return undefined;
}

const NOT_EXPANDED: ReadonlySet<number> = new Set([
  ...[Type.DNSKEY, Type.DS, Type.NSEC, Type.NSEC3, Type.SOA, Type.DNAME],
]);

/** RFC 1982 in 32 bits (RFC 4034 §3.1.5). */
function serialAfter(one: number, other: number): boolean {
  return (one - other | 0) > 0;
}

/** Both times, since a wrong clock here looks the same as a wrong signature. */
function timeText(time: number, now: number): string {
  return `${isoTime(time)}; the clock here shows ${isoTime(now)}`;
}

function isoTime(time: number): string {
  return new Date(time * 1000).toISOString().replace(".000", "");
}

function ttlOf(set: RecordSet, { originalTtl, expiration }: Signature, time: number): number {
  return Math.max(0, Math.min(set.ttl, originalTtl, expiration - time | 0));
}
