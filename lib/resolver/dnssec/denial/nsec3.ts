/** Denials of existence by NSEC3 records (RFC 5155 §8), hashed with a bounded number of iterations (RFC 9276 §3.2). */
import { joinBytes } from "../../../dns/bytes.ts";
import { ExtendedError, Type } from "../../../dns/codes.ts";
import {
  type CanonicalName,
  compareBytes,
  isWithinName,
  labelsOf,
  nameBytes,
  parentName,
  suffixOf,
} from "../canonical.ts";
import { type Denial, denialBy, endsZone, PROVEN, unproven } from "./denial.ts";
import { LIMITS, type WorkBudget } from "../limits.ts";
import type { RecordSet } from "../rrsets.ts";
import { sha1 } from "./sha1.ts";

interface Nsec3 {
  readonly hash: Uint8Array;
  readonly next: Uint8Array;
  readonly optOut: boolean;
  readonly types: Uint8Array;
  readonly iterations: number;
  readonly salt: Uint8Array;
}

const OPT_OUT: Denial = {
  kind: "insecure",
  reason: "the proof has opt-out: an unsigned delegation may be there",
};

/** NSEC3 records of one zone with the same parameters (RFC 5155 §8.2). */
export class Nsec3Records {
  readonly #zone: CanonicalName;
  readonly #budget: WorkBudget;
  readonly #records: readonly Nsec3[];
  readonly #hashes = new Map<CanonicalName, Uint8Array>();

  constructor(zone: CanonicalName, sets: readonly RecordSet[], budget: WorkBudget) {
    this.#zone = zone;
    this.#budget = budget;
    const all = sets.filter(({ owner }) => owner.length > 1 && parentName(owner) === zone)
      .flatMap(({ owner, data }) => data.map((each) => parseNsec3(owner, each)))
      .filter((each) => each !== undefined);
    const first = all[0];
    this.#records = all.filter(({ iterations, salt }) =>
      iterations === first!.iterations && compareBytes(salt, first!.salt) === 0
    );
  }

  /** RFC 5155 §8.4. */
  denyName(name: CanonicalName): Denial {
    return this.#behindEncloser(name, (encloser, optOut) => {
      const isDenied = this.#covering(`\x01*${encloser}`) !== undefined;
      if (!isDenied) return unproven("no NSEC3 record covers the wildcard");
      return optOut ? OPT_OUT : PROVEN;
    });
  }

  /** RFC 5155 §8.5 to §8.7. */
  denyType(name: CanonicalName, type: number): Denial {
    const unsupported = this.#unsupported();
    if (unsupported) return unsupported;
    const own = this.#matching(name);
    if (own) return denialBy(own.types, name, type);
    return this.#behindEncloser(name, (encloser, optOut) => {
      const wildcard = type === Type.DS && optOut ? undefined : this.#matching(`\x01*${encloser}`);
      const denial = wildcard && denialBy(wildcard.types, name, type);
      // RFC 5155 §9.2: not authentic where the next closer name is covered with opt-out.
      if (denial) return denial.kind === "proven" && optOut ? OPT_OUT : denial;
      // Not for DS alone: a name whose descendants are all unsigned delegations has no NSEC3 record either (erratum 3441).
      return optOut ? OPT_OUT : unproven("no NSEC3 record matches the name or the wildcard");
    });
  }

  /** RFC 5155 §8.8. */
  denyCloser(name: CanonicalName, wildcard: CanonicalName): Denial {
    const unsupported = this.#unsupported();
    if (unsupported) return unsupported;
    const covering = this.#covering(suffixOf(name, labelsOf(wildcard).length));
    if (!covering) return unproven("no NSEC3 record covers the next closer name");
    return covering.optOut ? OPT_OUT : PROVEN;
  }

  #unsupported(): Denial | undefined {
    const [first] = this.#records;
    if (!first) return unproven("no NSEC3 record of the zone with a known hash");
    if (first.iterations <= LIMITS.iterations) return undefined;
    return {
      kind: "insecure",
      reason: `NSEC3 with ${first.iterations} iterations`,
      code: ExtendedError.UNSUPPORTED_NSEC3_ITERATIONS,
    };
  }

  /** The closest ancestor that matches, where the next closer name is covered (RFC 5155 §8.3). */
  #behindEncloser(name: CanonicalName, prove: (encloser: CanonicalName, optOut: boolean) => Denial): Denial {
    const unsupported = this.#unsupported();
    if (unsupported) return unsupported;
    for (let closer = name; closer !== this.#zone && isWithinName(closer, this.#zone);) {
      const candidate = parentName(closer);
      const matching = this.#matching(candidate);
      if (matching) {
        if (endsZone(matching.types)) return unproven("the closest encloser is a delegation or a DNAME");
        const covering = this.#covering(closer);
        if (!covering) return unproven("no NSEC3 record covers the next closer name");
        return prove(candidate, covering.optOut);
      }
      closer = candidate;
    }
    return unproven("no NSEC3 record matches an ancestor of the name");
  }

  #matching(name: CanonicalName): Nsec3 | undefined {
    const hash = this.#hash(name);
    return hash && this.#records.find((record) => compareBytes(record.hash, hash) === 0);
  }

  #covering(name: CanonicalName): Nsec3 | undefined {
    const hash = this.#hash(name);
    return hash && this.#records.find((record) => {
      const isLast = compareBytes(record.next, record.hash) <= 0;
      const isBehind = compareBytes(record.hash, hash) < 0;
      const isBefore = compareBytes(hash, record.next) < 0;
      return isLast ? isBehind || isBefore : isBehind && isBefore;
    });
  }

  /** RFC 5155 §5. Undefined when the query has cost too much, so that nothing is proven. */
  #hash(name: CanonicalName): Uint8Array | undefined {
    const known = this.#hashes.get(name);
    if (known) return known;
    const { iterations, salt } = this.#records[0]!;
    let hash: Uint8Array = nameBytes(name);
    for (let i = 0; i <= iterations; i++) {
      if (!this.#budget.take("hashes")) return undefined;
      hash = sha1(joinBytes([hash, salt]));
    }
    this.#hashes.set(name, hash);
    return hash;
  }
}

