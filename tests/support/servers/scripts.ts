/** Behaviors made of others. */
import type { Behavior } from "./dot_connection.ts";

/** The first connection gets the first behavior and so on, all later ones the last. */
export function inTurn(...behaviors: Behavior[]): Behavior {
  let next = 0;
  return (connection) => {
    const behavior = behaviors[Math.min(next++, behaviors.length - 1)]!;
    return behavior(connection);
  };
}

/** Each connection's first query is met with the behavior, all others with silence. */
export function once(behavior: Behavior): Behavior {
  return (connection) => {
    const handle = behavior(connection);
    let met = false;
    return (query) => {
      if (met) return;
      met = true;
      return handle(query);
    };
  };
}
