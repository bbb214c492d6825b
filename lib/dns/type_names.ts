import { Type } from "./codes.ts";

/** Parts of the protocol that no name has records of: people read their numbers. */
const { OPT: _opt, IXFR: _ixfr, AXFR: _axfr, ...inUse } = Type;

/** Types that people meet, by the names the IANA registry gives them: those in use here, and more. */
const NAMES = new Map<number, string>(
  Object.entries({
    ...inUse,
    LOC: 29,
    NAPTR: 35,
    DNAME: 39,
    SSHFP: 44,
    DNSKEY: 48,
    TLSA: 52,
    SMIMEA: 53,
    CDS: 59,
    CDNSKEY: 60,
    OPENPGPKEY: 61,
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
