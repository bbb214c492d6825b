/**
 * Programs that tests run, and the Debian packages that have them. A test that cannot do without a program starts it
 * through e2e/tools.ts: there `deno task test` finds which files need it. No version is named, because the release of
 * Debian fixes it: a stable release changes for faults alone.
 */
import { delimiter, join } from "node:path";

interface Origin {
  /** One, or several with spaces between where the program needs others that it does not depend on. */
  readonly packages: string;
  /** Whether the program does its work for root alone. */
  readonly needsRoot?: true;
}

/** Where each program is from. A new one needs a line here and nothing else. */
export const PROGRAMS = {
  "buildah": { packages: "buildah", needsRoot: true },
  "catatonit": { packages: "catatonit" },
  "certtool": { packages: "gnutls-bin" },
  "chromium": { packages: "chromium" },
  "debootstrap": { packages: "debootstrap", needsRoot: true },
  "delv": { packages: "bind9-dnsutils" },
  "dig": { packages: "bind9-dnsutils" },
  "dnsperf": { packages: "dnsperf" },
  "dnssec-dsfromkey": { packages: "bind9-utils" },
  "dnssec-keygen": { packages: "bind9-utils" },
  "dnssec-signzone": { packages: "bind9-utils" },
  "dpkg": { packages: "dpkg" },
  "faketime": { packages: "faketime" },
  "gcc": { packages: "gcc libc6-dev" },
  "go": { packages: "golang-go" },
  "iptables": { packages: "iptables" },
  "kdig": { packages: "knot-dnsutils" },
  "kresd": { packages: "knot-resolver" },
  "mkfifo": { packages: "coreutils" },
  "named-compilezone": { packages: "bind9-utils" },
  "named": { packages: "bind9" },
  "nginx": { packages: "nginx-light" },
  "nft": { packages: "nftables" },
  "nslookup": { packages: "bind9-dnsutils" },
  "openssl": { packages: "openssl" },
  "podman": { packages: "podman containernetworking-plugins", needsRoot: true },
  "promtool": { packages: "prometheus" },
  "runc": { packages: "runc" },
  "ss": { packages: "iproute2" },
  "systemctl": { packages: "systemd" },
  "systemd-analyze": { packages: "systemd" },
  "systemd-nspawn": { packages: "systemd-container", needsRoot: true },
  "unbound": { packages: "unbound" },
  "unshare": { packages: "util-linux", needsRoot: true },
} as const satisfies Record<string, Origin>;

export type Program = keyof typeof PROGRAMS;

/** Servers are in sbin, which the PATH of an ordinary user does not have. */
const DIRECTORIES = [
  ...(Deno.env.get("PATH") ?? "").split(delimiter),
  "/usr/local/sbin",
  "/usr/sbin",
  "/sbin",
];

/** The path of a program, or undefined where it is not installed. */
export function find(program: Program): string | undefined {
  return DIRECTORIES.map((directory) => join(directory, program)).find(isFile);
}

/** A program that cannot be used here, and the reason. */
export interface Lack {
  readonly program: Program;
  readonly reason: string;
}

/** All programs that cannot be used here. */
export function lacks(): Lack[] {
  return (Object.entries(PROGRAMS) as [Program, Origin][]).flatMap(
    ([program, { packages, needsRoot }]) => {
      if (find(program) === undefined) return { program, reason: `${packages} is not installed` };
      if (needsRoot && Deno.uid() !== 0) return { program, reason: "only root may use it" };
      return [];
    },
  );
}

/** Debian starts the servers that it installs, on port 53, unless policy-rc.d forbids it. */
const INSTALL = `
set -eu
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\\nexit 101\\n' >"$policy"
  chmod +x "$policy"
fi
apt-get update --quiet
apt-get install --quiet --yes --no-install-recommends "$@"
`;

/** Installs the packages that this machine lacks, where it is a Debian and the user is root, or is by sudo at once. */
export async function installPackages(): Promise<void> {
  const absent = lacks().filter(({ program }) => find(program) === undefined);
  if (absent.length === 0) return;
  const packages = [...new Set(absent.flatMap(({ program }) => PROGRAMS[program].packages.split(" ")))]
    .sort();
  console.log(`The tests lack ${packages.join(", ")}.`);
  const asRoot = Deno.uid() === 0 ? [] : ["sudo", "-n"];
  if (!isDebian() || !await succeeds([...asRoot, "true"])) return;
  console.log("Installing them.");
  const shell = ["env", "DEBIAN_FRONTEND=noninteractive", "sh", "-c", INSTALL, "sh"];
  if (!await succeeds([...asRoot, ...shell, ...packages])) console.error("They could not be installed.");
}

async function succeeds([program = "", ...args]: readonly string[]): Promise<boolean> {
  try {
    return (await new Deno.Command(program, { args, stdin: "null" }).spawn().status).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function isDebian(): boolean {
  return isFile("/etc/os-release") && /^ID=debian$/m.test(Deno.readTextFileSync("/etc/os-release"));
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
    throw error;
  }
}
