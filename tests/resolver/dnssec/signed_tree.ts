/**
 * A signed tree of zones on loopback, made with BIND's tools: every algorithm, NSEC and NSEC3, and zones that are broken in
 * one way each. BIND serves the zones; one Unbound resolves without validation, as an upstream does, and another validates.
 */
import { join } from "node:path";
import { Child } from "../../support/processes/child.ts";
import { freePort, onFreePorts } from "../../support/processes/ports.ts";
import { pathOf, succeed } from "../../e2e/tools.ts";
import { askTcp } from "../../support/clients/plain_client.ts";
import { query } from "../../support/packets/packets.ts";

interface ZoneSpec {
  readonly algorithm?: string;
  /** Flags of dnssec-signzone: NSEC3 parameters, times. */
  readonly flags?: readonly string[];
  /** No signatures at all. */
  readonly unsigned?: true;
  /** Changes the zone file after it was signed. */
  readonly spoil?: (text: string) => string;
  /** Changes the DS records that the parent gets; nothing of them is left for an unsigned delegation. */
  readonly ds?: (text: string) => string;
  /** Zones below it, by their first label. */
  readonly children?: Readonly<Record<string, ZoneSpec>>;
}

const NSEC3 = ["-3", "-", "-H", "0"];
const OPT_OUT = ["-3", "AABBCCDD", "-H", "5", "-A"];
const withoutDs = () => "";
/** Removes the RRSIG records over a type of a name; of all names unless given. */
const withoutSignatures = (type: string, name = "\\S+") => (text: string) =>
  text.replace(new RegExp(`^${name}\\s+\\d+\\s+IN\\s+RRSIG\\s+${type} .*\\n`, "gm"), "");
const without = (type: string) => (text: string) =>
  withoutSignatures(type)(text.replace(new RegExp(`^\\S+\\s+\\d+\\s+IN\\s+${type}\\s.*\\n`, "gm"), ""));

const CHILDREN: Readonly<Record<string, ZoneSpec>> = {
  signed: {},
  unsigned: { unsigned: true, ds: withoutDs },
  island: { ds: withoutDs },
};

/** What each zone is like. Those with a name of an algorithm alternate between NSEC and NSEC3. */
export const ZONES: Readonly<Record<string, ZoneSpec>> = {
  rsasha256: { algorithm: "RSASHA256" },
  rsasha512: { algorithm: "RSASHA512", flags: NSEC3 },
  p256: { algorithm: "ECDSAP256SHA256", flags: NSEC3 },
  p384: { algorithm: "ECDSAP384SHA384" },
  ed25519: { algorithm: "ED25519" },
  ed448: { algorithm: "ED448", flags: NSEC3 },
  nsec: { children: CHILDREN },
  nsec3: { flags: ["-3", "AABB", "-H", "10"], children: CHILDREN },
  optout: { flags: OPT_OUT, children: CHILDREN },
  unsigned: { unsigned: true, ds: withoutDs, children: { signed: { ds: withoutDs } } },
  island: { ds: withoutDs },
  iterated: { flags: ["-3", "AABB", "-H", "100"] },
  sha1: { algorithm: "NSEC3RSASHA1", flags: NSEC3 },
  sha1digest: {
    ds: (text) => text.replace(/ 2 [0-9A-F ]+$/m, " 1 2BB183AF5F22588179A53B0A98631FAD1A292118"),
  },
  unknowndigest: { ds: (text) => text.replace(/ (\d+) 2 /, " $1 99 ") },
  unknownalgorithm: { ds: (text) => text.replace(/ \d+ 2 /, " 99 2 ") },
  expired: { flags: ["-s", "20200101000000", "-e", "20200201000000"], children: { signed: {} } },
  future: { flags: ["-s", "20500101000000", "-e", "20500201000000"] },
  expirednsec3: { flags: [...NSEC3, "-s", "20200101000000", "-e", "20200201000000"] },
  swappedds: {
    ds: (text) => text.replace(/ 2 ([0-9A-F]{4})/, (_, hex) => ` 2 ${hex === "ABCD" ? "DCBA" : "ABCD"}`),
  },
  wrongtag: { ds: (text) => text.replace(/DS (\d+)/, (_, tag) => `DS ${Number(tag) ^ 1}`) },
  nokeys: { unsigned: true, ds: () => `@ IN DS 12345 13 2 ${"AB".repeat(32)}` },
  nokeysignature: { spoil: withoutSignatures("DNSKEY") },
  nosignatures: { spoil: withoutSignatures("(?!DNSKEY)\\w+") },
  noasignature: { spoil: withoutSignatures("A") },
  nonsec: { spoil: without("NSEC") },
  nonsec3: { flags: NSEC3, spoil: without("NSEC3") },
  changeddata: { spoil: (text) => text.replaceAll("192.0.2.1\n", "192.0.2.66\n") },
  changedsignature: { spoil: spoilSignatures },
};

