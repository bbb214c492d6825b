/** The admin address behind nginx, below a path and with all of its defaults (part 4, row 24). */
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { within } from "../support/within.ts";
import { Child } from "../support/processes/child.ts";
import { HostedProxy } from "./hosted_proxy.ts";
import { freePort, onFreePorts } from "../support/processes/ports.ts";
import { pathOf } from "./tools.ts";

/** What browsers know it by. */
const NAME = "dns.example.net";

class Nginx implements AsyncDisposable {
  readonly port: number;
  readonly #folder: string;
  readonly #child: Child;

  private constructor(port: number, folder: string, child: Child) {
    this.port = port;
    this.#folder = folder;
    this.#child = child;
  }

  static start(to: Deno.NetAddr): Promise<Nginx> {
    return onFreePorts(async () => {
      const folder = await Deno.makeTempDir();
      const port = freePort();
      const kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
      await Deno.writeTextFile(
        `${folder}/nginx.conf`,
        `daemon off; pid ${folder}/pid; error_log stderr; worker_processes 1;
        events {}
        http {
          access_log off;
          ${kinds.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join("\n")}
          server {
            listen 127.0.0.1:${port};
            location /dns/ { proxy_pass http://127.0.0.1:${to.port}/; }
          }
        }`,
      );
      await Deno.chmod(folder, 0o755); // its worker is another user
      const child = new Child("nginx", { program: pathOf("nginx"), args: ["-c", `${folder}/nginx.conf`] });
      const nginx = new Nginx(port, folder, child);
      try {
        await child.ready(() =>
          nginx.fetch("/").then(({ body }) => body!.cancel()).then(() => true, () => false)
        );
      } catch (error) {
        await nginx[Symbol.asyncDispose]();
        throw error;
      }
      return nginx;
    });
  }

  fetch(path: string, options: RequestInit = {}): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.port}${path}`, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

Deno.test("behind nginx and below a path the dashboard is shown, gets events at once, and may flush", async () => {
  await using proxy = await HostedProxy.start({ options: ["--admin-host", NAME] });
  await using nginx = await Nginx.start(proxy.admin);
  const page = await (await nginx.fetch("/dns/")).text();
  assertMatch(page, /EventSource\("api\/events"\)/);
  assert(!/["'`]\/api\//.test(page), "all addresses are relative");

  const events = await nginx.fetch("/dns/api/events");
  const reader = events.body!.getReader();
  const { value } = await within(30_000, reader.read(), "the first event");
  const text = new TextDecoder().decode(value);
  assertEquals(text.match(/^data: /gm)?.length, 1, "it was not kept back until there were more");
  await reader.cancel();

  const flush = async (origin: string) => {
    const response = await nginx.fetch("/dns/api/cache/flush?all", { method: "POST", headers: { origin } });
    return [response.status, await response.text()];
  };
  assertEquals(await flush(`https://${NAME}`), [200, '{"flushed":0}']);
  assertEquals((await flush("https://attacker.example"))[0], 403);
});
