import type { RememberedCredential } from '../../../status/dashboard.ts';
import { html, type Html } from '../../pages/html.ts';
import { moment, type View } from '../view.ts';
import { code, pill, table } from './parts.ts';

/** While Redis is away: what this process serves all the same, and for how long. */
export function memoryPanel(
  view: View,
  remembered: readonly RememberedCredential[],
  waiting: readonly string[],
): Html {
  const { words } = view;
  const rows = remembered.map(({ kind, subject, expiresAt }) => [
    html`${words.kind[kind]} ${code(kind)}`,
    code(subject),
    expiresAt === undefined
      ? html`<span class="by">${words.memoryNothing}</span>`
      : expiresAt > view.now
        ? html`${words.memoryServes} ${moment(view, expiresAt)}`
        : pill('bad', words.state.expired),
  ]);
  const heads = [words.credentials, words.appid, words.stateFilter];
  return html`<article class="card wide" id="memory">
    <header><h2>${words.memoryTitle}</h2></header>
    <p>${words.memoryText}</p>
    ${waiting.map((appid) => html`<p>${words.memoryTicket}: ${code(appid)}</p>`)}
    ${table(words.memoryTitle, heads, rows)}
  </article>`;
}
