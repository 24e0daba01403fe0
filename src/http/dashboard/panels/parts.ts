import { html, type Html, type Part } from '../../pages/html.ts';

/** What several panels are made of. */

export type Tone = 'ok' | 'warn' | 'bad' | 'quiet';

/** A state, in a word and a colour. */
export function pill(tone: Tone, text: string): Html {
  return html`<span class="pill ${tone}">${text}</span>`;
}

export type Fact = readonly [name: string, value: Part] | undefined;

/** Names and values, one pair beside the other. */
export function facts(list: readonly Fact[]): Html | undefined {
  const pairs = list.filter((one) => one !== undefined);
  if (pairs.length === 0) return undefined;
  return html`<dl class="facts">
    ${pairs.map(
      ([name, value]) =>
        html`<div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>`,
    )}
  </dl>`;
}

/** What something is called, and under it what WeChat calls it. */
export function title(name: string, kind: string): Html {
  return html`<div>
    <h3>${name}</h3>
    <code class="kind">${kind}</code>
  </div>`;
}

export function code(text: string): Html {
  return html`<code>${text}</code>`;
}

/** The same for a name of several words, which may break between them where the screen is narrow. */
export function words(name: string): Html {
  const parts = name
    .split('_')
    .map((part, at) => (at === 0 ? html`${part}` : html`<wbr />_${part}`));
  return html`<code>${parts}</code>`;
}

/** A link that looks like a button: it leads to a page that asks once more. */
export function action(href: string, text: string, about: string): Html {
  return html`<a class="button" href="${href}">${text}<span class="unseen"> ${about}</span></a>`;
}

export function address(path: string, query: Readonly<Record<string, string>>): string {
  return `${path}?${new URLSearchParams(query).toString()}`;
}

/** A table that scrolls by itself where the screen is narrow. */
export function table(
  label: string,
  heads: readonly string[],
  rows: readonly (readonly Part[])[],
): Html {
  return html`<div class="scroll" role="region" aria-label="${label}" tabindex="0">
    <table>
      <thead>
        <tr>
          ${heads.map((head) => html`<th scope="col">${head}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (cells) =>
            html`<tr>
              ${cells.map((cell, index) => html`<td data-label="${heads[index]}">${cell}</td>`)}
            </tr> `,
        )}
      </tbody>
    </table>
  </div>`;
}

/** A long text, cut where nobody reads on. */
export function cut(text: string, length: number): string {
  if (text.length <= length) return text;
  // Not through the middle of an emoji.
  return `${text.slice(0, length - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}