/** Undefined for another hash than SHA-1 or unknown flags (RFC 5155 §8.1, §8.2), or malformed data. */
function parseNsec3(owner: CanonicalName, data: Uint8Array): Nsec3 | undefined {
  if (data.length < 6 || data[0] !== 1 || (data[1]! & 0xfe) !== 0) return undefined;
  const saltEnd = 5 + data[4]!;
  const nextEnd = saltEnd + 1 + (data[saltEnd] ?? 0);
  if (nextEnd > data.length) return undefined;
  const hash = fromBase32(labelsOf(owner)[0]!);
  if (hash?.length !== 20 || nextEnd - saltEnd - 1 !== 20) return undefined;
  return {
    hash,
    next: data.subarray(saltEnd + 1, nextEnd),
    optOut: (data[1]! & 1) !== 0,
    iterations: data[2]! << 8 | data[3]!,
    salt: data.subarray(5, saltEnd),
    types: data.subarray(nextEnd),
  };
}

const DIGITS = "0123456789abcdefghijklmnopqrstuv";

/** Base 32 with the extended hex alphabet, without padding (RFC 4648 §7), in lower case. */
function fromBase32(text: string): Uint8Array | undefined {
  const bytes: number[] = [];
  let bits = 0;
  let value = 0;
  for (const character of text) {
    const digit = DIGITS.indexOf(character);
    if (digit < 0) return undefined;
    value = value << 5 | digit;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes.push(value >> bits & 0xff);
      value &= (1 << bits) - 1;
    }
  }
  return Uint8Array.from(bytes);
}
