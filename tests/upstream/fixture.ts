/** An upstream whose channels are the test's, in fake time. */
import type { Event } from "../../lib/core/event.ts";
import { type Failure, UpstreamError } from "../../lib/core/errors.ts";
import type { Trace } from "../../lib/core/resolver.ts";
import { Upstream } from "../../lib/upstream/upstream.ts";
import { FakeChannel } from "../support/fakes/channel.ts";
import { FakeTime, settled } from "../support/fakes/time.ts";
import { read } from "../support/packets/packets.ts";
import { message } from "./connection/connecting.ts";

/** An upstream whose channels are the test's; while `refusing`, it cannot be reached. */
export class Fixture implements Disposable {
  readonly time = new FakeTime();
  readonly channels: FakeChannel[] = [];
  readonly events: Event[] = [];
  dials = 0;
  refusing = false;
  failure: Failure = "refused";
  readonly upstream = new Upstream({
    label: "server",
    weight: 1,
    maxInFlight: 4096,
    idleTimeoutMs: 30_000,
    probeTimeoutMs: 4_000,
    now: this.time.now,
    observe: (event) => this.events.push(event),
    dial: () => {
      this.dials++;
      if (this.refusing) {
        return Promise.reject(new UpstreamError(this.failure, { upstream: "server", phase: "connect" }));
      }
      this.channels.push(new FakeChannel());
      return Promise.resolve(this.channels.at(-1)!);
    },
  });

  get channel(): FakeChannel {
    return this.channels.at(-1)!;
  }

  get states(): string[] {
    return this.events.flatMap((event) => event.kind === "upstream" ? [event.state] : []);
  }

  /** Why the upstream is down, by its own status. */
  get reason(): string | undefined {
    return this.upstream.status.lastError;
  }

  /** How often a name was asked for on all connections together. */
  sent(name: string): number {
    return this.channels.flatMap(({ queries }) => queries)
      .filter((query) => read(query).question!.name === name).length;
  }

  /** The outcomes of `count` queries. */
  ask(count: number, time = 4_000): Promise<string[]> {
    return this.askFor(Array.from({ length: count }, (_, index) => `name${index}.test`), time);
  }

  async askFor(names: readonly string[], time = 4_000): Promise<string[]> {
    const outcomes = Array<string>(names.length).fill("waiting");
    const client = { transport: "udp", address: "127.0.0.1", port: 1 } as const;
    for (const [index, name] of names.entries()) {
      const trace: Trace = { source: "upstream", upstream: undefined, attempts: 0 };
      const query = {
        trace,
        message: message(name),
        client,
        deadline: this.time.now() + time,
      };
      this.upstream.resolve(query).then(
        (answer) => outcomes[index] = answer.name,
        (error) => outcomes[index] = `${error.phase}: ${error.failure}`,
      );
    }
    await settled();
    return outcomes;
  }

  [Symbol.dispose](): void {
    this.upstream[Symbol.dispose]();
    this.time[Symbol.dispose]();
  }
}
