/** A validator over a signed tree, and how to ask it. */
import { Message } from "../../../lib/dns/message.ts";
import { parseTrustAnchors } from "../../../lib/resolver/dnssec/trust_anchors.ts";
import { Validator } from "../../../lib/resolver/dnssec/validator.ts";
import { VerificationQueue } from "../../../lib/resolver/dnssec/verification_queue.ts";
import type { Validated } from "../../../lib/core/event.ts";
import { internalQuery } from "../../../lib/core/internal_query.ts";
import type { Resolver } from "../../../lib/core/resolver.ts";
import { query, read } from "../../support/packets/packets.ts";

export interface Result {
  readonly rcode: number;
  readonly ad: boolean;
  /** INFO-CODE of the first extended error; undefined where there is none. */
  readonly code: number | undefined;
  readonly text: string;
}

export interface ValidatingOptions {
  readonly next: Resolver;
  readonly anchor: string;
  readonly insecure?: readonly string[];
  readonly wallClock?: () => number;
}

export class Validating implements Disposable {
  readonly verdicts: Validated[] = [];
  readonly queue = new VerificationQueue(() => performance.now(), Infinity);
  readonly #validator: Validator;

  constructor(
    { next, anchor, insecure = [], wallClock = () => performance.timeOrigin + performance.now() }:
      ValidatingOptions,
  ) {
    this.#validator = new Validator({
      next,
      ...parseTrustAnchors([anchor], insecure),
      queue: this.queue,
      observe: (event) => event.kind === "validated" && this.verdicts.push(event),
      now: () => performance.now(),
      wallClock,
    });
  }

  async ask(name: string, type: number, { cd = false, dnssecOk = true } = {}): Promise<Result> {
    return resultOf((await this.resolve(query(name, type, { cd, edns: { do: dnssecOk } }))).bytes);
  }

  resolve(message: Uint8Array): Promise<Message> {
    return Promise.resolve(
      this.#validator.resolve(internalQuery(Message.parse(message), performance.now() + 20_000)),
    );
  }

  [Symbol.dispose](): void {
    this.queue[Symbol.dispose]();
  }
}

export function resultOf(bytes: Uint8Array): Result {
  const { rcode, flags, edns } = read(bytes);
  const error = edns?.options.find(({ code }) => code === 15)?.value;
  return {
    rcode,
    ad: flags.ad,
    code: error && error[0]! << 8 | error[1]!,
    text: error ? new TextDecoder().decode(error.subarray(2)) : "",
  };
}
