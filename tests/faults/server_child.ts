/** A DNS-over-TLS server in a process of its own, so that it shares neither event loop nor fate with anything else. */
import type { Certificate } from "../support/servers/certificates.ts";
import { type Behavior, delayed, DotServer, servfail, silent } from "../support/servers/dot_server.ts";
import { serveLines } from "../support/processes/line_child.ts";

/** How long an answer takes where all is well, in ms: as from a server in the same country. */
const HEALTHY = 10;

const BEHAVIOURS = {
  healthy: delayed(HEALTHY),
  slow: delayed(500),
  servfail: delayed(HEALTHY, servfail),
  silent,
} satisfies Record<string, Behavior>;

export type ServerRequest =
  /** Listens; `address` is of this host. */
  | { readonly do: "start"; readonly certificate: Certificate; readonly address?: string }
  | { readonly do: "behave"; readonly as: keyof typeof BEHAVIOURS }
  /** Presents it to the next connections. */
  | { readonly do: "present"; readonly certificate: Certificate }
  /** Closes all connections. */
  | { readonly do: "cut" }
  /** Refuses new connections, or takes them again. */
  | { readonly do: "refuse" | "listen" }
  | { readonly do: "count" };

export interface Counts {
  readonly port: number;
  /** Queries received, handshakes completed, connections open now. */
  readonly received: number;
  readonly handshakes: number;
  readonly open: number;
}

if (import.meta.main) {
  let server: DotServer | undefined;
  await serveLines<ServerRequest>(async (request) => {
    switch (request.do) {
      case "start": {
        // The type names loopback only, which is what all other tests need.
        const hostname = (request.address ?? "127.0.0.1") as "127.0.0.1";
        const { certificate } = request;
        server = await DotServer.start({ certificate, hostname, behavior: BEHAVIOURS.healthy });
        break;
      }
      case "behave":
        server!.behavior = BEHAVIOURS[request.as];
        break;
      case "present":
        server!.certificate = request.certificate;
        break;
      case "cut":
        for (const connection of server!.connections.splice(0)) connection.cut();
        break;
      case "refuse":
        server!.stopListening();
        break;
      case "listen":
        await server!.listen();
    }
    const { port = 0, received = 0, handshakes = 0, open = 0 } = server ?? {};
    return { port, received, handshakes, open } satisfies Counts;
  });
  Deno.exit();
}
