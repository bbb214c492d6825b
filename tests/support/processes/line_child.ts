/** Helpers of a test in processes of their own: one JSON object a line to them, one back for each. */
import { TextLineStream } from "./text_lines.ts";
import { within } from "../within.ts";

/** How long an answer may take, the start of the process included, in ms. */
const PATIENCE = 20_000;

/** In the child: answers every request until standard input ends. What goes wrong ends the process. */
export async function serveLines<Request>(answer: (request: Request) => unknown): Promise<void> {
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
  for await (const line of lines) {
    const reply = await answer(JSON.parse(line)) ?? null;
    Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(reply)}\n`));
  }
}

export interface LineChildOptions {
  /** A program with arguments that runs Deno, as in `ip netns exec NAME`. */
  readonly wrapper?: readonly string[];
  readonly v8Flags?: string;
}

/** In the test: a child that runs `script`. Disposing ends it. */
export class LineChild<Request> implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #requests: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #replies: ReadableStreamDefaultReader<string>;

  constructor(script: URL, { wrapper = [], v8Flags }: LineChildOptions = {}) {
    const [program, ...args] = [
      ...wrapper,
      Deno.execPath(),
      "run",
      "--no-check",
      "--allow-all",
      ...(v8Flags ? [`--v8-flags=${v8Flags}`] : []),
      script.pathname,
    ];
    this.#process = new Deno.Command(program!, { args, stdin: "piped", stdout: "piped" }).spawn();
    this.#requests = this.#process.stdin.getWriter();
    this.#replies = this.#process.stdout.pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream()).getReader();
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Requests are answered in order; the next one may only be made when this one is answered. */
  async ask<Reply = null>(request: Request): Promise<Reply> {
    await this.#requests.write(new TextEncoder().encode(`${JSON.stringify(request)}\n`));
    const { value, done } = await within(PATIENCE, this.#replies.read(), "a child's reply");
    if (done) throw new Error("A child has ended instead of answering; its words are above");
    return JSON.parse(value) as Reply;
  }

  /** SIGKILL: the system closes its sockets, without a TLS close. */
  async kill(): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // It has ended already.
    }
    await this.#process.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await this.#requests.close().catch(() => {});
    await this.#replies.cancel();
  }
}
