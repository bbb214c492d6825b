/** The real programs that these tests need, and where Debian has them. A missing one fails; nothing is skipped. */
import { delimiter, join } from "node:path";

const PACKAGES = {
  "dig": "bind9-dnsutils",
  "nslookup": "bind9-dnsutils",
  "named": "bind9",
  "dnssec-keygen": "bind9-utils",
  "dnssec-signzone": "bind9-utils",
  "kdig": "knot-dnsutils",
  "kresd": "knot-resolver",
  "unbound": "unbound",
  "dnsperf": "dnsperf",
  "ss": "iproute2",
  "systemd-analyze": "systemd",
  "chromium": "chromium",
  "promtool": "prometheus",
  "buildah": "buildah",
  "podman": "podman runc containernetworking-plugins iptables",
  "debootstrap": "debootstrap",
  "systemd-nspawn": "systemd-container",
  "go": "golang-go",
} as const;

/** A program of the end-to-end rig. */
export type Tool = keyof typeof PACKAGES;

/** What a program said, and how it ended. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The servers live in sbin, which an ordinary user's PATH leaves out. */
const DIRECTORIES = [
  ...(Deno.env.get("PATH") ?? "").split(delimiter),
  "/usr/local/sbin",
  "/usr/sbin",
  "/sbin",
];

/** The path of a program; throws with the package's name when it is not installed. */
export function pathOf(tool: Tool): string {
  for (const directory of DIRECTORIES) {
    const path = join(directory, tool);
    try {
      if (Deno.statSync(path).isFile) return path;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) throw error;
    }
  }
  throw new Error(
    `Cannot run the end-to-end tests: ${tool} is not installed: apt-get install ${PACKAGES[tool]}`,
  );
}

/** Runs a program to its end and keeps what it said. It is ended by its PID if it takes more than `seconds`. */
export async function run(tool: Tool, args: readonly string[], { seconds = 60 } = {}): Promise<Outcome> {
  const child = new Deno.Command(pathOf(tool), {
    args: [...args],
    env: { LC_ALL: "C" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const alarm = setTimeout(() => child.kill("SIGKILL"), seconds * 1000);
  try {
    const { code, stdout, stderr } = await child.output();
    return { code, stdout: decode(stdout), stderr: decode(stderr) };
  } finally {
    clearTimeout(alarm);
  }
}

/** Like `run`, for a program whose failure is the test's failure. Resolves with its standard output. */
export async function succeed(tool: Tool, args: readonly string[], options = {}): Promise<string> {
  const { code, stdout, stderr } = await run(tool, args, options);
  if (code !== 0) {
    throw new Error(`${tool} ${args.join(" ")} ended with ${code}:\n${stdout}${stderr}`);
  }
  return stdout;
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
