/** No program may save time by trusting blindly: each must reject a certificate for another name. */
import type { Credentials } from "../../tests/support/processes/credentials.ts";
import { load } from "../rig/load.ts";
import type { Native } from "../rig/native.ts";
import type { Peer } from "../rig/peer.ts";
import { spawnPeer } from "../rig/running_peer.ts";
import type { Upstream } from "../rig/upstream.ts";

const ANOTHER_NAME = "another.example.test";
/** For a peer to start, in ms; it cannot be asked whether it has, since it is to have no answers. */
const START = 1500;

/** Throws if a peer accepts answers of an upstream whose certificate has another name than the configured one. */
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
