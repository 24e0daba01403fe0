import { createHash, randomBytes } from 'node:crypto';
import type { Request, Response } from 'express';
import { Html, html } from '../pages/html.ts';
import { isRefresh, pathOf } from './guard.ts';
import { SCRIPT } from './script.ts';
import type { Session } from './session.ts';
import { STYLE } from './style.ts';
import { clockTime, WORDS, type View } from './view.ts';

/** The frame of every page: headers, style, and who is logged in. */

export interface DashboardPage {
  view: Pick<View, 'language'>;
  title: string;
  body: readonly (Html | undefined)[];
  /** Undefined on pages for those who have not logged in. */
  session?: Session | undefined;
  /** Loads itself again; then it says from when it is. */
  live?: View;
}

const SCRIPT_VERSION = createHash('sha256').update(SCRIPT).digest('hex').slice(0, 12);
const SCRIPT_PATH = '/dashboard/refresh.js';
const RAW_STYLE = new Html(STYLE);

export function sendPage(
  request: Request,
  response: Response,
  status: number,
  page: DashboardPage,
): void {
  const nonce = randomBytes(16).toString('base64');
  response.status(status).set({
    'Content-Security-Policy':
      `default-src 'none'; script-src 'self'; style-src 'nonce-${nonce}'; connect-src 'self'; ` +
      "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    'Content-Language': WORDS[page.view.language].htmlLang,
    Vary: 'Accept-Language, Cookie',
  });
  // What makes the templates readable need not travel.
  response.type('html').send(render(request, page, nonce).replace(/\s*\n\s*/g, '\n'));
}

function render(request: Request, page: DashboardPage, nonce: string): string {
  const { view, title, live } = page;
  const words = WORDS[view.language];
  const script =
    live === undefined
      ? undefined
      : html`<script src="${SCRIPT_PATH}?v=${SCRIPT_VERSION}" defer></script>`;
  // Our script has it already, and its parser would apply the policy of the page that is there.
  const style = isRefresh(request)
    ? undefined
    : html`<style nonce="${nonce}">
        ${RAW_STYLE}
      </style>`;
  return html`<!doctype html>
    <html lang="${words.htmlLang}">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="robots" content="noindex" />
        <title>${title}</title>
        ${style} ${script}
      </head>
      <body>
        <a class="skip" href="#main">${words.skip}</a>
        ${top(request, page)}
        <main id="main">${page.body.filter((one) => one !== undefined)}</main>
      </body>
    </html> `.text;
}

function top(request: Request, { view, session, live }: DashboardPage): Html {
  const words = WORDS[view.language];
  const updated =
    live === undefined
      ? undefined
      : html`<span id="updated"
            >${words.updated} ${clockTime(live, live.now)} ${words.beijing}</span
          >
          <span class="stale" id="stale" role="status" hidden
            >${words.stale} ${clockTime(live, live.now)}</span
          >
          <a href="${request.originalUrl.replace(/^\/+/, '/')}">${words.refresh}</a>`;
  const out =
    session === undefined
      ? undefined
      : html`<form method="post" action="/logout">
          <input type="hidden" name="csrf" value="${session.csrf}" /><span
            >${words.loggedInAs(session.key.id)}</span
          >
          <button class="plain">${words.logout}</button>
        </form>`;
  const other = words.otherLanguageCode;
  const tongue = other === 'zh' ? 'zh-CN' : 'en';
  return html`<header class="top">
    <span class="brand">wxkeeper</span>
    ${updated}
    <a href="${withLanguage(request, other)}" lang="${tongue}" hreflang="${tongue}"
      >${words.otherLanguage}</a
    >
    ${out}
  </header>`;
}

/** The same page in the other language. */
function withLanguage(request: Request, language: string): string {
  const query = new URLSearchParams(
    Object.entries(request.query).filter(
      (one): one is [string, string] => typeof one[1] === 'string',
    ),
  );
  query.set('lang', language);
  return `${pathOf(request)}?${query.toString()}`;
}
