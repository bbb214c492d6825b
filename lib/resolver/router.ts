import type { Message } from "../dns/message.ts";
import type { Query, Resolver } from "./resolver.ts";

/** A label and its dot; a dot within a label is written with a backslash before it. */
const LABEL = /^(?:\\.|[^.\\])*\./s;

/** Names under some domains go to upstreams of their own; the longest domain that fits decides. */
export class Router implements Resolver {
  /** By domain: lower case, without the final dot. */
  readonly #routes: ReadonlyMap<string, Resolver>;
  readonly #otherwise: Resolver;

  constructor(routes: ReadonlyMap<string, Resolver>, otherwise: Resolver) {
    this.#routes = routes;
    this.#otherwise = otherwise;
  }

  resolve(query: Query): Message | Promise<Message> {
    return this.#route(query.message.name).resolve(query);
  }

  #route(name: string): Resolver {
    let rest = name.toLowerCase().slice(0, -1);
    for (;;) {
      const route = this.#routes.get(rest);
      if (route) return route;
      const label = LABEL.exec(rest);
      if (!label) return this.#routes.get("") ?? this.#otherwise;
      rest = rest.slice(label[0].length);
    }
  }
}
