import type { AddressInfo, Server, Socket } from "node:net";
import { within } from "../within.ts";

const TIMEOUT = 5_000;

/** Destroys the socket if need be, and resolves when its resources are given back. */
export async function destroyed(socket: Socket): Promise<void> {
  if (socket.closed) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.once("close", () => resolve());
  socket.destroy();
  await within(TIMEOUT, promise, "a socket to close");
}

/** Resolves when the server listens, with where. Port 0 is any that is free. */
export async function listening(server: Server, hostname: string, port: number): Promise<AddressInfo> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(port, hostname, resolve);
  await within(TIMEOUT, promise, `${hostname}:${port} to be listened on`);
  server.off("error", reject);
  return server.address() as AddressInfo;
}
