/** Who is measured. */
import { join } from "node:path";
import type { Command } from "../../tests/support/processes/child.ts";
import type { Native } from "../rig/native.ts";
import type { Peer, Place } from "../rig/peer.ts";
import { CACHE_OCTETS, dnsdist, knotResolver, smartdns, stubby, unbound } from "./peer_configurations.ts";
import { pathOf, type Program } from "../rig/programs.ts";

/** The peers that are written in C and C++, each as Debian has it. */
export const PEERS: readonly Peer[] = [
  peer("dnsdist", "dnsdist", dnsdist, (file) => ["--supervised", "--disable-syslog", "-C", file]),
  peer("Unbound", "unbound", unbound, (file) => ["-d", "-p", "-c", file]),
  peer("Stubby", "stubby", stubby, (file) => ["-C", file]),
  peer("Knot Resolver", "kresd", knotResolver, (file, directory) => ["-n", "-c", file, directory]),
  peer("SmartDNS", "smartdns", smartdns, (file) => ["-f", "-x", "-p", "-", "-c", file]),
];

function peer(
  name: string,
  program: Program,
  configuration: (place: Place) => string,
  args: (file: string, directory: string) => string[],
): Peer {
  return {
    name,
    kind: "peer",
    async prepare(place) {
      // Stubby reads YAML only from files that are called so.
      const file = join(place.directory, "configuration.yml");
      await Deno.writeTextFile(file, configuration(place));
      return { program: pathOf(program), args: args(file, place.directory), cwd: place.directory };
    },
  };
}

/** The cost of the kernel alone: C programs that return each datagram. */
export function floors(native: Native): Peer[] {
  const floor = (name: string, ...args: string[]): Peer => ({
    name,
    kind: "floor",
    prepare: ({ port }) => Promise.resolve({ program: native.echo, args: [`${port}`, ...args] }),
  });
  return [floor("C echo, recvfrom"), floor("C echo, recvmmsg", "batched")];
}

/** dot-proxy from a checkout by its `start` task, or compiled. */
export function dotProxy(name: string, source: string, extra: readonly string[] = []): Peer {
  return {
    name,
    kind: "dot-proxy",
    async prepare({ port, dotPort, ca, name }) {
      const { program, args, ...rest } = await startCommand(source);
      const options = [
        ...["--listen", `127.0.0.1:${port}`, "--upstream", `127.0.0.1:${dotPort}#${name}`],
        ...["--ca", ca, "--log-level", "warning"],
        ...extra.includes("--cache-size") || !await hasCache({ program, args, ...rest })
          ? []
          : ["--cache-size", `${CACHE_OCTETS >> 20}MiB`],
        ...extra,
      ];
      return { program, args: [...args, ...options], ...rest };
    },
  };
}

async function startCommand(source: string): Promise<Command> {
  const isDirectory = (await Deno.stat(source)).isDirectory;
  const clean = Object.entries(Deno.env.toObject()).filter(([name]) => !name.startsWith("DOT_PROXY_"));
  const env = { ...Object.fromEntries(clean), NO_COLOR: "1" };
  if (!isDirectory) return { program: source, args: [], env, clearEnv: true };
  const { tasks } = JSON.parse(await Deno.readTextFile(join(source, "deno.json")));
  const [deno, run, ...args] = String(tasks.start).split(" ");
  if (deno !== "deno" || run !== "run") throw new Error(`The start task of ${source} is not "deno run …"`);
  return { program: Deno.execPath(), args: [run, ...args], cwd: source, env, clearEnv: true };
}

/** Versions from before `--cache-size` answer every question from the upstream. */
async function hasCache({ program, args, ...rest }: Command): Promise<boolean> {
  const help = new Deno.Command(program, { args: [...args, "--help"], ...rest });
  const { stdout } = await help.output();
  return new TextDecoder().decode(stdout).includes("--cache-size");
}
