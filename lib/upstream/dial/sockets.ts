/** Sockets of `node:net` and `node:tls` as promises that leave nothing open when they fail or are called off. */
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";

/** Resolves when the connection stands, with Nagle's algorithm off: it would hold small pipelined queries back. */
export function openTcp(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  return ready(connectTcp({ host, port, noDelay: true }), "connect", signal);
}

/** Resolves when the handshake is complete. The socket goes with it, whatever becomes of it. */
export async function openTls(
  socket: Socket,
  options: ConnectionOptions,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const tls = connectTls({ ...options, socket });
  tls.once("close", () => socket.destroy());
  return await ready(tls, "secureConnect", signal);
}

function ready<S extends Socket>(socket: S, event: string, signal: AbortSignal): Promise<S> {
  const { promise, resolve, reject } = Promise.withResolvers<S>();
  socket.on("error", reject); // and stays: an error that nobody listens for ends the process
  const close = () => reject(new Deno.errors.UnexpectedEof("the server has closed the connection"));
  const abort = () => reject(signal.reason);
  socket.once(event, () => resolve(socket));
  socket.once("close", close);
  signal.addEventListener("abort", abort);
  if (signal.aborted) abort();
  return promise.catch((error) => {
    socket.destroy();
    throw error;
  }).finally(() => {
    socket.off("close", close);
    signal.removeEventListener("abort", abort);
  });
}
