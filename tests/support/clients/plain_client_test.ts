import { hasAddress, isLeftOut } from "../left_out.ts";
import { createServer, type Socket } from "node:net";
import { assertEquals, assertRejects } from "../assert.ts";
import { type Address, askTcp, askUdp, TcpClient, UdpClient } from "./plain_client.ts";
import { frame } from "../packets/frames.ts";
import { query } from "../packets/packets.ts";
import { destroyed, listening } from "../servers/sockets.ts";

const QUERY = query("a.test");
const SHORT = { timeout: 20 };

for (const hostname of ["127.0.0.1", "::1"]) {
  if (isLeftOut(hasAddress(hostname))) continue;
  Deno.test(`a message goes out over UDP and the answer comes back, on ${hostname}`, async () => {
    const socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
    const echoed = socket.receive().then(([bytes, from]) => socket.send(bytes, from));
    assertEquals(await askUdp(socket.addr as Deno.NetAddr, QUERY), QUERY);
    await echoed;
    socket.close();
  });
}

Deno.test("the wait for a datagram ends", async () => {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  using client = new UdpClient(socket.addr as Deno.NetAddr);
  await assertRejects(() => client.receive(SHORT), DOMException, "a datagram");
  socket.close();
});

Deno.test("a message goes out over TCP and the answer comes back", async () => {
  await withServer((socket) => socket.pipe(socket), async (server) => {
    assertEquals(await askTcp(server, QUERY), QUERY);
  });
});

Deno.test("frames are put together from single octets, and taken apart when they come together", async () => {
  await withServer((socket) => socket.pipe(socket), async (server) => {
    await using client = await TcpClient.connect(server);
    await client.sendByteByByte(QUERY);
    await client.send(QUERY, Uint8Array.of());
    assertEquals(await client.receive(), QUERY);
    assertEquals(await client.receive(), QUERY);
    assertEquals(await client.receive(), Uint8Array.of());
    await assertRejects(() => client.receive(SHORT), DOMException, "a message");
  });
});

Deno.test("after a half-close the client still receives", async () => {
  await withServer((socket) => socket.resume().on("end", () => socket.end(frame(QUERY))), async (server) => {
    await using client = await TcpClient.connect(server);
    client.closeWrite();
    assertEquals(await client.receive(), QUERY);
    assertEquals(await client.receive(), undefined);
    assertEquals(await client.closed(), "fin");
  });
});

Deno.test("a close within a frame is an error, not an end", async () => {
  await withServer((socket) => socket.end(frame(QUERY).subarray(0, -1)), async (server) => {
    await using client = await TcpClient.connect(server);
    await assertRejects(() => client.receive(), Error, "within a frame");
  });
});

Deno.test("the client distinguishes RST from FIN", async () => {
  await withServer((socket) => socket.once("data", () => socket.resetAndDestroy()), async (server) => {
    await using client = await TcpClient.connect(server);
    await client.send(QUERY);
    assertEquals(await client.closed(), "reset");
  });
});

Deno.test("the client's abort is a RST", async () => {
  const { promise, resolve } = Promise.withResolvers<Error>();
  await withServer(
    (socket) => socket.on("error", resolve).resume(),
    async (server) => {
      await using client = await TcpClient.connect(server);
      await client.send(QUERY);
      client.abort();
      assertEquals((await promise as NodeJS.ErrnoException).code, "ECONNRESET");
    },
  );
});

async function withServer(serve: (socket: Socket) => unknown, use: (server: Address) => Promise<void>) {
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    socket.on("error", () => {}); // What happens to a connection is looked at from the client.
    serve(socket);
  });
  const { address: hostname, port } = await listening(server, "127.0.0.1", 0);
  try {
    await use({ hostname, port });
  } finally {
    server.close();
    await Promise.all(sockets.map(destroyed));
  }
}
