import { randomBytes } from 'node:crypto';
import type { Response } from 'express';
import type { Language } from '../../../lib/language.ts';
import { html, Html, type Part } from '../../pages/html.ts';

/** One page for a merchant: a title, a few sentences, a few links. No script, nothing from elsewhere. */

export interface Page {
  language: Language;
  title: string;
  body: readonly Html[];
  /** Loads the same address again after so many seconds. */
  refreshSeconds?: number;
}

const STYLE = new Html(`
:root { color-scheme: light dark; }
body { margin: 0; font: 1rem/1.6 system-ui, "PingFang SC", "Microsoft YaHei", sans-serif; }
main { max-width: 30rem; margin: 0 auto; padding: 2rem 1.25rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.3; margin: 0 0 1rem; }
.button { display: block; margin: 1rem 0 .25rem; padding: .75rem 1rem; border: 1px solid #0a7d3c;
  border-radius: .5rem; text-align: center; text-decoration: none; color: inherit; }
.primary { background: #0a7d3c; color: #fff; font-weight: 600; }
.again { color: inherit; white-space: nowrap; }
.hint { margin: 0; font-size: .875rem; opacity: .8; }
`);

/** Sends a page with the headers that all of them have. */
export function sendPage(response: Response, status: number, page: Page): void {
  const nonce = randomBytes(16).toString('base64');
  response.status(status).set({
    'Content-Security-Policy':
      `default-src 'none'; style-src 'nonce-${nonce}'; ` +
      "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    'Content-Language': page.language === 'zh' ? 'zh-CN' : 'en',
    Vary: 'Accept-Language, User-Agent',
  });
  response.type('html').send(render(page, nonce));
}

function render({ language, title, body, refreshSeconds }: Page, nonce: string): string {
  const refresh =
    refreshSeconds === undefined
      ? undefined
      : html`<meta http-equiv="refresh" content="${refreshSeconds}" />`;
  return html`<!doctype html>
    <html lang="${language === 'zh' ? 'zh-CN' : 'en'}">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        ${refresh}
        <title>${title}</title>
        <style nonce="${nonce}">
          ${STYLE}
        </style>
      </head>
      <body>
        <main>
          <h1>${title}</h1>
          ${body}
        </main>
      </body>
    </html> `.text;
}

export function paragraph(...parts: readonly Part[]): Html {
  return html`<p>${parts.map((part) => html`${part}`)}</p>`;
}

export function hint(text: string): Html {
  return html`<p class="hint">${text}</p>`;
}

export function button(href: string, text: string, primary: boolean): Html {
  return html`<a class="${primary ? 'button primary' : 'button'}" href="${href}">${text}</a>`;
}
