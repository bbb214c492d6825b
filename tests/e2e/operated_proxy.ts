/** The proxy as a process with its admin address open, in front of DoT servers that are in the test's hands. */
import { Authority } from "../support/servers/certificates.ts";
import type { Address } from "../support/clients/plain_client.ts";
import { DotServer } from "../support/servers/dot_server.ts";
import { Child } from "../support/processes/child.ts";
import { proxyCommand } from "./proxy_command.ts";

const DAY = 86_400_000;

export interface OperatedProxy extends AsyncDisposable {
  readonly child: Child;
  readonly servers: readonly DotServer[];
  /** Where it answers queries. */
  readonly address: Address;
  /** Of the admin server, with a final slash. */
  readonly url: string;
}

/** Starts so many servers and a proxy that trusts them. */
export async function startOperatedProxy(servers: number, ...args: string[]): Promise<OperatedProxy> {
  await using stack = new AsyncDisposableStack();
  const authority = await Authority.create();
  const notAfter = new Date(Date.now() + 90 * DAY);
  const certificate = await authority.issue({ addresses: ["127.0.0.1"], notAfter });
  const started = await Promise.all(Array.from({ length: servers }, () => DotServer.start({ certificate })));
  for (const server of started) stack.use(server);
  const ca = await Deno.makeTempFile({ suffix: ".pem" });
  stack.defer(() => Deno.remove(ca));
  await Deno.writeTextFile(ca, authority.pem);
  const upstreams = started.flatMap(({ port }) => ["--upstream", `127.0.0.1:${port}`]);
  const local = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--ca", ca];
  const child = stack.use(new Child("dot-proxy", await proxyCommand([...local, ...upstreams, ...args])));
  await child.says(/dashboard on \S+\n/);
  const port = Number(/listening on 127\.0\.0\.1:(\d+)/.exec(child.log)![1]);
  const owned = stack.move();
  return {
    child,
    servers: started,
    address: { hostname: "127.0.0.1", port },
    url: /dashboard on (\S+)/.exec(child.log)![1]!,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
