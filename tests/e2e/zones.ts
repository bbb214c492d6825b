/** Zones of the rig's servers: three small ones, one of them signed, and one that only a validator rejects. */
import { join } from "node:path";
import { succeed } from "./tools.ts";

/** How many addresses `many.example.test` has: more than a UDP answer of 1232 octets holds. */
export const MANY_ADDRESSES = 120;
/** How many names `nNNN.example.test` there are, for many questions on one connection. */
export const MANY_NAMES = 150;
/** How many octets of text `big.example.test` has. */
export const BIG_TEXT = 4096;

const HEAD = `$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
`;

const EXAMPLE = `${HEAD}
@ MX 10 mail
@ MX 20 www
@ CAA 0 issue "ca.example.net"
@ TXT "v=spf1 -all"
www A 192.0.2.1
www A 192.0.2.2
www AAAA 2001:db8::1
mail A 192.0.2.25
alias1 CNAME alias2
alias2 600 CNAME alias3
alias3 CNAME www
dangling CNAME missing
_dot._tcp SRV 1 2 853 www
svc HTTPS 1 . alpn="h2" ipv4hint="192.0.2.1"
txt TXT "short" "with \\"quotes\\" \\\\ ; and \\000\\255"
unknown TYPE65280 \\# 5 0102030405
unknown TYPE65281 \\# 0
dotted\\.label A 192.0.2.3
short 5 A 192.0.2.4
ttl0 0 A 192.0.2.70
ttl1 1 A 192.0.2.71
ttl60 60 A 192.0.2.72
ttl3600 3600 A 192.0.2.73
forever 2147483647 A 192.0.2.5
*.wild TXT "from the wildcard"
sub.empty A 192.0.2.6
`;

const SIGNED = `${HEAD}
www A 192.0.2.1
www AAAA 2001:db8::1
mail A 192.0.2.25
alias CNAME www
txt TXT "signed"
*.wild A 192.0.2.7
`;

/** Unsigned, but the validators of the rig hold a trust anchor for it: to them all of it is bogus. */
const BOGUS = `${HEAD}
www A 192.0.2.66
`;

/** Trust anchors for a validator, each a DS record in presentation format. */
export interface TrustAnchors {
  readonly signed: string;
  readonly bogus: string;
}

/** Writes the zone files into a directory, signs `signed.test`, and resolves with the trust anchors. */
export async function writeZones(directory: string): Promise<TrustAnchors> {
  await Deno.writeTextFile(join(directory, "example.test"), EXAMPLE + [...numbered()].join("\n") + "\n");
  await Deno.writeTextFile(join(directory, "bogus.test"), BOGUS);
  const unsigned = join(directory, "signed.test.unsigned");
  await Deno.writeTextFile(unsigned, SIGNED);
  for (const flag of [["-f", "KSK"], []]) {
    await succeed("dnssec-keygen", ["-q", "-a", "ECDSAP256SHA256", ...flag, "-K", directory, "signed.test"]);
  }
  // -S: use the keys in the directory. The DS set of the signed zone goes to -d.
  await succeed("dnssec-signzone", [
    ...["-S", "-K", directory, "-d", directory, "-o", "signed.test"],
    ...["-f", join(directory, "signed.test"), unsigned],
  ]);
  const [signed] = (await Deno.readTextFile(join(directory, "dsset-signed.test."))).split("\n");
  if (signed === undefined) throw new Error("dnssec-signzone wrote no DS record");
  return {
    signed: signed.replaceAll(/\s+/g, " "),
    bogus: `bogus.test. IN DS 1 13 2 ${"5A".repeat(32)}`,
  };
}

function* numbered(): Generator<string> {
  for (let index = 0; index < MANY_ADDRESSES; index++) yield `many A 198.51.100.${index + 1}`;
  for (let index = 0; index < MANY_NAMES; index++) yield `n${index} A 203.0.113.${index + 1}`;
  // 16 records of 256 octets, each in two strings, for one string holds no more than 255.
  for (let index = 0; index < BIG_TEXT / 256; index++) {
    const letter = String.fromCharCode("a".charCodeAt(0) + index);
    yield `big TXT "${letter.repeat(200)}" "${letter.repeat(56)}"`;
  }
}
