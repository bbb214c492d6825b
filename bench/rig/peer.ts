/** What is measured: a program that answers on a port of loopback, and what it needs to know to do so. */
import type { Command } from "../../tests/support/processes/child.ts";

/** What a configuration is made of. Paths are absolute. */
export interface Place {
  /** The peer's own, for whatever it writes. */
  readonly directory: string;
  /** Where it answers. */
  readonly port: number;
  /** Where it asks. */
  readonly dotPort: number;
  /** The authority that it trusts. */
  readonly ca: string;
  /** The name that the upstream's certificate must have. */
  readonly name: string;
}

export interface Peer {
  readonly name: string;
  /** A floor answers by itself, over UDP only. */
  readonly kind: "dot-proxy" | "peer" | "floor";
  /** Writes what it needs into its directory and says how to run it. */
  prepare(place: Place): Promise<Command>;
}
