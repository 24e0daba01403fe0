import { randomBytes } from 'node:crypto';
import type { Response } from 'express';
import type { Language } from '../../lib/language.ts';
import { html, type Html } from './html.ts';
import { LANGUAGE_TAG } from './language.ts';

/** A page as it is sent, to merchants and to admins. Nothing of it comes from elsewhere. */
export interface Page {
  language: Language;
  title: string;
  /** CSS; undefined for a reader that has it already. */
  style: Html | undefined;
  /** What else stands in the head. */
  head?: Html | undefined;
  body: Html;
  /** May it run our script, and send us forms? */
  interactive: boolean;
  /** The headers of a request that make it another page. */
  vary: string;
}

/** Sends a page with the headers that all of them have. */
export function sendPage(response: Response, status: number, page: Page): void {
  const nonce = randomBytes(16).toString('base64');
  response.status(status).set({
    'Content-Security-Policy': policyOf(page, nonce),
    'Content-Language': LANGUAGE_TAG[page.language],
    Vary: page.vary,
  });
  // What makes the templates readable need not travel.
  response.type('html').send(render(page, nonce).replace(/\s*\n\s*/g, '\n'));
}

function policyOf({ interactive }: Page, nonce: string): string {
  return [
    `default-src 'none'`,
    ...(interactive ? [`script-src 'self'`] : []),
    `style-src 'nonce-${nonce}'`,
    ...(interactive ? [`connect-src 'self'`] : []),
    `base-uri 'none'`,
    `form-action ${interactive ? `'self'` : `'none'`}`,
    `frame-ancestors 'none'`,
  ].join('; ');
}

function render({ language, title, style, head, body }: Page, nonce: string): string {
  return html`<!doctype html>
    <html lang="${LANGUAGE_TAG[language]}">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        ${
          style === undefined
            ? undefined
            : html`<style nonce="${nonce}">
                ${style}
              </style>`
        }
        ${head}
      </head>
      <body>
        ${body}
      </body>
    </html> `.text;
}
