/**
 * The dashboard in a real browser. `DOT_PROXY_SCREENSHOTS=deploy deno test --allow-all tests/e2e/dashboard_test.ts`
 * renews the pictures in docs/monitoring.md.
 */
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { askEach, names } from "../support/clients/query_client.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { askUdp, UdpClient } from "../support/clients/plain_client.ts";
import { addressed, type Answer, answering } from "../support/servers/dot_server.ts";
import { query } from "../support/packets/packets.ts";
import { type OperatedProxy, startOperatedProxy } from "./operated_proxy.ts";
import { pathOf } from "./tools.ts";

const SCREENSHOTS = Deno.env.get("DOT_PROXY_SCREENSHOTS");

/** Chromium does housekeeping over the network unless these flags turn it off. */
const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"];

/** A page with its console errors and its requests. */
interface Watched {
  readonly page: Page;
  readonly consoleErrors: string[];
  readonly requests: string[];
}

async function withBrowser(body: (browser: Browser) => Promise<void>): Promise<void> {
  const browser = await chromium.launch({ executablePath: pathOf("chromium"), args: QUIET });
  try {
    await body(browser);
  } finally {
    await browser.close();
  }
}

async function open(browser: Browser, url: string, options = {}): Promise<Watched> {
  const page = await browser.newPage({ viewport: { width: 1120, height: 900 }, ...options });
  page.setDefaultTimeout(20_000);
  const consoleErrors: string[] = [];
  const requests: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") consoleErrors.push(message.text());
  });
  page.on("pageerror", (error) => consoleErrors.push(`${error}`));
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(url, { waitUntil: "commit" });
  return { page, consoleErrors, requests };
}

/** Waits until the text of an element matches. */
async function shows(page: Page, selector: string, pattern: RegExp): Promise<void> {
  await page.locator(selector).filter({ hasText: pattern }).first().waitFor();
}

function style(page: Page, selector: string, property: string): Promise<string> {
  return page.evaluate(`getComputedStyle(document.querySelector("${selector}")).${property}`);
}

/** Number in the names, so that no name is cached. */
let rounds = 0;

/** A denied client, and one that exceeds the rate limit. */
const STRANGER = "127.0.9.1";
const GREEDY = "127.0.9.2";

/** Starts a proxy with an option of each policy. */
async function startWithPolicy(servers: number, stack: AsyncDisposableStack): Promise<OperatedProxy> {
  const list = await Deno.makeTempFile();
  stack.defer(() => Deno.remove(list));
  await Deno.writeTextFile(list, "ads.example\n");
  const options = {
    block: `ads=${list}`,
    record: "nas.lan A 10.0.0.1",
    "filter-type": "HTTPS",
    deny: STRANGER,
    "rate-limit": "1/s",
    "rate-limit-exempt": "127.0.0.1",
  };
  const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
  return stack.use(await startOperatedProxy(servers, ...args));
}

/** Sends messages without waiting for responses; the dashboard shows the outcome. */
async function sendFrom(source: string, proxy: OperatedProxy, ...messages: Uint8Array[]): Promise<void> {
  using client = new UdpClient(proxy.address, source);
  for (const message of messages) await client.send(message);
}

/** Some hundred queries a second until it is stopped; many are equal, some are for missing names. */
async function underLoad(proxy: OperatedProxy, body: () => Promise<void>): Promise<void> {
  const often = [
    ...["www.example.com", "api.example.net", "cdn.example.org", "nas.lan"],
    ...["www.example.com", "missing.test", "ads.example"],
  ];
  const ended = Promise.withResolvers<void>();
  let going = true;
  const load = (async () => {
    while (going) {
      const some = often.slice(rounds % often.length);
      for (const asked of [names(8, `host${++rounds}-`), ...some.map((name) => [name])]) {
        await askEach(proxy.address, asked);
      }
      await Promise.race([ended.promise, new Promise((resolve) => setTimeout(resolve, 20))]);
    }
  })();
  try {
    await body();
  } finally {
    going = false;
    ended.resolve();
    await load;
  }
}

/** An address for every name but those that begin with "m". */
const answer: Answer = (query, connection) =>
  addressed(query[13] === 0x6d ? { rcode: 3 } : {})(query, connection);

async function picture(page: Page, name: string): Promise<void> {
  if (SCREENSHOTS) await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
}

