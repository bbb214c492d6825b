/** An upstream server in a process of its own, and its faults. */

import { Authority } from "../support/servers/certificates.ts";
import { LineChild, type LineChildOptions } from "../support/processes/line_child.ts";
import type { Counts, ServerRequest } from "./server_child.ts";

const AUTHORITY = await Authority.create();
const OTHER_AUTHORITY = await Authority.create({ name: "Other Root" });

/** PEM of whom to trust. */
export const CA = AUTHORITY.pem;

export class Server implements AsyncDisposable {
  readonly host: string;
  port = 0;
  readonly #child: LineChild<ServerRequest>;

  protected constructor(host: string, options?: LineChildOptions) {
    this.host = host;
    this.#child = new LineChild(new URL("server_child.ts", import.meta.url), options);
  }

  static async start(): Promise<Server> {
    const server = new Server("127.0.0.1");
    await server.listenFirst();
    return server;
  }

  get pid(): number {
    return this.#child.pid;
  }

  ask(request: ServerRequest): Promise<Counts> {
    return this.#child.ask<Counts>(request);
  }

  /** Its process ends by SIGKILL, and with it the server. */
  kill(): Promise<void> {
    return this.#child.kill();
  }

  /** Replaces its certificate by an untrusted one and closes its connections. */
  async swapCertificate(): Promise<void> {
    const certificate = await OTHER_AUTHORITY.issue({ addresses: [this.host] });
    await this.ask({ do: "present", certificate });
    await this.ask({ do: "cut" });
  }

  async restoreCertificate(): Promise<void> {
    await this.ask({ do: "present", certificate: await AUTHORITY.issue({ addresses: [this.host] }) });
  }

  async goAway(): Promise<void> {
    await this.ask({ do: "refuse" });
    await this.ask({ do: "cut" });
  }

  async comeBack(): Promise<void> {
    await this.ask({ do: "listen" });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#child[Symbol.asyncDispose]();
  }

  protected async listenFirst(): Promise<void> {
    const certificate = await AUTHORITY.issue({ addresses: [this.host] });
    ({ port: this.port } = await this.ask({ do: "start", certificate, address: this.host }));
  }
}
