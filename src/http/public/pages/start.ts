import type { Language } from '../../../lib/language.ts';
import { html } from '../../pages/html.ts';
import type { Page } from '../../pages/page.ts';
import { button, hint, merchantPage, paragraph } from './layout.ts';
import { WORDING } from './wording.ts';

/** The page from which a merchant goes to WeChat. */

export interface StartFacts {
  language: Language;
  /** The two addresses at WeChat. */
  wechat: { pc: string; mobile: string };
  bizAppid: string | undefined;
  /** What the visitor sits at. */
  device: 'pc' | 'phone' | 'wechat_phone';
  /** Life of the two addresses: milliseconds, and the epoch ms of its end. */
  expiresInMs: number;
  expiresAt: number;
}

const TIME = new Intl.DateTimeFormat('en-GB', {
  timeZone: 'Asia/Shanghai',
  hour: '2-digit',
  minute: '2-digit',
});

export function startPage(facts: StartFacts): Page {
  const { language, wechat, device, bizAppid } = facts;
  const words = WORDING[language];
  const pc = [button(wechat.pc, words.pcButton, device === 'pc'), hint(words.pcHint)];
  const mobile = [
    ...(device === 'phone' ? [paragraph(words.openInWechat)] : []),
    button(wechat.mobile, words.mobileButton, device !== 'pc'),
    // Who is in WeChat has done it, and who is on a phone but not there was just told at length.
    ...(device === 'pc' ? [hint(words.mobileHint)] : []),
  ];
  const minutes = Math.max(1, Math.floor(facts.expiresInMs / 60_000));
  return merchantPage({
    language,
    title: words.startTitle,
    body: [
      paragraph(words.startText),
      ...(bizAppid === undefined ? [] : [paragraph(words.onlyAccount(bizAppid))]),
      ...(device === 'pc' ? [...pc, ...mobile] : [...mobile, ...pc]),
      // An empty address is this page again, with a code of its own.
      html`<p>
        ${words.lasts(minutes, TIME.format(facts.expiresAt))}
        <a class="again" href="">${words.startAgain}</a>
      </p>`,
    ],
  });
}

/** WeChat on a computer says "MicroMessenger" too, but opens the page for phones no better. */
export function deviceOf(userAgent: string): StartFacts['device'] {
  if (/WindowsWechat|MacWechat|Windows NT|Macintosh|X11|CrOS/i.test(userAgent)) return 'pc';
  if (/MicroMessenger/i.test(userAgent)) return 'wechat_phone';
  return /Mobile|Android|iPhone|iPad|Harmony/i.test(userAgent) ? 'phone' : 'pc';
}
