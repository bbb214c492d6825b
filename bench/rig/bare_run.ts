/** One dot-proxy with the fast upstream behind it, for measurements that need no peers. */
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { issueCredentials } from "../../tests/support/processes/credentials.ts";
import { compile, type Native } from "./native.ts";
import { dotProxy } from "../compare/peers.ts";
import { requirePrograms } from "./programs.ts";
import { type RunningPeer, spawnPeer, startPeer } from "./running_peer.ts";
import { startUpstream, type Upstream } from "./upstream.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

export interface BareRun extends AsyncDisposable {
  readonly native: Native;
  readonly upstream: Upstream;
  /** The name in the upstream's certificate. */
  readonly name: string;
  /** Starts dot-proxy with more options; it is ended with everything else. */
  start(...options: string[]): Promise<RunningPeer>;
  /** The same, without waiting for its first answer. */
  spawn(...options: string[]): Promise<RunningPeer>;
}

/** @param source a checkout or an executable; default: DOT_PROXY_BINARY, or this tree */
export async function startBareRun(source?: string): Promise<BareRun> {
  requirePrograms();
  await using stack = new AsyncDisposableStack();
  const native = stack.use(await compile());
  const credentials = stack.use(await issueCredentials());
  const upstream = stack.use(await startUpstream("C", native, credentials));
  const place = { dotPort: upstream.dotPort, ca: credentials.ca, name: credentials.name };
  const program = resolve(source ?? Deno.env.get("DOT_PROXY_BINARY") ?? ROOT);
  const owned = stack.move();
  return {
    native,
    upstream,
    name: credentials.name,
    start: async (...options) => owned.use(await startPeer(dotProxy("dot-proxy", program, options), place)),
    spawn: async (...options) => owned.use(await spawnPeer(dotProxy("dot-proxy", program, options), place)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
