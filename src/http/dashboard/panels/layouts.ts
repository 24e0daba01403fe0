import type { DashboardData } from '../../../status/dashboard.ts';
import { html, type Html } from '../../pages/html.ts';
import { moment, type View } from '../view.ts';
import { code, pill, table, type Tone } from './parts.ts';

/** Under which keys applications find credentials, and how that goes. */

type Status = DashboardData['status'];

const TONES: Readonly<Record<Status['layouts'][number]['state'], Tone>> = {
  ok: 'ok',
  starting: 'quiet',
  failing: 'bad',
};

export function layoutsPanel(view: View, { layouts }: Status): Html | undefined {
  const { words } = view;
  if (layouts.length === 0) return undefined;
  const heads = [
    words.layout,
    words.targetStateHead,
    words.keysHead,
    words.overwrittenHead,
    words.lastPublished,
  ];
  const rows = layouts.map((one) => [
    html`${code(one.name)} · ${one.preset}
    ${one.elsewhere ? html`<span class="by">${words.elsewhere}</span>` : undefined}`,
    html`${pill(TONES[one.state], words.layoutState[one.state])} ${one.failure ?? undefined}`,
    one.keys.toLocaleString('en'),
    one.last_overwritten_at === null
      ? one.overwritten.toLocaleString('en')
      : html`${one.overwritten.toLocaleString('en')} · ${moment(view, one.last_overwritten_at)}`,
    one.last_published_at === null ? '–' : moment(view, one.last_published_at),
  ]);
  return html`<article class="card wide" id="layouts">
    <header><h2>${words.layouts}</h2></header>
    ${table(words.layouts, heads, rows)}
  </article>`;
}
