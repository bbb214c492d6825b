/**
 * Reads the fields of an X.509 certificate (RFC 5280 §4) that decide whether it may authenticate a server.
 *
 * The platform's views are not sufficient. `subjectaltname` joins all entries into one text, in which a URI can look like a
 * dNSName (CVE-2021-44532). `checkHost` of Deno falls back to the subject and does not support wildcards. Neither shows key
 * usage, constraints or critical extensions. `@peculiar/x509`, which the tests use, is 400 kB with its dependencies.
 *
 * The reader only moves forward: each step consumes at least two bytes, no element exceeds the one around it, and there is
 * no recursion. So its cost is bounded by the length of the certificate.
 */

import { isIP } from "node:net";
import { IpAddress } from "../../net/ip_address.ts";

/** Object identifiers, as dotted numbers. */
const Oid = {
  KEY_USAGE: "2.5.29.15",
  SUBJECT_ALT_NAME: "2.5.29.17",
  BASIC_CONSTRAINTS: "2.5.29.19",
  NAME_CONSTRAINTS: "2.5.29.30",
  EXTENDED_KEY_USAGE: "2.5.29.37",
} as const;

/** RFC 5280 §4.2.1.12. */
export const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";

/** Extensions that the platform processes. With any other critical extension, RFC 5280 §4.2 "MUST reject". */
const PROCESSED: ReadonlySet<string> = new Set(Object.values(Oid));

const Tag = {
  BOOLEAN: 0x01,
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  OID: 0x06,
  SEQUENCE: 0x30,
  /** Of a Certificate: the version, and the extensions. */
  VERSION: 0xa0,
  EXTENSIONS: 0xa3,
  /** Of a GeneralName (RFC 5280 §4.2.1.6). */
  DNS_NAME: 0x82,
  IP_ADDRESS: 0x87,
} as const;

/** keyCertSign is bit 5 of the first byte, counted from the highest (RFC 5280 §4.2.1.3). */
const KEY_CERT_SIGN = 0x80 >> 5;

/** The fields of one certificate. */
export interface CertificateFields {
  /** dNSName entries of the subjectAltName, byte for byte. */
  readonly dnsNames: readonly string[];
  /** iPAddress entries, 4 or 16 bytes each if well-formed. */
  readonly ipAddresses: readonly Uint8Array[];
  /** Whether basicConstraints mark it as an authority (CA:TRUE). */
  readonly isAuthority: boolean;
  /** Maximum number of authorities between it and a server's certificate. */
  readonly maxPathLength: number;
  /** Whether it has no key usage, or one that allows it to sign certificates. */
  readonly mayIssue: boolean;
  /** Undefined if it does not restrict the purposes of its key. */
  readonly extendedKeyUsage: readonly string[] | undefined;
  readonly hasNameConstraints: boolean;
  /** Critical extensions that the platform does not process, by their object identifiers. */
  readonly unknownCritical: readonly string[];
  /** The object identifier of the algorithm of its signature. */
  readonly signatureAlgorithm: string;
}

/** Reads the DER of a certificate. Throws `SyntaxError` for other bytes. */
export function readCertificate(der: Uint8Array): CertificateFields {
  const outer = new DerReader(der).enter(Tag.SEQUENCE);
  const body = outer.enter(Tag.SEQUENCE);
  const signatureAlgorithm = outer.enter(Tag.SEQUENCE).readOid();
  if (body.nextTag === Tag.VERSION) body.skip();
  body.read(Tag.INTEGER); // serial number
  for (let i = 0; i < 5; i++) body.read(Tag.SEQUENCE); // signature, issuer, validity, subject, public key
  while (!body.isAtEnd && body.nextTag !== Tag.EXTENSIONS) body.skip(); // unique identifiers
  const found = body.isAtEnd ? new Map<string, Extension>() : readExtensions(body.enter(Tag.EXTENSIONS));
  const open = (oid: string) => {
    const value = found.get(oid)?.value;
    return value && new DerReader(value);
  };
  return {
    ...readSubjectAltName(open(Oid.SUBJECT_ALT_NAME)),
    ...readBasicConstraints(open(Oid.BASIC_CONSTRAINTS)),
    mayIssue: readMayIssue(open(Oid.KEY_USAGE)),
    extendedKeyUsage: readExtendedKeyUsage(open(Oid.EXTENDED_KEY_USAGE)),
    hasNameConstraints: found.has(Oid.NAME_CONSTRAINTS),
    unknownCritical: [...found].filter(([oid, { critical }]) => critical && !PROCESSED.has(oid))
      .map(([oid]) => oid),
    signatureAlgorithm,
  };
}

interface Extension {
  readonly critical: boolean;
  readonly value: Uint8Array;
}

/** RFC 5280 §4.2: "A certificate MUST NOT include more than one instance of a particular extension." */
function readExtensions(wrapper: DerReader): Map<string, Extension> {
  const list = wrapper.enter(Tag.SEQUENCE);
  const found = new Map<string, Extension>();
  while (!list.isAtEnd) {
    const extension = list.enter(Tag.SEQUENCE);
    const oid = extension.readOid();
    const critical = extension.nextTag === Tag.BOOLEAN && extension.read(Tag.BOOLEAN)[0] !== 0;
    if (found.has(oid)) throw new SyntaxError(`it has the extension ${oid} twice`);
    found.set(oid, { critical, value: extension.read(Tag.OCTET_STRING) });
  }
  return found;
}

