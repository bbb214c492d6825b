import type { Connection } from "./connection.ts";

/** An open connection rather than one that is connecting, and one that is not stalled, and the least busy. */
export function leastBusy(connections: Iterable<Connection>): Connection | undefined {
  let best: Connection | undefined;
  for (const each of connections) {
    if (each.state !== "open" && each.state !== "connecting") continue;
    if (!best || rank(each) < rank(best)) best = each;
  }
  return best;
}

function rank(connection: Connection): number {
  return connection.inFlight + (connection.state === "open" ? 0 : 1e6) + (connection.stalled ? 1e7 : 0);
}
