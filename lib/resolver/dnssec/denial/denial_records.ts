/**
 * Proofs that a name or a type does not exist, by NSEC (RFC 4035 §5.4, RFC 6840 §4) or NSEC3 (RFC 5155 §8). The records
 * have been verified before, are no expanded wildcards, and belong to one zone.
 */
import { Type } from "../../../dns/codes.ts";
import { type CanonicalName, isWithinName } from "../canonical.ts";
import { type Denial, unproven } from "./denial.ts";
import type { WorkBudget } from "../limits.ts";
import { NsecRecords } from "./nsec.ts";
import { Nsec3Records } from "./nsec3.ts";
import type { RecordSet } from "../rrsets.ts";

/** The records of a response that may deny, all of one zone. */
export class DenialRecords {
  readonly #zone: CanonicalName;
  readonly #records: readonly (NsecRecords | Nsec3Records)[];

  constructor(zone: CanonicalName, sets: readonly RecordSet[], budget: WorkBudget) {
    this.#zone = zone;
    const own = sets.filter(({ owner }) => isWithinName(owner, zone));
    const nsec = own.filter(({ type }) => type === Type.NSEC);
    const nsec3 = own.filter(({ type }) => type === Type.NSEC3);
    this.#records = [
      ...nsec.length > 0 ? [new NsecRecords(nsec)] : [],
      ...nsec3.length > 0 ? [new Nsec3Records(zone, nsec3, budget)] : [],
    ];
  }

  /** That the name does not exist, and no wildcard answers for it. */
  denyName(name: CanonicalName): Denial {
    return this.#best(name, (records) => records.denyName(name));
  }

  /** That the name has no records of the type; by itself, as an empty non-terminal, or by a wildcard without the type. */
  denyType(name: CanonicalName, type: number): Denial {
    return this.#best(name, (records) => records.denyType(name, type));
  }

  /** That no closer name than the wildcard exists, from which an answer was expanded. */
  denyCloser(name: CanonicalName, wildcard: CanonicalName): Denial {
    return this.#best(name, (records) => records.denyCloser(name, wildcard));
  }

  /** A zone has one kind of proof, but may be changing over. */
  #best(name: CanonicalName, prove: (records: NsecRecords | Nsec3Records) => Denial): Denial {
    if (!isWithinName(name, this.#zone)) return unproven("the proof is of another zone");
    let best = unproven("no NSEC or NSEC3 record of the zone");
    for (const records of this.#records) {
      const denial = prove(records);
      if (denial.kind === "proven") return denial;
      if (best.kind === "unproven") best = denial;
    }
    return best;
  }
}
