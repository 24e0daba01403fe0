import type { Language } from '../../../lib/language.ts';
import type { Html } from '../../pages/html.ts';
import type { Page } from '../../pages/page.ts';
import { button, merchantPage, paragraph } from './layout.ts';
import { WORDING, type Wording } from './wording.ts';

/** What a merchant reads who comes back from WeChat. */

/** Seconds between looks at an authorization that is being completed. */
const LOOK_AGAIN_SECONDS = 5;

export interface NextSteps {
  language: Language;
  /** The start page once more; undefined when the link has expired. */
  startAgain: string | undefined;
  /** The caller's own page. */
  back: string | undefined;
}

export function authorizedPage(language: Language, appid: string): Page {
  const words = WORDING[language];
  const body = [paragraph(words.authorizedText(appid))];
  return merchantPage({ language, title: words.authorizedTitle, body });
}

/** Loads itself again: the code is in the address, and taking it twice does nothing twice. */
export function pendingPage(language: Language): Page {
  const words = WORDING[language];
  return merchantPage({
    language,
    title: words.pendingTitle,
    body: [paragraph(words.pendingText), button('', words.reload, false)],
    refreshSeconds: LOOK_AGAIN_SECONDS,
  });
}

export function expiredPage(next: NextSteps): Page {
  const words = WORDING[next.language];
  const body = [paragraph(words.expiredText), ...nextSteps(words, next)];
  return merchantPage({ language: next.language, title: words.expiredTitle, body });
}

/**
 * The exchange goes on by itself when somebody has mended what is wrong, so the same page may soon say
 * something else. Of the reason only WeChat's number is shown: our advice is for the operator.
 */
export function failedPage(next: NextSteps, errcode: number | undefined): Page {
  const words = WORDING[next.language];
  const code = errcode === undefined ? [] : [paragraph(words.failedCode(errcode))];
  // To authorize again would not help before that.
  const look = button('', words.reload, true);
  const body = [paragraph(words.failedText), ...code, look, ...nextSteps(words, next, false)];
  return merchantPage({ language: next.language, title: words.failedTitle, body });
}

export function cancelledPage(next: NextSteps): Page {
  const words = WORDING[next.language];
  const body = [paragraph(words.cancelledText), ...nextSteps(words, next)];
  return merchantPage({ language: next.language, title: words.cancelledTitle, body });
}

function nextSteps(words: Wording, { startAgain, back }: NextSteps, primary = true): Html[] {
  return [
    startAgain === undefined
      ? paragraph(words.askAgain)
      : button(startAgain, words.startAgain, primary),
    ...(back === undefined ? [] : [button(back, words.back, false)]),
  ];
}
