/**
 * Bounds of the work that one response can cause here. They answer KeyTrap (CVE-2023-50387: many keys with one tag, many
 * signatures) and CVE-2023-50868 (NSEC3 hashes). Honest zones stay far below each of them.
 */
export const LIMITS = {
  /** Records of a response that is validated. */
  records: 2000,
  /** Bytes of their names and data without compression; a message has at most 65,535 with it. */
  dataBytes: 100_000,
  /** Signatures verified for one query, its chain included: a cold chain of 8 zones takes 3 each. */
  signatures: 48,
  /** Signatures of one query that may turn out wrong; BIND stops at the first one. */
  failedSignatures: 4,
  /** RRSIG records looked at per RRset: two algorithms with two keys each during a roll-over. */
  signaturesPerSet: 8,
  /** Keys with the same tag and algorithm that are tried for a signature; an honest zone has one. */
  keysPerTag: 2,
  /** Records of a DNSKEY and of a DS set. */
  keys: 32,
  delegations: 16,
  /** Queries for DS and DNSKEY records that one query of a client can cause. */
  chainQueries: 64,
  /** Aliases that lead from the name asked for to its data. */
  aliases: 16,
  /** NSEC3 iterations; with more a zone is insecure (RFC 9276 §3.2), as in BIND and Knot Resolver. */
  iterations: 50,
  /** SHA-1 computations of one query: 51 each for a name of ten labels, and less than 2 ms. */
  hashes: 600,
  /** Proofs (NSEC and NSEC3 sets) verified for one denial; RFC 5155 §7.2 needs three. */
  proofs: 8,
} as const;

/** Signatures verified per second in this thread, and how many may wait for their turn. */
export const VERIFICATIONS_PER_SECOND = 400;
export const MAX_WAITING = 400;

/** The work that is left for one query of a client. */
export class WorkBudget {
  signatures: number = LIMITS.signatures;
  failedSignatures: number = LIMITS.failedSignatures;
  chainQueries: number = LIMITS.chainQueries;
  hashes: number = LIMITS.hashes;
  /** Whether a unit was refused: what was found since then says nothing about any zone. */
  isExhausted = false;
  /** When the client must have its answer, in ms. */
  readonly deadline: number;

  constructor(deadline: number) {
    this.deadline = deadline;
  }

  /** Takes one unit; false where nothing is left. */
  take(what: "signatures" | "failedSignatures" | "chainQueries" | "hashes"): boolean {
    if (this[what] <= 0) {
      this.isExhausted = true;
      return false;
    }
    this[what]--;
    return true;
  }
}
