import type { Request } from 'express';
import type { Language } from '../../lib/language.ts';
import { beijingTime, duration } from '../../lib/time-format.ts';
import { html, type Html } from '../pages/html.ts';
import { languageOf } from '../pages/language.ts';
import { readCookies } from './session.ts';
import { EN, type Wording } from './wording/en.ts';
import { ZH } from './wording/zh.ts';

/** Who looks, and how they read: what every panel is made with. */
export interface View {
  language: Language;
  words: Wording;
  /** Epoch ms. Everything on one page is told from the same moment. */
  now: number;
  /** Whether this reader may act on an appid. */
  mayAct: (appid: string) => boolean;
}

export const WORDS: Readonly<Record<Language, Wording>> = { en: EN, zh: ZH };
export const LANGUAGE_COOKIE = 'wxkeeper_language';

const SECOND = 1_000;
/** A little less than the last moment that has a date. */
const MAX_MS = 8.6e15;

/** What was chosen on the page, else what the browser asks for. */
export function chosenLanguage(request: Request): Language {
  const [chosen] = readCookies(request, LANGUAGE_COOKIE);
  return chosen === 'zh' || chosen === 'en' ? chosen : languageOf(request, 'en');
}

/** A moment as the reader thinks of it: "in 12 min", "3 h ago". Nothing for what never was. */
export function moment(view: View, at: string | number | null | undefined): Html {
  const { words, now, language } = view;
  const ms = typeof at === 'string' ? Date.parse(at) : (at ?? NaN);
  if (!isMoment(ms)) return html`${words.never}`;
  const distance = ms - now;
  const text =
    Math.abs(distance) < SECOND
      ? words.now
      : distance > 0
        ? words.within(duration(distance, language))
        : words.ago(duration(-distance, language));
  return stamp(view, ms, text);
}

/** A moment as the clock shows it in Beijing: 14:03:22, or with its day when that is another one. */
export function clockTime(view: View, ms: number): Html {
  if (!isMoment(ms)) return html`${view.words.unknown}`;
  const [day, time] = beijingTime(ms);
  return stamp(view, ms, day === beijingTime(view.now)[0] ? time : `${day.slice(5)} ${time}`);
}

const ISO_TIME = /(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)/;

/** A sentence of the status, with its times as the clock shows them in Beijing. */
export function sentence(view: View, text: string): Html {
  const parts = text.split(ISO_TIME).map((part, index) => {
    const ms = index % 2 === 0 ? NaN : Date.parse(part);
    return isMoment(ms) ? clockTime(view, ms) : html`${part}`;
  });
  return html`${parts}`;
}

/** Hours and minutes for the text of a chart. */
export function shortTime(ms: number): string {
  return beijingTime(ms)[1].slice(0, 5);
}

/** What a person has written into Redis by hand may be no time at all. */
function isMoment(ms: number): boolean {
  return Math.abs(ms) < MAX_MS;
}

function stamp({ words }: View, ms: number, text: string): Html {
  const iso = new Date(ms).toISOString();
  const title = `${beijingTime(ms).join(' ')} ${words.beijing} (${iso})`;
  return html`<time datetime="${iso}" title="${title}">${text}</time>`;
}
