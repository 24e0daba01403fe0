import { createHash } from 'node:crypto';
import type { Request } from 'express';
import type { Language } from '../../lib/language.ts';
import { Html, html } from '../pages/html.ts';
import { LANGUAGE_TAG } from '../pages/language.ts';
import type { Page } from '../pages/page.ts';
import { isRefresh, pathOf } from './guard.ts';
import { SCRIPT } from './script.ts';
import type { Session } from './session.ts';
import { STYLE } from './style.ts';
import { clockTime, WORDS, type View } from './view.ts';

/** The frame of every page: style, script, and who is logged in. */

export interface DashboardPage {
  language: Language;
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

export function dashboardPage(request: Request, page: DashboardPage): Page {
  const { language, title, body, live } = page;
  const script =
    live === undefined
      ? undefined
      : html`<script src="${SCRIPT_PATH}?v=${SCRIPT_VERSION}" defer></script>`;
  return {
    language,
    title,
    // Our script has it already, and its parser would apply the policy of the page that is there.
    style: isRefresh(request) ? undefined : RAW_STYLE,
    head: html`<meta name="robots" content="noindex" /> ${script}`,
    body: html`<a class="skip" href="#main">${WORDS[language].skip}</a>
      ${top(request, page)}
      <main id="main">${body.filter((one) => one !== undefined)}</main>`,
    interactive: true,
    vary: 'Accept-Language, Cookie',
  };
}

function top(request: Request, { language, session, live }: DashboardPage): Html {
  const words = WORDS[language];
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
  const other: Language = language === 'zh' ? 'en' : 'zh';
  const tag = LANGUAGE_TAG[other];
  return html`<header class="top">
    <span class="brand">wxkeeper</span>
    ${updated}
    <a href="${withLanguage(request, other)}" lang="${tag}" hreflang="${tag}"
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
