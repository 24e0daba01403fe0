import type { Language } from '../../../lib/language.ts';
import { html, Html, type Part } from '../../pages/html.ts';
import type { Page } from '../../pages/page.ts';

/** One page for a merchant: a title, a few sentences, a few links. No script. */

interface MerchantPage {
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

export function merchantPage({ language, title, body, refreshSeconds }: MerchantPage): Page {
  return {
    language,
    title,
    style: STYLE,
    head:
      refreshSeconds === undefined
        ? undefined
        : html`<meta http-equiv="refresh" content="${refreshSeconds}" />`,
    body: html`<main>
      <h1>${title}</h1>
      ${body}
    </main>`,
    interactive: false,
    vary: 'Accept-Language, User-Agent',
  };
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