/** The same records in each zone, so that each question is asked of each kind of zone. */
const RECORDS = `
@ 300 IN SOA ns.ROOT. admin.ROOT. 1 3600 600 86400 300
@ 300 IN NS ns.ROOT.
@ 300 IN MX 10 www
@ 300 IN TXT "apex"
www 300 IN A 192.0.2.1
www 300 IN AAAA 2001:db8::1
WwW 300 IN TXT "one" "two"
many 300 IN A 192.0.2.1
many 300 IN A 192.0.2.3
many 300 IN A 192.0.2.2
a.b.ent 300 IN A 192.0.2.1
*.wild 300 IN A 192.0.2.1
*.wild 300 IN MX 5 WWW
own.wild 300 IN TXT "own"
*.wildalias 300 IN CNAME www
*.ent.wildent 300 IN A 192.0.2.1
alias 300 IN CNAME www
alias2 300 IN CNAME alias
dangling 300 IN CNAME nothing
toNodata 300 IN CNAME a.b.ent
outside 300 IN CNAME www.p256.
toUnsigned 300 IN CNAME www.unsigned.
toExpired 300 IN CNAME www.expired.
sub 300 IN DNAME wild
tree 300 IN DNAME p256.
srv 300 IN SRV 0 0 53 WWW
naptr 300 IN NAPTR 1 1 "u" "E2U" "!x!y!" Www
long 300 IN TXT "${"x".repeat(250)}" "${"y".repeat(250)}"
`;

/** Names in each zone, and others that are not there. */
export const NAMES = [
  ...[
    "",
    "www",
    "many",
    "b.ent",
    "a.b.ent",
    "ent",
    "x.wild",
    "x.y.wild",
    "own.wild",
    "x.own.wild",
    "wild",
    "*.wild",
  ],
  ...[
    "x.wildalias",
    "ent.wildent",
    "x.ent.wildent",
    "alias",
    "alias2",
    "dangling",
    "tonodata",
    "outside",
    "tounsigned",
  ],
  ...[
    "toexpired",
    "sub",
    "x.sub",
    "www.tree",
    "nothing.tree",
    "srv",
    "naptr",
    "long",
    "nothing",
    "x.nothing",
    "zzzz",
  ],
  ...["x.www", "0"],
];

/** Types that each name is asked for. */
export const TYPES: readonly number[] = [1, 2, 5, 6, 15, 16, 28, 33, 35, 39, 43, 48, 65];

/** Names of all zones, without the final dot; the root's is empty. */
export function zoneNames(zones = ZONES, parent = ""): string[] {
  return Object.entries(zones).flatMap(([label, { children = {} }]) => {
    const name = parent === "" ? label : `${label}.${parent}`;
    return [name, ...zoneNames(children, name)];
  });
}

export interface SignedTree extends AsyncDisposable {
  /** Records of the root's key, as a zone file. */
  readonly anchor: string;
  readonly anchorFile: string;
  readonly authoritativePort: number;
  /** Resolves, and does not validate. */
  readonly resolverPort: number;
  /** The oracle: Unbound. */
  readonly validatorPort: number;
}

