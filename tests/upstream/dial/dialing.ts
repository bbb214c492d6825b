/** Dials to real servers. */
import type { Phase } from "../../../lib/core/errors.ts";
import { parseUpstream } from "../../../lib/upstream/address.ts";
import type { Channel, Dial } from "../../../lib/upstream/connection/channel.ts";
import { dialer, type DialSettings } from "../../../lib/upstream/dial/dial.ts";
import { systemLookup } from "../../../lib/upstream/dial/host_lookup.ts";
import { Authority } from "../../support/servers/certificates.ts";

export const AUTHORITY = await Authority.create();
export const CERTIFICATE = await AUTHORITY.issue({ names: ["dot.test"], addresses: ["127.0.0.1"] });

/** A strict dial to an upstream as a user writes it, with `AUTHORITY` among the trusted. */
export function dialTo(upstream: string, settings: Partial<DialSettings> = {}): Dial {
  return dialer(parseUpstream(upstream)[0]!, {
    caCerts: [AUTHORITY.pem],
    timeoutMs: 5_000,
    lookup: systemLookup,
    profile: "strict",
    onUnauthenticated: () => {},
    makeRoom: () => false,
    ...settings,
  });
}

/** Dials and collects the reported phases. */
export function dialled(
  dial: Dial,
  signal = new AbortController().signal,
): { channel: Promise<Channel>; phases: Phase[] } {
  const phases: Phase[] = [];
  return { channel: dial({ signal, onPhase: (phase) => phases.push(phase) }), phases };
}
