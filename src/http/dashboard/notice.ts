import type { Request, Response } from 'express';
import * as z from 'zod';
import { html, type Html } from '../pages/html.ts';
import { readCookies, writeCookie } from './session.ts';
import type { Wording } from './wording/en.ts';

/**
 * What came of an action, said on the page that follows it. It travels in a cookie for a minute, so
 * that loading the page again neither repeats the action nor the message.
 */

const OUTCOMES = [
  ...(['refreshed', 'already_newer', 'throttled', 'asked', 'requested'] as const),
  ...(['resumed', 'replayed', 'discarded'] as const),
] as const;
export type Outcome = (typeof OUTCOMES)[number];

const COOKIE = 'wxkeeper_notice';
const LIFE_SECONDS = 60;

const what = z.string().max(120);
const noticeSchema = z.union([
  z.object({ outcome: z.enum(OUTCOMES), what }),
  z.object({ failed: z.string(), what }),
]);
type Notice = z.infer<typeof noticeSchema>;

export function leaveNotice(request: Request, response: Response, notice: Notice): void {
  const text = Buffer.from(JSON.stringify(notice)).toString('base64url');
  writeCookie(request, response, COOKIE, text, LIFE_SECONDS);
}

/** Takes it, for this page only. */
export function takeNotice(request: Request, response: Response): Notice | undefined {
  const [text] = readCookies(request, COOKIE);
  if (text === undefined) return undefined;
  writeCookie(request, response, COOKIE, '', 0);
  try {
    const content: unknown = JSON.parse(Buffer.from(text, 'base64url').toString());
    return noticeSchema.safeParse(content).data;
  } catch {
    return undefined;
  }
}

export function noticePanel(words: Wording, notice: Notice | undefined): Html | undefined {
  if (notice === undefined) return undefined;
  const failed = 'failed' in notice;
  const done = failed || notice.outcome === 'throttled' ? 'failed' : 'done';
  const text = failed
    ? words.noticeFailed(notice.what, whyOf(words, notice.failed))
    : words.notice[notice.outcome](notice.what);
  return html`<p class="notice ${done}" id="notice" role="status" data-keep>${text}</p>`;
}

function whyOf({ why }: Wording, code: string): string {
  return Object.hasOwn(why, code) ? why[code as keyof Wording['why']] : why.other;
}
