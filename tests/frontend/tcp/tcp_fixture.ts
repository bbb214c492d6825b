/** Shared fixtures of the TCP front-end tests. */
import { ConnectionLimit } from "../../../lib/frontend/tcp/connection_limit.ts";
import { TcpFrontend } from "../../../lib/frontend/tcp/tcp_frontend.ts";
import type { TcpClient } from "../../support/clients/plain_client.ts";
import type { FakeResolver } from "../../support/fakes/resolver.ts";
import { query, read } from "../../support/packets/packets.ts";
import { answererFor, Clock, Events, LOOP_BUDGET, withTicks } from "../fixture.ts";

export const IDLE_TIMEOUT = 10_000;

interface Settings {
  readonly resolver: FakeResolver;
  readonly maxClients?: number;
  readonly maxClientsPerAddress?: number;
  readonly maxPipelined?: number;
}

/** A front end on a free port. Its clock stands still, and sessions expire at `tick` only. */
export function tcpServer(
  { resolver, maxClients = 50, maxClientsPerAddress = 20, maxPipelined = 256 }: Settings,
) {
  const [events, clock] = [new Events(), new Clock()];
  const { made: frontend, tick } = withTicks(() =>
    new TcpFrontend({
      hostname: "127.0.0.1",
      port: 0,
      answerer: answererFor({ resolver, events, clock }),
      loopBudget: LOOP_BUDGET,
      observe: events.observe,
      connectionLimit: new ConnectionLimit({ maxClients, maxClientsPerAddress }),
      limits: { idleTimeoutMs: IDLE_TIMEOUT, maxPipelined, now: clock.now },
    })
  );
  const { hostname, port } = frontend.address;
  const address = { hostname, port };
  return { frontend, address, events, clock, tick, [Symbol.dispose]: () => frontend[Symbol.dispose]() };
}

/** Sends a query on an open connection, and returns the name in the reply. */
export async function askOn(client: TcpClient, name: string): Promise<string | undefined> {
  await client.send(query(name));
  return nameIn(await client.receive());
}

/** The name in a reply's question. */
export function nameIn(reply: Uint8Array | undefined): string | undefined {
  return reply && read(reply).question?.name;
}
