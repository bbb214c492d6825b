/**
 * The control socket: `dot-proxy reload` makes the running process reload, and gets the outcome. A signal has no response, so
 * the systemd unit reloads this way. The socket is in the service's RUNTIME_DIRECTORY (systemd.exec(5)), which only its user
 * and root can enter. Without that variable, there is no socket.
 *
 *     client connects → the process reloads → "reloaded\n", or "failed: REASON\n" → the process closes
 */

import { join } from "node:path";
import { UsageError } from "../core/errors.ts";

const VARIABLE = "RUNTIME_DIRECTORY";
const RELOADED = "reloaded\n";
const FAILED = "failed: ";
/** Pause after a failed accept. */
const ACCEPT_PAUSE_MS = 1000;

/** Path of the socket; undefined without a directory for it. */
function pathFrom(environment: Record<string, string>): string | undefined {
  const directory = environment[VARIABLE]?.split(":")[0];
  return directory ? join(directory, "control") : undefined;
}

export interface ControlOptions {
  readonly environment: Record<string, string>;
  /** Resolves with the reason of a failure, or with undefined after success. Must not reject. */
  readonly reload: () => Promise<string | undefined>;
  /**
   * Called if the socket cannot be opened; the proxy then runs without it. Also called if clients cannot be accepted, once until
   * that succeeds again.
   */
  readonly onTrouble: (error: unknown) => void;
}

/** Reloads for each client and sends it the outcome. */
export class ControlSocket implements Disposable {
  readonly #reload: ControlOptions["reload"];
  readonly #onTrouble: ControlOptions["onTrouble"];
  readonly #listener: Deno.UnixListener | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  constructor({ environment, reload, onTrouble }: ControlOptions) {
    this.#reload = reload;
    this.#onTrouble = onTrouble;
    const path = pathFrom(environment);
    if (path === undefined) return;
    try {
      removeStale(path);
      this.#listener = Deno.listen({ transport: "unix", path });
      void this.#accept(this.#listener);
    } catch (error) {
      onTrouble(error);
    }
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#listener?.close();
  }

  /** Never rejects. The listener's iterator would end with the first error, such as EMFILE. */
  async #accept(listener: Deno.UnixListener): Promise<void> {
    for (let hasFailed = false; !this.#isClosed;) {
      try {
        const client = await listener.accept();
        hasFailed = false;
        void this.#answer(client).catch(() => {}); // The client has closed.
      } catch (error) {
        if (this.#isClosed) return;
        if (!hasFailed) this.#onTrouble(error);
        hasFailed = true;
        await new Promise((resolve) => this.#timer = setTimeout(resolve, ACCEPT_PAUSE_MS));
      }
    }
  }

  async #answer(client: Deno.UnixConn): Promise<void> {
    using _ = client;
    const failure = await this.#reload();
    const answer = failure === undefined ? RELOADED : `${FAILED}${failure}\n`;
    await new Blob([answer]).stream().pipeTo(client.writable);
  }
}

/** Makes the running process reload. Throws an `Error` with the reason of a failure, and `UsageError` without a socket. */
export async function requestReload(environment: Record<string, string>): Promise<void> {
  const path = pathFrom(environment);
  if (path === undefined) {
    throw new UsageError(
      `dot-proxy reload needs ${VARIABLE} in the environment, as in ExecReload of a systemd unit; elsewhere send SIGHUP to the process`,
    );
  }
  const answer = await new Response((await connect(path)).readable).text();
  if (answer !== RELOADED) throw new Error(answer.trimEnd() || "the process ended before its response");
}

async function connect(path: string): Promise<Deno.UnixConn> {
  try {
    return await Deno.connect({ transport: "unix", path });
  } catch (cause) {
    throw new Error(`cannot connect to "${path}": ${(cause as Error).message}`, { cause });
  }
}

/** Removes the socket of a killed process. */
function removeStale(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
