/** Types that people meet, by the names the IANA registry gives them. */
const NAMES = new Map<number, string>(
  Object.entries({
    A: 1,
    NS: 2,
    CNAME: 5,
    SOA: 6,
    PTR: 12,
    HINFO: 13,
    MX: 15,
    TXT: 16,
    AAAA: 28,
    LOC: 29,
    SRV: 33,
    NAPTR: 35,
    DNAME: 39,
    DS: 43,
    SSHFP: 44,
    RRSIG: 46,
    NSEC: 47,
    DNSKEY: 48,
    NSEC3: 50,
    TLSA: 52,
    SMIMEA: 53,
    CDS: 59,
    CDNSKEY: 60,
    OPENPGPKEY: 61,
    SVCB: 64,
    HTTPS: 65,
    ANY: 255,
    CAA: 257,
  }).map(([name, code]) => [code, name]),
);

const CODES = new Map([...NAMES].map(([code, name]) => [name, code]));

/** The type that people call by this name, whatever its case, or write as `TYPE65280`; undefined where there is none. */
export function typeCode(name: string): number | undefined {
  const [, number] = /^TYPE(\d{1,5})$/i.exec(name) ?? [];
  if (number === undefined) return CODES.get(name.toUpperCase());
  return Number(number) <= 0xffff ? Number(number) : undefined;
}

/** A type as people read it: its name, or `TYPE65280` where it has none here (RFC 3597 §5). */
export function typeName(type: number): string {
  return NAMES.get(type) ?? `TYPE${type}`;
}