/** Signs the zones, all unless given, and starts the servers. */
export async function startSignedTree(...labels: string[]): Promise<SignedTree> {
  // The name server of all zones is in one of them.
  const chosen = Object.entries(ZONES).filter(([label]) =>
    labels.length === 0 || ["rsasha256", ...labels].includes(label)
  );
  const zones = Object.fromEntries(chosen);
  await using stack = new AsyncDisposableStack();
  const directory = await Deno.makeTempDir({ prefix: "dot-proxy-dnssec-" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  const anchor = await writeZone(directory, "", { children: zones });
  const anchorFile = join(directory, "anchor");
  await Deno.writeTextFile(anchorFile, anchor);
  const [authoritative, authoritativePort] = await start(
    (port) => writeConfiguration(directory, "named", bindConfiguration(directory, port, zoneNames(zones))),
    (file) => ({ program: pathOf("named"), args: ["-g", "-n", "1", "-c", file] }),
  );
  stack.use(authoritative);
  const servers = await Promise.all(["iterator", "validator iterator"].map((modules) =>
    start(
      (port) =>
        writeConfiguration(
          directory,
          `unbound-${modules.length}`,
          unboundConfiguration(directory, port, authoritativePort, modules, anchorFile),
        ),
      (file) => ({ program: pathOf("unbound"), args: ["-d", "-p", "-c", file] }),
    )
  ));
  for (const [server] of servers) stack.use(server);
  const owned = stack.move();
  return {
    anchor,
    anchorFile,
    authoritativePort,
    resolverPort: servers[0]![1],
    validatorPort: servers[1]![1],
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function writeConfiguration(directory: string, name: string, text: string): Promise<string> {
  const file = join(directory, `${name}.conf`);
  await Deno.writeTextFile(file, text);
  return file;
}

function start(
  configure: (port: number) => Promise<string>,
  command: (file: string) => { program: string; args: string[] },
): Promise<[Child, number]> {
  return onFreePorts(async () => {
    const port = freePort();
    const child = new Child("a server of the signed tree", command(await configure(port)));
    try {
      await child.ready(async () => {
        try {
          const answer = await askTcp({ hostname: "127.0.0.1", port }, query("www", "A"));
          return (answer[3]! & 0xf) === 0;
        } catch {
          return false;
        }
      });
    } catch (error) {
      await child[Symbol.asyncDispose]();
      throw error;
    }
    return [child, port];
  });
}

/** Writes and signs a zone with all below it. Resolves with the records for its parent: DS, or the root's DNSKEY. */
async function writeZone(directory: string, name: string, spec: ZoneSpec): Promise<string> {
  const { algorithm = "ECDSAP256SHA256", flags = [], unsigned, spoil = (text) => text, children = {} } = spec;
  const origin = `${name}.`;
  const folder = join(directory, name === "" ? "root" : name);
  await Deno.mkdir(folder);
  let text = `$ORIGIN ${origin}\n${RECORDS.replaceAll("ROOT.", "rsasha256.")}`;
  for (const [label, child] of Object.entries(children)) {
    const childName = name === "" ? label : `${label}.${name}`;
    const ds = await writeZone(directory, childName, child);
    text += `${label} 300 IN NS ns.rsasha256.\n${ds.replace(/^@/gm, `${childName}.`)}\n`;
  }
  if (name === "rsasha256") text += "ns 300 IN A 127.0.0.1\n";
  const file = join(folder, "zone");
  await Deno.writeTextFile(file, text);
  const served = join(directory, zoneFile(name));
  let ds = "";
  if (unsigned) {
    await Deno.writeTextFile(served, text);
  } else {
    const size = algorithm.startsWith("R") || algorithm.startsWith("NSEC3R") ? ["-b", "1024"] : [];
    const key = (await succeed("dnssec-keygen", [
      ...["-K", folder, "-a", algorithm, ...size, "-f", "KSK", "-q", "-n", "ZONE", origin],
    ])).trim();
    await succeed(
      "dnssec-signzone",
      [
        ...["-S", "-K", folder, "-d", folder, "-z", "-q", "-D", "-x", "-P", "-o", origin],
        ...flags.includes("-s") ? [] : ["-s", "now-86400"],
        ...[...flags, "-f", `${file}.signed`, file],
      ].filter((flag) => flag !== "-D" && flag !== "-x"),
    );
    const full = await succeed("named-compilezone", [
      ...["-i", "none", "-k", "ignore", "-s", "full", "-o", "-", origin, `${file}.signed`],
    ]);
    await Deno.writeTextFile(served, spoil(full));
    ds = await dsOf(folder, key, name);
  }
  return name === "" ? ds : (spec.ds ?? ((same) => same))(ds);
}

async function dsOf(folder: string, key: string, name: string): Promise<string> {
  const text = await Deno.readTextFile(join(folder, `${key}.key`));
  if (name === "") return text.split("\n").filter((line) => !line.startsWith(";")).join("\n");
  const ds = await succeed("dnssec-dsfromkey", ["-2", join(folder, key)]);
  return ds.replace(/^\S+/, "@");
}

function zoneFile(name: string): string {
  return `${name === "" ? "root" : name}.served`;
}

/** One character of each signature over A records is another one. */
function spoilSignatures(text: string): string {
  return text.replace(
    /^(\S+\s+\d+\s+IN\s+RRSIG\s+A .* )(\S)(\S+)$/gm,
    (_, before, first, rest) => `${before}${first === "A" ? "B" : "A"}${rest}`,
  );
}

function bindConfiguration(directory: string, port: number, names: readonly string[]): string {
  const zone = (name: string) => `zone "${name || "."}" { type primary; file "${zoneFile(name)}"; };`;
  return `
options {
  directory "${directory}";
  pid-file none; session-keyfile none; lock-file none;
  listen-on port ${port} { 127.0.0.1; };
  listen-on-v6 { none; };
  recursion no; dnssec-validation no; notify no; empty-zones-enable no; check-names primary ignore;
};
controls { };
${["", ...names].map(zone).join("\n")}
`;
}

function unboundConfiguration(
  directory: string,
  port: number,
  authoritativePort: number,
  modules: string,
  anchorFile: string,
): string {
  return `
server:
  directory: "${directory}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  interface: 127.0.0.1@${port}
  so-reuseport: no
  num-threads: 1
  do-ip6: no
  do-not-query-localhost: no
  qname-minimisation: no
  aggressive-nsec: no
  ede: yes
  val-bogus-ttl: 60
  val-nsec3-keysize-iterations: "1024 50 2048 50 4096 50"
  infra-host-ttl: 1
  outgoing-range: 256
  num-queries-per-thread: 256
  module-config: "${modules}"
  trust-anchor-file: "${anchorFile}"
remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@${authoritativePort}
`;
}
