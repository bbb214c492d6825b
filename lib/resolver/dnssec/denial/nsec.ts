/** Denials of existence by NSEC records (RFC 4035 §5.4, RFC 6840 §4). */
import { skipPlainName } from "../../../dns/name.ts";
import {
  type CanonicalName,
  canonicalName,
  compareNames,
  isWithinName,
  parentName,
  ROOT_NAME,
} from "../canonical.ts";
import { type Denial, denialBy, endsZone, PROVEN, unproven } from "./denial.ts";
import type { RecordSet } from "../rrsets.ts";

interface Nsec {
  readonly owner: CanonicalName;
  readonly next: CanonicalName;
  readonly types: Uint8Array;
}

/** NSEC records of one zone (RFC 4034 §4). */
export class NsecRecords {
  readonly #records: readonly Nsec[];

  /** Throws `FormatError`. */
  constructor(sets: readonly RecordSet[]) {
    this.#records = sets.flatMap(({ owner, data }) => data.map((each) => parseNsec(owner, each)));
  }

  denyName(name: CanonicalName): Denial {
    const covering = this.#covering(name);
    if (!covering) return unproven("no NSEC record covers the name");
    if (isWithinName(covering.next, name)) return unproven("the name exists: there are names below it");
    const wildcard: CanonicalName = `\x01*${closestEncloser(covering, name)}`;
    return this.#covering(wildcard) ? PROVEN : unproven("no NSEC record covers the wildcard");
  }

  denyType(name: CanonicalName, type: number): Denial {
    const own = this.#records.find(({ owner }) => owner === name);
    if (own) return denialBy(own.types, name, type);
    const covering = this.#covering(name);
    if (!covering) return unproven("no NSEC record matches or covers the name");
    // An empty non-terminal: the next name is below it (RFC 4035 §5.4).
    if (isWithinName(covering.next, name)) return PROVEN;
    const wildcard: CanonicalName = `\x01*${closestEncloser(covering, name)}`;
    const matching = this.#records.find(({ owner }) => owner === wildcard);
    if (matching) return denialBy(matching.types, name, type);
    const above = this.#covering(wildcard);
    return above && isWithinName(above.next, wildcard)
      ? PROVEN
      : unproven("no NSEC record matches the wildcard");
  }

  denyCloser(name: CanonicalName, wildcard: CanonicalName): Denial {
    const covering = this.#covering(name);
    if (!covering) return unproven("no NSEC record covers the name of an expanded wildcard");
    if (isWithinName(covering.next, name)) return unproven("the name exists: there are names below it");
    return closestEncloser(covering, name) === parentName(wildcard)
      ? PROVEN
      : unproven("a closer name exists");
  }

  #covering(name: CanonicalName): Nsec | undefined {
    return this.#records.find((nsec) =>
      covers(nsec, name) && !(isWithinName(name, nsec.owner) && endsZone(nsec.types))
    );
  }
}

function parseNsec(owner: CanonicalName, data: Uint8Array): Nsec {
  const end = skipPlainName(data, 0);
  return { owner, next: canonicalName(data, 0), types: data.subarray(end) };
}

/** Whether the name lies strictly between the owner and the next name; the last record leads back to the apex. */
function covers({ owner, next }: Nsec, name: CanonicalName): boolean {
  const isLast = compareNames(next, owner) <= 0;
  return compareNames(owner, name) < 0 && (isLast || compareNames(name, next) < 0);
}

/** The longest existing ancestor that the covering record shows: of the name, and of either end of the gap. */
function closestEncloser({ owner, next }: Nsec, name: CanonicalName): CanonicalName {
  for (let candidate = parentName(name);; candidate = parentName(candidate)) {
    if (candidate === ROOT_NAME || isWithinName(owner, candidate) || isWithinName(next, candidate)) {
      return candidate;
    }
  }
}
