/** Everything that one end-to-end test needs: BIND with the zones, the server in question, the proxy in front of it. */
import { type Child, withLogs } from "../support/processes/child.ts";
import { issueCredentials } from "../support/processes/credentials.ts";
import { type ProxyOptions, type ProxyProcess, startProxy } from "./proxy_process.ts";
import {
  type AuthoritativeServer,
  type DotServer,
  startBind,
  startKnotResolver,
  startUnbound,
} from "./servers.ts";

/** The implementations that the proxy has to work with. */
export const IMPLEMENTATIONS = ["BIND", "Unbound", "Knot Resolver"] as const;
export type Implementation = typeof IMPLEMENTATIONS[number];

/** Servers without a proxy. Disposing ends them, the last one first. */
export interface Servers extends AsyncDisposable {
  /** Has the zones; the one whose answers in clear are the truth. */
  readonly bind: AuthoritativeServer;
  /** The DoT server in question; may be BIND itself. */
  readonly server: DotServer;
  /** PEM file of the authority behind the server's certificate. */
  readonly ca: string;
  /** `HOST:PORT#AUTHNAME` of the server. */
  readonly upstream: string;
  readonly children: readonly Child[];
}

/** Servers with a proxy in front of them. */
export interface Rig extends Servers {
  readonly proxy: ProxyProcess;
  /** A step of a test that shows the logs of all servers when it fails. */
  step(t: Deno.TestContext, name: string, body: () => Promise<void>): Promise<boolean>;
}

/** Starts the servers only. */
export async function startServers(implementation: Implementation): Promise<Servers> {
  await using stack = new AsyncDisposableStack();
  const credentials = stack.use(await issueCredentials());
  const bind = stack.use(await startBind(credentials));
  const server = implementation === "BIND"
    ? bind
    : implementation === "Unbound"
    ? stack.use(await startUnbound(credentials, bind))
    : stack.use(await startKnotResolver(credentials, bind));
  const owned = stack.move();
  return {
    bind,
    server,
    ca: credentials.ca,
    upstream: `127.0.0.1:${server.dotPort}#${credentials.name}`,
    children: server === bind ? [bind.child] : [bind.child, server.child],
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Starts the servers and the proxy. */
export async function startRig(
  implementation: Implementation,
  options: Pick<ProxyOptions, "logLevel" | "workers"> = {},
): Promise<Rig> {
  await using stack = new AsyncDisposableStack();
  const servers = stack.use(await startServers(implementation));
  const proxy = stack.use(await startProxy({ upstreams: [servers.upstream], ca: servers.ca, ...options }));
  const owned = stack.move();
  const children = [...servers.children, proxy.child];
  return {
    ...servers,
    proxy,
    children,
    step: (t, name, body) => t.step(name, () => withLogs(children, body)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
