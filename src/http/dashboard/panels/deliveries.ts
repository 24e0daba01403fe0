import type { DashboardData } from '../../../status/dashboard.ts';
import { html, type Html, type Part } from '../../pages/html.ts';
import { moment, type View } from '../view.ts';
import { action, address, code, pill, table, type Tone } from './parts.ts';

/** Where the pushes of a platform go, and how the targets fare. */

type Component = DashboardData['status']['components'][number];
type Delivery = Component['deliveries'][number];

const TONES: Readonly<Record<Delivery['state'], Tone>> = {
  ok: 'ok',
  failing: 'warn',
  paused: 'bad',
  stopped: 'bad',
};

export function deliveriesPanel(view: View, { appid, deliveries }: Component): Html | undefined {
  const { words } = view;
  if (deliveries.length === 0) return undefined;
  const heads = [
    words.route,
    words.targetStateHead,
    words.waiting,
    words.deadLetters,
    words.lastAnswer,
    ...(view.mayAct(appid) ? [words.whatToDo] : []),
  ];
  return html`<article class="card wide" id="deliveries-${appid}">
    <header><h3>${words.deliveries}</h3></header>
    ${table(
      words.deliveries,
      heads,
      deliveries.map((one) => row(view, appid, one)),
    )}
  </article>`;
}

function row(view: View, appid: string, one: Delivery): Part[] {
  const { words } = view;
  const { last_attempt: last, failing_since: since, oldest_at: oldest } = one;
  const waiting = (one.waiting + one.under_way).toLocaleString('en');
  return [
    html`${code(one.route)} · ${one.mode}<code class="kind">${one.target}</code>`,
    html`${pill(TONES[one.state], words.targetState[one.state])}
    ${since === null ? undefined : html`${words.since} ${moment(view, since)}`}`,
    oldest === null ? waiting : html`${waiting} · ${words.oldest} ${moment(view, oldest)}`,
    one.dead_letters.toLocaleString('en'),
    last === null ? '–' : html`${words.attemptStatus(last.status)} · ${moment(view, last.at)}`,
    ...(view.mayAct(appid) ? [actions(view, appid, one)] : []),
  ];
}

/** Only what would change something. */
function actions({ words }: View, subject: string, one: Delivery): Html {
  const { route } = one;
  const link = (name: 'resume' | 'replay' | 'discard') =>
    action(address(`/dashboard/${name}`, { subject, route }), words.confirmButton[name], route);
  const dead = one.dead_letters > 0;
  return html`<div class="row">
    ${one.state === 'stopped' || one.state === 'paused' ? link('resume') : undefined}
    ${dead ? link('replay') : undefined} ${dead ? link('discard') : undefined}
  </div>`;
}
