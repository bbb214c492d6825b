/** Behaviours made of others. */
import type { Behaviour } from "./dot_connection.ts";

/** The first connection gets the first behaviour and so on, all later ones the last. */
export function inTurn(...behaviours: Behaviour[]): Behaviour {
  let next = 0;
  return (connection) => {
    const behaviour = behaviours[Math.min(next++, behaviours.length - 1)]!;
    return behaviour(connection);
  };
}

/** Each connection's first query is met with the behaviour, all others with silence. */
export function once(behaviour: Behaviour): Behaviour {
  return (connection) => {
    const handle = behaviour(connection);
    let met = false;
    return (query) => {
      if (met) return;
      met = true;
      return handle(query);
    };
  };
}
