import type { Message } from "../dns/message.ts";
import type { Query, Resolver } from "./resolver.ts";
import { RouteTable } from "./route_table.ts";

/** Names under some domains go to upstreams of their own; the longest domain that fits decides. */
export class Router implements Resolver {
  readonly #table: RouteTable;
  readonly #routes: readonly Resolver[];
  readonly #otherwise: Resolver;

  /** @param routes by domain: lower case, without the final dot */
  constructor(routes: ReadonlyMap<string, Resolver>, otherwise: Resolver) {
    this.#table = new RouteTable([...routes.keys()]);
    this.#routes = [...routes.values()];
    this.#otherwise = otherwise;
  }

  resolve(query: Query): Message | Promise<Message> {
    const route = this.#routes[this.#table.find(query.message)] ?? this.#otherwise;
    return route.resolve(query);
  }
}
