/** The proxy as a process of its own, with an upstream in this one, on a host that can be made to fail. */
import { Authority } from "../support/servers/certificates.ts";
import { askUdp, type Patience } from "../support/clients/plain_client.ts";
import { addressed, answering, DotServer } from "../support/servers/dot_server.ts";
import { query, read } from "../support/packets/packets.ts";
import { written } from "../support/processes/running_proxy.ts";
import { Child } from "../support/processes/child.ts";
import { freePort, onFreePorts } from "../support/processes/ports.ts";
import { proxyCommand } from "./proxy_command.ts";

const AUTHORITY = await Authority.create();
const CERTIFICATE = await AUTHORITY.issue({ addresses: ["127.0.0.1"] });

export interface HostOptions {
  /** How many file descriptors it may have. */
  readonly descriptors?: number;
  readonly env?: Record<string, string>;
  readonly options?: readonly string[];
}

/** A proxy with an admin address. Disposing ends it and its upstream. */
export class HostedProxy implements AsyncDisposable {
  readonly address: Deno.NetAddr;
  readonly admin: Deno.NetAddr;
  readonly child: Child;
  readonly server: DotServer;
  readonly #ca: string;

  private constructor(child: Child, server: DotServer, ca: string, ports: readonly [number, number]) {
    this.child = child;
    this.server = server;
    this.#ca = ca;
    [this.address, this.admin] = ports.map((port) => ({ transport: "tcp", hostname: "127.0.0.1", port })) as [
      Deno.NetAddr,
      Deno.NetAddr,
    ];
  }

  static start({ descriptors, env, options = [] }: HostOptions): Promise<HostedProxy> {
    return onFreePorts(async () => {
      await using stack = new AsyncDisposableStack();
      const behavior = answering(addressed());
      const server = stack.use(await DotServer.start({ certificate: CERTIFICATE, behavior }));
      const ca = await Deno.makeTempFile({ suffix: ".pem" });
      await Deno.writeTextFile(ca, AUTHORITY.pem);
      const ports = [freePort(), freePort()] as const;
      const { program, args, env: own, ...surroundings } = await proxyCommand([
        ...["--listen", `127.0.0.1:${ports[0]}`, "--admin", `127.0.0.1:${ports[1]}`],
        ...["--upstream", written(server.address), "--ca", ca, "--max-tcp-clients-per-address", "50000"],
        ...options,
      ]);
      const script = `${descriptors === undefined ? "" : `ulimit -n ${descriptors}; `}exec "$0" "$@"`;
      const child = stack.use(
        new Child("dot-proxy", {
          program: "sh",
          args: ["-c", script, program, ...args],
          ...surroundings,
          env: { ...own, ...env },
        }),
      );
      await child.says(/metrics and dashboard on|Cannot list/);
      if (child.ended || /Cannot list/.test(child.log)) throw new Error(child.log);
      stack.move();
      return new HostedProxy(child, server, ca, ports);
    });
  }

  /** The RCODE of a name that nothing knows yet. */
  async ask(name: string, ask = askUdp, patience: Patience = { timeout: 10_000 }): Promise<number> {
    return read(await ask(this.address, query(name), patience)).rcode;
  }

  async #fetch(path: string): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${this.admin.port}${path}`);
    await response.body?.cancel();
    return response.status;
  }

  /** The status of `/healthz`. */
  health(): Promise<number> {
    return this.#fetch("/healthz");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
    await Deno.remove(this.#ca);
  }
}
