/** A measured program: it answers on a port of loopback. */
import type { Command } from "../../tests/support/processes/child.ts";

/** Inputs of a configuration. Paths are absolute. */
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
  /** Writes its files into its directory and returns the command that runs it. */
  prepare(place: Place): Promise<Command>;
}
