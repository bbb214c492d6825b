import type { Connection } from "./connection.ts";

/** An open connection rather than one that is connecting, that rather than one that is spent or stalled, and the least busy. */
export function leastBusy(connections: Iterable<Connection>): Connection | undefined {
  let best: Connection | undefined;
  for (const each of connections) {
    if (each.state !== "open" && each.state !== "connecting") continue;
    if (!best || rank(each) < rank(best)) best = each;
  }
  return best;
}

function rank(connection: Connection): number {
  const { inFlight, state, isSpent, stalled } = connection;
  return inFlight + (state === "open" ? 0 : 1e6) + (isSpent ? 2e6 : 0) + (stalled ? 1e7 : 0);
}
