/** Real name servers that answer over TLS on loopback: BIND, Unbound and Knot Resolver. */
import { join } from "node:path";
import { Child, type Command } from "../support/processes/child.ts";
import { answers, plain, type Server, tls } from "../support/processes/dig.ts";
import type { Credentials } from "../support/processes/credentials.ts";
import { freePort, onFreePorts } from "../support/processes/ports.ts";
import {
  bindConfiguration,
  knotResolverConfiguration,
  unboundConfiguration,
} from "./server_configurations.ts";
import { pathOf } from "./tools.ts";
import { type TrustAnchors, writeZones } from "./zones.ts";

/** A server with a DoT port. Disposing ends it and removes its directory. */
export interface DotServer extends AsyncDisposable {
  readonly name: string;
  readonly child: Child;
  readonly dotPort: number;
  /** Flags that make dig ask it directly, over TLS, authenticated. */
  readonly overTls: Server;
}

/** BIND is also the one that has the zones, and serves them in clear. */
export interface AuthoritativeServer extends DotServer {
  readonly port: number;
  readonly inClear: Server;
  readonly trustAnchors: TrustAnchors;
}

interface Start {
  readonly name: string;
  readonly authenticated?: boolean;
  readonly credentials: Credentials;
  /** Writes the server's files and returns the command that runs it. */
  prepare(directory: string, dotPort: number): Promise<Command>;
}

/**
 * Starts BIND, authoritative for the zones of the rig, in clear on one port and over TLS on another. With credentials
 * that no client accepts, it cannot be asked with `authenticated` whether it is ready.
 */
export async function startBind(
  credentials: Credentials,
  { authenticated = true } = {},
): Promise<AuthoritativeServer> {
  let port = 0;
  let trustAnchors: TrustAnchors | undefined;
  const server = await start({
    name: "BIND",
    credentials,
    authenticated,
    async prepare(directory, dotPort) {
      port = freePort();
      trustAnchors = await writeZones(directory);
      const file = join(directory, "named.conf");
      await Deno.writeTextFile(file, bindConfiguration({ directory, port, dotPort, ...credentials }));
      // -g: in the foreground, log to standard error. -n 1: one worker is plenty.
      return { program: pathOf("named"), args: ["-g", "-n", "1", "-c", file] };
    },
  });
  return Object.assign(server, { port, inClear: plain(port), trustAnchors: trustAnchors! });
}

/** Starts Unbound, a validating resolver that asks BIND. */
export function startUnbound(credentials: Credentials, bind: AuthoritativeServer): Promise<DotServer> {
  return start({
    name: "Unbound",
    credentials,
    async prepare(directory, dotPort) {
      const file = join(directory, "unbound.conf");
      await Deno.writeTextFile(
        file,
        unboundConfiguration({ directory, port: bind.port, dotPort, ...credentials }, bind.trustAnchors),
      );
      return { program: pathOf("unbound"), args: ["-d", "-p", "-c", file] };
    },
  });
}

/** Starts Knot Resolver, a validating forwarder to BIND. */
export function startKnotResolver(credentials: Credentials, bind: AuthoritativeServer): Promise<DotServer> {
  return start({
    name: "Knot Resolver",
    credentials,
    async prepare(directory, dotPort) {
      const file = join(directory, "kresd.conf");
      await Deno.writeTextFile(
        file,
        knotResolverConfiguration({ directory, port: bind.port, dotPort, ...credentials }, bind.trustAnchors),
      );
      return { program: pathOf("kresd"), args: ["-n", "-c", file, directory] };
    },
  });
}

function start({ name, credentials, authenticated = true, prepare }: Start): Promise<DotServer> {
  return onFreePorts(async () => {
    await using stack = new AsyncDisposableStack();
    const directory = await Deno.makeTempDir({ prefix: "dot-proxy-e2e-" });
    stack.defer(() => Deno.remove(directory, { recursive: true }));
    const dotPort = freePort();
    const child = stack.use(new Child(name, await prepare(directory, dotPort)));
    const overTls = tls(dotPort, credentials);
    const asked = authenticated ? overTls : [...plain(dotPort), "+tls"];
    await child.ready(() => answers(asked, "NOERROR", "example.test", "SOA"));
    const owned = stack.move();
    return { name, child, dotPort, overTls, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  });
}
