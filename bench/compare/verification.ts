/** Nobody may have an advantage from trusting blindly: a certificate for another name must not be accepted. */
import type { Credentials } from "../../tests/support/processes/credentials.ts";
import { load } from "../rig/load.ts";
import type { Native } from "../rig/native.ts";
import type { Peer } from "../rig/peer.ts";
import { spawnPeer } from "../rig/running_peer.ts";
import type { Upstream } from "../rig/upstream.ts";

const ANOTHER_NAME = "another.example.test";
/** For a peer to start, in ms; it cannot be asked whether it has, since it is to have no answers. */
const START = 1500;

/** Throws if a peer gets answers from an upstream whose certificate does not name the one that it was told of. */
export async function requireVerification(
  peers: readonly Peer[],
  upstream: Upstream,
  { native, credentials: { ca } }: { readonly native: Native; readonly credentials: Credentials },
): Promise<void> {
  await Promise.all(peers.map(async (peer) => {
    await using running = await spawnPeer(peer, { dotPort: upstream.dotPort, ca, name: ANOTHER_NAME });
    await new Promise((resolve) => setTimeout(resolve, START));
    const question = { transport: "udp", seconds: 1, window: 1, rate: 5 } as const;
    const { answered } = await load(native.load, running.port, question);
    if (running.child.ended) throw new Error(running.child.explain("ended"));
    if (answered > 0) throw new Error(`${peer.name} accepts any certificate: ${answered} questions answered`);
  }));
}
