/** Numbers of the protocol and their names in the IANA registries. */

/** Response codes. A code above 15 needs an OPT record for its upper bits (RFC 6891 §6.1.3). */
export const Rcode = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  YXDOMAIN: 6,
  BADVERS: 16,
} as const;

export const Type = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  HINFO: 13,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  DNAME: 39,
  OPT: 41,
  DS: 43,
  RRSIG: 46,
  NSEC: 47,
  DNSKEY: 48,
  NSEC3: 50,
  SVCB: 64,
  HTTPS: 65,
  TSIG: 250,
  IXFR: 251,
  AXFR: 252,
  NXNAME: 128,
  MAILB: 253,
  MAILA: 254,
  ANY: 255,
} as const;

export const Class = { IN: 1, NONE: 254, ANY: 255 } as const;

/** EDNS option codes. */
export const EdnsOption = {
  /** RFC 7871 */ CLIENT_SUBNET: 8,
  /** RFC 7828 */ TCP_KEEPALIVE: 11,
  /** RFC 7830 */ PADDING: 12,
  /** RFC 8914 */ EXTENDED_ERROR: 15,
} as const;

/** INFO-CODEs of extended DNS errors (RFC 8914 §4). */
export const ExtendedError = {
  OTHER: 0,
  UNSUPPORTED_DNSKEY_ALGORITHM: 1,
  UNSUPPORTED_DS_DIGEST_TYPE: 2,
  STALE_ANSWER: 3,
  FORGED_ANSWER: 4,
  DNSSEC_INDETERMINATE: 5,
  DNSSEC_BOGUS: 6,
  SIGNATURE_EXPIRED: 7,
  SIGNATURE_NOT_YET_VALID: 8,
  DNSKEY_MISSING: 9,
  RRSIGS_MISSING: 10,
  NO_ZONE_KEY_BIT_SET: 11,
  NSEC_MISSING: 12,
  CACHED_ERROR: 13,
  BLOCKED: 15,
  FILTERED: 17,
  PROHIBITED: 18,
  STALE_NXDOMAIN: 19,
  NOT_SUPPORTED: 21,
  NO_REACHABLE_AUTHORITY: 22,
  NETWORK_ERROR: 23,
  UNSUPPORTED_NSEC3_ITERATIONS: 27,
  INVALID_QUERY_TYPE: 30,
} as const;

const rcodeNames = new Map<number, string>(Object.entries(Rcode).map(([name, code]) => [code, name]));

/** The name of an RCODE, or `RCODE17` for one without a name here (RFC 6895 §2.3). */
export function rcodeName(rcode: number): string {
  return rcodeNames.get(rcode) ?? `RCODE${rcode}`;
}

const { OPT: _opt, IXFR: _ixfr, AXFR: _axfr, ...inUse } = Type;

/** Names of common types. OPT, IXFR and AXFR are absent, because no name has records of them. */
const NAMES = new Map<number, string>(
  Object.entries({
    ...inUse,
    LOC: 29,
    NAPTR: 35,
    DNAME: 39,
    SSHFP: 44,
    TLSA: 52,
    SMIMEA: 53,
    CDS: 59,
    CDNSKEY: 60,
    OPENPGPKEY: 61,
    CAA: 257,
  }).map(([name, code]) => [code, name]),
);

const CODES = new Map([...NAMES].map(([code, name]) => [name, code]));

/** The type with this name (in any case), or of the form `TYPE65280` (RFC 3597 §5). Undefined for an unknown name. */
export function typeCode(name: string): number | undefined {
  const [, number] = /^TYPE(\d{1,5})$/i.exec(name) ?? [];
  if (number === undefined) return CODES.get(name.toUpperCase());
  return Number(number) <= 0xffff ? Number(number) : undefined;
}

/** The name of a type, or `TYPE65280` for one without a name here (RFC 3597 §5). */
export function typeName(type: number): string {
  return NAMES.get(type) ?? `TYPE${type}`;
}
