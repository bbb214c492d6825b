import { createHash } from "node:crypto";
import frame from "./index.html" with { type: "text" };
import script from "./script.js" with { type: "text" };
import style from "./style.css" with { type: "text" };

/** The dashboard as one page that needs nothing else: texts that are part of the program, put together once. */
export const PAGE = frame.replace("/* style */", () => style).replace("/* script */", () => script);

/** The page may run its own script and style, known by their hashes, ask us, and nothing else. */
export const PAGE_POLICY = [
  "default-src 'none'",
  `script-src '${hashOf("script")}'`,
  `style-src '${hashOf("style")}'`,
  "connect-src 'self'",
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Of all that stands in the page's element of this name, white space included. */
function hashOf(name: string): string {
  const text = new RegExp(`<${name}>([^]*)</${name}>`).exec(PAGE)![1]!;
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}
