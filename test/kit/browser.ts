import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';

/** A real Chromium in front of pages on this machine. */

/** Names a browser where it is in none of the usual places. */
const NAMED = process.env['CHROMIUM_PATH'] || undefined;
/** The first one is Chromium without windows: all that is needed, at a third of the cost. */
const USUAL = [
  '/usr/bin/chromium-headless-shell',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
];
const MISSING = 'there is no Chromium: install it, or name one in CHROMIUM_PATH';
/** A folder: what was looked at is kept there as pictures. */
const SCREENSHOTS = process.env['BROWSER_SCREENSHOTS'];
/** Milliseconds; a page here is there at once, and the slowest one looks again after five seconds. */
const PATIENCE_MS = 20_000;

const executable = NAMED ?? USUAL.find((path) => existsSync(path));

/** Stories that need a browser: left out where there is none, but never in CI. */
export function describeInBrowser(title: string, stories: () => void): void {
  if (executable !== undefined) {
    describe(title, stories);
  } else if (process.env['CI']) {
    describe(title, () => {
      it('has a browser', () => expect.fail(MISSING));
    });
  } else {
    describe.skip(`${title} (left out: ${MISSING})`, stories);
  }
}

/** A new process with an empty profile, that resolves no names: nothing leaves this machine. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: executable ?? '',
    args: [
      '--no-first-run',
      '--disable-gpu',
      '--disable-quic',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
    ],
  });
}

export const ON_A_COMPUTER = { locale: 'zh-CN', viewport: { width: 1024, height: 700 } };
export const IN_ENGLISH = { ...ON_A_COMPUTER, locale: 'en-US' };
export const ON_A_PHONE = {
  locale: 'zh-CN',
  userAgent:
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148',
  viewport: { width: 375, height: 667 },
  deviceScaleFactor: 2,
  isMobile: true,
  hasTouch: true,
};
export const IN_WECHAT = {
  ...ON_A_PHONE,
  userAgent: `${ON_A_PHONE.userAgent} MicroMessenger/8.0.47(0x18002f2c) NetType/WIFI Language/zh_CN`,
};

/** One person's browser window, which shares nothing with any other's. */
export interface Visitor {
  page: Page;
  /** Every address that was asked for. */
  requests: string[];
  /** Errors and warnings of the console, violations of the page's own policy among them. */
  complaints: string[];
  /** Keeps a picture of the whole page, when somebody wants to look. */
  look(name: string): Promise<void>;
}

export async function openVisitor(
  browser: Browser,
  options: BrowserContextOptions = {},
): Promise<Visitor> {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(PATIENCE_MS);
  const requests: string[] = [];
  const complaints: string[] = [];
  context.on('request', (request) => requests.push(request.url()));
  context.on('weberror', (error) => complaints.push(String(error.error())));
  context.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  // Not every violation reaches the console.
  await context.addInitScript(`document.addEventListener('securitypolicyviolation', (event) =>
    console.error('policy violated: ' + event.violatedDirective + ' ' + event.blockedURI));`);
  const page = await context.newPage();
  return {
    page,
    requests,
    complaints,
    async look(name) {
      if (SCREENSHOTS === undefined) return;
      await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
    },
  };
}

/** That nobody was asked but this machine, and that the browser had nothing to complain about. */
export function expectQuiet({ requests, complaints }: Visitor): void {
  const hosts = new Set(requests.map((url) => new URL(url).hostname));
  expect([...hosts]).toEqual(['127.0.0.1']);
  expect(complaints).toEqual([]);
}
