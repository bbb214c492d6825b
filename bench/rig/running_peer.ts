/** A peer that runs, pinned to its core. */
import { Child } from "../../tests/support/processes/child.ts";
import { answers, plain } from "../../tests/support/processes/dig.ts";
import { freePort, onFreePorts } from "../../tests/support/processes/ports.ts";
import type { Peer, Place } from "./peer.ts";
import { pinned, PROXY_CORE } from "./processes.ts";
import { ZONE } from "./upstream.ts";

export interface RunningPeer extends AsyncDisposable {
  readonly peer: Peer;
  readonly child: Child;
  readonly port: number;
}

/** Starts a peer and waits until it has an answer from the upstream. */
export function startPeer(peer: Peer, place: Omit<Place, "directory" | "port">): Promise<RunningPeer> {
  return onFreePorts(async () => {
    await using stack = new AsyncDisposableStack();
    const { child, port } = stack.use(await spawnPeer(peer, place));
    await child.ready(() => answers(plain(port), "NOERROR", `ready.${ZONE}`));
    const owned = stack.move();
    return { peer, child, port, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  });
}

/** Starts a peer that is not expected to have answers. */
export async function spawnPeer(
  peer: Peer,
  place: Omit<Place, "directory" | "port">,
): Promise<RunningPeer> {
  await using stack = new AsyncDisposableStack();
  const directory = await Deno.makeTempDir({ prefix: "dot-proxy-bench-" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  const port = freePort();
  const command = await peer.prepare({ ...place, directory, port });
  const child = stack.use(new Child(peer.name, pinned(PROXY_CORE, command)));
  const owned = stack.move();
  return { peer, child, port, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
