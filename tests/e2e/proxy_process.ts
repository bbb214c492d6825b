/** The proxy itself, as a child that answers. */
import { Child } from "../support/processes/child.ts";
import { answers, plain, type Server } from "../support/processes/dig.ts";
import { freePort, onFreePorts } from "../support/processes/ports.ts";
import { proxyCommand } from "./proxy_command.ts";

/** How to start the proxy. */
export interface ProxyOptions {
  /** `HOST:PORT#AUTHNAME`, tried in this order. */
  readonly upstreams: readonly string[];
  /** PEM file of the authority that it trusts. */
  readonly ca: string;
  /** Default `debug`: the log is shown when a test fails. */
  readonly logLevel?: "debug" | "info";
  /** Default: those of the mode. */
  readonly workers?: number;
  /** Other options, as a user writes them. */
  readonly args?: readonly string[];
}

/** A running proxy. Disposing ends it. */
export class ProxyProcess implements AsyncDisposable {
  readonly child: Child;
  /** Of both UDP and TCP, on 127.0.0.1. */
  readonly port: number;
  /** Flags that make dig ask it. */
  readonly server: Server;

  constructor(child: Child, port: number) {
    this.child = child;
    this.port = port;
    this.server = plain(port);
  }

  /** All that it wrote to standard error (and output, which stays empty). */
  get log(): string {
    return this.child.log;
  }

  /** Sends SIGTERM and resolves with the exit code. */
  stop(): Promise<number> {
    return this.child.stop("SIGTERM");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.child[Symbol.asyncDispose]();
  }
}

/** Starts a proxy and waits until it answers: something of its own, since its upstream may be broken on purpose. */
export function startProxy(
  { upstreams, ca, logLevel = "debug", workers, args = [] }: ProxyOptions,
): Promise<ProxyProcess> {
  return onFreePorts(async () => {
    await using stack = new AsyncDisposableStack();
    const port = freePort();
    const options = [
      ...["--listen", `127.0.0.1:${port}`],
      ...upstreams.flatMap((upstream) => ["--upstream", upstream]),
      ...["--ca", ca],
      ...["--log-level", logLevel],
      ...workers === undefined ? [] : ["--workers", `${workers}`],
      ...args,
    ];
    const proxy = stack.use(new ProxyProcess(new Child("dot-proxy", await proxyCommand(options)), port));
    // RFC 6895 §2.2: opcode 2 is STATUS, which no proxy forwards. Any answer will do here.
    await proxy.child.ready(() => answers(proxy.server, "NOTIMP", "+opcode=status", "ready.example.test"));
    stack.move();
    return proxy;
  });
}
