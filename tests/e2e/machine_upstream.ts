/** An upstream in the network of a `Machine`. */
import { fileURLToPath } from "node:url";
import { Child } from "../support/processes/child.ts";
import type { Machine } from "./machine.ts";

const SCRIPT = fileURLToPath(new URL("upstream_process.ts", import.meta.url));

/** A running DNS-over-TLS server. */
export interface MachineUpstream extends AsyncDisposable {
  /** `HOST:PORT?pin=…`: an upstream that needs no file of certificates. */
  readonly upstream: string;
  readonly child: Child;
}

/**
 * Starts a server that answers every query, at an address that the machine has from then on.
 * @param clientAuthority PEM file: only clients with a certificate of this authority are let in.
 */
export async function startMachineUpstream(
  machine: Machine,
  hostname: string,
  clientAuthority?: string,
): Promise<MachineUpstream> {
  if (!hostname.startsWith("127.")) {
    await machine.succeed("ip", ["address", "add", `${hostname}/32`, "dev", "lo"]);
  }
  const args = ["run", "--allow-all", SCRIPT, hostname, ...clientAuthority ? [clientAuthority] : []];
  const child = new Child("the upstream", machine.beside(Deno.execPath(), args));
  try {
    await child.says(/"pin"/);
    const { port, pin } = JSON.parse(/^\{.*\}$/m.exec(child.log)?.[0] ?? "{}");
    return {
      upstream: `${hostname}:${port}?pin=sha256/${pin}`,
      child,
      [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
    };
  } catch (error) {
    await child[Symbol.asyncDispose]();
    throw error;
  }
}
