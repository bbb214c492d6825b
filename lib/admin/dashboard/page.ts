/** The dashboard: one page with its script and style inlined, so that it needs no other request. */

import { createHash } from "node:crypto";
import frame from "./index.html" with { type: "text" };
import script from "./script.js" with { type: "text" };
import style from "./style.css" with { type: "text" };

/** The page, composed once from files that are part of the program. */
export const PAGE = frame.replace("/* style */", () => style).replace("/* script */", () => script);

/** Content security policy: the page may run its own script and style, and connect to its own origin. */
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

/** Returns the hash of the content of the page's element with this name, white space included. */
function hashOf(name: string): string {
  const text = new RegExp(`<${name}>([^]*)</${name}>`).exec(PAGE)![1]!;
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}