Deno.test("the dashboard shows live data, requests only its own origin, and logs no console errors", async (t) => {
  await using stack = new AsyncDisposableStack();
  const proxy = await startWithPolicy(2, stack);
  for (const server of proxy.servers) server.behavior = answering(answer);
  await withBrowser(async (browser) => {
    const { page, consoleErrors, requests } = await open(browser, proxy.url);

    await t.step("shows changing numbers under load", async () => {
      await shows(page, "#link", /^live$/);
      assertMatch((await page.textContent("#total"))!, /^0 answers/);
      await underLoad(proxy, async () => {
        await shows(page, "#rate", /^[\d,]*[1-9]/);
        await shows(page, "#p50", /\d (µs|ms)/);
        await shows(page, "#rcodes", /NOERROR/);
        await shows(page, "#names", /www\.example\.com\./);
        await shows(page, "#clients", /127\.0\.0\.1/);
        const before = (await page.textContent("#total"))!;
        await page.locator("#total").filter({ hasNotText: before }).waitFor();
        await shows(page, "li.up .state", /^up$/);
        await sendFrom(STRANGER, proxy, ...Array(7).fill(query("a.example")));
        await sendFrom(GREEDY, proxy, ...Array(4).fill(query("a.example")));
        if (SCREENSHOTS) await page.waitForTimeout(60_000); // for lines worth a look
        await picture(page, "dashboard-light");
      });
    });

    await t.step("shows answers of the policy with their sources", async () => {
      await askUdp(proxy.address, query("www.ads.example"));
      await askUdp(proxy.address, query("nas.lan"));
      await askUdp(proxy.address, query("nas.example", "HTTPS"));
      for (
        const row of [
          "www.ads.example.Ablocked by adsNXDOMAIN",
          "nas.lan.AlocalNOERROR",
          "nas.example.HTTPSfilteredNOERROR",
        ]
      ) {
        await shows(page, "#latest tr", new RegExp(`^${RegExp.escape(row)}.*127\\.0\\.0\\.1 UDP`));
      }
      for (const source of ["upstream", "cache", "local", "blocked", "filtered"]) {
        await shows(page, "#sources li", new RegExp(`^${source}.*[1-9]`));
      }
    });

    await t.step("shows rejected clients and messages with reason and response", async () => {
      await sendFrom(STRANGER, proxy, query("a.example"));
      await sendFrom(GREEDY, proxy, ...Array(10).fill(query("a.example"))); // more than any pause makes up for
      await askUdp(proxy.address, query("a.example", "A", { opcode: 2 }));
      const expected = [
        "not allowed: refused",
        ...["rate limit: truncated", "rate limit: no response"],
        "not resolvable: NOTIMP",
      ];
      for (const text of expected) await shows(page, "#rejected li", new RegExp(`^${text}.*[1-9]`));
      await shows(page, "#trouble", /[1-9]\d* rejected$/);
    });

    await t.step("shows a name with markup as text", async () => {
      const hostile = '<img\\032src=x\\032onerror="alert(1)">.example.com';
      for (let i = 0; i < 3; i++) await askUdp(proxy.address, query(hostile));
      await shows(page, "#names", /<img\\032src=x/);
      await shows(page, "#latest", /<img\\032src=x/);
      assertEquals(await page.locator("img").count(), 0);
    });

    await t.step("shows a failed upstream in red with the reason", async () => {
      const [dead] = proxy.servers;
      dead!.stopListening();
      for (const connection of dead!.connections) connection.end();
      await underLoad(proxy, async () => {
        await shows(page, "li.down .reason", /connection refused, nothing listens there/);
        await shows(page, "li.down .state", /^down$/);
      });
      const down = page.locator("li.down");
      assertEquals(await down.count(), 1);
      assertMatch((await down.locator("strong").textContent())!, new RegExp(`:${dead!.port}$`));
      assertEquals(await style(page, "li.down", "borderLeftColor"), "rgb(192, 38, 45)");
    });

    await t.step("works with the keyboard", async () => {
      await page.keyboard.press("Tab");
      await page.keyboard.press("Tab");
      assertEquals(await page.evaluate("document.activeElement.id"), "pause");
      await page.keyboard.press("Enter");
      assertEquals(await page.getAttribute("#pause", "aria-pressed"), "true");
      assertEquals(await page.textContent("#link"), "paused");
      await page.keyboard.press("Enter");
      await shows(page, "#link", /^live$/);
    });

    await t.step("fits a phone in dark mode", async () => {
      const phone = { viewport: { width: 375, height: 812 }, colorScheme: "dark", deviceScaleFactor: 1 };
      const dark = await open(browser, proxy.url, phone);
      await underLoad(proxy, async () => {
        await shows(dark.page, "#rate", /^[\d,]*[1-9]/);
        if (SCREENSHOTS) await dark.page.waitForTimeout(60_000);
        await picture(dark.page, "dashboard-dark-phone");
      });
      const scrolled = await dark.page.evaluate<number>("document.documentElement.scrollWidth");
      assert(scrolled <= 375, `${scrolled} px wide`);
      assertEquals(await style(dark.page, "html", "backgroundColor"), "rgb(15, 20, 27)");
      consoleErrors.push(...dark.consoleErrors);
      requests.push(...dark.requests);
    });

    const { origin } = new URL(proxy.url);
    assertEquals(requests.filter((url) => !url.startsWith(`${origin}/`) && !url.startsWith("data:")), []);
    assert(requests.includes(`${origin}/api/events`));
    assertEquals(consoleErrors, []);
  });
});

Deno.test("the dashboard hides names and clients with --query-detail none", async () => {
  await using proxy = await startOperatedProxy(1, "--query-detail", "none");
  await withBrowser(async (browser) => {
    const { page } = await open(browser, proxy.url);
    await underLoad(proxy, () => shows(page, "#rate", /^[\d,]*[1-9]/));
    await shows(page, "#names", /^not shown: --query-detail none$/);
    await shows(page, "#clients", /^not shown: --query-detail none$/);
    await shows(page, "#latest", /^not shown: --query-detail none$/);
  });
});
