/** Trust anchors (RFC 4033 §2): the keys that validation begins with, and the names at which it ends (RFC 7646). */
import { joinBytes } from "../../dns/bytes.ts";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { parseName } from "../../dns/name.ts";
import { type CanonicalName, canonicalName, isWithinName, nameBytes } from "./canonical.ts";
import { type Delegation, isUsableDelegation, keyTag, parseDelegation, parseZoneKey } from "./keys.ts";

/** The keys of the root zone of 2017 and 2024 (https://data.iana.org/root-anchors/root-anchors.xml). */
const ROOT_KEYS = `
. IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D
. IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16
`;

/** The DS records that stand for the keys of each zone. */
export type Anchors = ReadonlyMap<CanonicalName, readonly Delegation[]>;

export interface TrustAnchors {
  readonly anchors: Anchors;
  /** Names that are insecure with all below them, as far as no anchor stands there. */
  readonly insecure: ReadonlySet<CanonicalName>;
}

/** The built-in keys, and those of files; the keys that files have of a name replace the built-in ones. Throws a `TypeError`. */
export function parseTrustAnchors(
  files: readonly string[],
  insecureDomains: readonly string[],
): TrustAnchors {
  const anchors = new Map([...parseAnchors(ROOT_KEYS), ...parseAnchors(files.join("\n"))]);
  return { anchors, insecure: new Set(insecureDomains.map(nameOfText)) };
}

/** The anchors at a domain or below it, for a tree of names that is apart from the root's. */
export function anchorsBelow({ anchors, insecure }: TrustAnchors, domain: string): TrustAnchors {
  const name = nameOfText(domain);
  return { anchors: new Map([...anchors].filter(([zone]) => isWithinName(zone, name))), insecure };
}

/**
 * The DS and DNSKEY records of a zone file (RFC 1035 §5.1): one a line, or in parentheses; comments begin with ";". A
 * DNSKEY stands for its DS with SHA-256. Throws a `TypeError` that says what is wrong and what to write.
 */
export function parseAnchors(text: string): Map<CanonicalName, Delegation[]> {
  const anchors = new Map<CanonicalName, Delegation[]>();
  for (const line of linesOf(text)) {
    const [, name = "", type = "", data = ""] =
      /^(\S+)(?:\s+\d+)?(?:\s+IN)?(?:\s+\d+)?\s+(DS|DNSKEY)\s+(.+)$/i.exec(line) ?? [];
    const owner = name && nameOfText(name);
    const delegation = owner && (type.toUpperCase() === "DS" ? dsOfText(data) : dsOfKeyText(owner, data));
    if (!delegation) {
      throw new TypeError(
        `"${line}" is no trust anchor; write 'ZONE. IN DS TAG ALGORITHM DIGEST-TYPE DIGEST' or 'ZONE. IN DNSKEY FLAGS 3 ALGORITHM KEY'`,
      );
    }
    if (!isUsableDelegation(delegation)) {
      throw new TypeError(
        `"${line}" has an algorithm or digest that is not supported; use algorithm 8, 10, 13, 14, 15 or 16, and digest 2 or 4`,
      );
    }
    anchors.set(owner, [...anchors.get(owner) ?? [], delegation]);
  }
  return anchors;
}

/** Records with comments and parentheses taken away. */
function linesOf(text: string): string[] {
  const withoutComments = text.replace(/;.*$/gm, "");
  const joined = withoutComments.replace(/\(([^)]*)\)/g, (_, inner: string) => inner.replace(/\s+/g, " "));
  return joined.split("\n").map((line) => line.trim()).filter((line) => line !== "");
}

function nameOfText(text: string): CanonicalName {
  return canonicalName(parseName(text), 0);
}

function dsOfText(data: string): Delegation | undefined {
  const [, tag, algorithm, digestType, digest = ""] =
    /^(\d+)\s+(\d+)\s+(\d+)\s+([0-9a-fA-F\s]+)$/.exec(data) ?? [];
  const hex = digest.replace(/\s/g, "");
  if (hex.length === 0 || hex.length % 2 !== 0 || Number(tag) > 0xffff) return undefined;
  const fixed = [Number(tag) >> 8, Number(tag) & 0xff, Number(algorithm), Number(digestType)];
  return parseDelegation(joinBytes([Uint8Array.from(fixed), Uint8Array.fromHex(hex)]));
}

function dsOfKeyText(owner: CanonicalName, data: string): Delegation | undefined {
  const [, flags, protocol, algorithm, key = ""] =
    /^(\d+)\s+(\d+)\s+(\d+)\s+([A-Za-z0-9+/=\s]+)$/.exec(data) ?? [];
  const fixed = [Number(flags) >> 8, Number(flags) & 0xff, Number(protocol), Number(algorithm)];
  const record = joinBytes([Uint8Array.from(fixed), Buffer.from(key.replace(/\s/g, ""), "base64")]);
  if (!parseZoneKey(record)) return undefined;
  const digest = createHash("sha256").update(nameBytes(owner)).update(record).digest();
  return { tag: keyTag(record), algorithm: Number(algorithm), digestType: 2, digest };
}