function readSubjectAltName(
  extension: DerReader | undefined,
): Pick<CertificateFields, "dnsNames" | "ipAddresses"> {
  const dnsNames: string[] = [];
  const ipAddresses: Uint8Array[] = [];
  const entries = extension?.enter(Tag.SEQUENCE);
  while (entries && !entries.isAtEnd) {
    const tag = entries.nextTag;
    const value = entries.read(tag);
    if (tag === Tag.DNS_NAME) dnsNames.push(latin1.decode(value));
    if (tag === Tag.IP_ADDRESS) ipAddresses.push(value);
  }
  return { dnsNames, ipAddresses };
}

function readBasicConstraints(
  extension: DerReader | undefined,
): Pick<CertificateFields, "isAuthority" | "maxPathLength"> {
  const fields = extension?.enter(Tag.SEQUENCE);
  const isAuthority = fields?.nextTag === Tag.BOOLEAN && fields.read(Tag.BOOLEAN)[0] !== 0;
  const length = fields?.nextTag === Tag.INTEGER ? fields.read(Tag.INTEGER) : undefined;
  // One byte is a path of up to 127; longer numbers bound nothing.
  return { isAuthority, maxPathLength: length?.length === 1 ? length[0]! : Infinity };
}

function readMayIssue(extension: DerReader | undefined): boolean {
  if (!extension) return true;
  const [, bits = 0] = extension.read(Tag.BIT_STRING); // after the number of unused bits
  return (bits & KEY_CERT_SIGN) !== 0;
}

function readExtendedKeyUsage(extension: DerReader | undefined): string[] | undefined {
  if (!extension) return undefined;
  const list = extension.enter(Tag.SEQUENCE);
  const found: string[] = [];
  while (!list.isAtEnd) found.push(list.readOid());
  return found;
}

/**
 * Whether the subjectAltName contains the host. A client "MUST NOT inspect the Subject field" (RFC 8310 §8.1). An address
 * is compared with iPAddress entries only (RFC 9525 §6.2). A wildcard is valid only as the whole first label, and matches
 * exactly one label (RFC 9525 §6.3).
 */
export function namesHost({ dnsNames, ipAddresses }: CertificateFields, host: string): boolean {
  if (isIP(host) > 0) return ipAddresses.some((each) => isSameAddress(each, host));
  const name = host.toLowerCase();
  const parent = name.replace(/^[^.]+/, "*");
  return dnsNames.some((each) => {
    const entry = each.toLowerCase().replace(/\.$/, "");
    // "*.test" would match a whole top-level domain.
    return entry === name || entry === parent && parent.split(".").length > 2;
  });
}

function isSameAddress(bytes: Uint8Array, host: string): boolean {
  const length = isIP(host) === 4 ? 4 : 16;
  if (bytes.length !== length) return false;
  const wanted = new IpAddress().read(host).words;
  return new IpAddress().readBytes(bytes, 0, length).words.every((word, i) => word === wanted[i]);
}

const latin1 = new TextDecoder("latin1");

/** A cursor over the elements of one DER value (X.690 §8 and §10). */
class DerReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** The tag of the next element, -1 at the end. */
  get nextTag(): number {
    return this.#bytes[this.#at] ?? -1;
  }

  enter(tag: number): DerReader {
    return new DerReader(this.read(tag));
  }

  skip(): void {
    this.read(this.nextTag);
  }

  /** The contents of the next element, not copied. Throws `SyntaxError` if it has another tag or is truncated. */
  read(tag: number): Uint8Array {
    if (this.isAtEnd || this.nextTag !== tag) {
      throw new SyntaxError(`element ${this.nextTag} in place of ${tag} at byte ${this.#at}`);
    }
    // Tag numbers of 31 and more take several bytes. Certificates have none.
    if ((tag & 0x1f) === 0x1f) throw new SyntaxError(`tag ${tag} is not one of a certificate`);
    const [length, start] = this.#readLength(this.#at + 1);
    const end = start + length;
    if (end > this.#bytes.length) throw new SyntaxError(`it is cut off at byte ${this.#bytes.length}`);
    this.#at = end;
    return this.#bytes.subarray(start, end);
  }

  readOid(): string {
    const parts: number[] = [];
    let part = 0;
    for (const byte of this.read(Tag.OID)) {
      part = part * 128 + (byte & 0x7f);
      if (part > Number.MAX_SAFE_INTEGER / 128) {
        throw new SyntaxError("an object identifier is too long");
      }
      if (byte & 0x80) continue;
      parts.push(part);
      part = 0;
    }
    const [first = 0, ...rest] = parts;
    const root = Math.min(2, Math.floor(first / 40));
    return [root, first - 40 * root, ...rest].join(".");
  }

  /** The length field at `at`: its value, and where the contents start. */
  #readLength(at: number): [length: number, start: number] {
    const first = this.#bytes[at] ?? 0x80;
    if (first < 0x80) return [first, at + 1];
    const bytes = this.#bytes.subarray(at + 1, at + 1 + (first & 0x7f));
    // DER has no indefinite lengths. More than three bytes would be a length of 16 MB.
    if (bytes.length !== (first & 0x7f) || bytes.length === 0 || bytes.length > 3) {
      throw new SyntaxError(`bad length at byte ${at}`);
    }
    return [bytes.reduce((sum, byte) => sum * 256 + byte, 0), at + 1 + bytes.length];
  }
}
