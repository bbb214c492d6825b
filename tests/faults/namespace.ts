/**
 * Paths that die without a word. For network namespaces of a test's own only, where no address and no packet filter of
 * this host is touched, and which end with their last process: there is nothing to clean up.
 */
import { Server } from "./server.ts";

/** Set in the namespace, so that nothing here is ever done outside of one. */
const INSIDE = "DOT_PROXY_TEST_NAMESPACE";
/** Runs the shell script behind it in a network namespace of its own, with a higher priority. */
const INTO_NAMESPACE = ["unshare", "--net", "nice", "-n", "-10", "sh", "-c"];

/** Whether this host lets us make network namespaces, links and packet filters, and go before others. */
export function canIsolate(): boolean {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return false;
  const [program, ...args] = [
    ...INTO_NAMESPACE,
    "ip link add one type veth peer name other && nft list ruleset",
  ];
  try {
    return new Deno.Command(program!, { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false; // There is no such program.
  }
}

/**
 * Runs a test file in a process of its own with a higher priority and, where possible, in a network namespace of its own, so that
 * other tests do not disturb it. Rejects with its output if a test fails.
 */
export async function testApart(name: string): Promise<void> {
  const file = new URL(name, import.meta.url).pathname;
  const test = [Deno.execPath(), "test", "--no-check", "--allow-all", file];
  const isolated = [...INTO_NAMESPACE, 'ip link set lo up && exec "$0" "$@"'];
  const [program, ...args] = canIsolate() ? [...isolated, ...test] : test;
  const { success, stdout, stderr } = await new Deno.Command(program!, {
    args,
    env: { NO_COLOR: "1", ...canIsolate() && { [INSIDE]: "yes" } },
  }).output();
  const said = [stdout, stderr].map((octets) => new TextDecoder().decode(octets)).join("");
  if (!success) throw new Error(said);
  console.log(said);
}

/** Whether this process is in a namespace of its own. */
export const IS_ISOLATED = Deno.env.has(INSIDE);

/** Drops all packets to and from this server, without RST or ICMP. */
export async function blackHole({ port }: { readonly port: number }): Promise<void> {
  const chain = ["inet", `hole${port}`, "input"];
  await run("nft", "add", "table", "inet", `hole${port}`);
  await run("nft", "add", "chain", ...chain, "{ type filter hook input priority 0; }");
  for (const side of ["dport", "sport"]) {
    await run("nft", "add", "rule", ...chain, "tcp", side, `${port}`, "drop");
  }
}

export async function healBlackHole({ port }: Server): Promise<void> {
  await run("nft", "delete", "table", "inet", `hole${port}`);
}

/** A server in another namespace, at the far end of a link that can be taken down there. */
export class DistantServer extends Server {
  static #links = 0;

  static override async start(): Promise<DistantServer> {
    const link = ++DistantServer.#links;
    const server = new DistantServer(`10.53.${link}.2`, { wrapper: ["unshare", "--net", "--"] });
    await server.ask({ do: "count" }); // It runs, and so its namespace is there.
    const near = `near${link}`;
    await run("ip", "link", "add", near, "type", "veth", "peer", "name", "far", "netns", `${server.pid}`);
    await run("ip", "address", "add", `10.53.${link}.1/24`, "dev", near);
    await run("ip", "link", "set", near, "up");
    await server.#there("ip", "link", "set", "lo", "up");
    await server.#there("ip", "address", "add", `${server.host}/24`, "dev", "far");
    await server.#there("ip", "link", "set", "far", "up");
    await server.listenFirst();
    return server;
  }

  async setLink(state: "up" | "down"): Promise<void> {
    await this.#there("ip", "link", "set", "far", state);
  }

  #there(...command: string[]): Promise<void> {
    return run("nsenter", `--net=/proc/${this.pid}/ns/net`, ...command);
  }
}

async function run(program: string, ...args: string[]): Promise<void> {
  if (!Deno.env.has(INSIDE)) throw new Error("This is not for the host's own network");
  const { success, stderr } = await new Deno.Command(program, { args, stdout: "null" }).output();
  if (!success) throw new Error(`${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
}
